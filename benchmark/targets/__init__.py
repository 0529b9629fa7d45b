"""Targets: processors of phones, and what their compilers take of a file."""
