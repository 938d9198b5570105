"""Frames on benign pictures."""

import numpy as np
import pytest
from attack.small_attacks import HEIGHT, MASK_FORMS, WIDTH, frames

from glassguard.attack.accessories import frame_masks
from glassguard.attack.controls import (
    KINDS,
    framed_copies,
    honest_wearers,
    random_texture,
    wear,
)

EYES_AT_96 = np.array([[30.29, 41.7], [65.53, 41.5]])


def test_wearing_changes_the_frame_only():
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    masks = frame_masks(np.stack([EYES_AT_96, EYES_AT_96 + 2]), 96)
    worn = wear(images, masks, np.array([255, 255, 0], dtype=np.uint8))
    assert np.array_equal(worn[~masks], images[~masks])
    assert (worn[masks] == [255, 255, 0]).all()
    texture = random_texture(2, 96, generator=np.random.default_rng(1))
    assert texture.std() > 50
    assert not np.array_equal(texture[0], texture[1])


@pytest.mark.parametrize(
    ("images", "masks", "texture", "said"),
    [
        ((2, 4, 5, 3, "float32"), (2, 4, 5, "bool"), (3, "uint8"), "images must be uint8: float32"),
        ((2, 4, 5, "uint8"), (2, 4, 5, "bool"), (3, "uint8"), "images must be N x height"),
        ((2, 4, 5, 3, "uint8"), (2, 4, 5, "bool"), (3, "float64"), "texture must be uint8"),
        ((2, 4, 5, 3, "uint8"), (2, 4, 5, "bool"), (4, "uint8"), r"shape \(4,\) does not fit"),
        ((2, 4, 5, 3, "uint8"), (2, 5, 4, "bool"), (3, "uint8"), "masks are 4 x 5.*: 2 x 5 x 4"),
    ],
)
def test_only_stored_pictures_wear(images, masks, texture, said):
    arrays = [np.ones(shape[:-1], dtype=shape[-1]) for shape in (images, masks, texture)]
    with pytest.raises(ValueError, match=said):
        wear(*arrays)


@pytest.mark.parametrize("form", MASK_FORMS)
@pytest.mark.parametrize("number_type", ["bool", "uint8", "float32"])
def test_wearing_takes_every_form_of_mask(form, number_type):
    images = np.zeros((2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    masks = MASK_FORMS[form](frames(2)).numpy()
    worn = wear(images, masks.astype(number_type), np.array([7, 8, 9], dtype=np.uint8))
    assert worn.shape == images.shape
    everywhere = np.broadcast_to(masks.reshape(-1, HEIGHT, WIDTH), (2, HEIGHT, WIDTH))
    assert (worn[everywhere] == [7, 8, 9]).all()
    assert not worn[~everywhere].any()


def test_both_kinds_of_frame_go_to_the_same_pictures():
    images = np.random.default_rng(0).integers(0, 256, (9, 96, 96, 3), dtype=np.uint8)
    splits = np.array(["train", "val", "test"] * 3)
    plain, random = (
        honest_wearers(
            images,
            splits,
            np.repeat(EYES_AT_96[None], 9, 0),
            kind=kind,
            limits={"val": 1, "test": 9},
            colour=(1, 1, 0),
            seed=0,
        )
        for kind in KINDS
    )
    assert splits[plain.rows].tolist() == ["val", "test", "test", "test"]
    assert np.array_equal(plain.rows, random.rows)
    assert np.array_equal(plain.frames, random.frames)
    for wearers in (plain, random):
        bare = images[wearers.rows]
        assert np.array_equal(wearers.images[~wearers.frames], bare[~wearers.frames])
    assert (plain.images[plain.frames] == [255, 255, 0]).all()
    assert len(np.unique(random.images[random.frames], axis=0)) > 100


def test_training_copies_wear_plain_and_random_frames_in_turn():
    images = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    eyes = np.repeat(EYES_AT_96[None], 4, 0)
    copies = list(framed_copies(images, eyes, copies=2, seed=3))
    assert len(copies) == 2
    masks = frame_masks(eyes, 96)
    plain = []
    for copy in copies:
        assert np.array_equal(copy[~masks], images[~masks])
        colours = [len(np.unique(one[mask], axis=0)) for one, mask in zip(copy, masks, strict=True)]
        plain.append([count == 1 for count in colours])
    assert plain == [[True, False, True, False], [False, True, False, True]]
    again = list(framed_copies(images, eyes, copies=2, seed=3))
    assert np.array_equal(copies, again)
    assert not np.array_equal(copies, list(framed_copies(images, eyes, copies=2, seed=4)))
    assert list(framed_copies(images, eyes, copies=0, seed=3)) == []
