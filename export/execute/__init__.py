"""Open a run or an artifact, and ask it."""
