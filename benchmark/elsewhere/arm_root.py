"""A small Arm system in a folder, for qemu: Python and the runtimes' aarch64 wheels.

Nothing is installed, and no root rights are needed. The distribution's arm64 packages and the
wheels, in the versions installed here, are downloaded and unpacked.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

from lesionlite.caching import cache_folder
from lesionlite.console import progress
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.files import replacing, write_text

EMULATOR = "qemu-aarch64-static"
WHEELS = ("numpy", "ai-edge-litert", "onnxruntime", "flatbuffers", "protobuf")
TAGS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
_OLD = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_NEW = f"{_OLD} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"


@dataclass(frozen=True)
class Core:
    """An Arm core that the emulator knows.

    Attributes:
        part: Its number in the processor's identification.
        features: As Linux lists them; `asimddp` means dot-product instructions.
    """

    part: str
    features: str


CORES = {
    "cortex-a53": Core("0xd03", _OLD),
    "cortex-a72": Core("0xd08", _OLD),
    "cortex-a76": Core("0xd0b", _NEW),
    "neoverse-n1": Core("0xd0c", _NEW),
}


def arm_folder() -> Path:
    """Folder of the Arm system; each set of versions has its own."""
    names = "-".join(version(name) for name in WHEELS[:3])
    return cache_folder() / f"arm-{names}"


def find_root(core: str) -> Path:
    """The folder of the Arm system, ready for `core`.

    Raises:
        LesionliteError: There is no such core, no emulator, or no Arm system yet.
    """
    if core not in CORES:
        raise unknown_choice("Arm core", core, CORES)
    _refuse_without(EMULATOR)
    folder = arm_folder()
    if not (folder / "system").is_dir():
        raise LesionliteError(f"there is no Arm system in {folder}; run `lesionlite armroot` once")
    return _for_core(folder, core)


def _refuse_without(*programs: str) -> None:
    if platform.system() != "Linux":
        raise LesionliteError("Arm files are emulated on Linux only; on a Mac they run as they are")
    for program in programs:
        if shutil.which(program) is None:
            package = "qemu-user-static" if program == EMULATOR else program.split("-")[0]
            raise LesionliteError(
                f"there is no {program} here: apt-get install {package} (Debian or Ubuntu)"
            )


def build_root() -> Path:
    """Download and unpack the Arm system into the cache, all or nothing, in about a minute.

    Returns:
        The folder in the cache.

    Raises:
        LesionliteError: This is not Linux, a program is missing, or a download fails.
    """
    _refuse_without(EMULATOR, "apt-get", "dpkg")
    folder = arm_folder()
    if (folder / "system").is_dir():
        return folder
    with replacing(folder, ours=True) as temporary, progress() as bar:
        task = bar.add_task("Arm system", total=4, note="Python")
        (temporary / "system").mkdir(parents=True)
        with tempfile.TemporaryDirectory() as scratch:
            for package in _debian_packages(Path(scratch)):
                _run(["dpkg", "-x", str(package), str(temporary / "system")])
            bar.update(task, advance=2, note="wheels")
            python = (temporary / "system" / "usr" / "bin" / "python3").readlink().name
            for wheel in _wheels(Path(scratch) / "wheels", python.removeprefix("python")):
                with ZipFile(wheel) as archive:
                    archive.extractall(temporary / "site")
            bar.update(task, advance=2, note="")
    return folder


def _debian_packages(scratch: Path) -> list[Path]:
    """Download Python, its dependencies and the C++ runtimes from apt's sources."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True)
    (scratch / "status").touch()  # as if nothing were installed
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Dir::State": scratch / "state",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    _run([*apt, "update"])
    wanted = ["python3", "libstdc++6", "libgomp1"]
    _run([*apt, "install", "-y", "--no-install-recommends", "--download-only", *wanted])
    return sorted((scratch / "cache" / "archives").glob("*.deb"))


def _wheels(folder: Path, python: str) -> list[Path]:
    """Download the runtimes' wheels for an aarch64 Python such as "3.11"."""
    digits = python.replace(".", "")
    tags = [f"--platform={tag}_aarch64" for tag in TAGS]
    abis = [f"--abi={abi}" for abi in (f"cp{digits}", "abi3", "none")]
    pinned = [f"{name}=={version(name)}" for name in WHEELS]
    pip = [sys.executable, "-m", "pip", "download", "-q", f"--dest={folder}", "--no-deps"]
    only = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    _run([*pip, *only, *tags, *abis, *pinned])
    return sorted(folder.glob("*.whl"))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise LesionliteError(f"the Arm system could not be made: {command[0]}: {' '.join(last)}")


def _for_core(folder: Path, core: str) -> Path:
    """The system with the /proc and /sys of that core, from which runtimes choose kernels.

    The emulator looks up every path in this folder first. With the host's /proc (of an x86
    processor), the runtimes would crash.
    """
    root = folder / core
    cpu = root / "sys" / "devices" / "system" / "cpu"
    if not root.is_dir():
        with replacing(root, ours=True) as temporary:
            (temporary / cpu.relative_to(root)).mkdir(parents=True)
            for name in ("possible", "present"):
                (temporary / cpu.relative_to(root) / name).write_text("0\n")
            (temporary / "proc").mkdir()
            write_text(temporary / "proc" / "cpuinfo", _cpuinfo(CORES[core]))
            for part in (folder / "system").iterdir():
                (temporary / part.name).symlink_to(part)
    return root


def _cpuinfo(core: Core) -> str:
    rows = {
        "processor": "0",
        "BogoMIPS": "243.75",
        "Features": core.features,
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x1",
        "CPU part": core.part,
        "CPU revision": "0",
    }
    return "".join(f"{name}\t: {value}\n" for name, value in rows.items())
