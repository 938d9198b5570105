"""Where frames and other accessories sit on a face."""

import re

import numpy as np
import pytest
from shipped import section

from glassguard.attack.accessories import GLASSES, accessory_mask, accessory_masks, frame_masks
from glassguard.attack.shape_settings import PlacedShape, WornShape

EYES_AT_96 = np.array([[30.29, 41.7], [65.53, 41.5]])


@pytest.mark.parametrize("size", [64, 96, 112, 224])
def test_frame_covers_what_the_source_covers(size):
    mask = accessory_mask(GLASSES, EYES_AT_96 * size / 96, size)
    assert abs(mask.mean() - 0.0672) < 0.01
    columns = np.flatnonzero(mask.any(0)) / size
    rows = np.flatnonzero(mask.any(1)) / size
    assert abs((columns.max() - columns.min()) - (193 - 29) / 224) < 0.03
    assert abs((rows.max() - rows.min()) - (111 - 56) / 224) < 0.03
    eyes = np.round(EYES_AT_96 * size / 96).astype(int)
    assert not mask[eyes[:, 1], eyes[:, 0]].any(), "one looks through the lenses"


def test_frame_follows_the_eyes():
    upright = accessory_mask(GLASSES, np.array([[35.0, 48.0], [61.0, 48.0]]), 96)
    turned = accessory_mask(GLASSES, np.array([[47.0, 35.0], [47.0, 61.0]]), 96)
    assert (np.rot90(upright, -1) ^ turned).mean() < 0.01
    moved = accessory_mask(GLASSES, np.array([[38.0, 53.0], [64.0, 53.0]]), 96)
    assert np.array_equal(np.roll(upright, (5, 3), (0, 1)), moved)
    with pytest.raises(ValueError, match="same place"):
        accessory_mask(GLASSES, np.zeros((2, 2)), 96)


def placed(kind, **changes):
    return PlacedShape.model_validate(section(f"attack/{kind}", shape=changes)["shape"])


@pytest.mark.parametrize("kind", ["sticker", "patch", "band"])
@pytest.mark.parametrize("size", [64, 96, 224])
def test_shipped_accessories_are_as_large_as_the_frame_and_in_the_picture(kind, size):
    mask = accessory_mask(placed(kind), EYES_AT_96 * size / 96, size)
    assert abs(mask.mean() - 0.0672) < 0.01
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()


def test_an_accessory_is_where_it_is_put():
    eyes = np.array([[39.5, 49.5], [59.5, 49.5]])
    patch = accessory_mask(placed("patch", x=-1.0, y=0.5, width=0.5, height=1.0), eyes, 96)
    rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
    assert (len(rows), len(columns), patch.sum()) == (20, 10, 200)
    assert (rows.mean(), columns.mean()) == (59.5, 29.5)
    sticker = accessory_mask(placed("sticker", x=0.0, y=0.0, width=1.0, height=1.0), eyes, 96)
    assert sticker.sum() == pytest.approx(np.pi * 100, rel=0.03)
    turned = accessory_mask(
        placed("patch", x=-1.0, y=0.5, width=0.5, height=1.0),
        np.array([[49.5, 39.5], [49.5, 59.5]]),
        96,
    )
    assert np.flatnonzero(turned.any(1)).mean() == 29.5
    assert np.flatnonzero(turned.any(0)).mean() == 39.5


def test_glasses_and_the_whole_picture_are_shapes_as_well():
    eyes = np.stack([EYES_AT_96, EYES_AT_96 + 2])
    glasses = accessory_masks(WornShape(kind="glasses"), eyes, 96)
    assert np.array_equal(glasses, frame_masks(eyes, 96))
    assert accessory_masks(WornShape(kind="whole"), eyes, 96).all()


def test_eyes_that_are_nowhere_are_refused():
    with pytest.raises(ValueError, match=re.escape("eyes are not finite: [nan, 1.0]")):
        frame_masks(np.array([[[np.nan, 1.0], [2.0, 1.0]]]), 32)
