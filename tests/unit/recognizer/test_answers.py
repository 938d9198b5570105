"""Every caller asks a network in its own number type, and refuses answers that are no logits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from glassguard.detection.activations import activation_profiles
from glassguard.detection.feature_squeezing import (
    FeatureSqueezing,
    fewer_bits,
    median_smoothed,
)
from glassguard.recognizer.answers import finite_logits, weights_like
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.network import FaceRecognizer, pixels_for, to_images, to_pixels
from glassguard.saliency.classification import probabilities
from glassguard.saliency.fill import FILLS, filled
from glassguard.saliency.relative_map import relative_maps
from glassguard.saliency.saliency_map import saliency_maps

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SIDE, CLASSES = 32, 4


def recognizer() -> FaceRecognizer:
    torch.manual_seed(0)
    network = FaceRecognizer(
        identities=CLASSES, image_size=SIDE, width=1 / 16, hidden=16, mean=(120,) * 3, scale=128
    ).eval()
    for module in network.modules():
        # As small as torch starts with, gradients vanish in half precision.
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    return network


def stored(count: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.integers(0, 255, (count, SIDE, SIDE, 3), dtype=np.uint8)


def explained(network, pixels):
    return saliency_maps(network, pixels)


def weighed(network, pixels):
    layer = network.slice_modules()["conv3_1"]
    return relative_maps(network, layer, pixels, blur=0.05, floor=0.1)


def classified(network, images):
    return np.reshape(list(probabilities(network, images, batch_size=2)), (-1, CLASSES))


def profiled(network, images):
    slices = {"conv3_1": network.features.relu3_1}
    return activation_profiles(network, slices, images, batch_size=2).logits


def squeezed(network, images):
    logits = np.zeros((len(images), CLASSES), dtype=np.float32)
    return FeatureSqueezing(bits=5, median=3)(network, images, logits, batch_size=2)


MAPS = [explained, weighed]
ANSWERS = [classified, profiled, squeezed, probabilities_of]


@settings(max_examples=30)
@given(
    of_pixels=st.sampled_from(FLOATS),
    of_network=st.sampled_from(FLOATS),
    asked=st.sampled_from(MAPS),
    count=st.integers(0, 3),
)
def test_maps_are_float32_whatever_the_number_types(of_pixels, of_network, asked, count):
    pixels = to_pixels(torch.from_numpy(stored(count)))
    network = recognizer()
    expected, classes = asked(network, pixels)
    found, predicted = asked(network.to(of_network), pixels.to(of_pixels))
    assert (found.dtype, predicted.dtype) == (torch.float32, torch.int64)
    assert found.shape == (count, SIDE, SIDE)
    # Eight bits of precision carry a gradient through thirteen layers as well as they can.
    coarse = torch.bfloat16 in (of_pixels, of_network)
    if not coarse:
        assert torch.equal(predicted, classes)
    assert (found - expected).abs().mean().nan_to_num() < (0.06 if coarse else 0.01)


@pytest.mark.parametrize("of_network", FLOATS)
@pytest.mark.parametrize("asked", ANSWERS)
def test_answers_are_float32_whatever_the_network_is(asked, of_network):
    expected = asked(recognizer(), stored(5))
    found = asked(recognizer().to(of_network), stored(5))
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=0.02)
    assert asked(recognizer().to(of_network), stored(0)).shape == expected[:0].shape


@pytest.mark.parametrize("asked", MAPS)
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda x: x * 255, r"pixels are in \[0, 1\]; picture 0: values from 0 to 25\d"),
        (lambda x: x - 0.5, r"pixels are in \[0, 1\]; picture 0: values from -0.5 to 0\.49"),
        (lambda x: x.where(x > 0, torch.nan), r"picture 0: \d+ of 3072 values are not finite"),
        (lambda x: x.mul(255).byte(), "pixels are floating point.*torch.uint8"),
        (lambda x: x[0], "pixels are floating point.*: torch.float32, 3 x 32 x 32"),
        (lambda x: x.numpy(), "pixels are a tensor, not a ndarray"),
    ],
)
def test_maps_of_what_is_no_picture_are_refused(asked, spoil, said):
    with pytest.raises(ValueError, match=said):
        asked(recognizer(), spoil(to_pixels(torch.from_numpy(stored(2)))))


@pytest.mark.parametrize("asked", [*MAPS, *ANSWERS])
def test_a_network_in_training_mode_is_refused_everywhere(asked):
    network = recognizer()
    network.classifier.dropout6.train()
    images = stored(3)
    with pytest.raises(ValueError, match=r"FaceRecognizer is in training mode: call eval\(\)"):
        asked(network, to_pixels(torch.from_numpy(images)) if asked in MAPS else images)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("asked", [*MAPS, *ANSWERS])
@pytest.mark.parametrize("odd", [0, 3, 4])
def test_logits_that_are_not_finite_are_refused_with_the_picture(asked, value, odd):
    class Odd(FaceRecognizer):
        def forward(self, pixels):
            white = (pixels.flatten(1).mean(dim=1) == 1)[:, None]
            return torch.where(white, value, super().forward(pixels))

    network = recognizer()
    network.__class__ = Odd
    images = stored(5)
    images[odd] = 255
    with pytest.raises(ValueError, match=f"logits: not finite at picture {odd}"):
        asked(network, to_pixels(torch.from_numpy(images)) if asked in MAPS else images)


@pytest.mark.parametrize("asked", MAPS)
def test_maps_need_a_gradient_that_is_finite_and_leads_to_the_pixels(asked):
    class Broken(FaceRecognizer):
        def forward(self, pixels):
            root = (pixels - pixels).sum(dim=(1, 2, 3)).sqrt()[:, None]
            return super().forward(pixels) + root * 0

    class Cut(FaceRecognizer):
        def forward(self, pixels):
            return super().forward(pixels.detach())

    pixels = to_pixels(torch.from_numpy(stored(2)))
    for kind, said in (
        (Broken, "the (guided gradient|gradient at the pixels): not finite at pictures 0, 1"),
        (Cut, "do not depend on the pixels by any gradient; gradients stop"),
    ):
        network = recognizer()
        network.__class__ = kind
        with pytest.raises(ValueError, match=said):
            asked(network, pixels)


def test_a_layer_that_says_nothing_about_the_picture_is_refused():
    network = recognizer()
    pixels = to_pixels(torch.from_numpy(stored(2)))
    for layer, said in (
        (nn.ReLU(), "the layer is not run by the network"),
        (network.classifier.relu6, "the layer gives N x filters x h x w, not"),
    ):
        with pytest.raises(ValueError, match=said):
            relative_maps(network, layer, pixels, blur=0.0, floor=0.1)
    with pytest.raises(ValueError, match="0 classes of a network that has 4"):
        saliency_maps(network, pixels, top_classes=0)


@pytest.mark.parametrize("asked", MAPS)
def test_maps_in_inference_mode_are_the_same_and_leave_the_pictures_alone(asked):
    class InPlace(FaceRecognizer):
        def forward(self, pixels):
            return super().forward(pixels.mul_(0.5).mul_(2.0))

    network = recognizer()
    pixels = to_pixels(torch.from_numpy(stored(2)))
    expected, _ = asked(network, pixels)
    network.__class__ = InPlace
    with torch.inference_mode():
        given_pixels = to_pixels(torch.from_numpy(stored(2)))
        found, _ = asked(network, given_pixels)
        assert torch.equal(given_pixels, pixels)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("odd", [0, 1, 4])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda image: image / 255, r"float64, \(32, 32, 3\)"),
        (lambda image: image.astype(np.int64), r"int64, \(32, 32, 3\)"),
        (lambda image: image[:1], r"uint8, \(1, 32, 3\)"),
        (lambda image: image[0, 0], r"uint8, \(3,\)"),
    ],
)
def test_a_stream_holds_stored_pictures_of_one_size(odd, spoil, said):
    images = list(stored(5))
    images[odd] = spoil(images[odd])
    if odd == 0 and images[0].dtype == np.uint8:
        odd = 1  # The first picture says how large they are.
        said = "uint8"
    with pytest.raises(ValueError, match=f"pictures are uint8.*picture {odd}: {said}"):
        list(probabilities(recognizer(), images, batch_size=2))
    with pytest.raises(ValueError, match="a batch has at least one picture: 0"):
        list(probabilities(recognizer(), images, batch_size=0))


def test_squeezing_asks_about_the_pictures_that_the_logits_are_of():
    network, images = recognizer(), stored(3)
    logits = np.zeros((3, CLASSES), dtype=np.float32)

    def distance(images, logits):
        return FeatureSqueezing(bits=5, median=3)(network, images, logits, batch_size=2)

    with pytest.raises(ValueError, match=r"\(1, 4\) to 3 pictures"):
        distance(images, logits[:1])
    with pytest.raises(ValueError, match="logits of 1 classes; the network has 4"):
        distance(images, logits[:, :1])
    logits[2, 1] = np.nan
    with pytest.raises(ValueError, match="logits: not finite at picture 2"):
        distance(images, logits)
    with pytest.raises(ValueError, match="pictures are uint8: float64"):
        distance(images / 255, np.zeros((3, CLASSES), dtype=np.float32))
    for bits in (0, 8, -1):
        with pytest.raises(ValueError, match=f"bits must be 1 to 7: {bits}"):
            fewer_bits(images, bits)
    for side in (0, 2, -3):
        with pytest.raises(ValueError, match=f"the window's side must be odd: {side}"):
            median_smoothed(images[0], side)


@pytest.mark.parametrize("fill", FILLS)
def test_filling_takes_a_mask_of_truth_values_alone(fill):
    image = stored(1)[0]
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[4:9] = True
    assert (filled(image, mask, fill)[~mask] == image[~mask]).all()
    for other in (mask.astype(np.uint8), mask.astype(float), mask[:, :1], mask[..., None]):
        with pytest.raises(ValueError, match="its mask H x W bool"):
            filled(image, other, fill)
    with pytest.raises(ValueError, match="a picture is H x W x 3 uint8"):
        filled(image / 255, mask, fill)


def test_pictures_are_stored_only_from_their_scale():
    images = torch.from_numpy(stored(2))
    for number_type in FLOATS:
        assert torch.equal(to_images(to_pixels(images).to(number_type)), images)
    with pytest.raises(ValueError, match=r"pixels are in \[0, 1\]; picture 0: values from 0 to 25"):
        to_images(images.permute(0, 3, 1, 2).float())
    with pytest.raises(ValueError, match="pictures are uint8: "):
        to_pixels(images.float())


def test_a_network_without_parameters_is_asked_in_the_type_of_its_buffers():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.tensor(3))
            self.register_buffer("weights", torch.ones(2, dtype=torch.float64))

    assert pixels_for(Fixed(), stored(2)).dtype == torch.float64
    assert pixels_for(nn.Identity(), stored(2)).dtype == torch.float32
    with pytest.raises(ValueError, match="Linear is on the meta device: it has no weights"):
        weights_like(nn.Linear(2, 2, device="meta"), torch.zeros(1))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((torch.zeros(2, 3),), "answers with a tuple"),
        (torch.zeros(2), r"answers \(2,\) to 2 pictures"),
        (torch.zeros(1, 3), r"answers \(1, 3\) to 2 pictures"),
        (torch.zeros(2, 3, 1, 1), r"answers \(2, 3, 1, 1\) to 2 pictures"),
    ],
)
def test_an_answer_is_one_row_of_logits_a_picture(answer, said):
    with pytest.raises(ValueError, match=said):
        finite_logits(answer, range(2))
