"""Qualcomm's compiler for Snapdragons' NPUs (Hexagon), and its emulator, out of ONNX Runtime.

ONNX Runtime's QNN provider brings both for Linux on x86-64 (onnxruntime-qnn). The compiler is the
one that compiles for phones, and the emulator computes what the NPU computes. Its speed says
nothing about phones.
"""

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lesionlite.benchmark.elsewhere.machine import other_machine
from lesionlite.benchmark.targets.snapdragon import Snapdragon
from lesionlite.errors import LesionliteError

PACKAGES = ("onnxruntime", "onnxruntime_qnn", "ai_edge_litert", "onnx")
NO_FALLBACK = "session.disable_cpu_ep_fallback"  # an operation that the NPU refuses is an error


def refuse_no_npu() -> None:
    """Refuse a machine without Qualcomm's compiler and emulator.

    Raises:
        LesionliteError: It is not Linux on x86-64, or packages are missing; the error names them.
    """
    if here := other_machine():
        raise LesionliteError(
            f"Qualcomm's NPU compiler and emulator run on Linux on x86-64 only, not on "
            f"{here}; use such a machine or container"
        )
    if missing := [name.replace("_", "-") for name in PACKAGES if find_spec(name) is None]:
        raise LesionliteError(
            f"the NPU needs packages that are not installed ({', '.join(missing)}): "
            "pip install 'lesionlite[npu]'"
        )


def open_session(model: Path | bytes, soc: Snapdragon, entries: dict[str, str]) -> Any:
    """A session of ONNX Runtime with the QNN provider for the NPU of a Snapdragon.

    Args:
        model: An ONNX file, or its content.
        soc: The Snapdragon.
        entries: Settings of the session, by ONNX Runtime's names.
    """
    import onnxruntime
    import onnxruntime_qnn

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised, too
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    settings = {"backend_path": onnxruntime_qnn.get_qnn_htp_path(), "soc_model": str(soc.model)}
    options.add_provider_for_devices(_devices(), settings)
    given = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(given, sess_options=options)


def provider() -> str:
    """Name and version of what compiles and executes ONNX files."""
    return f"onnxruntime-qnn {version('onnxruntime-qnn')}"


@cache
def _devices() -> list[Any]:
    """The provider's device. The provider's library can be registered only once in a process."""
    import onnxruntime
    import onnxruntime_qnn

    name = onnxruntime_qnn.get_ep_name()
    onnxruntime.register_execution_provider_library(name, onnxruntime_qnn.get_library_path())
    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == name][:1]
