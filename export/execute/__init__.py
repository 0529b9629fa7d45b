"""Open a run or an artifact, and execute it."""
