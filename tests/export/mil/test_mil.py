"""A small classifier through coremltools, saved, and executed from the saved package."""

import gc
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lesionlite.errors import LesionliteError
from lesionlite.export.mil import execute as mil
from lesionlite.export.mil.ops import OPS

LABELS = ("pox", "mole", "rash", "healthy skin")
SIDE = 24
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
TOLERANCE = {"fp32": 2e-6, "fp16": 3e-3, "w8": 2e-2}
IMAGE = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


class Net(nn.Module):
    """Pixels [1, 3, S, S], 0..255 -> probabilities [1, 4], with the operations that ours has."""

    def __init__(self) -> None:
        """Random weights, the same each time, large enough for answers that differ."""
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.query, self.value = nn.Conv2d(16, 1, 1), nn.Conv2d(16, 16, 1)
        self.head = nn.Linear(16, len(LABELS))
        for layer, factor in ((self.stem, 3), (self.query, 10), (self.value, 3), (self.head, 6)):
            layer.weight.data *= factor

    def forward(self, x: Tensor) -> Tensor:
        """Stem, depthwise convolution, resizing, normalization, attention, head."""
        x = F.silu(self.stem(x / 255))
        x = x + F.silu(self.depthwise(x))
        x = F.interpolate(x, size=(14, 14), mode="bilinear", align_corners=True)
        centred = x - x.mean((1, 2, 3), keepdim=True)
        x = centred * torch.rsqrt((centred * centred).mean((1, 2, 3), keepdim=True) + 1e-5)
        scores = self.query(x).reshape(-1, 1, 14 * 14).softmax(-1)
        context = x.reshape(-1, 16, 14 * 14) @ scores.transpose(1, 2)
        x = self.value(x).relu() * context.unsqueeze(-1)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits.softmax(-1)


def trace(network: nn.Module, *inputs: Tensor) -> Any:
    return torch.jit.trace(network.eval(), inputs)


def expected(pixels: np.ndarray[Any, Any]) -> Any:
    x = torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32))
    with torch.inference_mode():
        return Net().eval()(x)[0].numpy()


@pytest.fixture(scope="module")
def convert() -> Iterator[Callable[..., Any]]:
    """Convert the network with the given precision, labels and image settings."""
    ct = pytest.importorskip("coremltools")
    gc.freeze()  # every conversion collects garbage, else from all that coremltools imported

    def convert(fp16: bool = False, classes: Any = LABELS, **image: Any) -> Any:
        return ct.convert(
            trace(Net(), torch.zeros(1, 3, SIDE, SIDE)),
            inputs=[ct.ImageType("image", shape=(1, 3, SIDE, SIDE), **image)],
            classifier_config=ct.ClassifierConfig(list(classes)),
            compute_precision=ct.precision.FLOAT16 if fp16 else ct.precision.FLOAT32,
            minimum_deployment_target=ct.target.iOS16,
            convert_to="mlprogram",
        )

    yield convert
    gc.unfreeze()


