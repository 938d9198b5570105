"""The band of the eyes holds every frame at every placement."""

import re

import numpy as np
import pytest
from worn_frames import EYES, samples_outside, worn

from glassguard.attack.accessories import GLASSES, accessory_mask
from glassguard.attack.shape_settings import PlacedShape, WornShape
from glassguard.guard.eye_band import EyeBand, eye_band
from glassguard.guard.settings import Placements

WORN = Placements(shift=4 / 224, rotation=4, scale=0.05)
EXACT = Placements(shift=0, rotation=0, scale=0)


def test_a_frame_that_does_not_move_has_the_band_of_its_drawing():
    band = eye_band(EXACT)
    # Hinges reach 1.02 to either side; lenses 0.34 above and below their centres, 0.06 down.
    assert band.half_width == pytest.approx(1.02, abs=0.011)
    assert band.top == pytest.approx(-0.28, abs=0.011)
    assert band.bottom == pytest.approx(0.40, abs=0.011)
    assert band.half_width >= 1.02
    assert (band.top, band.bottom) <= (-0.28, 0.40)
    assert band.bottom >= 0.40


def test_the_band_is_about_as_large_as_frames_need():
    band = eye_band(WORN)
    assert 1.05 < band.half_width < 1.15
    assert -0.42 < band.top < -0.32
    assert 0.42 < band.bottom < 0.52
    for size in (96, 112, 128, 224):
        assert 0.24 < band.masks(EYES[None] * size / 96, size).mean() < 0.32


@pytest.mark.parametrize("size", [96, 112, 128, 224])
def test_no_frame_reaches_beyond_the_band(size):
    generator = np.random.default_rng(size)
    band = eye_band(WORN)
    for turn in (0.0, 0.2, -0.35):
        eyes = EYES * size / 96
        middle = eyes.mean(axis=0)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        eyes = (eyes - middle) @ rotation.T + middle
        mask = band.masks(eyes[None], size)[0]
        frames = worn(WORN, eyes, size, 120, generator)
        assert samples_outside(mask, frames) == 0
        for frame in frames[:6]:
            drawn = accessory_mask(GLASSES, frame, size)
            assert drawn.any()
            assert not (drawn & ~mask).any()


def test_a_band_that_is_a_pixel_smaller_does_not_hold_every_frame():
    band = eye_band(WORN)
    pixel = 1 / 35.24
    for change in ({"half_width": -pixel}, {"top": pixel}, {"bottom": -pixel}):
        values = vars(band) | {key: vars(band)[key] + by for key, by in change.items()}
        mask = EyeBand(**values).masks(EYES[None], 96)[0]
        frames = worn(WORN, EYES, 96, 400, np.random.default_rng(1))
        assert samples_outside(mask, frames) > 0, change


def test_any_bounded_accessory_has_a_band():
    patch = PlacedShape(kind="patch", x=0.5, y=-1.0, width=0.4, height=0.6)
    band = eye_band(EXACT, shapes=(patch,))
    assert (band.half_width, band.top, band.bottom) == pytest.approx((0.7, -1.3, -0.7), abs=0.011)
    both = eye_band(EXACT, shapes=(patch, GLASSES))
    assert both.half_width == pytest.approx(1.02, abs=0.011)
    assert (both.top, both.bottom) == pytest.approx((-1.3, 0.4), abs=0.011)
    with pytest.raises(ValueError, match="shape whole: no part of a face"):
        eye_band(EXACT, shapes=(WornShape(kind="whole"),))


def test_a_margin_widens_every_side():
    narrow, wide = eye_band(WORN), eye_band(WORN, margin=0.2)
    assert wide.half_width - narrow.half_width == pytest.approx(0.2)
    assert (wide.bottom - narrow.bottom, narrow.top - wide.top) == pytest.approx((0.2, 0.2))
    with pytest.raises(ValueError, match="margin must be 0 or more: -1"):
        eye_band(WORN, margin=-1)


def test_a_band_has_the_pixels_that_it_touches():
    # Eyes 20 px apart: the band is from 29.7 to 69.3 across and from 39.7 to 54.7 down.
    band = EyeBand(half_width=0.99, top=-0.49, bottom=0.26, shift=0.0)
    eyes = np.array([[39.5, 49.5], [59.5, 49.5]])
    upright, turned = band.masks(np.stack([eyes, eyes[:, ::-1]]), 96)
    rows, columns = np.flatnonzero(upright.any(1)), np.flatnonzero(upright.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (40, 55, 30, 69)
    assert upright.sum() == len(rows) * len(columns)
    # With the left eye above the right one, down the face is leftwards.
    rows, columns = np.flatnonzero(turned.any(1)), np.flatnonzero(turned.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (30, 69, 44, 59)
    shifted = EyeBand(half_width=0.99, top=-0.49, bottom=0.26, shift=2 / 96).masks(eyes[None], 96)[
        0
    ]
    assert np.flatnonzero(shifted.any(1))[[0, -1]].tolist() == [38, 57]


@pytest.mark.parametrize(
    ("eyes", "message"),
    [
        (np.zeros((1, 2, 2)), "face 0: the two eyes are at the same place"),
        (np.full((1, 2, 2), np.nan), "eyes are N x 2 x 2 finite numbers"),
        (np.zeros((2, 2)), "eyes are N x 2 x 2 finite numbers"),
    ],
)
def test_eyes_that_are_nowhere_are_refused(eyes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        eye_band(EXACT).masks(eyes, 32)
