"""The npm package lesionlite-web: installed elsewhere, in React Native's engine, its types."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesionlite.caching import cache_folder
from lesionlite.export.execute.predictor import load
from tests.mobile_app_stub.app_sources import STUB, replace

pytestmark = pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")

PACKAGE = STUB / "web" / "lesionlite-web"
TOOLS = cache_folder() / "hermes" / "node_modules"
HERMES = TOOLS / "hermes-engine-cli" / "linux64-bin" / "hermes"
needs_tools = pytest.mark.skipif(
    not HERMES.is_file(), reason=f"Hermes and TypeScript are not in {TOOLS}; see .ci/run"
)


def called(*command: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project that has installed the packed package, without a network."""
    tarballs, project = tmp_path / "tarballs", tmp_path / "project"
    for folder in (tarballs, project):
        folder.mkdir()
    packed = called("npm", "pack", "--silent", "--pack-destination", tarballs, cwd=PACKAGE)
    assert packed.returncode == 0, packed.stderr
    (tarball,) = tarballs.iterdir()
    (project / "package.json").write_text('{"type": "module"}')
    installed = called("npm", "install", "--offline", "--silent", tarball, cwd=project)
    assert installed.returncode == 0, installed.stderr
    return project


FAKE = """import { createHash } from "node:crypto";
import { Classifier, Problem } from "lesionlite-web";
const contract = { version: 1, labels: ["dark", "bright"], side: 32, resize: "squash",
  resize_side: 32, interpolation: "bilinear", antialias: true, unsure_below: 0.6 };
const model = new TextEncoder().encode("a model");
const sha256 = createHash("sha256").update(model).digest("hex");
const entry = { sha256, tolerance: 0.02, probabilities: [[0, 1]] };
const golden = { labels: contract.labels, images: ["0.png"], artifacts: { "a.toy": entry } };
const share = (input) => input.reduce((sum, value) => sum + value, 0) / input.length / 255;
const open = async () =>
  ({ threads: 1, run: async (input) => [1 - share(input), share(input)] });
const runtime = { suffix: ".toy", open };
const classifier = await Classifier.open({ contract, golden, runtime, read: async () => model });
const bright = new Uint8Array(50 * 40 * 3).fill(255);
const { passed } = await classifier.selfTest(async () => bright.subarray(0, 32 * 32 * 3));
const { top, unsure } = await classifier.classify({ width: 50, height: 40, data: bright });
const error = new Problem("golden").name;
console.log(JSON.stringify({ passed, label: top[0].label, unsure, error }));
"""


def test_an_array_is_classified_in_an_empty_project(project: Path) -> None:
    held = {
        file.relative_to(project / "node_modules/lesionlite-web").as_posix()
        for file in (project / "node_modules/lesionlite-web").rglob("*.*")
    }
    assert {"index.js", "index.d.ts", "README.md", "licenses/litert.txt"} <= held
    assert not [file for file in held if "test" in file]
    assert (project / "node_modules/lesionlite-web/LICENSE").is_file()
    (project / "use.js").write_text(FAKE)
    used = called("node", "use.js", cwd=project)
    assert used.returncode == 0, used.stderr
    expected = {"passed": True, "label": "bright", "unsure": False, "error": "Problem"}
    assert json.loads(used.stdout) == expected


PRELUDE = """import { readFileSync } from "node:fs";
const json = async (file) => JSON.parse(readFileSync(`model/${file}`, "utf8"));
const read = async (file) => new Uint8Array(readFileSync(`model/${file}`));
const decode = (file) => read(`${file}.rgb`);
const { width, height } = await json("photo.json");
const data = await read("photo.rgb");
"""


