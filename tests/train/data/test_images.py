import os
import socket
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.train.data.decoding import open_image
from lesionlite.train.data.images import find_bad, inspect, load_inputs, to_input
from tests.train.data.fuzz_images import fuzz, fuzz_exif

RAMP = (np.arange(256).reshape(16, 16) * 257).astype(np.uint16)


def tiff(order: str, bits: int, sample: int, white_is_zero: bool, data: bytes) -> bytes:
    """A grey image of 16 x 16 pixels; `sample` is 1 for unsigned, 2 for signed, 3 for floats."""
    photometric, size = int(not white_is_zero), len(data)
    rows = [(256, 16), (257, 16), (258, bits), (259, 1), (262, photometric), (273, 122)]
    rows += [(277, 1), (278, 16), (279, size)]
    table = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in rows)
    if sample != 1:
        return tiff_of_samples(order, rows, sample, data)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(rows))
    return head + table + bytes(4) + data


def tiff_of_samples(order: str, rows: list[tuple[int, int]], sample: int, data: bytes) -> bytes:
    rows = [(tag, value + 12 if tag == 273 else value) for tag, value in rows] + [(339, sample)]
    table = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in rows)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(rows))
    return head + table + bytes(4) + data


@pytest.mark.parametrize("order", "<>")
def test_grey_of_16_bits_is_scaled_by_its_range(tmp_path: Path, order: str) -> None:
    file = tmp_path / "x.tif"
    file.write_bytes(tiff(order, 16, 1, False, RAMP.astype(order + "u2").tobytes()))
    ramp = np.arange(256).reshape(16, 16)
    assert np.array_equal(np.asarray(open_image(file)), np.stack([ramp] * 3, -1))
    Image.fromarray(RAMP).save(tmp_path / "x.png")
    assert np.array_equal(np.asarray(open_image(tmp_path / "x.png"))[..., 1], ramp)


def test_grey_of_12_bits_and_white_as_zero(tmp_path: Path) -> None:
    file = tmp_path / "x.tif"
    file.write_bytes(tiff("<", 16, 1, True, RAMP.tobytes()))
    assert np.array_equal(np.asarray(open_image(file))[..., 0].ravel(), np.arange(256)[::-1])
    packed = b"".join(struct.pack(">I", i * 16 << 12 | i * 16)[1:] for i in range(0, 256, 2))
    file.write_bytes(tiff("<", 12, 1, False, packed))
    assert np.asarray(open_image(file)).max() == 254


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("bits", "sample", "kind"), [(32, 3, "f4"), (32, 2, "i4"), (16, 2, "i2"), (8, 2, "i1")]
)
def test_a_range_that_nothing_tells_is_refused(
    tmp_path: Path, order: str, bits: int, sample: int, kind: str
) -> None:
    file = tmp_path / "x.tif"
    data = np.ones((16, 16), order + kind).tobytes()
    file.write_bytes(tiff(order, bits, sample, False, data))
    words = "holds (fractions|whole numbers).*black and white; save it with 8 or 16 bits"
    with pytest.raises(LesionliteError, match=words):
        open_image(file)
    assert list(find_bad([file])) == [file]


@pytest.mark.parametrize(
    ("name", "make", "told"),
    [
        ("fifo", os.mkfifo, "is no regular file"),
        ("folder", os.mkdir, "is a folder"),
        ("link", lambda file: file.symlink_to("nowhere"), "is a broken link"),
        ("loop", lambda file: file.symlink_to(file), "is a broken link"),
        ("none", lambda file: None, "there is no image"),
        ("empty", Path.touch, r"cannot be decoded as an image \(it is empty\)"),
        ("text", lambda file: file.write_text("x" * 50), "none of the formats known"),
        ("long" * 99, lambda file: None, "cannot be read"),
    ],
)
def test_what_is_no_image_is_said_at_once(
    tmp_path: Path, name: str, make: object, told: str
) -> None:
    file = tmp_path / f"{name}.jpg"
    make(file)  # type: ignore[operator]
    with pytest.raises(LesionliteError, match=told):
        open_image(file)
    assert list(find_bad([file])) == [file]


