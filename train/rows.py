"""Reads the CSV files that come with HAM10000 and ISIC 2019, and any other with a header."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PureWindowsPath

from train.errors import LesionliteError, unknown_choice

HAM_CLASSES = {
    "akiec": "Actinic keratoses",  # HAM10000's name for what ISIC 2019 divides into AK and SCC
    "bcc": "Basal cell carcinoma",
    "bkl": "Benign keratosis-like lesions",
    "df": "Dermatofibroma",
    "mel": "Melanoma",
    "nv": "Melanocytic nevi",
    "vasc": "Vascular lesions",
}
ISIC_CLASSES = {
    "MEL": "Melanoma",
    "NV": "Melanocytic nevi",
    "BCC": "Basal cell carcinoma",
    "AK": "Actinic keratoses",
    "BKL": "Benign keratosis-like lesions",
    "DF": "Dermatofibroma",
    "VASC": "Vascular lesions",
    "SCC": "Squamous cell carcinoma",
    "UNK": "",
}
HAM_TABLE = "HAM10000_metadata.csv"
# Harvard's Dataverse hands out the same table without suffix, or as its own copy with tabs.
HAM_TABLES = (HAM_TABLE, "HAM10000_metadata", "HAM10000_metadata.tab")
ISIC_TRUTH = "ISIC_2019_Training_GroundTruth.csv"
ISIC_TABLE = "ISIC_2019_Training_Metadata.csv"


def image_name(text: str) -> str:
    """What identifies an image in every collection: its file's name without folder and suffix.

    ISIC 2019 appends `_downsampled` to some names, which other releases of the images do not.
    """
    return PureWindowsPath(text).stem.removesuffix("_downsampled")


def read_table(path: Path, columns: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of a CSV file with its place ("FILE, line N") for errors.

    Fields are divided by tabs where the header has some and no comma.

    Raises:
        LesionliteError: if the file is missing, is no CSV text, lacks a column or has a ragged row.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            stream.seek(0)
            tabs = "\t" in header and "," not in header
            reader = csv.DictReader(stream, delimiter="\t" if tabs else ",")
            absent = [name for name in columns if name not in (reader.fieldnames or ())]
            if absent:
                wanted = ",".join(columns)
                raise LesionliteError(
                    f"{path}, line 1: there is no column {', '.join(absent)}; it needs {wanted}"
                )
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    width = len(reader.fieldnames or ())
                    raise LesionliteError(
                        f"{where}: the row does not have the header's {width} fields"
                    )
                yield where, {name: value.strip() for name, value in row.items()}
    except FileNotFoundError:
        raise LesionliteError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LesionliteError(f"{path} cannot be read as a CSV file in UTF-8: {error}") from error


def _only_once(where: str, name: str, rows: Mapping[str, object]) -> None:
    if name in rows:
        raise LesionliteError(f"{where}: {name} has a row already; keep one of the two")


def ham_rows(table: Path) -> dict[str, tuple[str, str]]:
    """HAM10000's dx and lesion for each image.

    Raises:
        LesionliteError: as `read_table`, or if an image is listed twice or its dx is unknown.
    """
    rows: dict[str, tuple[str, str]] = {}
    for where, row in read_table(table, ("lesion_id", "image_id", "dx")):
        name = image_name(row["image_id"])
        _only_once(where, name, rows)
        if row["dx"] not in HAM_CLASSES:
            raise LesionliteError(f"{where}: {unknown_choice('dx', row['dx'], HAM_CLASSES)}")
        rows[name] = row["dx"], row["lesion_id"]
    return rows


def isic_labels(table: Path) -> dict[str, str]:
    """ISIC 2019's class for each image, empty for UNK.

    Raises:
        LesionliteError: as `read_table`, or if an image is listed twice or has not one class.
    """
    labels: dict[str, str] = {}
    for where, row in read_table(table, ("image", *ISIC_CLASSES)):
        name = image_name(row["image"])
        _only_once(where, name, labels)
        try:
            hot = [column for column in ISIC_CLASSES if float(row[column]) == 1]
        except ValueError:
            hot = []
        if len(hot) != 1:
            columns = ", ".join(ISIC_CLASSES)
            raise LesionliteError(f"{where}: exactly one of {columns} must be 1, the others 0")
        labels[name] = ISIC_CLASSES[hot[0]]
    return labels


def isic_lesions(table: Path) -> dict[str, str]:
    """ISIC 2019's lesion for each image, empty where it is not known.

    Raises:
        LesionliteError: as `read_table`.
    """
    rows = read_table(table, ("image", "lesion_id"))
    return {image_name(row["image"]): row["lesion_id"] for _, row in rows}
