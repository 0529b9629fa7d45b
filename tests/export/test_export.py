import operator
import shutil
import zipfile
from math import log2, prod
from pathlib import Path

import numpy as np
import pytest

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export import formats
from lesionlite.export.config import ExportConfig
from lesionlite.export.execute.predictor import load
from lesionlite.export.formats import FORMATS, format_of, read_contract
from lesionlite.export.manifest import MANIFEST, read_manifest
from lesionlite.export.mil.execute import read_function
from lesionlite.export.precision import PRECISIONS, find_precision
from lesionlite.export.quantize.plan import PLAN, Plan
from lesionlite.export.quantize.quant_params import FEW_WEIGHTS
from lesionlite.export.quantize.weights.bit_allocation import BITS, EXTRA
from lesionlite.export.run import export
from lesionlite.export.writers import to_onnx
from lesionlite.export.writers.to_tflite import open_interpreter
from lesionlite.layout import CONTRACT
from lesionlite.train.data.images import load_inputs
from lesionlite.train.data.splits import read_split

ALL = ExportConfig(tuple(FORMATS)).pairs()
NAMES = [f"mobilevitv2_050-{precision}{row.suffix}" for row, precision in ALL]


@pytest.fixture(scope="module")
def images(drawn: Path, run: Path) -> np.ndarray:
    files = read_split(drawn / "test").files[::3]
    return load_inputs(files, Contract.read(run / CONTRACT))


@pytest.fixture(scope="module")
def expected(run: Path, images: np.ndarray) -> np.ndarray:
    return load(run).predict(images)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_carries_the_contract(name: str, artifacts: Path, run: Path) -> None:
    assert read_contract(artifacts / name) == Contract.read(run / CONTRACT)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_takes_uint8_and_gives_pytorchs_probabilities(
    name: str, artifacts: Path, images: np.ndarray, expected: np.ndarray
) -> None:
    predictor = load(artifacts / name)
    got = predictor.predict(images)
    assert got.shape == expected.shape and got.dtype == np.float32
    np.testing.assert_allclose(got.sum(1), 1, atol=2e-3)
    # Two epochs of training leave near-ties, so only float32 is held to the last digits here.
    tolerance = {"fp32": 1e-4, "fp16": 2e-2, "w8": 0.3, "w6": 0.5, "w4": 0.9, "w8a8": 0.6}
    precision = name.split("-")[1].split(".")[0]
    assert np.abs(got - expected).max() <= tolerance[precision]
    assert np.abs(got - expected).mean() <= tolerance[precision] / 5
    assert predictor.native is format_of(artifacts / name).is_native_here


def test_the_manifest_lists_every_file_with_its_size(artifacts: Path) -> None:
    rows = read_manifest(artifacts)
    assert [row.artifact for row in rows] == NAMES
    sizes = {(row.format, row.precision): row.size_bytes for row in rows}
    for row, precision in ALL:
        share = sizes[row.name, precision] / sizes[row.name, "fp32"]
        assert share <= {32: 1, 16: 0.6, 8: 0.65, 6: 0.5, 4: 0.4}[PRECISIONS[precision].weight_bits]
    assert len((artifacts / "calibration.txt").read_text().split("\n")) == 15


def test_tflite_is_one_partition_in_uint8(artifacts: Path) -> None:
    interpreter, _ = open_interpreter(artifacts / "mobilevitv2_050-fp32.tflite", threads=1)
    assert interpreter.get_input_details()[0]["dtype"] == np.uint8
    names = [op["op_name"] for op in interpreter._get_ops_details()]
    assert names.count("DELEGATE") == 1
    # GPU delegates refuse BATCH_MATMUL of two activations, and an 8-bit FULLY_CONNECTED.
    refused = {"TRANSPOSE", "BROADCAST_TO", "BATCH_MATMUL", "FULLY_CONNECTED"}
    assert not refused & set(names)


def test_onnx_turns_8_bit_weights_back_when_it_opens_the_file(
    artifacts: Path, tmp_path: Path
) -> None:
    import onnx
    import onnxruntime

    path = artifacts / "mobilevitv2_050-w8.onnx"
    stored = onnx.load(path).graph
    made = [node.input[0] for node in stored.node if node.op_type == "DequantizeLinear"]
    assert made == ["permute"]  # of the image
    whole = [x for x in stored.initializer if x.data_type == onnx.TensorProto.INT8]
    assert len(whole) > 40 and min(prod(x.dims) for x in whole) > FEW_WEIGHTS
    first = next(x for x in stored.initializer if x.name == "stem.conv.weight")  # a small one
    assert first.data_type == onnx.TensorProto.FLOAT and prod(first.dims) <= FEW_WEIGHTS
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "opened.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    opened = onnx.load(tmp_path / "opened.onnx").graph
    assert not [x for x in opened.initializer if x.data_type == onnx.TensorProto.INT8]
    assert "Cast" not in {node.op_type for node in opened.node}


