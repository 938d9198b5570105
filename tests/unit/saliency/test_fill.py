"""Fills of masked pixels: properties that all of them must have."""

import cv2
import numpy as np
import pytest

from glassguard.saliency.fill import FILLS, filled


@pytest.fixture
def picture():
    noise = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 2)


@pytest.fixture
def mask():
    mask = np.zeros((24, 20), dtype=bool)
    mask[8:13, 4:15] = True
    mask[:3] = True  # inpainting is most delicate at the border
    mask[:, -2:] = True
    return mask


@pytest.mark.parametrize("fill", FILLS)
def test_fills_keep_what_is_not_masked_and_forget_what_is(picture, mask, fill):
    before = picture.copy()
    result = filled(picture, mask, fill)
    assert result.dtype == np.uint8
    assert np.array_equal(picture, before)
    assert np.array_equal(result[~mask], picture[~mask])
    attacked = picture.copy()
    attacked[mask] = np.random.default_rng(1).integers(0, 256, (mask.sum(), 3))
    assert np.array_equal(filled(attacked, mask, fill), result)
    assert np.array_equal(filled(picture, np.zeros_like(mask), fill), picture)


def test_fill_colours(picture, mask):
    assert not filled(picture, mask, "zero")[mask].any()
    assert (filled(picture, mask, "grey")[mask] == 128).all()
    mean = np.rint(picture[~mask].mean(axis=0))
    assert (filled(picture, mask, "mean")[mask] == mean).all()
    with pytest.raises(ValueError, match="no fill 'noise'"):
        filled(picture, mask, "noise")


@pytest.mark.parametrize("fill", ["telea", "navier_stokes"])
def test_inpainting_continues_a_smooth_picture(fill):
    ramp = np.repeat(np.linspace(40, 200, 32).astype(np.uint8)[:, None], 32, axis=1)
    picture = np.stack([ramp, ramp, ramp], axis=2)
    mask = np.zeros((32, 32), dtype=bool)
    mask[13:17, 8:24] = True
    difference = filled(picture, mask, fill).astype(int) - picture
    assert np.abs(difference).max() < 15


@pytest.mark.parametrize("fill", FILLS)
def test_nothing_of_a_wholly_masked_picture_is_left(picture, fill):
    result = filled(picture, np.ones(picture.shape[:2], dtype=bool), fill)
    assert np.array_equal(result, np.full_like(picture, 0 if fill == "zero" else 128))
