"""A developer's check: does the Core ML executor run files that lesionlite did not write?

`python -m lesionlite.benchmark.peers.mil_others [NETWORK...]` takes networks of timm with random
weights. coremltools converts each one in a process of its own, and `export/mil/` executes the saved
file. It is compared with PyTorch: the largest difference, and the time as a multiple of PyTorch's
in eager mode. Both use torch in one process and take turns, so the ratio is fair. With `--artifact
FILE --run RUN`, our own file is timed first, as a multiple of its run's time.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from tyro.conf import Positional, arg

from lesionlite.benchmark.peers.foreign import noise
from lesionlite.command import Json, Outcome
from lesionlite.console import respond, say, track
from lesionlite.contract import Contract
from lesionlite.errors import first_line
from lesionlite.export.format import import_coremltools
from lesionlite.export.quiet import quiet
from lesionlite.flags import read_flags
from lesionlite.settings import refuse_settings, refuse_types

MODULE = "lesionlite.benchmark.peers.mil_others"
NETWORKS = (
    *("mobilenetv2_050", "mobilenetv3_small_050", "tf_efficientnet_lite0", "mobilevit_xxs"),
    *("fastvit_t8", "resnet18", "ghostnet_100", "edgenext_xx_small", "repvit_m0_9"),
    *("convnext_atto", "efficientformerv2_s0", "mobilenetv4_conv_small", "levit_128s"),
)
EXACT_ENOUGH = 1e-5  # of the largest logit, for a float32 file
ROUNDS = 10


@dataclass(frozen=True)
class Tried:
    """The result for one network.

    Attributes:
        network: Name in timm.
        route: What coremltools converted: "trace" or "export".
        error: Largest |difference of a logit| divided by the largest |logit|; None if it failed.
        ratio: The executor's time divided by eager mode's, median of `ROUNDS` turns.
        reason: Why it failed, or "".
    """

    network: str
    route: str = ""
    error: float | None = None
    ratio: float | None = None
    reason: str = ""


def attempt(name: str, side: int, seconds: int = 900) -> Tried:
    """Try one network in a process of its own; an error there becomes the reason."""
    command = [sys.executable, "-P", "-m", MODULE, "--child", name, str(side)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return Tried(name, reason=f"took longer than {seconds} s")
    if done.returncode:
        return Tried(name, reason=first_line((done.stderr.strip().splitlines() or ["?"])[-1]))
    return Tried(**json.loads(done.stdout.splitlines()[-1]))


def _child(name: str, side: int) -> Tried:
    import torch

    from lesionlite.export.mil import execute as mil

    torch.set_num_threads(2)
    network, image = _network(name, side)
    with quiet(), TemporaryDirectory() as folder:
        package = Path(folder) / f"{name}.mlpackage"
        route = _convert(network, image, package)
        program = mil.load(package)
    fed = {next(iter(program.inputs)): image.numpy()}
    with torch.inference_mode():
        wanted = network(image).numpy()
        (found,) = program.predict(fed).values()
        ratios = [
            _seconds(lambda: program.predict(fed)) / _seconds(lambda: network(image))
            for _ in range(ROUNDS)
        ]
    error = float(np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max())
    return Tried(name, route, error, float(np.median(ratios)))


def own_ratio(artifact: Path, run: Path) -> float:
    """The executor's time for our own file divided by the run's time in eager mode, in turns.

    Raises:
        LesionliteError: The artifact or the run cannot be opened.
    """
    from lesionlite.benchmark.candidate import Candidate
    from lesionlite.benchmark.elsewhere.runtimes import REFERENCE, opener_of
    from lesionlite.benchmark.latency import take_turns

    with (
        TemporaryDirectory() as folder,
        Candidate(run, 2) as eager,
        Candidate(artifact, 2, opener_of(REFERENCE)) as executor,
    ):
        images = Path(folder) / "image.npy"
        eager.open()
        executor.open()
        side = Contract.from_json(eager.contract, str(run)).side
        np.save(images, noise((1, side, side, 3), np.uint8))
        for candidate in (eager, executor):
            candidate.warm_up(images)
        theirs, ours = take_turns([eager, executor], images, ROUNDS, 0.5, artifact.name)
    return float(np.median(np.divide(ours.bursts, theirs.bursts)))


def _network(name: str, side: int) -> tuple[Any, Any]:
    """A network with random weights and statistics, and an image; side 0 takes its own side."""
    import torch

    from lesionlite.train.networks import declare_torchvision_operators

    declare_torchvision_operators()
    timm: Any = import_module("timm")
    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False, num_classes=10).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # in a new network they are the identity
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    side = side or min(network.default_cfg["input_size"][-1], 224)
    return network, torch.rand(1, 3, side, side)


def _convert(network: Any, image: Any, package: Path) -> str:
    """Convert a trace; if coremltools fails, convert a torch.export program. Returns which."""
    ct = import_coremltools()
    import torch

    settings: dict[str, Any] = {
        "convert_to": "mlprogram",
        "compute_precision": ct.precision.FLOAT32,
        "minimum_deployment_target": ct.target.iOS16,
    }
    with torch.no_grad():
        try:
            inputs = [ct.TensorType(name="x", shape=tuple(image.shape))]
            program = ct.convert(torch.jit.trace(network, image), inputs=inputs, **settings)
            route = "trace"
        except Exception:  # e.g. for `aten::Int` of a size, with numpy 2.4
            exported = torch.export.export(network, (image,)).run_decompositions({})
            program = ct.convert(exported, **settings)
            route = "export"
    program.save(str(package))
    return route


def _seconds(query: Callable[[], object]) -> float:
    started = time.perf_counter()
    query()
    return time.perf_counter() - started


@dataclass(frozen=True)
class Networks:
    """Try the Core ML executor on other networks. Exits with 1 if one does not run or differs."""

    networks: Positional[tuple[str, ...]] = NETWORKS
    """Names that timm knows."""
    side: int = 0
    """Input side; 0 takes each network's own, at most 224."""
    artifact: Path | None = None
    """A Core ML file of ours, to time beside PyTorch."""
    run_folder: Annotated[Path | None, arg(name="run")] = None
    """The run that it was made from."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: It names the flag, its value, and the values allowed.
        """
        refuse_types(self)
        refuse_settings(self, [("side", 0 <= self.side <= 1024, "from 0 to 1024")])

    def run(self) -> Outcome:
        """Try all networks, and show the result of each."""
        rows = []
        ratio = None
        if self.artifact is not None and self.run_folder is not None:
            ratio = own_ratio(self.artifact, self.run_folder)
            say(f"{self.artifact.name}: {ratio:.2f} times eager")
        for name in track(self.networks, "converting and executing", len(self.networks)):
            row = attempt(name, self.side)
            rows.append(row)
            if row.error is None or row.ratio is None:
                say(f"{name}: {row.reason}")
            else:
                say(f"{name}: {row.error:.1e} of the largest logit, {row.ratio:.2f} times eager")
        good = all(row.error is not None and row.error <= EXACT_ENOUGH for row in rows)
        say(f"{'all' if good else 'NOT all'} run and differ by no more than {EXACT_ENOUGH:g}")
        return {"ratio": ratio, "networks": [asdict(row) for row in rows]}, 0 if good else 1


def main() -> int:
    """Run the command; returns the exit code of `respond`."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(asdict(_child(sys.argv[2], int(sys.argv[3])))))
        return 0
    given = sys.argv[1:]
    return respond(
        given,
        lambda: read_flags(Networks, given, "python -m lesionlite.benchmark.peers.mil_others"),
    )


if __name__ == "__main__":
    sys.exit(main())
