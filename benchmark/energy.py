"""Energy by the processor's own counters, where the system lets them be read (Linux: RAPL)."""

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Energy:
    """The packages' counters, which run on and wrap around."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        """Find the counters below `folder` that this process may read."""
        self._packages = [
            (package / "energy_uj", _number(package / "max_energy_range_uj") or 0)
            for package in sorted(folder.glob("*-rapl:?"))
            if _number(package / "energy_uj") is not None
        ]

    @property
    def known(self) -> bool:
        """Whether the machine tells."""
        return bool(self._packages)

    def read(self) -> list[int]:
        """The counters as they stand, in microjoules: what `since` takes."""
        return [_number(file) or 0 for file, _ in self._packages]

    def since(self, before: list[int]) -> float:
        """Joules spent since `before`; 0 where nothing is known."""
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