@pytest.fixture(scope="module")
def packages(
    convert: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The saved packages: fp32, fp16, and fp16 with weights of 8 bits."""
    cto = pytest.importorskip("coremltools.optimize.coreml")
    folder = tmp_path_factory.mktemp("packages")
    models = {"fp32": convert(), "fp16": convert(fp16=True)}
    linear = cto.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0)
    models["w8"] = cto.linear_quantize_weights(
        models["fp16"], cto.OptimizationConfig(global_config=linear)
    )
    for name, model in models.items():
        model.save(str(folder / f"{name}.mlpackage"))
    return {name: folder / f"{name}.mlpackage" for name in models}


@pytest.fixture
def copy(packages: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the fp32 package, to be damaged."""
    return Path(shutil.copytree(packages["fp32"], tmp_path / "copy.mlpackage"))


@pytest.mark.parametrize("form", TOLERANCE)
def test_classifier_agrees_with_pytorch(form: str, packages: dict[str, Path]) -> None:
    program = mil.load(packages[form])
    assert program.inputs == {"image": (1, 3, SIDE, SIDE)}
    assert program.labels == LABELS
    found = program.probabilities(IMAGE)
    assert found.dtype == np.float32 and found.shape == (len(LABELS),)
    error = np.abs(found - expected(IMAGE)).max()
    assert error <= TOLERANCE[form]
    if form != "fp32":  # the file's own precision shows
        assert error > TOLERANCE["fp32"]


def last_results(program: mil.Program, images: np.ndarray[Any, Any]) -> list[Any]:
    """Of each image, as the operations compute it one by one."""
    return [[value for _, value in program.tensors(image)][-1].flatten() for image in images]


@pytest.mark.parametrize("form", TOLERANCE)
def test_traced_operations_give_the_same_bits(form: str, packages: dict[str, Path]) -> None:
    before = torch.get_rng_state()
    program = mil.load(packages[form])
    assert torch.equal(torch.get_rng_state(), before)
    images = np.random.default_rng(2).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    found = [program.probabilities(image) for image in images]  # torch optimizes after some calls
    assert np.array_equal(found, last_results(program, images))


def test_an_operation_that_decides_in_python_is_not_traced(
    packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPS, "relu", lambda x: x.relu() if float(x.sum()) > 5 else -x)
    program = mil.load(packages["fp32"])
    image = np.full_like(IMAGE, 255)
    assert np.array_equal([program.probabilities(image)], last_results(program, image[None]))


def test_predict_answers_as_core_ml_does(packages: dict[str, Path]) -> None:
    program = mil.load(packages["fp32"])
    answer = program.predict({"image": IMAGE})
    right = expected(IMAGE)
    probabilities = answer["classLabel_probs"]
    assert answer.keys() == {"classLabel", "classLabel_probs"}
    assert answer["classLabel"] == LABELS[right.argmax()]
    assert isinstance(probabilities, dict) and tuple(probabilities) == LABELS
    assert all(isinstance(p, float) for p in probabilities.values())
    assert np.allclose(list(probabilities.values()), right, atol=2e-6)


def test_forms_of_an_image_are_equal(packages: dict[str, Path]) -> None:
    program = mil.load(packages["fp32"])
    right = program.probabilities(IMAGE)
    assert np.array_equal(program.probabilities(IMAGE[None]), right)
    assert np.array_equal(program.probabilities(Image.fromarray(IMAGE)), right)
    assert np.abs(program.probabilities(IMAGE[:, ::-1]) - right).max() > 1e-4


def test_channel_order_and_scaling_of_the_image_type(
    convert: Callable[..., Any], tmp_path: Path
) -> None:
    """The order is the file's description, scale and bias are operations of its program."""
    bias = [10.0, -20.0, 30.0]
    convert(color_layout="BGR", scale=0.5, bias=bias).save(str(tmp_path / "bgr.mlpackage"))
    right = expected(IMAGE[:, :, ::-1] * 0.5 + np.array(bias))
    found = mil.load(tmp_path / "bgr.mlpackage").probabilities(IMAGE)
    assert np.abs(found - right).max() <= TOLERANCE["fp32"]
    for wrong in (IMAGE * 0.5 + np.array(bias), IMAGE[:, :, ::-1]):
        assert np.abs(found - expected(wrong)).max() > 100 * TOLERANCE["fp32"]


def test_a_changed_weight_in_the_saved_file_is_seen(copy: Path) -> None:
    head = Net().head.weight.detach().numpy()
    changed = head.copy()
    changed.flat[np.abs(head).argmax()] *= 1.1
    data = (copy / WEIGHTS).read_bytes()
    assert data.count(head.tobytes()) == 1
    (copy / WEIGHTS).write_bytes(data.replace(head.tobytes(), changed.tobytes()))
    found = mil.load(copy).probabilities(IMAGE)
    assert np.abs(found - expected(IMAGE)).max() > 10 * TOLERANCE["fp32"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((SIDE, SIDE + 1, 3), np.uint8), r"image of 24x24 pixels .*\[24, 25, 3\]"),
        (np.zeros((2, SIDE, SIDE, 3), np.uint8), r"not uint8 \[2, 24, 24, 3\]"),
        (np.zeros((3, SIDE, SIDE), np.uint8), r"not uint8 \[3, 24, 24\]"),
        (np.zeros((SIDE, SIDE, 3), np.float32), "takes a uint8 RGB image .* not float32"),
        (Image.new("L", (SIDE, SIDE)), "takes RGB images, not L"),
        (Image.new("RGB", (SIDE, SIDE + 2)), r"not uint8 \[26, 24, 3\]"),
    ],
)
def test_wrong_image(wrong: Any, message: str, packages: dict[str, Path]) -> None:
    with pytest.raises(LesionliteError, match=message):
        mil.load(packages["fp32"]).probabilities(wrong)


