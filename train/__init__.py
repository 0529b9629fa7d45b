"""From a folder of labelled images to a checkpoint and its contract."""

import sys

from lesionlite import CallablePackage

sys.modules[__name__].__class__ = CallablePackage
