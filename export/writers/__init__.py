"""One file per format: how a network is written in it."""