def test_wrong_names(packages: dict[str, Path]) -> None:
    program = mil.load(packages["fp32"])
    with pytest.raises(LesionliteError, match="takes the inputs image; got picture"):
        program.predict({"picture": IMAGE})
    with pytest.raises(LesionliteError, match="takes the inputs image; got image, mask"):
        program.predict({"image": IMAGE, "mask": IMAGE})


def test_arrays_in_and_out(tmp_path: Path) -> None:
    ct = pytest.importorskip("coremltools")

    class Sum(nn.Module):
        def forward(self, x: Tensor, n: Tensor) -> Tensor:
            return x.square() + n

    path = tmp_path / "arrays.mlpackage"
    ct.convert(
        trace(Sum(), torch.zeros(2, 3), torch.zeros(3, dtype=torch.int32)),
        inputs=[
            ct.TensorType("x", (2, 3), np.float16),
            ct.TensorType("n", (3,), np.int32),
        ],
        outputs=[ct.TensorType("sum", dtype=np.float16)],
        minimum_deployment_target=ct.target.iOS16,
    ).save(str(path))
    program = mil.load(path)
    assert program.inputs == {"x": (2, 3), "n": (3,)}
    assert program.labels == ()
    x, n = np.array([[1.7, 0.3, 1.1], [-1.3, 1.9, 0.7]]), np.array([0, -2, 0])
    found = program.predict({"x": x, "n": n})["sum"]
    assert isinstance(found, np.ndarray) and found.dtype == np.float16
    assert np.array_equal(found, np.square(x.astype(np.float16)) + n.astype(np.float16))
    with pytest.raises(LesionliteError, match=r"'x' takes shape \[2, 3\], not \[3, 2\]"):
        program.predict({"x": x.T, "n": n})
    with pytest.raises(LesionliteError, match="'n' takes an array of int32"):
        program.predict({"x": x, "n": n * 1.5})
    with pytest.raises(LesionliteError, match="no classifier"):
        program.probabilities(IMAGE)


@pytest.mark.parametrize(
    ("named", "classes"),
    [
        ("two classes have the same label", ("a", "b", "b", "c")),
        ("the labels are not text", (1, 2, 3, 4)),
    ],
)
def test_labels_that_are_refused(
    named: str, classes: Any, convert: Callable[..., Any], tmp_path: Path
) -> None:
    convert(classes=classes).save(str(tmp_path / "labels.mlpackage"))
    with pytest.raises(LesionliteError, match=f"labels.mlpackage: {named}"):
        mil.load(tmp_path / "labels.mlpackage")


@pytest.mark.parametrize("kind", ["ImageType", "TensorType", "range"])
def test_flexible_shape(kind: str, tmp_path: Path) -> None:
    ct = pytest.importorskip("coremltools")
    shape = ct.EnumeratedShapes([(1, 3, 8, 8), (1, 3, 32, 32)])
    if kind == "range":
        kind, shape = "TensorType", (1, 3, ct.RangeDim(8, 32), 8)
    ct.convert(
        trace(nn.ReLU(), torch.zeros(1, 3, 8, 8)),
        inputs=[getattr(ct, kind)("image", shape=shape)],
        minimum_deployment_target=ct.target.iOS16,
    ).save(str(tmp_path / "flexible.mlpackage"))
    with pytest.raises(LesionliteError, match="flexible.mlpackage: .*flexible; export with"):
        mil.load(tmp_path / "flexible.mlpackage")


