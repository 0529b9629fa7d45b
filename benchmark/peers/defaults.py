"""Each toolchain's default export of timm's model, with which our artifacts are compared.

A default follows the toolchain's getting-started page, without our rewrites and without tuning. It
takes normalized float32 [1, 3, S, S] and returns logits. Our artifacts do a little more. With
`--takes pixels` the network is wrapped first, so that both do the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesionlite.benchmark.config import Takes
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.format import import_coremltools, named_function
from lesionlite.export.quiet import quiet

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lesionlite.train.data.images import Pixels


def input_of(takes: Takes, side: int) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of the input of a default."""
    if takes == "pixels":
        return (1, side, side, 3), "uint8"
    return (1, 3, side, side), "float32"


@dataclass(frozen=True)
class DefaultSource:
    """What a default export is made from.

    Attributes:
        network: timm's model, float32, evaluation mode; or `FromPixels` around it.
        contract: Has the side and the normalization.
        calibration: uint8 [N, S, S, 3], or None if there are no images.
        ours: Our float32 artifact of the same format, for a toolchain that refuses timm's graph.
        takes: "floats", normalized [1, 3, S, S], or "pixels", uint8 [1, S, S, 3].
    """

    network: "nn.Module"
    contract: Contract
    calibration: "Pixels | None"
    ours: Path | None
    takes: Takes = "floats"

    def example(self) -> "Tensor":
        """An example input: float32 [1, 3, S, S], or uint8 [1, S, S, 3]."""
        import torch

        shape, dtype = input_of(self.takes, self.contract.side)
        return torch.zeros(shape, dtype=getattr(torch, dtype))

    def pixels(self) -> "Pixels":
        """The calibration images, uint8 [N, S, S, 3].

        Raises:
            LesionliteError: There are none.
        """
        if self.calibration is None:
            raise LesionliteError("it needs images to calibrate on: add --data DATA")
        return self.calibration

    def batches(self) -> "list[Tensor]":
        """The calibration images, each as `example` is.

        Raises:
            LesionliteError: There are none.
        """
        import torch

        from lesionlite.train.model import normalized

        images = torch.from_numpy(self.pixels())
        if self.takes == "pixels":
            return list(images.split(1))
        images = images.permute(0, 3, 1, 2)
        return [normalized(image, self.contract).contiguous() for image in images.split(1)]


@dataclass(frozen=True)
class Default:
    """One row of the table.

    Attributes:
        format: Of our artifact that it is compared with.
        precision: Of our artifact that it is compared with.
        tool: Short name of the converter.
        suffix: Of its file; `lesionlite.benchmark.peers.foreign` opens it by this.
        made_by: "module:function"; the function (DefaultSource, path) -> None writes the file.
        package: Package to import; it may be one that lesionlite does not depend on.
        note: What a reader must know about the figures.
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
        """Write the file; exceptions of the toolchain pass through."""
        writer: Callable[[DefaultSource, Path], None] = named_function(self.made_by)
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
        Default(
            "coreai",
            "fp32",
            "coreai-torch",
            ".aimodel",
            f"{_HERE}:to_coreai",
            "coreai_torch",
            "Off macOS, Apple's runtime for Linux executes both; phones have other kernels.",
        ),
    )
}


CONVERT = f"{_HERE}:convert"


def convert(
    name: str, path: str, run: str, images: str | None, ours: str | None, takes: Takes
) -> None:
    """Write a default export of a run; a worker calls this.

    Args:
        name: Key of `DEFAULTS`.
        path: File to write.
        run: Run folder.
        images: .npy file, uint8 [N, S, S, 3], to calibrate with.
        ours: Our float32 artifact of the same format.
        takes: As in `DefaultSource`.
    """
    import numpy as np

    from lesionlite.train.model import load_run

    network, contract = load_run(Path(run))
    if takes == "pixels":
        from lesionlite.benchmark.peers.from_pixels import FromPixels

        network = FromPixels(network, contract).eval()
    calibration = np.load(images) if images else None
    source = DefaultSource(network, contract, calibration, Path(ours) if ours else None, takes)
    DEFAULTS[name].write(source, Path(path))


def to_onnx(source: DefaultSource, path: Path) -> None:
    """`torch.onnx.export` with its defaults."""
    import torch

    program = torch.onnx.export(source.network, (source.example(),), dynamo=True, verbose=False)
    assert program is not None
    program.save(str(path), external_data=False)


def to_tflite(source: DefaultSource, path: Path) -> None:
    """`litert_torch.convert`; version 0.10 refuses timm's graph."""
    import litert_torch

    litert_torch.convert(source.network, (source.example(),)).export(str(path))


def through_onnx2tf(source: DefaultSource, path: Path) -> None:
    """onnx2tf, from the default ONNX file. Optional, because it pins versions we cannot use."""
    import contextlib
    import tempfile

    import numpy as np

    onnx2tf: Any = import_module("onnx2tf")
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Path(name)
        to_onnx(source, folder / "given.onnx")
        # onnx2tf compares layers on sample images, and downloads them unless this file exists.
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
    """torch.export, then lower everything that XNNPACK supports."""
    lower_to_xnnpack(source.network, source.example(), path)


def lower_to_xnnpack(network: "nn.Module", example: "Tensor", path: Path) -> None:
    """Write a .pte as ExecuTorch's XNNPACK page does.

    Args:
        network: Float, or quantized by PT2E.
        example: Its input.
        path: File to write.
    """
    import torch

    partitioner = import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    lower: Any = import_module("executorch.exir").to_edge_transform_and_lower
    exported = torch.export.export(network, (example,))
    program = lower(exported, partitioner=[partitioner.XnnpackPartitioner()]).to_executorch()
    path.write_bytes(program.buffer)


def to_coreml(source: DefaultSource, path: Path) -> None:
    """Trace and convert with coremltools, which computes in float16 by default."""
    convert_coreml(source).save(str(path))


def to_coreml_fp32(source: DefaultSource, path: Path) -> None:
    """Trace and convert with coremltools, in float32."""
    ct = import_coremltools()

    convert_coreml(source, compute_precision=ct.precision.FLOAT32).save(str(path))


def convert_coreml(source: DefaultSource, **settings: Any) -> Any:
    """Trace the network and convert it; `settings` are passed to `ct.convert`."""
    ct = import_coremltools()
    import torch

    example = source.example()
    with torch.no_grad():
        traced = torch.jit.trace(source.network, example)
    return ct.convert(traced, inputs=[ct.TensorType(shape=tuple(example.shape))], **settings)


def to_coreai(source: DefaultSource, path: Path) -> None:
    """torch.export, then coreai-torch with its own table of decompositions."""
    import torch

    tool: Any = import_module("coreai_torch")
    with torch.no_grad():
        exported = torch.export.export(source.network, (source.example(),))
    program = exported.run_decompositions(tool.get_decomp_table())
    tool.TorchConverter().add_exported_program(program).to_coreai().save_asset(path)
