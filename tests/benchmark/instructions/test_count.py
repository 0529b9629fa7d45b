"""The count of a file: the same on a busy machine, larger for a file that does more."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lesionlite.benchmark.beforehand import refuse_beforehand
from lesionlite.benchmark.candidate import OURS
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.instructions import count as count_module
from lesionlite.benchmark.instructions.count import Instructions, _working, count
from lesionlite.benchmark.protocol import Opener
from lesionlite.errors import LesionliteError

needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")
BUSY = "import os\nwhile os.getppid() == int({}): sum(range(10_000))"


@contextmanager
def busy() -> Iterator[None]:
    """Another process takes a core."""
    import os

    other = subprocess.Popen([sys.executable, "-c", BUSY.format(os.getpid())])
    try:
        yield
    finally:
        other.kill()
        other.wait()


@pytest.fixture(scope="module")
def query(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("query") / "images.npy"
    np.save(path, images[:1])
    return path


@pytest.fixture(scope="module")
def onnx_file(artifacts: Path) -> Path:
    return artifacts / "mobilevitv2_050-fp32.onnx"


@pytest.fixture(scope="module")
def first(onnx_file: Path, query: Path) -> Instructions:
    return count(onnx_file, OURS, query)


@needs_valgrind
@pytest.mark.slow
def test_the_same_file_has_the_same_count_on_a_busy_machine(
    first: Instructions, onnx_file: Path, query: Path
) -> None:
    assert first.reason == "" and first.per_query is not None
    assert first.per_query > 10e6  # multiply-adds of this network: 17 million; 8 an instruction
    assert 0.5 < sum(first.functions.values()) <= 1
    assert all("(" in name and share >= 0.01 for name, share in first.functions.items())
    with busy():
        again = count(onnx_file, OURS, query)
    assert again.per_query == pytest.approx(first.per_query, rel=1e-3)


@needs_valgrind
@pytest.mark.slow
def test_a_layer_that_is_made_slower_is_found(
    first: Instructions, onnx_file: Path, query: Path, tmp_path: Path
) -> None:
    import onnx

    model = onnx.load(onnx_file)
    nodes = list(model.graph.node)
    at = next(i for i, node in enumerate(nodes) if node.op_type == "Conv")
    name = nodes[at].output[0]
    nodes[at].output[0] = f"{name}-0"
    slower = [  # x -> -x -> x, which ONNX Runtime does not remove
        onnx.helper.make_node("Neg", [f"{name}-0"], [f"{name}-1"]),
        onnx.helper.make_node("Neg", [f"{name}-1"], [name]),
    ]
    del model.graph.node[:]
    model.graph.node.extend([*nodes[: at + 1], *slower, *nodes[at + 1 :]])
    onnx.save(model, tmp_path / "slower.onnx")
    found = count(tmp_path / "slower.onnx", OURS, query)
    assert found.per_query is not None and first.per_query is not None
    assert found.per_query > 1.001 * first.per_query


@needs_valgrind
def test_what_cannot_be_executed_is_a_reason(query: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("no model")
    found = count(tmp_path / "m.onnx", Opener("lesionlite.nowhere:open"), query)
    assert found.per_query is None and found.functions == {}
    assert "it ended with 1 under valgrind" in found.reason and "nowhere" in found.reason


def test_what_idle_threads_do_is_left_out() -> None:
    work, other, idle = Counter(gemm=1000, silu=10), Counter(gemm=500), Counter(lookup=40)
    assert _working([idle, work, other]) == Counter(gemm=1500, silu=10)
    assert _working([]) == Counter()


def test_a_machine_that_cannot_count_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = BenchmarkConfig(instructions=True)
    monkeypatch.setattr(count_module, "other_machine", lambda: "Darwin arm64")
    with pytest.raises(LesionliteError, match="this machine has Darwin arm64; leave it out"):
        refuse_beforehand(config, ["m.onnx"])
    monkeypatch.setattr(count_module, "other_machine", lambda: "")
    monkeypatch.setattr(count_module.shutil, "which", lambda _: None)
    with pytest.raises(LesionliteError, match="needs valgrind.*apt-get install valgrind"):
        refuse_beforehand(config, ["m.onnx"])