def edit_description(package: Path, edit: Callable[[Any], None]) -> None:
    model = package / "Data/com.apple.CoreML/model.mlmodel"
    spec = pytest.importorskip("coremltools").proto.Model_pb2.Model()
    spec.ParseFromString(model.read_bytes())
    edit(spec.description)
    model.write_bytes(spec.SerializeToString())


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: setattr(d.input[0].type.imageType, "colorSpace", 10), "GRAYSCALE, not RGB"),
        (lambda d: setattr(d.input[0].type.imageType, "width", 25), r"a tensor \[1, 3, 24, 24\]"),
        (lambda d: setattr(d.input[0], "name", "photo"), "not those of the program"),
        (lambda d: d.input[0].type.stringType.SetInParent(), "neither an image nor an array"),
        (lambda d: d.output[0].type.imageType.SetInParent(), "output is an image"),
    ],
)
def test_description_that_does_not_fit(
    edit: Callable[[Any], None], message: str, copy: Path
) -> None:
    edit_description(copy, edit)
    with pytest.raises(LesionliteError, match=f"copy.mlpackage: .*{message}"):
        mil.load(copy)


def cut_weights(package: Path) -> None:
    data = (package / WEIGHTS).read_bytes()
    (package / WEIGHTS).write_bytes(data[: len(data) // 2])


def empty_weights(package: Path) -> None:
    (package / WEIGHTS).write_bytes(b"")


def no_weights(package: Path) -> None:
    (package / WEIGHTS).unlink()


def cut_model(package: Path) -> None:
    model = package / "Data/com.apple.CoreML/model.mlmodel"
    model.write_bytes(model.read_bytes()[:-100])


def no_model(package: Path) -> None:
    (package / "Data/com.apple.CoreML/model.mlmodel").unlink()


def no_manifest(package: Path) -> None:
    (package / "Manifest.json").unlink()


def half_a_manifest(package: Path) -> None:
    manifest = package / "Manifest.json"
    manifest.write_text(manifest.read_text()[:100])


def neural_network(package: Path) -> None:
    spec = pytest.importorskip("coremltools").proto.Model_pb2.Model()
    spec.neuralNetwork.SetInParent()
    (package / "Data/com.apple.CoreML/model.mlmodel").write_bytes(spec.SerializeToString())


def no_package(package: Path) -> None:
    shutil.rmtree(package)


def a_file(package: Path) -> None:
    shutil.rmtree(package)
    package.write_text("x")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_weights, "copy.mlpackage: .*weights are damaged .*export again"),
        (empty_weights, "copy.mlpackage: .*weights are damaged .*export again"),
        (no_weights, "copy.mlpackage: .*weights are damaged .*export again"),
        (cut_model, "model.mlmodel is missing or damaged .*export again"),
        (no_model, "model.mlmodel is missing or damaged .*export again"),
        (no_manifest, "copy.mlpackage.* is no Core ML package"),
        (half_a_manifest, "Manifest.json is damaged"),
        (neural_network, "copy.mlpackage is no ML Program"),
        (no_package, "there is no .*copy.mlpackage"),
        (a_file, "copy.mlpackage.* is no Core ML package"),
    ],
)
def test_damaged_package(damage: Callable[[Path], None], message: str, copy: Path) -> None:
    assert mil.load(copy)
    damage(copy)
    with pytest.raises(LesionliteError, match=message):
        mil.load(copy)


def test_without_coremltools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Manifest.json").write_text(
        '{"rootModelIdentifier": "m", "itemInfoEntries": {"m": {"path": "m.mlmodel"}}}'
    )
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(LesionliteError, match="needs coremltools .*pip install"):
        mil.load(tmp_path)
