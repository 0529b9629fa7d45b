"""`python -m lesionlite`."""

import sys

if not sys.flags.safe_path:  # else a json.py of the user's would be taken for Python's own
    del sys.path[0]

from lesionlite.cli import run

run()
