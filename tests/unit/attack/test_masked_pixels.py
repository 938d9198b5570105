"""The optimiser over masked pixels."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from shipped import section
from torch import nn

from glassguard.attack.accessories import frame_masks
from glassguard.attack.algorithms import configured_attack
from glassguard.attack.directions import Scaled, Sign
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.attack.printing import TotalVariation
from glassguard.attack.settings import AccessoryAttack

EYES_AT_96 = np.array([[30.29, 41.7], [65.53, 41.5]])


class Glimpse(nn.Module):
    """A recognizer that looks at the frame's region through fixed random filters."""

    def __init__(self, size: int = 96, classes: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3 * size * size, classes)
        nn.init.normal_(self.linear.weight, std=0.02)
        self.requires_grad_(False).eval()
        self.seen: list[int] = []

    def forward(self, pixels):
        self.seen.append(len(pixels))
        return self.linear(pixels.flatten(1))


@pytest.fixture
def faces():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (7, 96, 96, 3), dtype=np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    masks = torch.from_numpy(frame_masks(np.repeat(EYES_AT_96[None], 7, 0), 96))
    return pixels, masks


def test_attack_changes_the_frame_only_and_reaches_the_target(faces):
    pixels, masks = faces
    targets = torch.arange(7) % 5
    network = Glimpse()
    attack = MaskedPixelAttack(network, batch_size=3)
    result = attack(pixels, masks, targets)
    outside = ~masks[:, None].expand_as(pixels)
    assert torch.equal(result.pixels[outside], pixels[outside])
    levels = result.pixels * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    confidence = result.probabilities.gather(1, targets[:, None])[:, 0]
    assert (confidence >= 0.95).all()
    torch.testing.assert_close(network(result.pixels).softmax(1), result.probabilities)
    assert max(network.seen) <= 7
    assert network.seen[0] == 3


def test_converged_pictures_leave_the_batch(faces):
    pixels, masks = faces
    network = Glimpse()
    finished = []
    result = MaskedPixelAttack(network, batch_size=7)(
        pixels, masks, torch.arange(7) % 5, on_done=finished.append
    )
    assert sum(finished) == 7
    # Every picture is seen once per gradient and once more when it is done.
    assert sum(network.seen) == int(result.gradients.sum()) + 7
    assert torch.equal(result.iterations, result.gradients), "the last iterate was the best here"


def test_batches_do_not_change_the_result(faces):
    pixels, masks = faces
    targets = torch.arange(7) % 5
    one = MaskedPixelAttack(Glimpse(), batch_size=1)(pixels, masks, targets)
    seven = MaskedPixelAttack(Glimpse(), batch_size=7)(pixels, masks, targets)
    assert torch.equal(one.iterations, seven.iterations)
    assert (one.pixels - seven.pixels).abs().max() < 1.5 / 255


def test_more_iterations_are_never_worse(faces):
    pixels, masks = faces
    targets = torch.arange(7) % 5
    network = Glimpse()
    network.linear.weight.mul_(0.2)
    confidences = []
    for iterations in (0, 1, 3, 10, 30):
        result = MaskedPixelAttack(network, iterations=iterations, step=5 / 255)(
            pixels, masks, targets
        )
        assert (result.gradients <= iterations).all()
        confidences.append(result.probabilities.gather(1, targets[:, None])[:, 0])
    for fewer, more in itertools.pairwise(confidences):
        assert (more >= fewer - 1e-6).all()
    assert confidences[-1].mean() > confidences[0].mean() + 0.05


def test_whole_picture_always_succeeds_and_larger_frames_more_often(faces):
    pixels, masks = faces
    network = Glimpse()
    network.linear.weight.mul_(0.03)
    targets = torch.arange(7) % 5
    attack = MaskedPixelAttack(network, iterations=40)
    means = []
    for area in (
        masks,
        masks | torch.from_numpy(np.arange(96) < 40)[:, None],
        torch.ones_like(masks),
    ):
        means.append(attack(pixels, area, targets).probabilities.gather(1, targets[:, None]).mean())
    assert means[0] < means[1] < means[2]
    assert means[2] > 0.9


def test_a_bounded_attack_starts_from_the_picture_and_stays_near(faces):
    pixels, masks = faces
    attack = MaskedPixelAttack(
        Glimpse(),
        initial_colour=None,
        direction=Sign(),
        largest_change=8 / 255,
        step=2 / 255,
        momentum=0.0,
        iterations=10,
    )
    targets = torch.arange(7) % 5
    result = attack(pixels, torch.ones_like(masks), targets)
    assert (result.pixels - pixels).abs().max() <= 8 / 255 + 1e-6
    untouched = MaskedPixelAttack(Glimpse(), initial_colour=None, iterations=0)(
        pixels, masks, targets
    )
    torch.testing.assert_close(untouched.pixels, pixels)
    before = untouched.probabilities.gather(1, targets[:, None])
    assert (result.probabilities.gather(1, targets[:, None]) >= before).all()
    assert result.probabilities.gather(1, targets[:, None]).mean() > before.mean() + 0.2
    with pytest.raises(ValueError, match="largest_change"):
        MaskedPixelAttack(Glimpse(), largest_change=0.1)


