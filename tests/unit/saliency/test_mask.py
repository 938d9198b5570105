"""Saliency maps and masks against literal loops and properties that must hold."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from glassguard.influence.guided_backpropagation import guided_backpropagation
from glassguard.recognizer.network import FaceRecognizer
from glassguard.saliency.explanation import explainer
from glassguard.saliency.mask import (
    closed,
    components,
    exceeding,
    saliency_mask,
    threshold_levels,
    without_small_components,
)
from glassguard.saliency.relative_map import relative_maps
from glassguard.saliency.saliency_map import reduce_channels, saliency_maps, scale
from glassguard.saliency.settings import Explanation


def naive_mask(saliency, mu, mu_as, n, phi, kernel=3):
    level = mu if mu_as == "value" else np.quantile(saliency.astype(float), mu)
    mask = (saliency.astype(float) > level).astype(np.uint8)
    square = np.ones((kernel, kernel), np.uint8)
    for _ in range(n):
        mask = cv2.dilate(mask, square)
    for _ in range(n):
        mask = cv2.erode(mask, square)
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    for label in range(1, count):
        if (labels == label).sum() < phi:
            mask[labels == label] = 0
    return mask.astype(bool)


@pytest.fixture
def saliency():
    noise = np.random.default_rng(3).random((40, 33), dtype=np.float32)
    noise = cv2.GaussianBlur(noise, (5, 5), 1)
    return (noise - noise.min()) / (noise.max() - noise.min())


@pytest.fixture
def network():
    torch.manual_seed(0)
    return FaceRecognizer(
        identities=4, image_size=32, width=1 / 16, hidden=16, mean=(120, 110, 100), scale=128
    ).eval()


def test_saliency_map_is_the_scaled_guided_gradient_of_the_prediction(network):
    pixels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    maps, predicted = saliency_maps(network, pixels, channel_reduction="max_abs")
    assert torch.equal(predicted, network(pixels).argmax(dim=1))
    gradient = guided_backpropagation(network, pixels, predicted)
    expected = gradient.abs().amax(dim=1)
    for found, plain in zip(maps, expected, strict=True):
        assert found.min() == 0
        assert found.max() == 1
        torch.testing.assert_close(found, (plain - plain.min()) / (plain.max() - plain.min()))


def test_guided_gradients_of_the_likeliest_classes_are_added_up(network):
    pixels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    maps, predicted = saliency_maps(network, pixels, channel_reduction="max", top_classes=2)
    likeliest = network(pixels).topk(2, dim=1).indices
    assert torch.equal(predicted, likeliest[:, 0])
    gradient = sum(guided_backpropagation(network, pixels, likeliest[:, i]) for i in (0, 1))
    torch.testing.assert_close(maps, scale(gradient.amax(dim=1)))
    assert not torch.equal(maps, saliency_maps(network, pixels, channel_reduction="max")[0])
    with pytest.raises(ValueError, match="5 classes of a network that has 4"):
        saliency_maps(network, pixels, top_classes=5)


def test_relative_maps_divide_evidence_by_sensitivity(network):
    pixels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    layer = network.slice_modules()["conv4_1"]
    maps, predicted = relative_maps(network, layer, pixels, blur=0.0, floor=0.1)
    leaf = pixels.clone().requires_grad_(True)
    before, behind = [], []
    for module in network.features:
        (behind if module is layer or behind else before).append(module)
    z = nn.Sequential(network.normalisation, *before, layer)(leaf)
    logits = network.classifier(network.flatten(nn.Sequential(*behind[1:])(z)))
    first, second = logits.topk(2, dim=1).values.T
    of_layer, of_pixels = torch.autograd.grad((first - second).sum(), (z, leaf))
    evidence = nn.functional.interpolate(
        (z * of_layer.clamp(min=0)).sum(1, keepdim=True), size=(32, 32), mode="bilinear"
    )[:, 0]
    sensitivity = of_pixels.abs().amax(1)
    expected = evidence / (sensitivity + 0.1 * sensitivity.mean((1, 2), keepdim=True))
    assert torch.equal(predicted, logits.argmax(1))
    torch.testing.assert_close(maps, scale(expected.detach()))
    assert torch.equal(maps.amax((1, 2)), torch.ones(3))
    blurred, _ = relative_maps(network, layer, pixels, blur=0.1, floor=0.1)
    assert not torch.allclose(blurred, maps, atol=0.05)
    divisor = np.stack([cv2.GaussianBlur(one, (0, 0), 3.2) for one in sensitivity.numpy()])
    divisor = torch.from_numpy(divisor)
    divisor = divisor + 0.1 * divisor.mean((1, 2), keepdim=True)
    torch.testing.assert_close(blurred, scale((evidence / divisor).detach()))
    assert not layer._forward_hooks


def test_the_explainer_passes_on_what_each_kind_of_map_asks_for(network):
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    settings = Explanation(
        top_classes=2,
        channel_reduction="mean_abs",
        relative={"slice": "conv3_1", "blur": 0.07, "floor": 0.2},
    )
    guided = saliency_maps(network, pixels, channel_reduction="mean_abs", top_classes=2)
    layer = network.slice_modules()["conv3_1"]
    relative = relative_maps(network, layer, pixels, blur=0.07, floor=0.2)
    for kind, expected in (("guided", guided), ("relative", relative)):
        for found, one in zip(explainer(network, kind, settings)(pixels), expected, strict=True):
            assert torch.equal(found, one)


def test_relative_maps_of_a_decision_that_no_pixel_moves_are_zeros():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 2, 1)

        def forward(self, pixels):
            return self.layer(pixels).flatten(1)[:, :2] * 0

    network = Constant().eval()
    maps, _ = relative_maps(network, network.layer, torch.rand(2, 3, 8, 8), blur=0.0, floor=0.05)
    assert torch.equal(maps, torch.zeros(2, 8, 8))


def test_a_picture_without_gradient_has_a_map_of_zeros():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, pixels):
            pixels = self.relu(pixels)
            return torch.stack([pixels.sum(dim=(1, 2, 3)) * 0, pixels.flatten(1).mean(1)], dim=1)

    # Every pixel has the same influence: there is no contrast to threshold.
    maps, _ = saliency_maps(Constant().eval(), torch.rand(2, 3, 8, 8))
    assert torch.equal(maps, torch.zeros(2, 8, 8))


def test_channel_reductions():
    gradient = torch.tensor([1.0, -4.0, 2.0]).reshape(1, 3, 1, 1)
    found = {
        kind: reduce_channels(gradient, kind).item()
        for kind in ("max_abs", "mean_abs", "sum_abs", "max")
    }
    assert found == pytest.approx({"max_abs": 4, "mean_abs": 7 / 3, "sum_abs": 7, "max": 2})
    with pytest.raises(ValueError, match="no channel reduction 'median'"):
        reduce_channels(gradient, "median")


def test_scaling_handles_negative_and_flat_maps():
    maps = torch.tensor([[[-2.0, 0.0], [2.0, -1.0]], [[5.0, 5.0], [5.0, 5.0]]])
    expected = torch.tensor([[[0.0, 0.5], [1.0, 0.25]], [[0.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(scale(maps), expected)


@pytest.mark.parametrize("mu_as", ["value", "quantile"])
@pytest.mark.parametrize("n", [0, 1, 3, 8, 25])
@pytest.mark.parametrize("kernel", [3, 5])
def test_mask_equals_the_literal_loop(saliency, mu_as, n, kernel):
    for mu in (0.3, 0.6, 0.9, 0.98):
        for phi in (0, 1, 4, 30, 2000):
            mask = saliency_mask(saliency, mu=mu, mu_as=mu_as, n=n, phi=phi, kernel=kernel)
            assert np.array_equal(mask, naive_mask(saliency, mu, mu_as, n, phi, kernel))


def test_value_and_quantile_thresholds(saliency):
    assert threshold_levels(saliency, (0.2, 0.7), "value") == [0.2, 0.7]
    (level,) = threshold_levels(saliency, (0.9,), "quantile")
    assert exceeding(saliency, level).mean() == pytest.approx(0.1, abs=1 / saliency.size)
    # As a quantile the threshold follows the map's order only, as a value it follows its scale.
    darker = (saliency / 4).astype(np.float32)
    (darker_level,) = threshold_levels(darker, (0.9,), "quantile")
    assert np.array_equal(exceeding(darker, darker_level), exceeding(saliency, level))
    assert not exceeding(darker, 0.5).any()
    with pytest.raises(ValueError, match="value or quantile"):
        threshold_levels(saliency, (0.5,), "rank")


def test_only_what_exceeds_the_threshold_is_masked():
    saliency = np.array([[0.5, 0.25], [0.75, 0.5]], dtype=np.float32)
    assert exceeding(saliency, 0.5).tolist() == [[False, False], [True, False]]
    flat = np.zeros((6, 6), dtype=np.float32)
    assert not saliency_mask(flat, mu=0.5, mu_as="quantile", n=3, phi=0).any()


def test_closing_fills_holes_and_keeps_regions_at_the_border():
    mask = np.zeros((12, 12), dtype=bool)
    mask[2:7, 2:7] = True
    mask[4, 4] = False
    whole = mask.copy()
    whole[4, 4] = True
    assert np.array_equal(closed(mask, 1), whole)
    corner = np.zeros((12, 12), dtype=bool)
    corner[0, 0] = corner[11, 3] = True
    # The outside does not erode what touches it.
    assert closed(corner, 2)[0, 0]
    assert closed(corner, 2)[11, 3]
    assert np.array_equal(closed(corner, 0), corner)
    with pytest.raises(ValueError, match="odd"):
        closed(mask, 1, kernel=4)


def test_components_touch_at_corners_and_are_counted_in_pixels():
    mask = np.zeros((8, 8), dtype=bool)
    mask[0, 0] = mask[1, 1] = mask[2, 2] = True  # one component of three pixels
    mask[5:7, 5:7] = True  # one of four
    _, areas = components(mask)
    assert sorted(areas.tolist()) == [0, 3, 4]
    assert without_small_components(mask, 3).sum() == 7
    assert without_small_components(mask, 4).sum() == 4
    assert not without_small_components(mask, 5).any()
    assert np.array_equal(without_small_components(mask, 0), mask)
