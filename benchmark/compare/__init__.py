"""Compare networks, or values of one setting: train, export, gate and time them the same way."""
