"""From exported files to a verdict: parity, latency, report."""

import sys

from lesionlite import CallablePackage

sys.modules[__name__].__class__ = CallablePackage
