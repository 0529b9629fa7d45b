"""Convert images with an ICC profile to sRGB, as phones and browsers do before an app sees them."""

from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageCms

SAME = ("CMYK", "L", "RGB")  # modes that a profile can describe; others become RGB first


def to_srgb(image: Image.Image) -> Image.Image:
    """8-bit RGB in sRGB.

    A profile that is damaged, or that describes other channels than the image has, is ignored.

    Args:
        image: 8 bits for each channel, decoded.
    """
    profile = image.info.get("icc_profile")
    if profile:
        mode = {"LA": "L", "1": "L"}.get(image.mode, image.mode)
        mode = mode if mode in SAME else "RGB"
        if transform := _transform(bytes(profile), mode):
            converted = transform.apply(image.convert(mode))
            converted.info.pop("icc_profile", None)
            return converted
    return image.convert("RGB")


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None if there is nothing to do, or the profile cannot be used."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "srgb" in (source.profile.profile_description or "").lower():
            return None
        target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        # threads share the transform, so it must not remember pixels
        flags = ImageCms.Flags.NOCACHE
        return ImageCms.ImageCmsTransform(source, target, mode, "RGB", flags=flags)
    except (OSError, ValueError, ImageCms.PyCMSError):  # the pixels are good
        return None
