import json
import subprocess
import sys
from pathlib import Path

import pytest

from lesionlite.export.format import SOUGHT

SEEN = f"import json, sys; {{}}; print(json.dumps([n for n in {SOUGHT} if n in sys.modules]))"
OURS = "from lesionlite.export.format import import_coremltools; import_coremltools()"
WAYS = {
    "a toolchain": "from lesionlite.export.formats import FORMATS; FORMATS['coreml'].toolchain()",
    "a runtime": "from lesionlite.export.format import named_function; named_function('os:getcwd')",
}


@pytest.mark.parametrize("way", WAYS)
def test_triton_comes_before_what_may_import_tensorflow(way: str, tmp_path: Path) -> None:
    (tmp_path / "triton.py").touch()
    (tmp_path / "coremltools.py").write_text("import sys; assert 'triton' in sys.modules\n")
    script = f"""
import sys
{WAYS[way]}
print("triton" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout == "True\n"


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        (OURS, set()),
        ("import coremltools", set(SOUGHT)),  # else `import_coremltools` can go
        (f"import sklearn; {OURS}", {"sklearn"}),
    ],
)
def test_coremltools_does_not_import_what_it_seeks(code: str, seen: set[str]) -> None:
    command = [sys.executable, "-c", SEEN.format(code)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(json.loads(found.stdout.splitlines()[-1])) == seen


def test_what_it_seeks_can_be_imported_later() -> None:
    later = f"{OURS}; import {', '.join(SOUGHT)}"
    subprocess.run([sys.executable, "-c", later], check=True)
