"""Folders of labelled images, and the one way in which an image becomes a network's input."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from train.console import track
from train.contract import Contract
from train.errors import LesionliteError
from train.files import read_json, replacing
from train.resample import RESAMPLERS, resampler_of

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Domains = dict[str, list[str]]
"""The classes of each domain, e.g. of dermoscopy and of photographs."""
AHEAD = 64  # images decoded before they are asked for


@dataclass(frozen=True)
class Split:
    """Labelled images: files and the index of each one's class in `labels`."""

    files: tuple[Path, ...]
    targets: tuple[int, ...]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def counts(self) -> list[int]:
        """Images per class, [C]."""
        return [int(n) for n in np.bincount(self.targets, minlength=len(self.labels))]

    def without(self, bad: Iterable[Path]) -> "Split":
        """The same without the files of `bad`."""
        left_out = set(bad)
        kept = [
            (file, target)
            for file, target in zip(self.files, self.targets, strict=True)
            if file not in left_out
        ]
        return Split(tuple(f for f, _ in kept), tuple(t for _, t in kept), self.labels)


def class_folders(folder: Path) -> list[str]:
    """Sorted names of the class folders in `folder`; LesionliteError if there is none."""
    if not folder.is_dir():
        raise LesionliteError(f"there is no folder {folder}")
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def read_split(folder: Path, labels: Sequence[str] | None = None) -> Split:
    """List the images in `folder`, one folder per class.

    Args:
        folder: holds one folder per class; an empty one declares a class without images.
        labels: the classes a model knows, in its order; by default the folders' names, sorted.

    Raises:
        LesionliteError: no such folder, a class that `labels` lacks, or no image at all.
    """
    names = class_folders(folder)
    known = tuple(labels) if labels is not None else tuple(names)
    strangers = [name for name in names if name not in known]
    if strangers:
        raise LesionliteError(
            f"{folder} has class folders that the model does not know: {', '.join(strangers)}; "
            f"its classes are: {', '.join(known)}"
        )
    files, targets = [], []
    for name in names:
        for file in sorted((folder / name).rglob("*")):
            if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith("."):
                files.append(file)
                targets.append(known.index(name))
    if not files:
        raise LesionliteError(
            f"{folder} holds no images; it needs one folder per class with image files in it"
        )
    return Split(tuple(files), tuple(targets), known)


@dataclass(frozen=True)
class Dataset:
    """The splits of a data folder; `test` is None if it has none."""

    train: Split
    val: Split
    test: Split | None
    note: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the model's outputs."""
        return self.train.labels

    def empty_classes(self) -> list[str]:
        """Declared classes without a training image."""
        return [
            label
            for label, count in zip(self.labels, self.train.counts(), strict=True)
            if not count
        ]


def read_dataset(folder: Path) -> Dataset:
    """Read train/, val/ and, where there is one, test/ of `folder`.

    Raises:
        LesionliteError: a missing folder, fewer than two classes with images, or class folders in
            val/ or test/ that train/ lacks.
    """
    if not folder.is_dir():
        raise LesionliteError(f"there is no folder {folder}")
    if not (folder / "train").is_dir():
        raise LesionliteError(
            f"{folder} has no folder train/; it needs train/ and val/ (and test/), each with one "
            "folder per class; `lesionlite prepare` makes them from raw collections"
        )
    train = read_split(folder / "train")
    if sum(1 for count in train.counts() if count) < 2:
        raise LesionliteError(
            f"{folder / 'train'} has images of one class only; a classifier needs at least two "
            "class folders"
        )
    others = {
        name: read_split(folder / name, _check_classes(folder / name, train.labels))
        for name in ("val", "test")
        if (folder / name).is_dir() or name == "val"
    }
    note = (read_json(folder / "dataset.json") or {}).get("note", "")
    return Dataset(train, others["val"], others.get("test"), note)


def read_domains(folder: Path) -> Domains:
    """The classes of each domain, as `dataset.json` in `folder` or above it has them; {} if not.

    Raises:
        LesionliteError: if it holds something else.
    """
    for place in (folder, folder.parent):
        document = read_json(place / "dataset.json")
        domains = document.get("domains", {}) if isinstance(document, dict) else {}
        if domains:
            lists = isinstance(domains, dict) and all(isinstance(v, list) for v in domains.values())
            if not lists:
                raise LesionliteError(
                    f"{place / 'dataset.json'}: domains must give a list of classes for each name"
                )
            return dict(domains)
    return {}


def _check_classes(folder: Path, labels: tuple[str, ...]) -> tuple[str, ...]:
    missing = [name for name in class_folders(folder) if name not in labels]
    if missing:
        raise LesionliteError(
            f"{folder} has class folders that train/ lacks: {', '.join(missing)}; "
            "add them to train/ (empty if need be) or remove them"
        )
    return labels


