import numpy as np
import pytest

from lesionlite.rejection import STATISTICS
from lesionlite.train.data.statistics import NO_CONTRAST, NO_DETAIL, image_statistics

MEANS, CENTRES, DETAIL = slice(0, 3), slice(8, 11), slice(11, 15)


def test_a_plain_image_has_its_colour_and_no_contrast() -> None:
    plain = np.full((1, 32, 32, 3), (255, 51, 0), np.uint8)
    (found,) = image_statistics(plain)
    assert found[MEANS] == pytest.approx([1, 0.2, 0])
    assert found[3:8] == pytest.approx([np.log(NO_CONTRAST)] * 5)
    assert found[CENTRES] == pytest.approx([0, 0, 0])
    assert found[DETAIL] == pytest.approx([np.log(NO_DETAIL)] * 4)


def test_a_bright_middle_is_seen_in_its_channel() -> None:
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[:, 8:24, 8:24, 1] = 255
    (found,) = image_statistics(image)
    assert found[CENTRES] == pytest.approx([0, 0.75, 0])


@pytest.mark.parametrize("block", [1, 2, 4, 8])
def test_detail_is_seen_at_its_scale(block: int) -> None:
    """Stripes of a width vanish in blocks of two of them."""
    row = (np.arange(64) // block % 2 * 255).astype(np.uint8)
    stripes = np.broadcast_to(row[None, None, :, None], (1, 64, 64, 3))
    (found,) = image_statistics(stripes)
    scales = (np.exp(found[DETAIL]) - NO_DETAIL).tolist()
    at = [1, 2, 4, 8].index(block)
    assert scales[at] == pytest.approx(0.5) and scales[at + 1 :] == pytest.approx([0] * (3 - at))


def test_pixels_beyond_the_last_whole_block_do_not_count_in_it() -> None:
    image = np.zeros((1, 35, 35, 3), np.uint8)
    image[:, 32:] = image[:, :, 32:] = 255
    (found,) = image_statistics(image)
    assert found[DETAIL][3] == pytest.approx(np.log(NO_DETAIL))
    assert found[DETAIL][0] > np.log(NO_DETAIL) + 1


def test_no_images_have_no_rows() -> None:
    assert image_statistics([]).shape == (0, STATISTICS)
