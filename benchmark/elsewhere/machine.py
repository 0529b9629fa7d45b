"""The machine that vendors' compilers, emulators and accelerators need."""

import platform


def other_machine() -> str:
    """This system and processor, like "Darwin arm64"; "" if it is Linux on x86-64."""
    here = platform.system(), platform.machine()
    return "" if here == ("Linux", "x86_64") else " ".join(here)
