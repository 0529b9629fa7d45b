import subprocess
import sys
from pathlib import Path

import pytest

WAYS = {
    "a toolchain": "from lesionlite.export.formats import FORMATS; FORMATS['coreml'].toolchain()",
    "a runtime": "from lesionlite.export.format import named_function; named_function('os:getcwd')",
    "a package": "from lesionlite.export.mil.execute import _coremltools; _coremltools()",
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
