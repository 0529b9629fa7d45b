"""The report in sentences, and for a terminal."""

from lesionlite.benchmark.against import sentences as against_sentences
from lesionlite.benchmark.report.cells import Columns, Document, cells, flat
from lesionlite.benchmark.resize import TOLERATED
from lesionlite.benchmark.targets.show import sentences as target_sentences
from lesionlite.console import say
from lesionlite.tables import terminal_table
from lesionlite.train.data.splits import images_of

TERMINAL: Columns = {
    "artifact": "short",
    "status": "status",
    "w. F1": "weighted_f1:.4f",
    "change": "delta_weighted_f1:+.4f",
    "same": "top1_agreement:.4f",
    "max |Δp|": "max_abs_dp:.1e",
    "p50 ms": "p50:.1f",
    "p90 ms": "p90:.1f",
    "MB": "megabytes:.1f",
}


def caption(document: Document) -> str:
    """The reference, its score, the images and the note of the data, in one line."""
    reference, note = document["reference"], document["note"]
    return (
        f"PyTorch (timm, float32): weighted F1 {reference['weighted_f1']:.4f} on "
        f"{images(document)}, {reference['latency_ms']['p50']:.1f} ms."
        + (f" {note.capitalize()}." if note else "")
    )


def images(document: Document) -> str:
    """How many images there are, and of which split."""
    return images_of(document["split"], document["reference"]["images"])


def warnings(document: Document) -> list[str]:
    """The caveats that are shown at the top."""
    return [words for words in (document["too_good"], document["too_few_images"]) if words]


def verdict(document: Document) -> str:
    """The verdict on the whole report, in a few words."""
    if document["passed"]:
        few = document["too_few_images"]
        return "Every artifact passes" + (", but on too few images" if few else "")
    worse = document["against"] and not document["against"]["passed"]
    only_worse = worse and not failures(document)
    return "Something became worse" if only_worse else "NOT every artifact passes"


def failures(document: Document) -> list[str]:
    """One sentence for each artifact that does not pass."""
    rows = [
        f"{row['artifact']}: {row['status']}, {row['reason']}"
        for row in document["rows"]
        if row["reason"]
    ]
    others = [
        f"{row['artifact']} on {row['where']}: {row['status']}, {row['reason']}"
        for row in document["elsewhere"]
        if row["status"] == "fail"
    ]
    return rows + others


def show(document: Document) -> None:
    """Print the report in 80 columns; the files contain more."""
    for sentence in warnings(document):
        say(sentence)
    say(caption(document))
    rows = [cells(flat(row), TERMINAL) for row in document["rows"]]
    say(terminal_table(tuple(TERMINAL), rows, words=2))
    for sentence in _sentences(document):
        say(sentence)
    say(verdict(document) + ".")


def _sentences(document: Document) -> list[str]:
    phone = [
        f"{row['artifact']} on {row['phone']}: {row['reason'] or _phone_times(row)}"
        for row in document["phone"]
    ]
    return [
        *failures(document),
        *caveats(document),
        *instruction_sentences(document),
        *elsewhere_sentences(document),
        *(target_sentences(document["targets"]) if document["targets"] else ()),
        *phone,
        *(resize_sentences(document["resize_drift"]) if document["resize_drift"] else ()),
        *(against_sentences(document["against"]) if document["against"] else ()),
    ]


def caveats(document: Document) -> list[str]:
    """The caveats, without those that are shown at the top."""
    return [words for words in document["caveats"] if words not in warnings(document)]


def instruction_sentences(document: Document) -> list[str]:
    """How many instructions each file executes for one image, or why nobody knows."""
    return [
        f"{row['artifact']}: " + (found["reason"] or f"{found['per_query']:,} instructions a query")
        for row in document["rows"]
        if (found := row["instructions"])
    ]


def elsewhere_sentences(document: Document) -> list[str]:
    """How far each other runtime and core agrees with the usual one, and what was not run."""
    words = []
    for where in dict.fromkeys(row["where"] for row in document["elsewhere"]):
        rows = [row for row in document["elsewhere"] if row["where"] == where]
        asked = [row for row in rows if row["max_abs_dp"] is not None]
        if asked:
            good = sum(row["status"] == "pass" for row in asked)
            most = max(row["max_abs_dp"] for row in asked)
            words.append(
                f"{where}: {good} of {len(asked)} files answer alike, max |Δp| {most:.1e}."
            )
    reasons = (row["reason"] for row in document["elsewhere"] if row["status"] == "unverified")
    return words + [f"Not run: {reason}." for reason in sorted(set(reasons))]


def _phone_times(row: Document) -> str:
    times = {"p50": row["p50_ms"], "mean": row["mean_ms"], "loaded in": row["load_ms"]}
    return ", ".join(f"{name} {ms:.1f} ms" for name, ms in times.items() if ms is not None)


def resize_sentences(drift: Document) -> list[str]:
    """Which ways to resize an app may use."""
    good = "; ".join(name for name, fine in drift["tolerated"].items() if fine)
    bad = "; ".join(name for name, fine in drift["tolerated"].items() if not fine)
    words = f"No artifact loses more than {TOLERATED} of weighted F1 by resizing so: {good}."
    return ([words] if good else []) + ([f"Some lose more: {bad}."] if bad else [])