def test_a_step_by_signs_moves_every_pixel_alike(faces):
    pixels, masks = faces
    attack = MaskedPixelAttack(
        Glimpse(),
        initial_colour=None,
        direction=Sign(),
        step=4 / 255,
        iterations=1,
        confidence=0.999999,
    )
    result = attack(pixels, masks, torch.arange(7) % 5)
    moved = (result.pixels - pixels).abs().permute(0, 2, 3, 1)[masks]
    free = (moved > 0) & (moved < 3.9 / 255)
    assert free.float().mean() < 0.02, "clipped ones only"


def test_dodging_lowers_the_true_class(faces):
    pixels, masks = faces
    network = Glimpse()
    labels = network(pixels).argmax(1)
    result = MaskedPixelAttack(network, goal="dodging")(pixels, masks, labels)
    assert (result.probabilities.gather(1, labels[:, None]) <= 0.01).all()


def test_penalties_are_felt(faces):
    pixels, masks = faces
    targets = torch.arange(7) % 5
    rough = MaskedPixelAttack(Glimpse(), iterations=20, confidence=0.999999)(pixels, masks, targets)
    smooth = MaskedPixelAttack(
        Glimpse(), iterations=20, confidence=0.999999, penalties=[TotalVariation(50.0)]
    )(pixels, masks, targets)
    assert (
        TotalVariation(1.0)(smooth.pixels, masks[:, None]).mean()
        < TotalVariation(1.0)(rough.pixels, masks[:, None]).mean()
    )


def test_initial_frame_is_yellow(faces):
    pixels, masks = faces
    result = MaskedPixelAttack(Glimpse(), iterations=0)(
        pixels, masks, torch.zeros(7, dtype=torch.int64)
    )
    inside = result.pixels.permute(0, 2, 3, 1)[masks]
    assert torch.equal(inside.unique(dim=0), torch.tensor([[1.0, 1.0, 0.0]]))
    assert not result.gradients.any()


def test_a_variant_overrides_one_method_and_shows_its_parameters(faces):
    @dataclass(kw_only=True)
    class Backwards(MaskedPixelAttack):
        turns: int = 1

        def unit_steps(self, gradients, masks):
            assert not gradients[~masks.expand_as(gradients)].any()
            return (-1) ** self.turns * super().unit_steps(gradients, masks)

    pixels, masks = faces
    targets = torch.arange(7) % 5
    attack = Backwards(Glimpse(), turns=3, iterations=5, goal="dodging", confidence=0.5)
    assert "goal='dodging'" in repr(attack)
    assert "direction=Scaled()" in repr(attack)
    assert repr(attack).endswith("turns=3)")
    backwards = Backwards(Glimpse(), iterations=5)(pixels, masks, targets)
    twice = Backwards(Glimpse(), turns=2, iterations=5)(pixels, masks, targets)
    forwards = MaskedPixelAttack(Glimpse(), iterations=5)(pixels, masks, targets)
    assert not backwards.iterations.any(), "every step away from the target made it worse"
    assert torch.equal(twice.pixels, forwards.pixels)


def test_another_loss_and_direction_are_arguments(faces):
    def logit(logits, labels):
        return -logits.gather(1, labels[:, None])[:, 0]

    pixels, masks = faces
    targets = torch.arange(7) % 5
    attack = MaskedPixelAttack(Glimpse(), loss=logit, direction=torch.sign, iterations=20)
    result = attack(pixels, masks, targets)
    assert (result.probabilities.argmax(1) == targets).all()


def test_settings_become_arguments_between_0_and_1():
    network = Glimpse()
    plain = AccessoryAttack.model_validate(section("attack/glasses"))
    assert repr(configured_attack(plain, network)) == repr(MaskedPixelAttack(network, penalties=[]))
    changes = section("attack/whole")
    changes = {key: value for key, value in changes.items() if key != "defaults"}
    bounded = AccessoryAttack.model_validate(
        {
            **section("attack/glasses"),
            **changes,
            "goal": "dodging",
            "total_variation": 2.0,
            "non_printability": 3.0,
        }
    )
    attack = configured_attack(bounded, network)
    assert (attack.goal, attack.direction, attack.initial_colour) == ("dodging", Sign(), None)
    assert (attack.largest_change, attack.step) == (8 / 255, 2 / 255)
    smooth, printable = attack.penalties
    assert (smooth, printable.weight) == (TotalVariation(2.0), 3.0)
    assert printable.printable_colours.shape == (30, 3)
    assert configured_attack(plain, network).direction == Scaled()