def open_image(file: Path) -> Image.Image:
    """Decode an image to RGB, turned upright by its EXIF orientation.

    Raises:
        LesionliteError: if there is no such file or it is damaged, truncated or no image.
    """
    try:
        with Image.open(file) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except FileNotFoundError:
        raise LesionliteError(f"there is no image {file}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise LesionliteError(f"{file} cannot be decoded as an image ({error})") from error


def to_input(
    image: "Image.Image | Pixels", contract: Contract, resampler: str | None = None
) -> Pixels:
    """Resize and crop one image as the contract says.

    Args:
        image: an RGB Pillow image, or uint8 [H, W, 3].
        contract: says how.
        resampler: key of `RESAMPLERS` to use instead of the contract's own.

    Returns:
        uint8 [S, S, 3], what every artifact takes.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise LesionliteError(
                f"an image must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}"
            )
        image = Image.fromarray(image)
    side, resample = contract.side, RESAMPLERS[resampler or resampler_of(contract)]
    if contract.resize == "squash":
        return np.array(resample(image, (side, side)))  # a copy: torch wants to own it
    scale = contract.resize_side / min(image.size)
    width, height = (max(contract.resize_side, round(length * scale)) for length in image.size)
    left, top = (width - side) // 2, (height - side) // 2
    return np.array(resample(image, (width, height)).crop((left, top, left + side, top + side)))


def decode(
    files: Sequence[Path], contract: Contract, resampler: str | None = None
) -> Iterator[Pixels]:
    """Decode and resize one file after another, `AHEAD` of them in advance on all cores.

    Args:
        files: images.
        contract: says how they are resized.
        resampler: key of `RESAMPLERS` to use instead of the contract's own.

    Yields:
        uint8 [S, S, 3] for each file.

    Raises:
        LesionliteError: naming the first file that cannot be decoded.
    """
    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes without holding the GIL
        coming: deque[Future[Pixels]] = deque()
        for file in files:
            coming.append(pool.submit(_decode_one, file, contract, resampler))
            if len(coming) > AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _decode_one(file: Path, contract: Contract, resampler: str | None) -> Pixels:
    return to_input(open_image(file), contract, resampler)


def load_inputs(files: Sequence[Path], contract: Contract, description: str = "") -> Pixels:
    """Decode and resize `files` to uint8 [N, S, S, 3]; progress is shown if there is a description.

    Raises:
        LesionliteError: naming the first file that cannot be decoded.
    """
    out = np.empty((len(files), contract.side, contract.side, 3), np.uint8)
    _fill(out, decode(files, contract), description)
    return out


def write_inputs(path: Path, inputs: Iterable[Pixels], total: int, description: str) -> None:
    """Write uint8 [S, S, 3] images to a .npy file [N, S, S, 3], all or nothing, with progress.

    They are never in memory all at once.
    """
    inputs = iter(inputs)
    first = next(inputs)
    with replacing(path) as temporary:
        out = np.lib.format.open_memmap(temporary, "w+", np.uint8, (total, *first.shape))
        _fill(out, chain([first], inputs), description)
        out.flush()


def _fill(out: Pixels, inputs: Iterable[Pixels], description: str) -> None:
    if description:
        inputs = track(inputs, description, len(out))
    for index, pixels in enumerate(inputs):
        out[index] = pixels


def inspect(
    files: Sequence[Path], look: Callable[[Image.Image], Any]
) -> tuple[dict[Path, Any], dict[Path, str]]:
    """Decode every file once, with progress.

    Args:
        files: images.
        look: what to make of each, an RGB image.

    Returns:
        What was made of the ones that can be decoded, and what is wrong with the others.
    """

    def one(file: Path) -> tuple[Any, str]:
        try:
            return look(open_image(file)), ""
        except LesionliteError as error:
            return None, str(error)

    with ThreadPoolExecutor() as pool:
        found = list(track(pool.map(one, files), "checking images", len(files)))
    pairs = list(zip(files, found, strict=True))
    return {f: seen for f, (seen, p) in pairs if not p}, {f: p for f, (_, p) in pairs if p}


def find_bad(files: Sequence[Path]) -> dict[Path, str]:
    """Decode every file once; the ones that cannot be, with what is wrong."""
    return inspect(files, lambda image: None)[1]


def drop_bad(splits: Sequence[Split], skip: bool) -> tuple[list[Split], list[Path]]:
    """Check that every image decodes; leave the others out if `skip`.

    Raises:
        LesionliteError: see `leave_out`.
    """
    bad = find_bad([file for split in splits for file in split.files])
    return leave_out(splits, bad, skip), list(bad)


def leave_out(splits: Sequence[Split], bad: Mapping[Path, str], skip: bool) -> list[Split]:
    """The splits without the files of `bad`.

    Raises:
        LesionliteError: if there are such and `skip` is off (the first ones are named), or if a
            split has no image left.
    """
    if bad and not skip:
        shown = "; ".join(list(bad.values())[:3])
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise LesionliteError(
            f"{len(bad)} of the images cannot be decoded: {shown}{more}. "
            "Replace them, or pass --skip-bad to go on without them"
        )
    kept = [split.without(bad) for split in splits]
    if not all(len(split) for split in kept):
        raise LesionliteError("no image is left that can be decoded")
    return kept
