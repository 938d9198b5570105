"""Circumstances of worn glasses, and the stand-in for the JPEG codec."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glassguard.attack.jpeg import soft_jpeg
from glassguard.attack.settings import Transformations
from glassguard.attack.success import through_jpeg
from glassguard.attack.transformations import KINDS, draw, only, seen_under
from glassguard.recognizer.network import to_images, to_pixels

NONE = Transformations(**(dict.fromkeys(KINDS, 0) | {"jpeg": 100}))
ALL = Transformations(
    shift=0.05,
    rotation=5,
    scale=0.1,
    perspective=0.1,
    print_colour=0.05,
    brightness=0.1,
    contrast=0.2,
    blur=1.0,
    resolution=0.4,
    noise=0.05,
    alignment=0.03,
    jpeg=60,
)
SIZE = 48


def sources(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, one]) for one in range(count)]


def smooth_face(size: int = SIZE) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 3).clip(0, 255).astype(np.uint8)


def scene(count: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    faces = to_pixels(torch.from_numpy(np.stack([smooth_face()] * count)))
    masks = torch.zeros(count, 1, SIZE, SIZE, dtype=torch.bool)
    masks[:, :, 16:28, 8:40] = True
    colour = torch.tensor([0.8, 0.1, 0.3]).view(1, 3, 1, 1)
    return torch.where(masks, colour, faces), faces, masks


def seen(transformations: Transformations, count: int = 3, **how: object) -> torch.Tensor:
    worn, faces, masks = scene(count)
    return seen_under(
        draw(transformations, sources(count), (SIZE, SIZE)), worn, faces, masks, **how
    )


def test_nothing_is_changed_when_nothing_is_asked_for():
    assert torch.equal(seen(NONE), scene()[0])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_pictures_by_its_own_draws_and_lets_gradients_pass(kind):
    worn, faces, masks = scene()
    worn.requires_grad_(True)
    drawn = draw(only(ALL, kind), sources(3), (SIZE, SIZE))
    found = seen_under(drawn, worn, faces, masks)
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found != worn).flatten(1).any(dim=1).all()
    assert len(found.detach().flatten(1).unique(dim=0)) == 3
    (gradient,) = torch.autograd.grad(found.sum(), worn)
    assert gradient.isfinite().all()
    assert gradient[masks.expand_as(gradient)].abs().mean() > 0.1
    assert not gradient[~masks.expand_as(gradient)].any() or kind not in ("shift", "rotation")


def test_only_the_frame_is_read_and_moved_by_its_placement():
    worn, faces, masks = scene(1)
    far = only(ALL, "shift")
    drawn = draw(far, sources(1), (SIZE, SIZE))
    found = seen_under(drawn, worn, faces, masks)
    elsewhere = torch.where(masks, worn, torch.rand(worn.shape))
    assert torch.equal(seen_under(drawn, elsewhere, faces, masks), found)
    changed = (found != faces).any(dim=1)[0].nonzero()
    assert changed.min(dim=0).values.tolist() >= [16 - 3, 8 - 3]
    assert changed.max(dim=0).values.tolist() <= [28 + 3, 40 + 3]


def test_a_shift_moves_the_frame_as_opencv_does():
    worn, faces, masks = scene(1)
    drawn = draw(only(ALL, "shift"), sources(1), (SIZE, SIZE))
    x, y = np.random.default_rng([0, 0]).uniform(-1, 1, 2) * 0.05 * SIZE
    layers = np.dstack([masks[0, 0].numpy().astype(np.float32)] * 3)
    matrix = np.array([[1, 0, x], [0, 1, y]])
    alpha = cv2.warpAffine(layers, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    frame = cv2.warpAffine(
        layers * worn[0].permute(1, 2, 0).numpy(), matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR
    )
    expected = frame + (1 - alpha) * faces[0].permute(1, 2, 0).numpy()
    found = seen_under(drawn, worn, faces, masks)[0].permute(1, 2, 0).numpy()
    # OpenCV interpolates in steps of 1/32 of a pixel.
    assert np.abs(found - expected).max() < 0.04
    assert np.abs(found - expected).mean() < 0.002


def test_blur_is_gaussian():
    blurred = seen(only(ALL, "blur"), 1)[0].permute(1, 2, 0).numpy()
    deviation = abs(np.random.default_rng([0, 0]).uniform(-1, 1, 21)[18])
    worn = scene(1)[0][0].permute(1, 2, 0).contiguous().numpy()
    peer = cv2.GaussianBlur(worn, (7, 7), deviation, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(blurred, peer, atol=1e-4)


def test_a_picture_meets_the_same_whatever_is_beside_it():
    worn, faces, masks = scene(3)
    together = seen_under(draw(ALL, sources(3), (SIZE, SIZE)), worn, faces, masks)
    alone = seen_under(draw(ALL, sources(3)[2:], (SIZE, SIZE)), worn[2:], faces[2:], masks[2:])
    torch.testing.assert_close(together[2:], alone, atol=1e-6, rtol=0)


def test_the_soft_codec_is_close_to_the_real_one():
    picture = smooth_face()[None]
    for quality in (60, 75, 95):
        real = through_jpeg(picture, quality).astype(float)
        soft = to_images(soft_jpeg(to_pixels(torch.from_numpy(picture)), torch.tensor([quality])))
        lost = np.abs(real - picture).mean()
        assert np.abs(soft.numpy() - real).mean() < max(1.0, lost)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 100))
def test_pictures_of_any_size_are_compressed(height, width, quality):
    pixels = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    found = soft_jpeg(pixels, torch.tensor([quality, 100]))
    assert found.shape == pixels.shape
    assert (found[1] - pixels[1]).abs().mean() < 0.25
