"""What a Snapdragon's NPU takes of a TFLite file, by LiteRT's compiler plugin for Qualcomm."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lesionlite.benchmark.targets.hexagon import refuse_no_npu
from lesionlite.benchmark.targets.snapdragon import Snapdragon, find_snapdragon
from lesionlite.benchmark.targets.tflite_layers import layer_of_operator, operators
from lesionlite.benchmark.targets.verdict import Left, Verdict, from_pieces
from lesionlite.errors import LesionliteError
from lesionlite.export.formats import read_contract
from lesionlite.export.writers.tflite_file import casts_of_pixels, parse

TIMEOUT = 600  # seconds
PARTS = re.compile(r"selected (\d+) ops, from a total of (\d+) ops. resulted in (\d+) partitions")
NOT_VALID = re.compile(r"QNN op validation failed: '\w+?_(\d+)'")
NOT_MADE = re.compile(r"_LiteRt_OpId_(\d+)\" generated: could not create op")
ERRORS = re.compile(r"\[ ERROR \]\s+<E> (.+)")
CAST = "a CAST of uint8 pixels to float gives 1 for every pixel there; use DEQUANTIZE"


def judge(path: Path, target: str) -> Verdict:
    """Compile a file for a Snapdragon's NPU, and see which operations the CPU keeps.

    Args:
        path: A TFLite file.
        target: Key of `SNAPDRAGONS`.

    Raises:
        LesionliteError: There is no such Snapdragon, or the compiler is missing.
    """
    soc, model = find_snapdragon(target), parse(path.read_bytes())
    known = operators(model)
    if casts := casts_of_pixels(model):
        wrong = tuple(Left("CAST", layer_of_operator(model, cast), CAST) for cast in casts)
        return Verdict(path.name, target, "faulty", left=wrong)
    with TemporaryDirectory() as folder:
        good, log = compile_for(path, soc, Path(folder) / "compiled.tflite")
    refused = dict.fromkeys(int(index) for index in NOT_VALID.findall(log))
    if good and (found := PARTS.search(log)):
        left = [Left(*known[index]) for index in refused if index < len(known)]
        verdict = from_pieces(path.name, target, int(found[3]), int(found[2]), left)
        return replace(verdict, taken=int(found[1]), reason=soc.hint if left else "")
    blamed = refused or dict.fromkeys(int(index) for index in NOT_MADE.findall(log))
    left = [Left(*known[index]) for index in blamed if index < len(known)]
    why = _why(soc, log)
    return Verdict(path.name, target, "refused", total=len(known), left=tuple(left), reason=why)


def _why(soc: Snapdragon, log: str) -> str:
    """Why compilation failed, after the choice of operations."""
    harmless = "unexpected GraphHtpSettings"
    after = log[found.end() :] if (found := PARTS.search(log)) else log
    lines = "\n".join(line for line in after.splitlines() if harmless not in line)
    return soc.hint or next(iter(ERRORS.findall(lines)), "no reason was given")


def compile_file(path: Path, target: str, out: Path) -> None:
    """Compile a file for a Snapdragon's NPU: one operation, and the metadata of the file.

    LiteRT's compiler (2.3) loses what is appended to a TFLite file: the contract and the labels. So
    they are appended again, until it keeps them.

    Args:
        path: A TFLite file.
        target: Key of `SNAPDRAGONS`.
        out: The file to write.

    Raises:
        LesionliteError: The NPU does not take the file wholly, or the compiler is missing.
    """
    from lesionlite.export.writers.to_tflite import append_files

    if casts_of_pixels(parse(path.read_bytes())):
        raise LesionliteError(CAST)
    soc = find_snapdragon(target)
    good, log = compile_for(path, soc, out)
    if not good:
        raise LesionliteError(_why(soc, log))
    if only_binary(parse(out.read_bytes()).subgraphs[0]) is None:
        raise LesionliteError(soc.hint or "operations are left to the CPU")
    append_files(out, read_contract(path))


def only_binary(graph: Any) -> Any:
    """The one operator of a graph that is wholly compiled; it holds a binary. Else None."""
    operators = graph.operators
    return operators[0] if len(operators) == 1 and operators[0].customOptions is not None else None


def compile_for(path: Path, soc: Snapdragon, out: Path) -> tuple[bool, str]:
    """Compile a TFLite file for a Snapdragon's NPU; whether that went well, and the log.

    The compiled file holds a binary for the NPU in place of the operations that it takes.

    Args:
        path: A TFLite file.
        soc: The Snapdragon.
        out: The file to write.

    Raises:
        LesionliteError: The compiler is missing.
    """
    refuse_no_npu()
    home = _package("ai_edge_litert")
    with _libraries() as libraries:
        command = [
            str(home / "tools" / "apply_plugin_main"),
            *("--cmd=apply", f"--model={path}", f"--o={out}"),
            *("--soc_manufacturer=Qualcomm", f"--soc_model={soc.name.upper()}"),
            f"--libs={home / 'vendors' / 'qualcomm' / 'compiler'}",
        ]
        try:
            done = subprocess.run(
                command,
                env={"LD_LIBRARY_PATH": f"{libraries}:{home}"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return False, f"[ ERROR ] <E> the compiler ran longer than {TIMEOUT} seconds"
        except OSError as error:
            raise LesionliteError(
                f"LiteRT's compiler {command[0]} cannot be started ({error.strerror}); install "
                "ai-edge-litert again"
            ) from error
    log = done.stdout.decode(errors="replace")
    return done.returncode == 0 and out.is_file(), log


@contextmanager
def _libraries() -> Iterator[Path]:
    """A folder with the libraries of Qualcomm's SDK under the names that LiteRT's plugin loads.

    LiteRT 2.3 also loads libQnnLpai, for another processor, which is not in the package. Any
    library of that name will do.
    """
    home = _package("onnxruntime_qnn")
    with TemporaryDirectory() as folder:
        for source in (home, home.with_name("onnxruntime_qnn.libs")):
            for library in source.glob("*.so*"):
                (Path(folder) / library.name).symlink_to(library)
        (Path(folder) / "libQnnLpai.so").symlink_to(home / "libQnnSystem.so")
        yield Path(folder)


def _package(name: str) -> Path:
    """The folder of an installed package."""
    found = find_spec(name)
    assert found is not None and found.origin is not None  # refuse_no_npu has looked
    return Path(found.origin).parent
