"""Each toolchain's documented default export of timm's own model: what ours is compared with.

A default is written as the toolchain's getting-started page writes it, with none of our rewrites
and no tuning. Its input is float32 [1, 3, S, S], normalized, and its output is logits, so it does a
little less than ours, which take pixels and give probabilities.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.quiet import quiet

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lesionlite.train.data.images import Pixels


@dataclass(frozen=True)
class DefaultSource:
    """What a default export is made from.

    Attributes:
        network: timm's model, float32, evaluation mode.
        contract: gives the side and the normalization.
        calibration: uint8 [N, S, S, 3], or None where there are no images.
        ours: our float32 artifact of the same format, for a toolchain that refuses timm's graph.
    """

    network: "nn.Module"
    contract: Contract
    calibration: "Pixels | None"
    ours: Path | None

    def example(self) -> "Tensor":
        """An input: float32 [1, 3, S, S]."""
        import torch

        return torch.zeros(1, 3, self.contract.side, self.contract.side)

    def pixels(self) -> "Pixels":
        """The calibration images, uint8 [N, S, S, 3].

        Raises:
            LesionliteError: if there are none.
        """
        if self.calibration is None:
            raise LesionliteError("it needs images to calibrate on: add --data DATA")
        return self.calibration

    def batches(self) -> "list[Tensor]":
        """The calibration images as the network takes them: float32 [1, 3, S, S] each.

        Raises:
            LesionliteError: if there are none.
        """
        import torch

        mean, std = (
            torch.tensor(row)[:, None, None] for row in (self.contract.mean, self.contract.std)
        )
        images = torch.from_numpy(self.pixels()).permute(0, 3, 1, 2)
        return [((image.float() / 255 - mean) / std).contiguous() for image in images.split(1)]


@dataclass(frozen=True)
class Default:
    """One row of the table.

    Attributes:
        format: the format of ours that it stands beside.
        precision: likewise.
        tool: who converts, in a word or two.
        suffix: of its file; `lesionlite.benchmark.peers.foreign` opens it by that.
        made_by: module and function (DefaultSource, path) -> None that write the file.
        package: what must be importable; a package that we do not depend on may be absent.
        note: what a reader of the figures must know of it.
    """

    format: str
    precision: str
    tool: str
    suffix: str
    made_by: str
    package: str
    note: str = ""

    @property
    def name(self) -> str:
        """Unique in the table, and the stem of the file."""
        return f"{self.format}-{self.precision}-{self.tool}".replace(" ", "_").replace(",", "")

    def write(self, source: DefaultSource, path: Path) -> None:
        """Convert into `path`; whatever the toolchain throws passes through."""
        module, function = self.made_by.split(":")
        writer: Callable[[DefaultSource, Path], None] = getattr(import_module(module), function)
        with quiet():
            writer(source, path)


_HERE, _INT8 = "lesionlite.benchmark.peers.defaults", "lesionlite.benchmark.peers.defaults_int8"
ON_OURS = "The stock recipe is applied to our float file, because litert-torch refuses timm's."

DEFAULTS = {
    row.name: row
    for row in (
        Default("onnx", "fp32", "torch.onnx", ".onnx", f"{_HERE}:to_onnx", "onnxscript"),
        Default("onnx", "w8a8", "ORT static", ".onnx", f"{_INT8}:to_onnx", "onnxruntime"),
        Default("tflite", "fp32", "litert-torch", ".tflite", f"{_HERE}:to_tflite", "litert_torch"),
        Default("tflite", "fp32", "onnx2tf", ".tflite", f"{_HERE}:through_onnx2tf", "onnx2tf"),
        Default(
            "tflite",
            "w8a8",
            "static_wi8_ai8",
            ".tflite",
            f"{_INT8}:to_tflite",
            "ai_edge_quantizer",
            ON_OURS,
        ),
        Default("torchscript", "fp32", "jit.freeze", ".pt", f"{_HERE}:to_torchscript", "torch"),
        Default("torchscript", "w8a8", "FX x86", ".pt", f"{_INT8}:to_torchscript", "torch"),
        Default(
            "torchscript",
            "w8a8",
            "FX, no ViT",
            ".pt",
            f"{_INT8}:to_torchscript_outside_blocks",
            "torch",
            "The attention blocks, which FX cannot trace, are left in float.",
        ),
        Default("executorch", "fp32", "XNNPACK", ".pte", f"{_HERE}:to_executorch", "executorch"),
        Default("executorch", "w8a8", "PT2E", ".pte", f"{_INT8}:to_executorch", "executorch"),
        Default(
            "coreml", "fp32", "coremltools", ".mlpackage", f"{_HERE}:to_coreml_fp32", "coremltools"
        ),
        Default("coreml", "fp16", "coremltools", ".mlpackage", f"{_HERE}:to_coreml", "coremltools"),
        Default("coreml", "w8", "coremltools", ".mlpackage", f"{_INT8}:to_coreml", "coremltools"),
    )
}


CONVERT = f"{_HERE}:convert"


def convert(name: str, path: str, run: str, images: str | None, ours: str | None) -> None:
    """Write a default export of a run; a worker calls this.

    Args:
        name: Key of `DEFAULTS`.
        path: File to write.
        run: Run folder.
        images: .npy file, uint8 [N, S, S, 3], to calibrate with.
        ours: Our float32 artifact of the same format.
    """
    import numpy as np

    from lesionlite.train.model import load_run

    network, contract = load_run(Path(run))
    calibration = np.load(images) if images else None
    source = DefaultSource(network, contract, calibration, Path(ours) if ours else None)
    DEFAULTS[name].write(source, Path(path))


def to_onnx(source: DefaultSource, path: Path) -> None:
    """PyTorch's own exporter, as `torch.onnx.export` does it unasked."""
    import torch

    program = torch.onnx.export(source.network, (source.example(),), dynamo=True, verbose=False)
    assert program is not None
    program.save(str(path), external_data=False)


