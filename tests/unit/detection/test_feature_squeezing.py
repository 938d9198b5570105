"""Feature squeezing against its definitions."""

import numpy as np
import torch
from scipy.ndimage import median_filter
from torch import nn

from glassguard.detection.feature_squeezing import (
    FeatureSqueezing,
    fewer_bits,
    median_smoothed,
)


def test_fewer_bits() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert np.unique(fewer_bits(every, 1)).tolist() == [0, 255]
    for bits in range(1, 8):
        found = fewer_bits(every, bits)
        assert len(np.unique(found)) == 2**bits
        assert np.array_equal(fewer_bits(found, bits), found)
        assert np.abs(found.astype(int) - every).max() <= 128 / (2**bits - 1) + 1


def test_median_is_that_of_scipy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 17, 3), dtype=np.uint8)
    for side in (3, 5, 7):
        expected = median_filter(image, size=(side, side, 1), mode="nearest")
        assert np.array_equal(median_smoothed(image, side), expected)


class RedAgainstGreen(nn.Module):
    """Logits: the sharpest red and the sharpest green pixel."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return 20 * pixels[:, :2].amax(dim=(2, 3))


def test_an_answer_that_hangs_on_one_pixel_moves() -> None:
    images = np.full((3, 12, 12, 3), 40, dtype=np.uint8)
    images[0, 5, 5, 0] = 255
    images[1, 2:9, 2:9, 0] = 255
    network = RedAgainstGreen().eval()
    with torch.inference_mode():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        logits = network(pixels).numpy()
    score = FeatureSqueezing(bits=5, median=3)
    one = score(network, images, logits, batch_size=2)
    assert one[0] > 0.9
    assert one[1:].max() < 0.05
    # The largest over the squeezers, each by itself.
    answer = torch.from_numpy(logits).softmax(dim=1)
    smooth = np.stack([median_smoothed(image, 3) for image in images])
    alone = [
        (answer - network(torch.from_numpy(squeezed).permute(0, 3, 1, 2) / 255).softmax(dim=1))
        .abs()
        .sum(dim=1)
        .numpy()
        for squeezed in (fewer_bits(images, 5), smooth)
    ]
    assert np.allclose(one, np.maximum(*alone), atol=1e-6)
    assert score(network, images[:0], logits[:0], batch_size=2).shape == (0,)
