"""What is particular to `.aimodel` folders: compression, checksums, Apple's runtime, Core ML."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load
from lesionlite.export.writers.to_coreai import KEY, LABELS, METADATA, open_program

PRECISIONS = ("fp32", "fp16", "w8", "w8a8")


def named(artifacts: Path, precision: str, suffix: str = ".aimodel") -> Path:
    return artifacts / f"mobilevitv2_050-{precision}{suffix}"


def summary(file: Path) -> Any:
    from coreai.authoring import AIModelAsset

    return AIModelAsset.load(file).summary()


@pytest.fixture
def copied(artifacts: Path, tmp_path: Path) -> Path:
    """The fp32 folder, alone, for a test to spoil."""
    file = named(artifacts, "fp32")
    return Path(shutil.copytree(file, tmp_path / file.name))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_are_stored_in_their_precision(precision: str, artifacts: Path) -> None:
    stored = dict(summary(named(artifacts, precision)).storage_types)
    largest = max(stored, key=lambda name: stored[name])
    expected = {"fp32": "Float32", "fp16": "Float16", "w8": "Int8", "w8a8": "Int8"}
    assert largest == expected[precision]
    assert precision != "fp16" or stored["Float32"] < 10


def test_only_w8a8_quantizes_activations(artifacts: Path) -> None:
    operations = {
        name: dict(summary(named(artifacts, name)).operation_distribution) for name in PRECISIONS
    }
    assert operations["w8a8"]["quantize"] > 40
    assert not any("quantize" in operations[name] for name in PRECISIONS if name != "w8a8")
    assert operations["w8"]["blockwise_shift_scale"] > 40


def test_an_app_gives_pixels_and_gets_probabilities(artifacts: Path) -> None:
    for precision in PRECISIONS:
        about = summary(named(artifacts, precision))
        assert about.function_names == ["main"]
        assert about.function_inputs("main") == [("image", "NDArray (UInt8, 1 × 64 × 64 × 3)")]
        assert about.function_outputs("main") == [("probabilities", "NDArray (Float32, 1 × 14)")]


@pytest.mark.parametrize(
    ("precision", "largest"), [("fp32", 1e-5), ("fp16", 5e-3), ("w8", 1e-2), ("w8a8", 0.1)]
)
def test_apples_runtime_and_our_core_ml_executor_agree(
    precision: str, largest: float, artifacts: Path, images: np.ndarray
) -> None:
    core_ai = load(named(artifacts, precision)).predict(images[:8])
    core_ml = load(named(artifacts, precision, ".mlpackage")).predict(images[:8])
    assert np.abs(core_ai - core_ml).max() < largest


def test_it_works_inside_an_event_loop_as_in_jupyter(artifacts: Path, images: np.ndarray) -> None:
    predictor = load(named(artifacts, "fp32"))

    async def cell() -> np.ndarray:
        return predictor.predict(images[:1])

    np.testing.assert_array_equal(asyncio.run(cell()), predictor.predict(images[:1]))


def test_no_name_in_the_program_changes_or_tells_of_this_machine(artifacts: Path) -> None:
    program = (named(artifacts, "fp32") / "main.mlirb").read_bytes()
    assert b"resource_" not in program and b"weight_0\0" in program
    assert b".py" not in program and b"/lib/" not in program


def test_a_damaged_program_is_refused(copied: Path) -> None:
    load(copied)
    program = copied / "main.mlirb"
    content = bytearray(program.read_bytes())
    content[len(content) // 2] ^= 1
    program.write_bytes(content)
    with pytest.raises(LesionliteError, match=r"main.mlirb has another SHA-256 than main.hash"):
        open_program(copied)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda metadata: metadata["creatorDefinedMetadata"].pop(KEY), "no contract can be read"),
        (lambda metadata: metadata["creatorDefinedMetadata"][LABELS].reverse(), "two lists"),
    ],
)
def test_the_contract_and_the_labels_must_be_there_and_agree(
    spoil: Any, words: str, copied: Path
) -> None:
    metadata = json.loads((copied / METADATA).read_text())
    spoil(metadata)
    (copied / METADATA).write_text(json.dumps(metadata))
    with pytest.raises(LesionliteError, match=words):
        load(copied)
