"""Our artifacts beside each toolchain's default, and the physical limit."""
