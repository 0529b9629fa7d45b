"""What files say about themselves, read back with the formats' own tools and a real client."""

import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lesionlite.contract import MEDICAL, Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.execute.predictor import load
from lesionlite.export.formats import FORMATS, read_contract
from lesionlite.export.metadata import describe
from lesionlite.export.run import export
from lesionlite.export.writers.tflite_metadata import LABELS
from lesionlite.layout import CONTRACT
from lesionlite.train.data.images import load_inputs
from tests.paths import SHARED

REAL = SHARED / "data"
TFLITE = [f"mobilevitv2_050-{precision}.tflite" for precision in ("fp32", "fp16", "w8a8")]
FACTS = {
    "author": "Ann Author",
    "license": "CC-BY-4.0",
    "description": "Sorts drawn spots.",
    "model_version": "3.1",
}


@pytest.fixture(scope="module")
def told(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one float32 file per format, told all facts."""
    folder = tmp_path_factory.mktemp("told")
    export(run, folder, ExportConfig(tuple(FORMATS), ("fp32",), **FACTS))  # type: ignore[arg-type]
    return folder


def test_a_description_never_lacks_the_disclaimer() -> None:
    skin = Contract(("a", "b"), disclaimer=MEDICAL)
    assert describe("", skin) == f"Image classifier of 2 classes. {MEDICAL}"
    drawn = replace(skin, note="drawn images")
    assert describe("Mine.", drawn) == f"Mine. Trained on drawn images. {MEDICAL}"
    assert describe("Mine: NOT a medical device.", skin) == "Mine: NOT a medical device."
    assert describe("", Contract(("0", "1"))) == "Image classifier of 2 classes."


def expect(said: dict[str, str]) -> None:
    assert said["author"] == "Ann Author" and said["license"] == "CC-BY-4.0"
    assert said["version"] == "3.1"
    assert said["description"].startswith("Sorts drawn spots. Trained on drawn images")
    assert said["description"].endswith(MEDICAL)


def test_torchscript_has_extra_files(told: Path) -> None:
    import torch

    extra = {"metadata.json": "", "contract.json": ""}
    torch.jit.load(told / "mobilevitv2_050-fp32.ptl", _extra_files=extra)
    expect(json.loads(extra["metadata.json"]))
    assert Contract.from_json(extra["contract.json"]) == Contract.read(told / CONTRACT)


def test_onnx_has_properties(told: Path) -> None:
    import onnx

    model = onnx.load(told / "mobilevitv2_050-fp32.onnx")
    props = {entry.key: entry.value for entry in model.metadata_props}
    expect({name.removeprefix("model_"): value for name, value in props.items()})
    assert model.doc_string == props["model_description"]
    assert model.producer_name == "lesionlite"


def test_core_ml_has_its_fields(told: Path) -> None:
    import coremltools as ct

    spec = ct.utils.load_spec(str(told / "mobilevitv2_050-fp32.mlpackage"))
    about = spec.description.metadata
    expect(
        {
            "author": about.author,
            "license": about.license,
            "version": about.versionString,
            "description": about.shortDescription,
        }
    )
    assert "RGB" in spec.description.input[0].shortDescription
    outputs = {output.name: output.shortDescription for output in spec.description.output}
    assert set(outputs) == {"classLabel", "classLabel_probs"} and all(outputs.values())


def test_core_ai_has_its_fields(told: Path) -> None:
    from coreai.authoring import AIModelAsset

    about = AIModelAsset.load(told / "mobilevitv2_050-fp32.aimodel").metadata
    custom = about.creator_defined_metadata
    expect(
        {
            "author": about.author,
            "license": about.license,
            "version": custom["version"],
            "description": about.model_description,
        }
    )
    contract = Contract.read(told / CONTRACT)
    assert custom["labels"] == list(contract.labels)
    assert Contract.from_json(custom["lesionlite.contract"]) == contract
    assert about.creation_date is None


def tflite_metadata(path: Path) -> object:
    """The metadata of a file, by MediaPipe's own schema classes."""
    from ai_edge_litert import schema_py_generated as schema
    from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    (entry,) = [entry for entry in entries if entry.Name() == b"TFLITE_METADATA"]
    data = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert metadata_schema.ModelMetadata.ModelMetadataBufferHasIdentifier(data, 0)
    return metadata_schema.ModelMetadataT.InitFromPackedBuf(data)


def test_tflite_metadata_reads_back_with_mediapipes_schema(told: Path) -> None:
    about = tflite_metadata(told / TFLITE[0])
    names = ("author", "license", "description", "version")
    expect({name: getattr(about, name).decode() for name in names})
    assert about.minParserVersion == b"1.0.0"
    (subgraph,) = about.subgraphMetadata
    (image,), (output,) = subgraph.inputTensorMetadata, subgraph.outputTensorMetadata
    assert (image.name, output.name) == (b"image", b"probabilities")
    assert b"RGB" in image.description and b"contract" in output.description
    properties = image.content.contentProperties
    assert image.content.contentPropertiesType == 2 and properties.colorSpace == 1
    assert (properties.defaultSize.width, properties.defaultSize.height) == (64, 64)
    (unit,) = image.processUnits
    assert unit.optionsType == 1 and (*unit.options.mean, *unit.options.std) == (0, 1)
    assert (*image.stats.min, *image.stats.max) == (0, 255)
    assert (*output.stats.min, *output.stats.max) == (0, 1)
    (labels,) = output.associatedFiles
    assert (labels.name, labels.type) == (LABELS.encode(), 2)


def test_facts_that_nobody_gave_are_left_out(artifacts: Path) -> None:
    for name in TFLITE:
        about = tflite_metadata(artifacts / name)
        assert about.author is None and about.license is None and about.version is None
        assert MEDICAL in about.description.decode()


CLIENT = """
import json, sys
import mediapipe, numpy
options = mediapipe.tasks.vision.ImageClassifierOptions(
    base_options=mediapipe.tasks.BaseOptions(model_asset_path=sys.argv[1]), max_results=1
)
answers = []
with mediapipe.tasks.vision.ImageClassifier.create_from_options(options) as classifier:
    for pixels in numpy.load(sys.argv[2]):
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
        (best,) = classifier.classify(image).classifications[0].categories
        answers.append((best.category_name, best.score))
print(json.dumps(answers))
"""


def mediapipes_answers(path: Path, images: np.ndarray) -> list[tuple[str, float]]:
    """The likeliest class and its score of each image, by MediaPipe's ImageClassifier.

    In a process of its own, as an app would be: MediaPipe brings its own copy of the runtimes.
    RuntimeError holds what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/images.npy", images)
        command = [sys.executable, "-c", CLIENT, str(path), f"{folder}/images.npy"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [(name, score) for name, score in json.loads(done.stdout.splitlines()[-1])]


def our_answers(path: Path, images: np.ndarray) -> list[tuple[str, float]]:
    predictor = load(path)
    rows = predictor.predict(images)
    return [(predictor.contract.labels[row.argmax()], float(row.max())) for row in rows]


@pytest.fixture(scope="module")
def hundred(drawn: Path, run: Path) -> np.ndarray:
    files = sorted(drawn.rglob("*.png"))[::2][:100]
    assert len(files) == 100
    return load_inputs(files, Contract.read(run / CONTRACT))


def assert_same_answers(path: Path, images: np.ndarray) -> None:
    theirs, ours = mediapipes_answers(path, images), our_answers(path, images)
    assert [name for name, _ in theirs] == [name for name, _ in ours]
    np.testing.assert_allclose([p for _, p in theirs], [p for _, p in ours], atol=2e-3)
    assert len(set(theirs)) > 50  # it does look at the images


@pytest.mark.parametrize("name", TFLITE)
def test_mediapipe_answers_as_our_loader_does(
    name: str, artifacts: Path, hundred: np.ndarray
) -> None:
    assert_same_answers(artifacts / name, hundred)


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared images")
@pytest.mark.parametrize("name", TFLITE)
def test_mediapipe_answers_as_our_loader_does_on_real_images(name: str, artifacts: Path) -> None:
    files = sorted(REAL.rglob("*.jpg"))
    files = files[:: len(files) // 100][:100]
    assert len(files) == 100
    assert_same_answers(artifacts / name, load_inputs(files, read_contract(artifacts / name)))


def test_mediapipe_reads_the_labels_from_the_associated_file(
    artifacts: Path, hundred: np.ndarray, tmp_path: Path
) -> None:
    """Planted faults: other labels give other names, and no labels are refused."""
    given = artifacts / TFLITE[0]
    with zipfile.ZipFile(given) as archive:
        start = min(entry.header_offset for entry in archive.infolist())
        labels = archive.read(LABELS).decode().splitlines()
    other, none = tmp_path / "other.tflite", tmp_path / "none.tflite"
    for path in (other, none):
        path.write_bytes(given.read_bytes()[:start])
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr(LABELS, "\n".join(f"not {label}" for label in labels) + "\n")
    assert mediapipes_answers(other, hundred[:1])[0][0].startswith("not ")
    with pytest.raises(RuntimeError, match="No associated file with name: labels.txt"):
        mediapipes_answers(none, hundred[:1])


def test_a_file_without_metadata_is_noticed(artifacts: Path, tmp_path: Path) -> None:
    from lesionlite.export.writers.tflite_metadata import NAME

    data = (artifacts / TFLITE[0]).read_bytes()
    assert NAME.encode() in data
    (tmp_path / "x.tflite").write_bytes(data.replace(NAME.encode(), b"TFLITE_METADATX"))
    with pytest.raises(ValueError):
        tflite_metadata(tmp_path / "x.tflite")


def test_weights_behind_the_flatbuffer_are_moved_inside(artifacts: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    for name in TFLITE:
        model = schema.Model.GetRootAs((artifacts / name).read_bytes(), 0)
        buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
        assert not any(buffer.Size() for buffer in buffers)
        assert sum(buffer.DataLength() for buffer in buffers) > 1e6


def test_contracts_stay_readable(told: Path) -> None:
    for path in told.iterdir():
        if path.suffix in (".ptl", ".onnx", ".tflite", ".mlpackage"):
            assert read_contract(path) == Contract.read(told / CONTRACT)
    with pytest.raises(LesionliteError):
        read_contract(told / CONTRACT)
