"""From a checkpoint to files that phones can run."""

import sys

from lesionlite import Step

sys.modules[__name__].__class__ = Step
