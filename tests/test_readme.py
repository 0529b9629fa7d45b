"""What the README and the guides tell a newcomer to type works, in that order."""

import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lesionlite import cli
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.formats import FORMATS, artifact_name
from lesionlite.export.precision import PRECISIONS
from tests.paths import ROOT

GUIDES = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = {
    str(file.relative_to(ROOT)): file.read_text()
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GUIDES)
}
README = DOCUMENTS["README.md"]
TEXT = "\n".join(DOCUMENTS.values())
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def shown_lines() -> list[tuple[str, str]]:
    """Document and line of each command in a block of shell lines."""
    found = []
    for name, text in DOCUMENTS.items():
        for block in re.findall(r"```sh\n(.*?)```", text, re.S):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(name, line) for line in lines if not line.startswith("#")]
    return found


def parse(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command of ours read its flags, and no more; LesionliteError if it refuses them."""

    def only_read(arguments: Sequence[str], read: Callable[[], object]) -> int:
        read()
        return 0

    monkeypatch.setattr("lesionlite.console.respond", only_read)
    words = shlex.split(line, comments=True)
    if words[0] == "torchrun":
        words = ["python", *words[words.index("-m") :]]
    if words[:3] == ["python", "-m", "lesionlite"]:
        words = words[2:]
    if words[0] == "lesionlite":
        assert cli.main(words[1:]) == 0
        return
    assert words[:2] == ["python", "-m"]
    monkeypatch.setattr(sys, "argv", words[2:])
    monkeypatch.delitem(sys.modules, words[2], raising=False)
    with pytest.raises(SystemExit) as end:
        runpy.run_module(words[2], run_name="__main__")
    if end.value.code != 0:
        raise end.value


@pytest.mark.parametrize(("document", "line"), shown_lines())
def test_every_line_is_understood(
    document: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
    elif words[0] == "pip":
        for extra in re.findall(r"\[([\w,]+)\]", line):
            assert set(extra.split(",")) <= set(EXTRAS)
    else:
        parse(line, monkeypatch)


@pytest.mark.parametrize(
    "line",
    [
        "lesionlite trian DATA --out RUN",
        "lesionlite export RUN --formts onnx --out OUT",
        "torchrun --nproc-per-node 2 -m lesionlite train DATA",
        "python -m lesionlite.benchmark.survival DATA --step nothing",
        "lesionlite compare DATA --models",
    ],
)
def test_a_wrong_line_is_found(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((LesionliteError, SystemExit)):
        parse(line, monkeypatch)


def test_every_command_exists_and_is_shown() -> None:
    blocks = "\n".join(line for _, line in shown_lines())
    assert set(re.findall(r"lesionlite (\w+)", blocks)) == set(cli.COMMANDS)
    assert set(re.findall(r"`lesionlite (\w+)", TEXT)) <= set(cli.COMMANDS) | {"COMMAND"}


def test_every_flag_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        assert cli.main([name, "--help"]) == 0
    known = set(re.findall(r"--[a-z0-9-]+", capsys.readouterr().out)) | {"--help"}
    assert "--resize-drift" in known and "--resize-drif" not in known
    named = re.findall(r"`(--[a-z0-9-]+)", TEXT)
    assert len(named) > 20 and set(named) <= known


def test_links_lead_somewhere() -> None:
    for name, text in DOCUMENTS.items():
        links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", text) + re.findall(r'src="(.*?)"', text)
        for link in links:
            assert (ROOT / name).parent.joinpath(link).exists(), f"{name}: {link}"
    for guide in GUIDES:
        assert f"(docs/{guide.name})" in README


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def table(name: str) -> list[list[str]]:
    """The cells below the head of a table between two marks."""
    (text,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", TEXT, re.S)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    return [rows[0], *rows[2:]]


def test_the_table_of_formats() -> None:
    head, *rows = table("formats")
    assert set(head[1:]) == set(PRECISIONS) and len(rows) == len(FORMATS)
    suffixes = {row.suffix: row.precisions for row in FORMATS.values()}
    for title, *ticks in rows:
        (suffix,) = re.findall(r"`(.*)`", title)
        ticked = {name for name, tick in zip(head[1:], ticks, strict=True) if tick}
        assert ticked == set(suffixes[suffix]), suffix


def test_the_table_of_tolerances() -> None:
    _, *rows = table("tolerances")
    assert [row[0] for row in rows] and {row[0] for row in rows} == set(PRECISIONS)
    for name, loss, kept, change in rows:
        row = PRECISIONS[name]
        assert float(loss) == row.max_f1_loss and float(change) == row.max_mean_dp
        assert float(kept.removesuffix(" %")) == pytest.approx(100 * row.min_agreement)


def test_every_format_has_an_extra_that_brings_its_packages() -> None:
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for row in FORMATS.values():
        brought = [re.split(r"[<>=]", line)[0] for line in [*base, *EXTRAS.get(row.name, [])]]
        assert set(row.packages) <= set(brought), row.name
        if row.name in EXTRAS and row.by_default:
            assert re.search(rf"[\[,]{row.name}[,\]]", EXTRAS["all"][0])


def test_blocks_of_python_compile() -> None:
    for name, text in DOCUMENTS.items():
        for block in re.findall(r"```python\n(.*?)```", text, re.S):
            compile(block, name, "exec")


def test_the_skeleton_of_a_format_imports_what_exists() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENTS["docs/extending.md"], re.S)
    made: dict[str, Any] = {}
    exec(code, made)
    assert {"convert", "read_contract", "load"} <= set(made)


def raw_collection(folder: Path) -> Path:
    """Photographs named as MSLD v2.0 names them: two classes, ten patients each."""
    folder.mkdir()
    for code, colour in (("MKP", (200, 60, 60)), ("HEALTHY", (220, 180, 150))):
        for patient in range(10):
            for index in range(2):
                shade = tuple(c - 3 * patient - index for c in colour)
                image = Image.new("RGB", (48, 40), shade)
                image.save(folder / f"{code}_{patient:02}_{index:02}.jpg")
    return folder


@pytest.mark.slow
def test_the_commands_in_the_readmes_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = raw_collection(tmp_path / "raw")
    data, run, files = (str(tmp_path / name) for name in ("data", "run", "files"))

    def command(*arguments: str) -> str:
        assert cli.main(arguments) in (0, 1)
        return capsys.readouterr().out

    assert "Cowpox" in command("prepare", "--msld", str(raw), "--out", data)
    tiny = ["--weights", "none", "--model", "mobilevitv2_050", "--side", "32", "--batch", "8"]
    assert "weighted F1" in command("train", data, "--out", run, "--epochs", "1", *tiny)
    kept = str(Path(run) / "model.safetensors")
    again = ["--weights", kept, "--model", "mobilevitv2_050", "--side", "32", "--epochs", "0"]
    assert "next: lesionlite build" in command("train", data, "--out", run + "2", *again)
    only = ["--formats", "onnx", "--calibration", "10", "--tuning-steps", "2"]
    assert "w8a8.onnx" in command("export", run, "--data", data, "--out", files, *only)
    quick = ["--queries", "4", "--seconds", "0.05", "--out", str(tmp_path / "elsewhere")]
    said = command("benchmark", files, "--run", run, "--data", data, *quick)
    model = str(Path(files) / "mobilevitv2_050-fp32.onnx")
    assert "fp16" in said and f"predict {model} IMAGE" in said
    assert "Monkeypox" in command("evaluate", model, data)
    image = str(next((Path(data) / "test").rglob("*.jpg")))
    assert "They agree to the end" in command("diff", run, model, image)
    image = str(next(raw.iterdir()))
    assert "Not a medical device" in command("predict", model, image)


def test_the_python_lines(
    artifacts: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENTS["docs/your-own-images.md"], re.S)
    place = tmp_path / "dist" / "demo"
    place.mkdir(parents=True)
    (place / "artifacts").symlink_to(artifacts)
    (tmp_path / "image.png").symlink_to(next((drawn / "test").rglob("*.png")))
    monkeypatch.chdir(tmp_path)
    exec(code, {})


def test_the_table_is_a_verdict_on_every_file_of_the_demo() -> None:
    (table,) = re.findall(r"<!-- table -->(.*?)<!-- /table -->", README, re.S)
    rows = re.findall(r"^\| (mobilevitv2_050-.*?) \| (.*?) \| (.*?) \| (.*?) \|", table, re.M)
    wanted = [artifact_name("mobilevitv2_050", row, p) for row, p in ExportConfig().pairs()]
    assert sorted(name for name, *_ in rows) == sorted(wanted)
    for name, status, weighted_f1, change in rows:
        assert status == "pass" and re.fullmatch(r"0\.\d{4}", weighted_f1), name
        assert re.fullmatch(r"[+-]0\.\d{4}", change), name
