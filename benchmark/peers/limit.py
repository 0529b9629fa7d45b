"""The physical limit: multiply-adds of the network, at the best measured matrix-multiply rate."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionlite.benchmark.peers.foreign import noise
from lesionlite.benchmark.protocol import Opener
from lesionlite.benchmark.subject import Timed
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError

if TYPE_CHECKING:
    from torch import nn

SHAPES = ((256, 256, 256), (512, 512, 512), (1024, 256, 512), (1024, 1024, 1024))  # M, K, N
TRIALS = 20


@dataclass(frozen=True)
class Limit:
    """The shortest time in which this machine could compute the network's products.

    Attributes:
        milliseconds: Multiply-adds divided by the rate.
        rate: Multiply-adds per second of the fastest product, at its tenth percentile of times.
        kernel: Name of the fastest product.
        unrest: Median of its times divided by their tenth percentile; about 1 on an idle machine.
    """

    milliseconds: float
    rate: float
    kernel: str
    unrest: float = 1.0


def multiply_adds(network: "nn.Module", *inputs: Any) -> int:
    """Multiply-adds of the convolutions and linear layers of one call.

    Args:
        network: Any module; products written as functions (`@`) are not counted.
        inputs: Of the call.
    """
    from lesionlite.export.quantize.wiring import LAYERS, watching

    total = 0

    def count(layer: Any, given: Any, result: Any) -> None:
        nonlocal total
        total += result.numel() * layer.weight[0].numel()  # one row of the weight makes one output

    layers = {name: count for name, m in network.named_modules() if isinstance(m, LAYERS)}
    with watching(network, layers):
        network(*inputs)
    return total


def network_multiply_adds(network: "nn.Module", contract: Contract) -> int:
    """Multiply-adds for one image in the mobile form, which has fewer than timm's network."""
    from lesionlite.export.forms.table import mobile_form
    from lesionlite.export.source import example

    return multiply_adds(mobile_form(network, contract), example(contract))


KERNEL = Opener("lesionlite.benchmark.peers.limit:open_kernel")


def open_kernel(path: Path, threads: int) -> Timed:
    """A library's matrix product in the shape at which it is fastest here.

    Args:
        path: Its name in `KERNELS`; there is no such file.
        threads: That the library may use.

    Raises:
        LesionliteError: This processor or this build of the library cannot execute it.
    """
    name = path.name
    best: tuple[float, Timed] | None = None
    for shape in SHAPES:
        try:
            query = KERNELS[name].make(threads, *shape)
            query()
        except Exception as error:  # e.g. no such operator in this build
            raise LesionliteError(f"{name} cannot be executed here: {error}") from error
        times = []
        for _ in range(TRIALS):
            started = time.perf_counter()
            query()
            times.append(time.perf_counter() - started)
        size = int(np.prod(shape))
        if best is None or size / min(times) > best[0]:
            label = f"{name} {'x'.join(map(str, shape))}"
            best = size / min(times), Timed(query, label, size)
    assert best is not None
    return best[1]


def limit(products: int, kernels: Sequence[tuple[str, int, Sequence[float]]]) -> Limit:
    """What the fastest of the kernels would need for the network.

    Args:
        products: multiply-adds of the network.
        kernels: name, multiply-adds of one call, and times of calls in milliseconds.

    Raises:
        LesionliteError: if none was measured.
    """
    found = []
    for name, size, times in kernels:
        if times:
            fast, middle = np.percentile(times, [10, 50]).tolist()
            rate = 1000 * size / fast
            found.append(Limit(1000 * products / rate, rate, name, middle / fast))
    if not found:
        raise LesionliteError("no matrix product could be measured, so there is no limit to name")
    return max(found, key=lambda row: row.rate)


@dataclass(frozen=True)
class Kernel:
    """A library's product; `make(threads, M, K, N)` returns a function that executes it."""

    arithmetic: str  # fp32 or int8
    make: Callable[[int, int, int, int], Callable[[], object]]


def _torch_mm(threads: int, m: int, k: int, n: int) -> Callable[[], object]:
    import torch

    torch.set_num_threads(threads)
    a, b, out = torch.rand(m, k), torch.rand(k, n), torch.empty(m, n)
    return lambda: torch.mm(a, b, out=out)


def _torch_int_mm(threads: int, m: int, k: int, n: int) -> Callable[[], object]:
    import torch

    torch.set_num_threads(threads)
    a = torch.randint(-127, 127, (m, k), dtype=torch.int8)
    b = torch.randint(-127, 127, (n, k), dtype=torch.int8).t()
    return lambda: torch._int_mm(a, b)


def _ort(kind: str, threads: int, m: int, k: int, n: int) -> Callable[[], object]:
    """A MatMul or MatMulInteger (u8 by s8) node; the right side is constant, like weights."""
    from onnx import TensorProto, helper, numpy_helper

    from lesionlite.export.writers.to_onnx import open_session

    left, right = (np.float32, np.float32) if kind == "MatMul" else (np.uint8, np.int8)
    a = noise((m, k), left)
    types = {np.float32: TensorProto.FLOAT, np.uint8: TensorProto.UINT8}
    result = TensorProto.FLOAT if kind == "MatMul" else TensorProto.INT32
    graph = helper.make_graph(
        [helper.make_node(kind, ["a", "b"], ["c"])],
        kind,
        [helper.make_tensor_value_info("a", types[left], [m, k])],
        [helper.make_tensor_value_info("c", result, [m, n])],
        [numpy_helper.from_array(noise((k, n), right), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session, _ = open_session(model.SerializeToString(), threads)
    return lambda: session.run(None, {"a": a})


KERNELS: Mapping[str, Kernel] = {
    "torch.mm": Kernel("fp32", _torch_mm),
    "ORT MatMul": Kernel("fp32", lambda *sizes: _ort("MatMul", *sizes)),
    "torch._int_mm": Kernel("int8", _torch_int_mm),
    "ORT MatMulInteger": Kernel("int8", lambda *sizes: _ort("MatMulInteger", *sizes)),
}
