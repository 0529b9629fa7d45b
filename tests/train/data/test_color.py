"""ICC profiles: images become sRGB, as they do in a phone and in a browser."""

import base64
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from lesionlite.train.data.decoding import open_image

# Colorants of red, green and blue, adapted to D50, as the profiles of ICC have them.
SRGB = np.array(
    [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.7141]]
)
DISPLAY_P3 = np.array(
    [[0.51512, 0.2412, -0.00105], [0.29198, 0.69225, 0.04189], [0.1571, 0.06657, 0.78407]]
)


def profile(colorants: np.ndarray, name: str = "wide") -> bytes:
    """The profile of sRGB with other colorants, and a name of as many letters."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag, row in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True):
        (start,) = struct.unpack_from(">I", made, made.index(tag) + 4)
        struct.pack_into(">3i", made, start + 8, *(round(65536 * value) for value in row))
    return bytes(made).replace("sRGB".encode("utf-16-be"), name.encode("utf-16-be"))


def colors() -> np.ndarray:
    """Colours of skin, and others that sRGB has too; uint8 [4, 64, 3]."""
    rng = np.random.default_rng(0)
    skin = rng.integers((150, 100, 80), (230, 180, 160), (2, 64, 3))
    return np.concatenate([skin, rng.integers(90, 160, (2, 64, 3))]).astype(np.uint8)


def in_srgb(pixels: np.ndarray, colorants: np.ndarray) -> np.ndarray:
    """What IEC 61966-2-1 and the colorants say, clipped; uint8."""
    values = pixels / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    light = (light @ colorants @ np.linalg.inv(SRGB)).clip(0, 1)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * coded).astype(np.uint8)


def largest(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
def test_display_p3_becomes_srgb(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"wide{suffix}"
    saving: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(colors()).save(file, icc_profile=profile(DISPLAY_P3), **saving)
    wanted = in_srgb(colors(), DISPLAY_P3)
    assert largest(np.asarray(open_image(file)), wanted) <= 1
    assert largest(colors(), wanted) > 10  # so the test can fail


def test_what_needs_no_conversion_keeps_its_pixels(tmp_path: Path) -> None:
    for name, icc in (
        ("none", None),
        ("srgb", profile(SRGB, "sRGB")),
        ("damaged", b"no profile"),
        ("cut", profile(DISPLAY_P3)[:200]),
    ):
        file = tmp_path / f"{name}.png"
        Image.fromarray(colors()).save(file, icc_profile=icc)
        assert np.array_equal(np.asarray(open_image(file)), colors()), name


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA", "1", "CMYK", "I;16"])
def test_a_profile_of_rgb_on_other_kinds_of_pixels(mode: str, tmp_path: Path) -> None:
    file = tmp_path / f"x{'.tiff' if mode == 'CMYK' else '.png'}"
    image = Image.fromarray(colors())
    image = Image.new("I;16", (64, 4), 40_000) if mode == "I;16" else image.convert(mode)
    image.save(file, icc_profile=profile(DISPLAY_P3))
    image.save(plain := file.with_stem("plain"))
    got, before = np.asarray(open_image(file)), np.asarray(open_image(plain))
    wanted = in_srgb(before, DISPLAY_P3) if mode in ("RGBA", "P") else before
    assert largest(got, wanted) <= 1


def test_a_profile_applies_before_the_image_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    file = tmp_path / "turned.png"
    Image.fromarray(colors()).save(file, icc_profile=profile(DISPLAY_P3), exif=exif)
    wanted = np.rot90(in_srgb(colors(), DISPLAY_P3), -1)
    assert largest(np.asarray(open_image(file)), wanted) <= 1


def test_a_browser_gives_an_app_the_same_pixels(tmp_path: Path, browser: Any) -> None:
    file = tmp_path / "wide.png"
    Image.fromarray(colors()).save(file, icc_profile=profile(DISPLAY_P3))
    page = browser.new_page()
    data = page.evaluate(
        """async (text) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const image = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
            const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
            canvas.drawImage(image, 0, 0);
            return Array.from(canvas.getImageData(0, 0, image.width, image.height).data);
        }""",
        base64.b64encode(file.read_bytes()).decode(),
    )
    page.close()
    seen = np.array(data, np.uint8).reshape(4, 64, 4)[..., :3]
    assert largest(np.asarray(open_image(file)), seen) <= 1
