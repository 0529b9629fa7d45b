"""MODEL_CARD.md: what was measured of a network and its files, in Hugging Face's format."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesionlite.benchmark.report.cells import Columns, Document, cells, flat
from lesionlite.benchmark.report.text import images
from lesionlite.benchmark.statistics import Interval, f1_interval, recall_interval
from lesionlite.contract import Contract
from lesionlite.documents import as_record, read_json
from lesionlite.layout import CONTRACT, OPERATING, SCORES, SETTINGS, read_settings
from lesionlite.metrics import in_words
from lesionlite.tables import markdown_lines
from lesionlite.train.calibrate.operating_point import OperatingPoint, table_of
from lesionlite.train.calibrate.prior import training_counts
from lesionlite.train.calibrate.rejection_report import RejectionReport
from lesionlite.train.data.sources import many
from lesionlite.train.memory import read_memory

FILES: Columns = {
    "file": "artifact",
    "status": "status",
    "answers kept": "top1_agreement:.1%",
    "weighted F1": "weighted_f1:.4f",
    "change": "delta_weighted_f1:+.4f",
    "MB": "megabytes:.1f",
    "p50 ms": "p50:.1f",
}


@dataclass(frozen=True)
class _Adjusted:
    """The fields of operating.json that are read; see `Adjustment`."""

    chosen: OperatingPoint
    points: tuple[OperatingPoint, ...]
    floors: dict[str, float]


@dataclass(frozen=True)
class Facts:
    """What a model card is made of.

    Attributes:
        report: Contents of report.json.
        contract: Of the run.
        settings: The run's train.json.
        scores: The run's test.json; {} if it has none.
        operating: The run's operating.json; {} if `adjust` was not used.
        audit: A sentence on groups and near-duplicates across splits, or "".
        data: Name of the data folder.
    """

    report: Document
    contract: Contract
    settings: Document
    scores: Document
    operating: Document
    audit: str
    data: str


def read_facts(run: Path, data: Path, report: Document) -> Facts:
    """Gather the facts from a run and its report."""
    memory = read_memory(run)
    return Facts(
        report,
        Contract.read(run / CONTRACT),
        read_settings(run),
        read_json(run / SCORES) or {},
        read_json(run / OPERATING) or {},
        memory.audit if memory else "",
        data.resolve().name,
    )


def model_card(facts: Facts) -> str:
    """The text of a model card: a metadata block, then sections."""
    model, labels, side = facts.settings["model"], facts.contract.labels, facts.contract.side
    about = [facts.contract.disclaimer, facts.contract.note.capitalize()]
    sections = {
        f"# {model}, {len(labels)} classes": [
            *(f"**{sentence.rstrip('.')}.**\n" for sentence in about if sentence),
            f"A network of timm for images of {side} x {side} pixels, in files for phones. "
            "lesionlite executed each file on the images below and compared its answers with "
            "PyTorch's.",
        ],
        "## Data": _data(facts),
        "## Scores": _scores(facts),
        "## Operating point": _operating(facts),
        "## Calibration": _calibration(facts),
        "## Images of another kind": _rejection(facts),
        "## Files": _files(facts),
        "## Limits": [f"- {sentence}" for sentence in _limits(facts)],
    }
    parts = [f"---\n{_metadata(facts)}\n---"]
    parts += [f"{title}\n\n" + "\n".join(lines) for title, lines in sections.items()]
    return "\n\n".join(parts) + "\n"


def _metadata(facts: Facts) -> str:
    """The metadata block, YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    reference = facts.report["reference"]
    measured = (("f1", "weighted_f1"), ("f1", "macro_f1"), ("accuracy", "accuracy"))
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type="imagefolder",
            dataset_name=facts.data,
            dataset_split=facts.report["split"] or None,
            metric_type=kind,
            metric_name=in_words(name),
            metric_value=round(reference[name], 4),
        )
        for kind, name in measured
    ]
    formats = dict.fromkeys(row["format"] for row in facts.report["rows"])
    card = ModelCardData(
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["timm", "lesionlite", *formats],
        model_name=facts.settings["model"],
        eval_results=results,
    )
    return str(card.to_yaml())


def _data(facts: Facts) -> list[str]:
    counts = training_counts(facts.settings, facts.contract.labels)
    support = facts.report["reference"]["support"]
    trained: Sequence[int | str] = counts or [""] * len(support)
    kind = facts.report["split"] or "judged"
    rows = [(label, n, support[label]) for label, n in zip(support, trained, strict=True)]
    lines = _table(("class", "train images", f"{kind} images"), rows)
    return [*lines, *(["", f"{facts.audit[:1].upper()}{facts.audit[1:]}."] if facts.audit else [])]