def test_the_lines_of_its_readme(
    project: Path, web_app: Path, run: Path, photos: list[Path]
) -> None:
    (lines,) = re.findall(r"```js\n(.*?)```", (PACKAGE / "README.md").read_text(), re.S)
    assert len([line for line in lines.splitlines() if line]) <= 10
    for name in ("onnxruntime-web", "onnxruntime-common"):  # as npm installs them
        (project / "node_modules" / name).symlink_to(web_app / "node_modules" / name)
    shutil.copytree(web_app / "model", project / "model")
    for image in (project / "model" / "golden").glob("*.png"):
        write_pixels(image, image.with_name(f"{image.name}.rgb"))
    photo = next(path for path in photos if upright(path))
    (width, height) = write_pixels(photo, project / "model" / "photo.rgb")
    (project / "model" / "photo.json").write_text(json.dumps({"width": width, "height": height}))
    imports = re.findall(r"^import .*$", lines, re.M)
    rest = re.sub(r"^import .*$", "", lines, flags=re.M)
    tell = "\nconsole.log(JSON.stringify(top));\n"
    (project / "use.js").write_text("\n".join(imports) + "\n" + PRELUDE + rest + tell)
    used = called("node", "use.js", cwd=project)
    assert used.returncode == 0, used.stderr
    said, top = used.stdout.splitlines()[-2:]
    model = load(run)
    (expected,) = model.predict([photo])
    assert json.loads(top)[0]["label"] == model.contract.labels[expected.argmax()]
    assert json.loads(top)[0]["probability"] == pytest.approx(float(expected.max()), abs=1e-3)
    assert said in ("not sure", "another kind of image", json.loads(top)[0]["label"])
    golden = project / "model" / "golden" / "golden.json"  # what the lines' own check is worth
    golden.write_text(golden.read_text().replace('"tolerance": 0.02', '"tolerance": -1'))
    used = called("node", "use.js", cwd=project)
    assert used.returncode != 0 and "This device answers wrongly." in used.stderr


def upright(path: Path) -> bool:
    with Image.open(path) as image:
        return image.getexif().get(0x0112, 1) == 1


def write_pixels(image: Path, target: Path) -> tuple[int, int]:
    with Image.open(image) as opened:
        rgb = opened.convert("RGB")
    target.write_bytes(np.asarray(rgb).tobytes())
    return rgb.size


CORE = """import * as core from "%s";
const { Classifier, checkContract, geometry, judge, Preprocessor, Problem, rank } = core;
const CODES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const bytes = (text) => {  // Hermes has neither atob nor Buffer
  const found = [];
  let [held, bits] = [0, 0];
  for (const letter of text.replace(/=+$/, "")) {
    held = ((held << 6) | CODES.indexOf(letter)) & 0xffffff;
    bits += 6;
    if (bits >= 8) found.push((held >> (bits -= 8)) & 255);
  }
  return new Uint8Array(found);
};
const same = (a, b, what) => {
  if (JSON.stringify(a) !== JSON.stringify(b)) throw new Error(`${what}: ${JSON.stringify(a)}`);
};
for (const { contract, problem } of cases.contracts) {
  let said = null;
  try { checkContract(contract); } catch (error) {
    if (!(error instanceof Problem)) throw error;
    said = error.message;
  }
  same(problem === null ? said === null : said.includes(problem), true, "contracts");
}
for (const { width, height, contract, scaled, crop } of cases.geometry) {
  const found = geometry(width, height, contract);
  same([found.width, found.height, found.left, found.top], [...scaled, ...crop], "geometry");
}
for (const { width, height, pixels, contract, expected } of cases.inputs) {
  const preprocessor = new Preprocessor(width, height, contract);
  preprocessor.add(bytes(pixels), 3);
  same([...preprocessor.finish()], [...bytes(expected)], "inputs");
}
for (const { probabilities, contract, top, unsure } of cases.ranking) {
  const found = rank(probabilities, contract, new Uint8Array());
  same([found.top.map(({ label, probability }) => [label, probability]), found.unsure],
    [top, unsure], "ranking");
}
for (const { pixels, probabilities, contract, rejected } of cases.rejection)
  same(rank(probabilities, contract, bytes(pixels)).rejected, rejected, "rejection");
for (const { golden, artifact, found, passed } of cases.golden) {
  const answers = found.map((row) => row.map((value) => value ?? NaN));
  same(judge(golden.artifacts[artifact], answers).passed, passed, "golden");
}
const { golden } = cases.golden[0];
const name = Object.keys(golden.artifacts)[0];
const contract = { ...cases.contracts.find(({ problem }) => problem === null).contract };
const parts = {
  contract: {
    ...contract, labels: golden.labels, rejection: null, prior: [], logit_adjustment: [] },
  golden, read: async () => new Uint8Array(3), sha256: () => golden.artifacts[name].sha256,
  runtime: { suffix: name, open: async () => ({
    threads: 1, run: async () => golden.artifacts[name].probabilities[0] }) },
};
const image = { width: 40, height: 30, data: new Uint8Array(40 * 30 * 3) };
Classifier.open(parts).then((classifier) => classifier.classify(image)).then(
  ({ top }) => print(top.length > 1 ? "the core agrees" : "no answer"),
  (error) => print(String(error)),
);
"""
# React Native gives its bundles to Hermes after this preset.
PRESET = """const { readFileSync, writeFileSync } = require("node:fs");
const [tools, from, to] = process.argv.slice(2);
const preset = [require(`${tools}/@react-native/babel-preset`),
  { unstable_transformProfile: "hermes-stable", enableBabelRuntime: false }];
const { code } = require(`${tools}/@babel/core`).transformSync(readFileSync(from, "utf8"), {
  presets: [preset], configFile: false, babelrc: false, filename: from, sourceType: "script" });
writeFileSync(to, code);
"""


