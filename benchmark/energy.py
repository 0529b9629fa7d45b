"""Energy from the processor's own counters (Linux: RAPL), if this process may read them."""

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Energy:
    """The energy counters of all processor packages. They wrap around at a maximum."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        """Find the counters below `folder` that this process may read."""
        self._packages = [
            (package / "energy_uj", _number(package / "max_energy_range_uj") or 0)
            for package in sorted(folder.glob("*-rapl:?"))
            if _number(package / "energy_uj") is not None
        ]

    @property
    def known(self) -> bool:
        """Whether any counter can be read."""
        return bool(self._packages)

    def read(self) -> list[int]:
        """The counters now, in microjoules; pass them to `since`."""
        return [_number(file) or 0 for file, _ in self._packages]

    def since(self, before: list[int]) -> float:
        """Joules spent since `before`; 0 if no counter can be read."""
        spent = 0
        for (file, wraps_at), start in zip(self._packages, before, strict=True):
            now = _number(file) or 0
            spent += now - start + (wraps_at if now < start else 0)
        return spent / 1e6


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
