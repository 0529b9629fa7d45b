"""Read Kaggle's `ahmedxc4/skin-ds`, which merges ISIC 2019 and MSLD v2.0.

According to public code and published counts, it has train/, val/ and test/ with a folder per
class, and fifteen files for each of MSLD's 755 photographs. We have not seen the files, so we guess
their names. Files whose name gives no group are accepted, and the user is told.
"""

import re
import sys
import textwrap
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import redirect_stdout
from pathlib import Path

from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.train.data.rows import (
    HAM_TABLES,
    ISIC_CLASSES,
    ISIC_TABLE,
    ham_rows,
    isic_lesions,
)
from lesionlite.train.data.sources import CLASSES, MSLD_CLASSES, RawSource, Sample, many

HANDLE = re.compile(r"[\w-]+/[\w-]+(/versions/\d+)?")
ISIC_NAME = re.compile(r"ISIC_\d{7}")
PHOTOGRAPH = re.compile(rf"({'|'.join(MSLD_CLASSES)})_(\d+)_\d+", re.IGNORECASE)


def _plain(name: str) -> str:
    """A class folder's name in lower case, with spaces for hyphens and underscores."""
    return " ".join(re.findall(r"[a-z0-9]+", name.casefold()))


FOLDERS = {
    **{_plain(label): label for label in CLASSES},
    **{_plain(code): label for code, label in (ISIC_CLASSES | MSLD_CLASSES).items() if label},
    "actinic keratosis": "Actinic keratoses",
    "benign keratosis": "Benign keratosis-like lesions",
    "benign keratosis like lesion": "Benign keratosis-like lesions",
    "chicken pox": "Chickenpox",
    "cow pox": "Cowpox",
    "hand foot and mouth": "HFMD",
    "hand foot and mouth disease": "HFMD",
    "hand foot mouth disease": "HFMD",
    "healthy skin": "Healthy",
    "melanocytic nevus": "Melanocytic nevi",
    "monkey pox": "Monkeypox",
    "mpox": "Monkeypox",
    "normal": "Healthy",
    "vascular lesion": "Vascular lesions",
}


def local_folder(given: str) -> Path:
    """The folder that --kaggle names. A dataset's handle (OWNER/NAME) is downloaded first.

    Raises:
        LesionliteError: it is neither a folder nor a handle, or the download fails.
    """
    if Path(given).is_dir():
        return Path(given)
    if not HANDLE.fullmatch(given):
        raise LesionliteError(
            f"--kaggle: there is no folder {given}, and a dataset's handle looks like OWNER/NAME"
        )
    by_hand = f"download https://www.kaggle.com/datasets/{given} and give its folder"
    try:
        import kagglehub
    except ImportError:
        raise LesionliteError(
            f"--kaggle: there is no folder {given}, and to download a dataset of that name run: "
            f"pip install 'lesionlite[kaggle]'; or {by_hand}"
        ) from None
    try:
        with redirect_stdout(sys.stderr):  # stdout may hold our JSON document
            return Path(kagglehub.dataset_download(given))
    except Exception as error:  # kagglehub, requests and the disk have no common error
        reason = textwrap.shorten(str(error), 160) or type(error).__name__
        raise LesionliteError(
            f"--kaggle: there is no folder {given}, and Kaggle's dataset of that name could not be "
            f"downloaded ({reason}); check the name, the network and your key in "
            f"~/.kaggle/kaggle.json, or {by_hand}"
        ) from error


def lesions_of(ham: RawSource | None, isic: RawSource | None) -> dict[str, str]:
    """The lesion of each image, by the metadata of HAM10000 and ISIC 2019.

    Raises:
        LesionliteError: if a table is missing or malformed.
    """
    known = isic_lesions(isic.needed_table(ISIC_TABLE)) if isic else {}
    for name, (_, lesion) in (ham_rows(ham.needed_table(*HAM_TABLES)) if ham else {}).items():
        known[name] = lesion or known.get(name, "")
    return known


def merged(
    source: RawSource, taken: Collection[str], lesions: Mapping[str, str]
) -> tuple[list[Sample], list[str]]:
    """The samples of the merge, and notes for the user.

    Args:
        source: the merge. An image's class is the name of its folder.
        taken: names of images that another source provides.
        lesions: lesion by name of ISIC's images; empty if they are unknown.

    Raises:
        LesionliteError: a folder's name is not that of a class.
    """
    samples: list[Sample] = []
    said: Counter[str] = Counter()
    for name, path in source.files.items():
        label = _class_of(source, path)
        if name not in taken:
            group, doubt = _group_of(name, label, lesions)
            samples.append(Sample(path, label, group))
            if doubt:
                said[doubt] += 1
    notes = [f"{many(number, 'image')} of {source.flag} {what}" for what, number in said.items()]
    return samples, [note for note in (_about_its_split(source, samples), *notes) if note]


def _group_of(name: str, label: str, lesions: Mapping[str, str]) -> tuple[str, str]:
    """An image's group, and a note for the user, which may be empty."""
    photograph = PHOTOGRAPH.match(name)
    if photograph:
        code = photograph[1].upper()
        agree = MSLD_CLASSES[code] == label
        doubt = "" if agree else "took the class of the folder, which the file's name contradicts"
        return f"{code}_{photograph[2]}", doubt
    if lesions.get(name):
        return lesions[name], ""
    if ISIC_NAME.fullmatch(name):
        unknown = "without a lesion_id" if lesions else "of unknown lesion (--isic2019 tells it)"
        return name, f"{unknown}: each is a group of its own"
    return name, (
        "whose name tells no lesion or patient: each is a group of its own, so copies may lie in "
        "two splits; `lesionlite audit` finds them"
    )


def _class_of(source: RawSource, path: Path) -> str:
    label = FOLDERS.get(_plain(path.parent.name))
    if label is None:
        problem = unknown_choice("class", path.parent.name, CLASSES)
        raise LesionliteError(
            f"{source.flag}: {path} lies in a folder that is named like no class: {problem}"
        )
    return label


def _about_its_split(source: RawSource, samples: list[Sample]) -> str:
    """A note that the published split is not kept, and why; "" if there is none."""
    homes: dict[str, set[str]] = {}
    for sample in samples:
        homes.setdefault(sample.group, set()).add(sample.path.parent.parent.name)
    if len(set().union(*homes.values())) < 2:
        return ""
    crossing = sum(len(splits) > 1 for splits in homes.values())
    why = f": {many(crossing, 'group')} of {len(homes):,} cross it" if crossing else ""
    return f"the split that {source.flag} came with is not kept{why}; its groups are divided anew"
