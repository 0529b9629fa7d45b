"""Here one network, and what fails; `benchmark/peers/mil_others.py` tries the whole list."""

import json
import subprocess
import sys

import pytest

from lesionlite.benchmark.peers.mil_others import EXACT_ENOUGH, attempt


@pytest.mark.slow
def test_a_network_that_we_did_not_write() -> None:
    row = attempt("mobilenetv3_small_050", 64)
    assert row.error is not None and row.error <= EXACT_ENOUGH, row
    assert row.ratio is not None and row.ratio > 0 and row.route in ("trace", "export")


def test_what_does_not_run_has_a_reason_and_fails_the_command() -> None:
    command = [
        sys.executable,
        "-m",
        "lesionlite.benchmark.peers.mil_others",
        "no_such_network",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "NOT all run" in done.stderr
    (row,) = json.loads(done.stdout)["networks"]
    assert "no_such_network" in row["reason"] and row["error"] is None
