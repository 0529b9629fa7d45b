"""The emulated NPU: what it computes of pixels, and what is said where it cannot run."""

import platform

import numpy as np
import pytest

from lesionlite.benchmark.targets import hexagon
from lesionlite.benchmark.targets.snapdragon import SNAPDRAGONS, find_snapdragon
from lesionlite.errors import LesionliteError
from lesionlite.export.writers.onnx_pixels import dequantize_pixels
from tests.export.writers.test_to_onnx import cast_pixels

HERE = (platform.system(), platform.machine()) == ("Linux", "x86_64")
needs_npu = pytest.mark.skipif(not HERE, reason="Qualcomm's emulator is for Linux on x86-64")


@needs_npu
def test_the_npu_dequantizes_pixels_but_does_not_cast_them() -> None:
    soc = find_snapdragon("sm8650")
    old, new = cast_pixels(), cast_pixels()
    dequantize_pixels(new)
    image = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)
    expected = image.transpose(0, 3, 1, 2).astype(np.float32)

    def on_npu(model: object) -> np.ndarray:
        session = hexagon.open_session(model.SerializeToString(), soc, {hexagon.NO_FALLBACK: "1"})
        (answer,) = session.run(None, {"image": image})
        return np.asarray(answer)

    np.testing.assert_allclose(on_npu(new), expected, rtol=1e-6)
    # If this fails, the fault is mended, and `dequantize_pixels` may go.
    np.testing.assert_allclose(on_npu(old), expected > 0, atol=1e-6)


def test_an_unknown_snapdragon_is_named() -> None:
    with pytest.raises(LesionliteError, match=r"did you mean 'sm8650'.*sm8850"):
        find_snapdragon("sm8651")
    assert [row.name for row in SNAPDRAGONS.values()] == list(SNAPDRAGONS)


def test_a_machine_without_the_emulator_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(LesionliteError, match="Linux on x86-64 only, not on Linux arm64"):
        hexagon.refuse_no_npu()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(hexagon, "find_spec", lambda name: None)
    with pytest.raises(LesionliteError, match=r"pip install 'lesionlite\[npu\]'"):
        hexagon.refuse_no_npu()