def in_hermes(package: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the cases of the core in React Native's engine."""
    cases = (STUB / "cases.json").read_text()
    (folder / "core.js").write_text(CORE % (package / "index.js"))
    bundle = ["--bundle", "--format=iife", "--target=es2022", f"--outfile={folder / 'bundle.js'}"]
    built = called(TOOLS / ".bin" / "esbuild", folder / "core.js", *bundle, cwd=folder)
    assert built.returncode == 0, built.stderr
    (folder / "preset.cjs").write_text(PRESET)
    transformed = called("node", "preset.cjs", TOOLS, "bundle.js", "hermes.js", cwd=folder)
    assert transformed.returncode == 0, transformed.stderr
    code = (folder / "hermes.js").read_text()
    (folder / "hermes.js").write_text(f"var cases = {cases};\n{code}")
    return called(HERMES, "hermes.js", cwd=folder)


@needs_tools
def test_the_core_agrees_with_the_reference_in_react_natives_engine(tmp_path: Path) -> None:
    done = in_hermes(PACKAGE, tmp_path)
    assert (done.returncode, done.stdout) == (0, "the core agrees\n"), done.stderr


@needs_tools
@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("preprocess.js", "let sum = HALF", "let sum = 0"),
        ("rejection.js", "> rejection.reject_above", "> Infinity"),
        (
            "classifier.js",
            "async answer(input) {",
            "async answer(input) { return structuredClone({});",
        ),
    ],
)
def test_hermes_notices_a_fault(file: str, right: str, wrong: str, tmp_path: Path) -> None:
    package = Path(shutil.copytree(PACKAGE, tmp_path / "package"))
    replace(package / "src" / file, right, wrong)
    done = in_hermes(package, tmp_path)
    assert done.returncode != 0 or "the core agrees" not in done.stdout


TYPED = """import { Classifier, Problem, shares } from "lesionlite-web";
import type { Contract, Runtime } from "lesionlite-web";
import * as litert from "lesionlite-web/litert";
import * as onnx from "lesionlite-web/onnx";
import { strips, toInput } from "lesionlite-web/photo";
import { notice } from "lesionlite-web/notice";

export async function use(contract: Contract, parts: any, photo: Blob): Promise<string> {
  const runtimes: Runtime[] = [litert, onnx];
  const own: Runtime = {
    ...onnx, open: (model, made, threads) => onnx.open(model, made, threads, "/static/onnx/") };
  const classifier = await Classifier.open({ ...parts, contract, runtime: own ?? runtimes[0] });
  for await (const { data, width } of strips(photo)) console.log(data.length / width);
  await classifier.answer(await toInput(photo, contract));
  const image = { width: 1, height: 1, data: new Uint8Array(3) };
  const { top, unsure } = await classifier.classify(image);
  const share: number | undefined = shares(contract)[0]?.expected;
  if (unsure) throw new Problem("golden");
  return `${top[0].label} ${top[0].probability.toFixed(1)} ${share} ${notice([], "node_modules")}`;
}
"""


@needs_tools
@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ("", "", None),
        ("top[0].label", "top[0].name", "TS2339"),
        ("width: 1, height", "width: '', height", "TS2345"),
    ],
)
def test_the_types(right: str, wrong: str, error: str | None, project: Path) -> None:
    (project / "use.ts").write_text(TYPED.replace(right, wrong, 1) if right else TYPED)
    strict = {"noEmit": True, "strict": True, "types": [], "lib": ["es2022", "dom"]}
    options = {**strict, "module": "nodenext"}
    settings = {"compilerOptions": options, "files": ["use.ts"]}
    (project / "tsconfig.json").write_text(json.dumps(settings))
    done = called(TOOLS / ".bin" / "tsc", cwd=project)
    assert (error in done.stdout) if error else (done.returncode, done.stdout) == (0, "")


def test_every_export_has_its_types() -> None:
    exports = json.loads((PACKAGE / "package.json").read_text())["exports"]
    for entry in exports.values():
        for file in entry.values():
            assert (PACKAGE / file).is_file(), file
    types = (PACKAGE / "index.d.ts").read_text()
    named = re.findall(r"export \{ (.*?) \}", (PACKAGE / "index.js").read_text())
    for name in ", ".join(named).split(", "):
        assert re.search(rf"export (class|function|const) {name}\b", types), name
