"""What is particular to `.pte` files: one delegate, the contract as a method, damaged files."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load
from lesionlite.export.formats import read_contract
from lesionlite.export.forms import plain
from lesionlite.export.forms.attention import GROUPED, NCHW, Variant
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.forms.rules import RULES
from lesionlite.export.lean import lean
from lesionlite.export.metadata import Metadata
from lesionlite.export.quiet import quiet
from lesionlite.export.writers import to_executorch
from lesionlite.export.writers.to_executorch import KEY, to_pte
from lesionlite.train.networks import build_network
from tests.paths import ROOT

CONTRACT = Contract(labels=("Läsion", "b", "c"), side=64, mean=(0.5, 0.5, 0.5))


@pytest.fixture(autouse=True, scope="module")
def leanly() -> Iterator[None]:
    """These tests call `to_pte` themselves; this leaves out what an export leaves out."""
    with lean():
        yield


def pieces(file: bytes) -> Counter[str]:
    """How often `forward` calls a delegate, and every operator outside them."""
    with quiet():
        from executorch.exir._serialize._program import deserialize_pte_binary
        from executorch.exir.schema import DelegateCall, KernelCall

        plans = deserialize_pte_binary(file).program.execution_plan
    plan = next(plan for plan in plans if plan.name == "forward")
    found: Counter[str] = Counter()
    for instruction in plan.chains[0].instructions:
        what = instruction.instr_args
        if isinstance(what, DelegateCall):
            found[plan.delegates[what.delegate_index].id] += 1
        elif isinstance(what, KernelCall):
            found[plan.operators[what.op_index].name] += 1
    return found


def form(variant: Variant) -> MobileForm:
    torch.manual_seed(0)
    with torch.no_grad():
        return MobileForm(build_network("mobilevitv2_050", 3).eval(), CONTRACT, variant)


def written(variant: Variant) -> bytes:
    with quiet():
        return to_pte(form(variant), CONTRACT, Metadata())


def test_all_but_the_cast_is_one_delegate(artifacts: Path) -> None:
    file = (artifacts / "mobilevitv2_050-fp32.pte").read_bytes()
    assert pieces(file) == {"XnnpackBackend": 1, "aten::_to_copy": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mobilevit_xxs", "edgenext_xx_small", "efficientformerv2_s0", "mobilenetv3_small_050"]
)
def test_other_networks_are_one_delegate_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = build_network(name, 3, side=64).eval().requires_grad_(False)
    with quiet():
        file = to_pte(plain.MobileForm(network, CONTRACT, GROUPED), CONTRACT, Metadata())
    assert pieces(file) == {"XnnpackBackend": 1, "aten::_to_copy": 1}
    monkeypatch.setattr(plain, "XNNPACK_RULES", RULES)  # as every other runtime gets them
    with quiet():
        other = to_pte(plain.MobileForm(network, CONTRACT, GROUPED), CONTRACT, Metadata())
    assert sum(pieces(other).values()) > 10


@pytest.mark.slow
def test_another_spelling_would_be_noticed() -> None:
    found = pieces(written(NCHW))
    assert found["XnnpackBackend"] > 10 and found["aten::mean"] > 10


@pytest.mark.slow
def test_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.export.writers.test_executorch import *; "
        "Path(sys.argv[1]).write_bytes(written(GROUPED))"
    )
    out = tmp_path / "other.pte"
    subprocess.run([sys.executable, "-c", code, str(out)], check=True, cwd=ROOT)
    assert out.read_bytes() == written(GROUPED)


@pytest.mark.slow
def test_the_contract_and_the_labels_are_methods(tmp_path: Path) -> None:
    path = tmp_path / "x.pte"
    path.write_bytes(written(GROUPED))
    with quiet():
        from executorch.runtime import Runtime

        program = Runtime.get().load_program(path)
    assert program.method_names == {"forward", KEY, "labels", "metadata"}
    assert program.load_method("labels").execute([]) == list(CONTRACT.labels)
    assert read_contract(path) == CONTRACT


def test_a_truncated_file_is_refused(tmp_path: Path, artifacts: Path) -> None:
    whole = (artifacts / "mobilevitv2_050-fp32.pte").read_bytes()
    for size in (0, 40, 5000, len(whole) // 2):
        path = tmp_path / f"{size}.pte"
        path.write_bytes(whole[:size])
        with pytest.raises(LesionliteError):
            load(path)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_honoured_by_the_first_file_of_a_process(threads: int, artifacts: Path) -> None:
    code = (
        "import sys; import numpy as np; from lesionlite.export.execute.predictor import load; "
        "from lesionlite.errors import LesionliteError; "
        f"first = load(sys.argv[1], {threads}); "
        "from executorch.extension.pybindings import portable_lib as lib; "
        f"assert lib._threadpool_get_thread_count() == {threads}; "
        "image = np.zeros((1, 64, 64, 3), np.uint8); "
        f"again = load(sys.argv[1], {threads}); "
        "assert abs(first.predict(image) - again.predict(image)).max() < 1e-6\n"
        "try: load(sys.argv[1], 2)\n"
        "except LesionliteError as error: print(error)"
    )
    path = artifacts / "mobilevitv2_050-fp32.pte"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=ROOT,
    )
    assert f"with {threads} threads in this process" in done.stdout


class Quantized(nn.Module):
    """x * sigmoid(x) in 8 bits between two convolutions: x feeds both factors."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 3, 1)
        from torch.ao.quantization.fx import _decomposed  # noqa: F401

    def forward(self, image: Tensor) -> Tensor:
        x = qdq(image.float().permute(0, 3, 1, 2) / 255)
        x = qdq(self.first(x))
        x = qdq(x * qdq(x.sigmoid()))
        return qdq(self.second(x)).mean((2, 3), keepdim=True).flatten(1).softmax(-1)


def qdq(x: Tensor) -> Tensor:
    how = (1 / 64, 0, -128, 127, torch.int8)
    library = torch.ops.quantized_decomposed
    return library.dequantize_per_tensor(library.quantize_per_tensor(x, *how), *how)


@pytest.mark.slow
def test_an_8_bit_tensor_may_have_two_consumers(monkeypatch: pytest.MonkeyPatch) -> None:
    with quiet():
        file = to_pte(Quantized(), CONTRACT, Metadata())
    assert pieces(file)["XnnpackBackend"] == 1
    monkeypatch.setattr(to_executorch, "_separate_dequantizers", lambda program: None)
    with pytest.raises(Exception, match="dependency cycles"), quiet():
        to_pte(Quantized(), CONTRACT, Metadata())


class TalkingHeads(nn.Module):
    """A softmax over rows between two convolutions, as in EfficientFormerV2's attention."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before, self.after = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.before(image.permute(0, 3, 1, 2).to(torch.float32) / 25)
        return 64 * self.after(x.softmax(-1)).amax((2, 3))  # type: ignore[no-any-return]


def test_a_softmax_between_convolutions_is_over_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.runtime import Runtime

    form = TalkingHeads().eval().requires_grad_(False)
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)

    def apart() -> float:
        with quiet():
            program = Runtime.get().load_program(to_pte(form, CONTRACT, Metadata()))
            found = program.load_method("forward").execute([image])[0]
        return float((found - form(image)).abs().max())

    assert apart() < 1e-4
    monkeypatch.setattr(to_executorch, "_softmax_in_three_axes", lambda program: None)
    assert apart() > 0.1
