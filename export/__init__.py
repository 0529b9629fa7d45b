"""From a checkpoint to files that phones can run."""

import sys

from lesionlite import CallablePackage

sys.modules[__name__].__class__ = CallablePackage