def test_onnx_keeps_the_weights_of_layers_that_w8a8_keeps_in_float(artifacts: Path) -> None:
    import onnx
    from onnx import numpy_helper

    def weights(precision: str) -> dict[str, np.ndarray]:
        graph = onnx.load(artifacts / f"mobilevitv2_050-{precision}.onnx").graph
        return {x.name: numpy_helper.to_array(x) for x in graph.initializer}

    plan = Plan.read(artifacts / PLAN)
    exact, planned = weights("fp32"), weights("w8a8")
    floats = [f"{name}.weight" for name in plan.macs if name not in plan.layers]
    named = [name for name in floats if name in planned]  # a transposed weight has another name
    assert "head.weight" in named
    for name in named:
        np.testing.assert_array_equal(planned[name], exact[name])


def test_tflite_keeps_small_weights_in_float(artifacts: Path) -> None:
    interpreter, _ = open_interpreter(artifacts / "mobilevitv2_050-w8.tflite", threads=1)
    stored = [row for row in interpreter.get_tensor_details() if row["dtype"] == np.int8]
    assert len(stored) > 40 and min(prod(row["shape"]) for row in stored) > FEW_WEIGHTS


def test_most_weights_have_few_bits(artifacts: Path) -> None:
    for bits in (4, 6):
        path = artifacts / f"mobilevitv2_050-w{bits}.mlpackage"
        operations = read_function(path).operations
        stored = [op for op in operations if op.op_type == "constexpr_lut_to_dense"]
        assert len(stored) > 40
        sizes = [int(prod(op.shape.val)) for op in stored]
        spent = [int(log2(len(op.lut.val))) for op in stored]
        assert min(spent) == bits and set(spent) <= set(BITS)
        mean = sum(map(operator.mul, sizes, spent)) / sum(sizes)
        assert mean <= bits + EXTRA[bits] + 0.01


def test_associated_files_can_be_unzipped(artifacts: Path) -> None:
    with zipfile.ZipFile(artifacts / "mobilevitv2_050-w8a8.tflite") as archive:
        assert archive.read("labels.txt").decode().split("\n")[0] == "Actinic keratoses"


def test_a_damaged_or_foreign_file_is_refused(artifacts: Path, tmp_path: Path) -> None:
    for suffix in (row.suffix for row in FORMATS.values()):
        (tmp_path / f"x{suffix}").write_bytes(b"nonsense")
        with pytest.raises(LesionliteError, match="damaged or was not made by lesionlite"):
            load(tmp_path / f"x{suffix}")
    (tmp_path / "x.txt").touch()
    with pytest.raises(LesionliteError, match=r"suffixes are: \.ptl, \.onnx"):
        format_of(tmp_path / "x.txt")
    with pytest.raises(LesionliteError, match="there is no artifact"):
        load(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"formats": ("onx",)}, "did you mean 'onnx'"),
        ({"precisions": ("int8",)}, "choose w8 .* or w8a8"),
        ({"precisions": ("fp8",)}, "choose from: fp32, fp16, w8, w6, w4, w8a8"),
        ({"formats": ("onnx",), "precisions": ("w6",)}, "onnx has fp32, fp16, w8, w8a8"),
        ({"formats": ()}, "at least one format"),
        ({"calibration": 0}, "--calibration"),
        ({"tuning_steps": -1}, "--tuning-steps"),
    ],
)
def test_wrong_choices_list_the_right_ones(flags: dict[str, object], words: str) -> None:
    with pytest.raises(LesionliteError, match=words):
        ExportConfig(**flags)  # type: ignore[arg-type]


def test_w8a8_without_images_fails_instead_of_falling_back(run: Path, tmp_path: Path) -> None:
    config = ExportConfig(formats=("onnx",), precisions=("w8a8",))
    with pytest.raises(LesionliteError, match="w8a8, w6 and w4 need images"):
        export(run, tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_half_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(to_onnx, "_to_fp16", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(run, tmp_path, ExportConfig(formats=("onnx",), precisions=("fp32", "fp16")))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_toolchain_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if "litert" in name else name)
    words = (
        r"tflite files need .* \(litert-torch, ai-edge-litert\): "
        r"pip install 'lesionlite\[tflite\]'; "
        "or make others with --formats torchscript onnx coreml executorch"
    )
    with pytest.raises(LesionliteError, match=words):
        export(tmp_path / "no run", tmp_path / "out", ExportConfig())
    for row in FORMATS.values():
        assert row.packages


def test_the_manifest_of_another_folder_is_missed(tmp_path: Path, artifacts: Path) -> None:
    with pytest.raises(LesionliteError, match="nothing was exported into it"):
        read_manifest(tmp_path)
    with pytest.raises(LesionliteError, match="there is no folder"):
        read_manifest(tmp_path / "nowhere")
    name = "mobilevitv2_050-fp32.onnx"
    shutil.copy(artifacts / name, tmp_path / name)
    with pytest.raises(LesionliteError, match=MANIFEST):
        read_manifest(tmp_path / name)
    assert [row.artifact for row in read_manifest(artifacts / name)] == [name]


def test_precisions_and_formats_agree() -> None:
    for row in FORMATS.values():
        for precision in row.precisions:
            assert find_precision(precision).name == precision
