"""Places of the repository that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"  # real images and checkpoints; absent on most machines