def to_tflite(source: DefaultSource, path: Path) -> None:
    """`litert_torch.convert`; it refuses timm's graph in 0.10."""
    import litert_torch

    litert_torch.convert(source.network, (source.example(),)).export(str(path))


def through_onnx2tf(source: DefaultSource, path: Path) -> None:
    """From the default ONNX file on; onnx2tf pins other versions of what we need: optional."""
    import contextlib
    import tempfile

    import numpy as np

    onnx2tf: Any = import_module("onnx2tf")
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Path(name)
        to_onnx(source, folder / "given.onnx")
        # It compares its layers on sample images, which it downloads unless they lie here.
        samples = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
        np.save("calibration_image_sample_data_20x128x128x3_float32.npy", samples)
        onnx2tf.convert(
            input_onnx_file_path="given.onnx", output_folder_path="made", non_verbose=True
        )
        (made,) = folder.glob("made/*_float32.tflite")
        path.write_bytes(made.read_bytes())


def to_torchscript(source: DefaultSource, path: Path) -> None:
    """Trace and freeze, for the full TorchScript interpreter."""
    import torch

    with torch.no_grad():
        script = torch.jit.freeze(torch.jit.trace(source.network, source.example()))
    script.save(str(path))


def to_executorch(source: DefaultSource, path: Path) -> None:
    """torch.export, then everything that XNNPACK takes goes to it."""
    lower_to_xnnpack(source.network, source.example(), path)


def lower_to_xnnpack(network: "nn.Module", example: "Tensor", path: Path) -> None:
    """Write a .pte as ExecuTorch's XNNPACK page does.

    Args:
        network: float, or quantized by PT2E.
        example: its input.
        path: of the file.
    """
    import torch

    partitioner = import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    lower: Any = import_module("executorch.exir").to_edge_transform_and_lower
    exported = torch.export.export(network, (example,))
    program = lower(exported, partitioner=[partitioner.XnnpackPartitioner()]).to_executorch()
    path.write_bytes(program.buffer)


def to_coreml(source: DefaultSource, path: Path) -> None:
    """A trace through coremltools; unasked it computes in float16."""
    convert_coreml(source).save(str(path))


def to_coreml_fp32(source: DefaultSource, path: Path) -> None:
    """The same, asked for float32."""
    import coremltools as ct

    convert_coreml(source, compute_precision=ct.precision.FLOAT32).save(str(path))


def convert_coreml(source: DefaultSource, **settings: Any) -> Any:
    """The traced network as coremltools converts it; `settings` go to `ct.convert`."""
    import coremltools as ct
    import torch

    example = source.example()
    with torch.no_grad():
        traced = torch.jit.trace(source.network, example)
    return ct.convert(traced, inputs=[ct.TensorType(shape=tuple(example.shape))], **settings)