def _scores(facts: Facts) -> list[str]:
    reference, report = facts.report["reference"], facts.report
    parts = {"all": reference}
    if facts.scores.get("images") == reference["images"]:  # else they are of other images
        parts |= facts.scores.get("domains", {})
    overall = [
        (
            name,
            part["images"],
            _within(part["weighted_f1"], f1_interval(part["confusion"])),
            f"{part['macro_f1']:.3f}",
            f"{part['accuracy']:.3f}",
        )
        for name, part in parts.items()
    ]
    classes = []
    for label, recall in reference["recall"].items():
        n = reference["support"][label]
        classes.append((label, n, _within(recall, recall_interval(round(recall * n), n))))
    sentences = [report["too_good"]] if report["too_good"] else []
    sentences.append(
        f"Of PyTorch on {images(report)}. Brackets hold 95 % intervals: of weighted F1 by "
        "bootstrap, of recall by Wilson (1927)."
    )
    return [
        *(line for sentence in sentences for line in (sentence, "")),
        *_table(("part", "images", "weighted F1", "macro F1", "accuracy"), overall),
        "",
        *_table(("class", "images", "recall"), classes),
    ]


def _operating(facts: Facts) -> list[str]:
    labels, contract = facts.contract.labels, facts.contract
    if not contract.prior:
        return ["It is unknown for how frequent classes the network was trained."]
    prior = sorted(zip(labels, contract.prior, strict=True), key=lambda pair: -pair[1])
    shares = ", ".join(f"{label} {100 * share:.0f} %" for label, share in prior if share)
    lines = [f"Training showed the loss these shares of classes: {shares}."]
    if not facts.operating:
        return [*lines, "The answers are for such a mixture; `lesionlite adjust` changes that."]
    adjusted = as_record(facts.operating, _Adjusted, OPERATING, extra=True)
    given = (adjusted.points, adjusted.chosen, adjusted.floors)
    columns, rows = table_of(*given, lambda tau: f"**{tau}**")
    return [
        *lines,
        "With tau 1 the answers are for the target, with tau 0 for that mixture. On validation "
        "images:",
        "",
        *_table(columns, rows),
    ]


def _calibration(facts: Facts) -> list[str]:
    error = facts.report["reference"]["expected_calibration_error"]
    lines = [
        f"Expected calibration error {error:.3f} (15 bins), with temperature "
        f"{facts.contract.temperature:.3f}, which is in the files."
    ]
    if least := facts.contract.unsure_below:
        lines.append(f'An app says "not sure" where no probability reaches {least:.2f}.')
    return lines


def _rejection(facts: Facts) -> list[str]:
    found = facts.settings.get("rejection")
    if not found or facts.contract.rejection is None:
        return ["Nothing tells them: it answers every image with one of its classes."]
    report = as_record(found, RejectionReport, SETTINGS)
    lost = f"{report.false_rejections:.1%} of the {report.images} validation images"
    if (tested := facts.scores.get("rejected")) is not None:
        lost += f" and {tested:.1%} of the test images"
    kinds = report.others | {f"{name}, left out": one for name, one in report.left_out.items()}
    rows = [(n, one.images, f"{one.auroc:.3f}", f"{one.rejected:.0%}") for n, one in kinds.items()]
    worst = max(report.by_class, key=lambda label: report.by_class[label])
    return [
        f"An app says that an image is of another kind for {lost}; of {worst}, which suffers most, "
        f"for {report.by_class[worst]:.0%} of the validation images.",
        "",
        *_table(("kind", "images", "AUROC", "rejected"), rows),
        "",
        "A class or domain that is left out is judged as if the network had no outputs for it; the "
        "network has seen its images in training.",
    ]


def _files(facts: Facts) -> list[str]:
    machine = facts.report["machine"]
    rows = [cells(flat(row), FILES) for row in facts.report["rows"]]
    return [
        *_table(tuple(FILES), rows, words=2),
        "",
        f"Latency of one image on {machine['processor']}, {many(machine['threads'], 'thread')}: "
        "compare ratios, not milliseconds of two machines.",
    ]


def _limits(facts: Facts) -> Iterable[str]:
    yield (
        "Images of another kind are told by their colours, their detail, and the answers to them. "
        "One that resembles the training images in these is answered like them."
        if facts.contract.rejection
        else "It answers every image with one of its classes, also one that shows none of them."
    )
    yield (
        "Scores hold for images like those above. Other cameras or collections can lower them, and "
        "nothing here measures by how much."
    )
    empty = [label for label, n in facts.report["reference"]["support"].items() if not n]
    if empty:
        yield f"No image judged {', '.join(empty)}."
    yield from facts.report["caveats"]
    if facts.contract.disclaimer:
        yield facts.contract.disclaimer


def _within(value: float, interval: Interval) -> str:
    return f"{value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]], words: int = 1) -> list[str]:
    return markdown_lines(columns, ([str(cell) for cell in row] for row in rows), words)