def test_a_socket_a_device_and_a_file_as_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's path has to be short
        server.bind("x.jpg")
        with pytest.raises(LesionliteError, match="is no regular file"):
            open_image(tmp_path / "x.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    with pytest.raises(LesionliteError, match="is no regular file"):
        open_image(tmp_path / "zero.jpg")
    (tmp_path / "y.jpg").touch()
    with pytest.raises(LesionliteError, match="there is no image"):
        open_image(tmp_path / "y.jpg" / "z.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_every_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    from PIL import ImageOps

    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"x.{suffix}"
    Image.fromarray(pixels).save(file, exif=exif)
    with Image.open(file) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(np.asarray(open_image(file)), wanted)


def test_heic_is_read_by_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lesionlite.train.data.decoding as decoding

    pillow_heif = pytest.importorskip("pillow_heif")
    file = tmp_path / "x.jpg"  # as some programs name what a phone made
    picture = Image.new("RGB", (64, 32), (200, 10, 10))
    pillow_heif.from_pillow(picture).save(file, format="HEIF")
    assert open_image(file).size == (64, 32)
    assert abs(np.asarray(open_image(file))[5, 5].astype(int) - (200, 10, 10)).max() < 12
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    decoding._reads_heif.cache_clear()
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    with pytest.raises(LesionliteError, match=r"pip install 'lesionlite\[heif\]'"):
        open_image(file)
    decoding._reads_heif.cache_clear()


def test_an_image_that_is_too_oblong_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    Image.new("RGB", (10_000, 1)).save(file)
    cut = Contract(("a", "b"), resize="shortest")
    with pytest.raises(
        LesionliteError, match=r"x.png: .* 10000 x 1 .* too oblong: .*2560000 x 256"
    ):
        load_inputs([file], cut)
    assert load_inputs([file], Contract(("a", "b"))).shape == (1, 256, 256, 3)
    Image.new("RGB", (1000, 10)).save(file)
    assert load_inputs([file], cut).shape == (1, 256, 256, 3)
    with pytest.raises(LesionliteError, match="too oblong"):
        to_input(np.zeros((10_000, 1, 3), np.uint8), cut)


def test_one_bad_file_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / f"{index}.png" for index in range(3)]
    for file in files:
        Image.new("RGB", (8, 8)).save(file)

    def fail(*_: object) -> None:
        raise RuntimeError("Failed to decode\nframe")

    files[1].write_bytes(b"")
    assert list(inspect(files, lambda image: image.size)[0]) == [files[0], files[2]]
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", fail)
    bad = find_bad(files)
    assert list(bad) == files and "(Failed to decode frame)" in bad[files[0]]


@pytest.mark.filterwarnings("ignore")
def test_damaged_images_are_decoded_or_refused() -> None:
    counts, failures = fuzz(3000, seed=1)
    assert not failures
    assert sum(counts.values()) == 3000
    assert all(counts[f"{suffix} decoded"] for suffix in (".jpg", ".png", ".tif", ".webp", ".bmp"))


@pytest.mark.filterwarnings("ignore")
def test_odd_exif_stops_nothing() -> None:
    assert fuzz_exif(1500, seed=1) == []


def test_the_fuzzer_sees_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    def escape(file: Path) -> Image.Image:
        raise TypeError("planted")

    monkeypatch.setattr("tests.train.data.fuzz_images.open_image", escape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(fuzz(3, seed=0)[1]) == 3 and "seed 0, input 0" in fuzz(3, seed=0)[1][0]
        assert len(fuzz_exif(3, seed=0)) == 3


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "area"])
def test_the_width_of_a_tall_image_is_resized_first(interpolation: str) -> None:
    """As apps do it, whatever the version of Pillow prefers; bytes are rounded in between."""
    image = np.random.default_rng(0).integers(0, 256, (90, 34, 3), dtype=np.uint8)
    contract = Contract(("a", "b"), side=32, interpolation=interpolation)
    narrow = np.stack([to_input(rows, contract)[0] for rows in image[:, None].repeat(2, 1)])
    columns = narrow.transpose(1, 0, 2)[:, None].repeat(2, 1)  # each as an image of its own
    expected = np.stack(
        [to_input(one.transpose(1, 0, 2), contract)[:, 0] for one in columns], axis=1
    )
    assert np.array_equal(to_input(image, contract), expected)
