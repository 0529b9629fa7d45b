"""Read the CSV files of HAM10000 and ISIC 2019, and other CSV files with a header."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.train.data.folders import has_image_suffix

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
# Harvard's Dataverse serves the same table without a suffix, or as a copy with tabs.
HAM_TABLES = (HAM_TABLE, "HAM10000_metadata", "HAM10000_metadata.tab")
ISIC_TRUTH = "ISIC_2019_Training_GroundTruth.csv"
ISIC_TABLE = "ISIC_2019_Training_Metadata.csv"


# What pandas, R, spreadsheets and people write for a missing value.
NOTHING = {"", "nan", "-nan", "none", "null", "nil", "na", "n/a", "n.a.", "#n/a", "#na", "<na>"}
Parts = tuple[str, ...]


def path_parts(text: str) -> Parts:
    """The parts of a path, separated by / or by backslashes."""
    plain = unicodedata.normalize("NFC", text.strip())
    return tuple(part for part in re.split(r"[\\/]+", plain) if part not in ("", ".", ".."))


def image_name(text: str) -> str:
    """The name that identifies an image in every collection: without folder and suffix.

    ISIC 2019 appends `_downsampled` to some names; other releases of the same images do not.
    """
    name = (path_parts(text) or ("",))[-1]
    stem = name.rpartition(".")[0] if has_image_suffix(name) else name
    return stem.removesuffix("_downsampled")


def group_name(text: str) -> str:
    """The identifier of a lesion or patient; "" if the text means that it is missing."""
    name = unicodedata.normalize("NFC", text.strip())
    return "" if name.casefold() in NOTHING else name


def _keys(path: str) -> list[Parts]:
    """All endings of a path, longest first, without the file's suffix."""
    named = (*path_parts(path)[:-1], image_name(path))
    return [named[start:] for start in range(len(named))]


def match_images(
    rows: Sequence[tuple[str, str]], files: Sequence[Path], folder: Path
) -> list[Path | None]:
    """Find the file of each row of a table; None for rows without a file.

    A row with a path gets the file that shares the longest ending of the path. A row with a bare
    name gets the only file of that name.

    Args:
        rows: place ("FILE, line N") and image of each row.
        files: images.
        folder: contains all files.

    Raises:
        LesionliteError: several files fit a row.
    """
    index: dict[Parts, list[Path]] = {}
    whole: dict[Parts, list[Path]] = {}
    for file in files:
        ends = _keys(file.relative_to(folder).as_posix())
        whole.setdefault(ends[0], []).append(file)
        for end in ends:
            index.setdefault(end, []).append(file)
    # A file whose whole path is in a row belongs to that row alone.
    exact = [next((e for e in _keys(image) if e in whole), None) for _, image in rows]
    taken = {file for end in exact if end for file in whole[end]}
    found: list[Path | None] = []
    for (where, image), own in zip(rows, exact, strict=True):
        fits = whole[own] if own else _longest(index, image, taken)
        found.append(_only(_alike(fits, image), where, image, folder))
    return found


def _longest(index: Mapping[Parts, list[Path]], image: str, taken: set[Path]) -> list[Path]:
    ends = [end for end in _keys(image) if end in index]
    return [file for file in index[ends[0]] if file not in taken] if ends else []


def _alike(files: list[Path], image: str) -> list[Path]:
    """Prefer files whose name is exactly that of the row, if there are any."""
    name = (path_parts(image) or ("",))[-1]
    return [f for f in files if f.name == name] or [f for f in files if f.stem == name] or files


def _only(files: list[Path], where: str, image: str, folder: Path) -> Path | None:
    if len(files) < 2:
        return files[0] if files else None
    some = ", ".join(file.relative_to(folder).as_posix() for file in files[:3])
    raise LesionliteError(
        f"{where}: {image} fits {len(files)} images ({some}{', ...' if len(files) > 3 else ''}); "
        "the table must give their paths below the data folder"
    )


def read_table(
    path: Path, columns: Iterable[str | Sequence[str]]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of a CSV file with its place ("FILE, line N") for errors.

    The delimiter is the most frequent one in the header: comma, tab, or semicolon (spreadsheets
    write semicolons in countries with a decimal comma). Empty rows are skipped.

    Args:
        path: CSV file in UTF-8.
        columns: required columns. A column may have several names: the first one that the file has
            is read, and rows have it under the first name of all.

    Raises:
        LesionliteError: the file is missing or no CSV text, lacks a column, or has a row of another
            length.
    """
    wanted = [(column,) if isinstance(column, str) else tuple(column) for column in columns]
    if path.exists() and not path.is_file():  # reading a pipe might never end
        raise LesionliteError(f"{path} is no regular file; a CSV file is expected there")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter=max(",\t;", key=header.count))
            names = _header(path, reader.fieldnames or (), wanted)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if not any(row.values()):
                    continue
                if None in row or None in row.values():
                    width = len(reader.fieldnames or ())
                    raise LesionliteError(
                        f"{where}: the row does not have the header's {width} fields"
                    )
                yield where, {names.get(name, name): value.strip() for name, value in row.items()}
    except FileNotFoundError:
        raise LesionliteError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LesionliteError(f"{path} cannot be read as a CSV file in UTF-8: {error}") from error


def _header(
    path: Path, header: Sequence[str], wanted: Sequence[Sequence[str]]
) -> Mapping[str, str]:
    """The name of each column in rows, by its name in the file; refuses missing columns."""
    by_name = {name.strip(): name for name in header}
    names = {name: name.strip() for name in header}
    absent = []
    for choices in wanted:
        there = [name for name in choices if name in by_name]
        if there:
            names[by_name[there[0]]] = choices[0]
        else:
            absent.append(" or ".join(choices))
    if absent:
        needed = ",".join(" or ".join(choices) for choices in wanted)
        raise LesionliteError(
            f"{path}, line 1: there is no column {', '.join(absent)}; it needs {needed}; it has "
            f"{', '.join(by_name) or 'nothing'}"
        )
    return names


def _only_once(where: str, name: str, rows: Mapping[str, object]) -> None:
    if name in rows:
        raise LesionliteError(f"{where}: {name} has a row already; keep one of the two")


def ham_rows(table: Path) -> dict[str, tuple[str, str]]:
    """HAM10000's dx and lesion for each image.

    Raises:
        LesionliteError: as `read_table`; also if an image is listed twice or its dx is unknown.
    """
    rows: dict[str, tuple[str, str]] = {}
    for where, row in read_table(table, ("lesion_id", "image_id", "dx")):
        name = image_name(row["image_id"])
        _only_once(where, name, rows)
        if row["dx"] not in HAM_CLASSES:
            raise LesionliteError(f"{where}: {unknown_choice('dx', row['dx'], HAM_CLASSES)}")
        rows[name] = row["dx"], group_name(row["lesion_id"])
    return rows


def isic_labels(table: Path) -> dict[str, str]:
    """ISIC 2019's class for each image, empty for UNK.

    Raises:
        LesionliteError: as `read_table`; also if an image is listed twice or has no single class.
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
    """ISIC 2019's lesion for each image, empty if it is unknown.

    Raises:
        LesionliteError: as `read_table`.
    """
    rows = read_table(table, ("image", "lesion_id"))
    return {image_name(row["image"]): group_name(row["lesion_id"]) for _, row in rows}
