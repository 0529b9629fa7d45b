"""Which layers of a file take the time."""
