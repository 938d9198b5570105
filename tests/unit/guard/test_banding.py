"""The banded recognizer sees the same picture whatever is painted in the band."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from worn_frames import EYES

from glassguard.guard.banded_pixels import banded_pixels
from glassguard.guard.banding import banded
from glassguard.guard.eye_band import eye_band
from glassguard.guard.settings import Placements
from glassguard.recognizer.network import FaceRecognizer, channels_last
from glassguard.saliency.evaluation import classify

WORN = Placements(shift=4 / 224, rotation=4, scale=0.05)
BAND = eye_band(WORN).masks(EYES[None], 96)[0]


def test_the_fill_is_the_rounded_mean_of_the_rest():
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    (found,) = banded(image[None], BAND[None])
    rest = image[~BAND].astype(object)
    # Integers: no sum depends on the order of its terms.
    exact = [(2 * sum(channel) + len(rest)) // (2 * len(rest)) for channel in rest.T]
    assert found[BAND].tolist() == [exact] * int(BAND.sum())
    assert np.array_equal(found[~BAND], image[~BAND])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pictures_that_differ_in_the_band_become_equal(seed):
    generator = np.random.default_rng(seed)
    first, second = generator.integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    second[~BAND] = first[~BAND]
    assert not np.array_equal(first, second)
    one, other = banded(np.stack([first, second]), np.stack([BAND, BAND]))
    assert np.array_equal(one, other)
    pixels = torch.from_numpy(np.stack([first, second])).permute(0, 3, 1, 2).float() / 255
    one, other = banded_pixels(pixels, torch.from_numpy(BAND))
    assert torch.equal(one, other)


def test_answers_are_equal_to_the_bit_for_ten_thousand_textures():
    generator = np.random.default_rng(1)
    torch.manual_seed(0)
    network = FaceRecognizer(
        identities=4, image_size=96, width=0.0625, hidden=8, mean=(127.5,) * 3, scale=127.5
    )
    channels_last(network).eval()
    image = generator.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    reference = banded(image[None], BAND[None])[0]
    textured = np.repeat(image[None], 64, axis=0)
    answers = None
    for start in range(0, 10_048, 64):
        textured[:, BAND] = generator.integers(0, 256, (64, int(BAND.sum()), 3), dtype=np.uint8)
        hidden = banded(textured, np.repeat(BAND[None], 64, axis=0))
        assert (hidden == reference).all()
        if start % 2048 == 0:
            seen = classify(network, hidden, batch_size=64)
            confidences = {seen.confidences.tobytes(), np.float32(seen.confidences[:1]).tobytes()}
            assert len({*seen.classes.tolist()}) == 1
            answers = answers or confidences
            assert confidences == answers


def test_no_gradient_reaches_the_band():
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    pixels.requires_grad_(True)
    weights = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    (banded_pixels(pixels, torch.from_numpy(BAND)) * weights).sum().backward()
    inside = torch.from_numpy(BAND)
    assert not pixels.grad[..., inside].any()
    # Each pixel outside also moves the fill, by its share of the mean.
    share = weights[..., inside].sum(dim=-1) / (~inside).sum()
    expected = weights[..., ~inside] + share[..., None]
    assert torch.allclose(pixels.grad[..., ~inside], expected, rtol=1e-4)


def test_what_is_no_number_in_the_band_is_hidden_too():
    pixels = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    spoilt = pixels.clone()
    spoilt[..., torch.from_numpy(BAND)] = torch.nan
    assert torch.equal(*(banded_pixels(one, torch.from_numpy(BAND)) for one in (pixels, spoilt)))


def test_a_band_leaves_something_to_see():
    with pytest.raises(ValueError, match="a band leaves at least one pixel"):
        banded_pixels(torch.rand(1, 3, 4, 4), torch.ones(4, 4, dtype=torch.bool))
