"""Execute ONNX and TFLite files as a Snapdragon's NPU (Hexagon) does, in Qualcomm's emulator.

LiteRT has no runtime for compiled TFLite files on Linux. But the binary inside is an ordinary QNN
context, and ONNX Runtime's QNN provider executes one out of an ONNX file with a single EPContext
node.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lesionlite.benchmark.protocol import Opener
from lesionlite.benchmark.targets.hexagon import NO_FALLBACK, open_session, provider
from lesionlite.benchmark.targets.snapdragon import Snapdragon, find_snapdragon
from lesionlite.benchmark.targets.tflite_on_hexagon import compile_for, only_binary
from lesionlite.errors import LesionliteError, first_line
from lesionlite.export.execute.predictor import Predictor
from lesionlite.export.formats import read_contract
from lesionlite.export.manifest import COMPILED, find_compiled
from lesionlite.export.writers.tflite_file import parse
from lesionlite.files import sha256_file

SUFFIXES = (".onnx", ".tflite")


def npu_opener(artifact: Path, soc: str) -> Opener:
    """What opens an artifact on the emulated NPU of a Snapdragon, in a worker process.

    If `lesionlite compile` has compiled the artifact for it, that file is executed.
    """
    found = find_compiled(artifact, soc)
    arguments = {"soc": soc, "compiled": found[1].sha256 if found else ""}
    return Opener("lesionlite.benchmark.elsewhere.npu:open_on_npu", arguments, emulated=True)


def open_on_npu(path: Path, threads: int, soc: str, compiled: str = "") -> Predictor:
    """Compile an artifact for a Snapdragon's NPU, and open it in the emulator.

    The worker checks its hash first.

    Args:
        path: The artifact.
        threads: Not used; the emulator chooses itself.
        soc: Key of `SNAPDRAGONS`.
        compiled: SHA-256 of the file that was compiled from it and is to be executed; "" to compile
            it now.

    Raises:
        LesionliteError: There is no such Snapdragon, the compiler refuses the file, or the file
            that was compiled has changed.
    """
    from lesionlite.export.writers.to_onnx import runner

    contract = read_contract(path)
    row = find_snapdragon(soc)
    ready = _compiled_file(path, soc, compiled) if compiled else None
    try:
        if path.suffix == ".onnx":
            session = open_session(ready or path, row, {NO_FALLBACK: "1"})
        elif ready:
            session = open_session(as_onnx(ready.read_bytes(), ready), row, {})
        else:
            session = open_compiled(path, row)
    except LesionliteError:
        raise
    except Exception as error:  # the provider has its own exceptions
        why = first_line(error)
        raise LesionliteError(f"{path} cannot be compiled for {soc}: {why}") from error
    return Predictor(contract, runner(session, f"{provider()}, {soc} emulated"), path)


def _compiled_file(artifact: Path, soc: str, sha256: str) -> Path:
    found = find_compiled(artifact, soc)
    path = found[0] if found else artifact.parent / COMPILED
    if not path.is_file() or sha256_file(path) != sha256:
        raise LesionliteError(
            f"{path} is not the file that was compiled from {artifact.name} for {soc}; compile it "
            "again with `lesionlite compile`"
        )
    return path


def open_compiled(path: Path, soc: Snapdragon) -> Any:
    """A session for a TFLite file; the input and output have the names of the file's tensors.

    Args:
        path: A TFLite file, not compiled.
        soc: The Snapdragon.

    Raises:
        LesionliteError: The compiler refuses the file, or leaves operations to the CPU.
    """
    with TemporaryDirectory() as folder:
        compiled = Path(folder) / "compiled.tflite"
        good, _ = compile_for(path, soc, compiled)
        if not good:
            raise LesionliteError(
                f"{path} cannot be compiled for {soc.name}; see `lesionlite targets`"
            )
        model = as_onnx(compiled.read_bytes(), path)
    return open_session(model, soc, {})


def as_onnx(content: bytes, path: Path) -> bytes:
    """An ONNX file whose one node is the binary in a compiled TFLite file.

    Args:
        content: Of the compiled file.
        path: Of the file, for the error.

    Raises:
        LesionliteError: The file is more than one binary.
    """
    from ai_edge_litert.schema_py_generated import TensorType
    from flatbuffers import flexbuffers
    from onnx import TensorProto, helper

    graph = parse(content).subgraphs[0]
    operator = only_binary(graph)
    if operator is None:
        raise LesionliteError(
            f"{path} is not wholly compiled: {len(graph.operators)} operations are left; see "
            "`lesionlite targets`"
        )
    options = flexbuffers.Loads(bytes(operator.customOptions))
    start = options["bytecode_offset"]
    binary = content[start : start + options["bytecode_size"]]
    types = {TensorType.UINT8: TensorProto.UINT8, TensorType.FLOAT32: TensorProto.FLOAT}

    def described(index: int) -> Any:
        tensor = graph.tensors[index]
        shape = [int(length) for length in tensor.shape]
        return helper.make_tensor_value_info(tensor.name.decode(), types[tensor.type], shape)

    given, made = described(operator.inputs[0]), described(operator.outputs[0])
    node = helper.make_node(
        "EPContext",
        [given.name],
        [made.name],
        domain="com.microsoft",
        name=options["name"],
        partition_name=options["name"],
        source="QNN",
        main_context=1,
        embed_mode=1,
        ep_cache_context=binary,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    wrapped = helper.make_graph([node], options["name"], [given], [made])
    made_model = helper.make_model(wrapped, opset_imports=opsets, ir_version=10)
    return bytes(made_model.SerializeToString())
