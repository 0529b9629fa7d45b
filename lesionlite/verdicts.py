"""The files of the benchmark's reports, and the verdicts that other commands read from them.

`benchmark` writes these files. `verify` expects them beside artifacts, and `embed` reads whether an
artifact passed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lesionlite.documents import read_record

REPORT_JSON, REPORT_CSV = "report.json", "report.csv"
REPORT_MD, REPORT_HTML = "report.md", "report.html"
MODEL_CARD = "MODEL_CARD.md"
REPORT_FORMAT = 2  # increase it when report.json has other fields, so that a build writes it anew
REPORTS = (REPORT_JSON, REPORT_CSV, REPORT_MD, REPORT_HTML)
PEERS_JSON, PEERS_MD, PEERS_FOLDER = "peers.json", "peers.md", "defaults"
TARGETS_JSON = "targets.json"
Status = Literal["pass", "fail", "unverified"]


@dataclass(frozen=True)
class Verdict:
    """The verdict on one artifact.

    Attributes:
        artifact: File name.
        status: `unverified` if it could not be executed.
        size_bytes: Of the artifact that was judged.
    """

    artifact: str
    status: Status
    size_bytes: int


@dataclass(frozen=True)
class _Report:
    rows: tuple[Verdict, ...]


def read_verdicts(path: Path, advice: str = "") -> tuple[Verdict, ...]:
    """The verdicts of a report.json.

    Args:
        path: The file.
        advice: What the user can do if it cannot be read.

    Raises:
        LesionliteError: There is no such file, or it is no report.
    """
    return read_record(path, _Report, extra=True, advice=advice).rows
