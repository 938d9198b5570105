"""Results are what a picture file can hold, within the bound, and as they always were."""

import pytest
import torch
from attack.small_attacks import CLASSES, FLOATS, frames, levels, recognizer
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from glassguard.attack.directions import Scaled, Sign
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.attack.rounding import ROUNDING, rounded_to_8_bit


@settings(max_examples=100)
@given(
    values=st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1)), min_size=1, max_size=40),
    change=st.sampled_from([0.4 / 255, 0.5 / 255, 1 / 255, 2.5 / 255, 0.03, 8 / 255, 1.0])
    | st.floats(0, 1),
    number_type=st.sampled_from(FLOATS),
    eight_bit=st.booleans(),
)
def test_rounding_takes_the_nearest_level_within_the_bound(values, change, number_type, eight_bit):
    work = torch.promote_types(number_type, torch.float32)
    own = torch.tensor([value for value, _ in values], dtype=torch.float64)
    if eight_bit:
        own = own.mul(255).round().div(255)
    own = own.to(number_type).to(work)
    moved = torch.tensor([share for _, share in values], dtype=work) * change
    wanted = (own + moved).clamp(0, 1)
    shape = (1, 1, 1, -1)
    mask = torch.ones(1, 1, 1, len(values), dtype=torch.bool)
    found = rounded_to_8_bit(wanted.view(shape), own.view(shape), mask, change, number_type)
    every_level = torch.arange(256, dtype=work).div(255).to(number_type).to(work)
    for before, to, after in zip(
        own.tolist(), wanted.tolist(), found.flatten().tolist(), strict=True
    ):
        # Levels are told apart by less than float32 keeps of a difference.
        near = [
            level
            for level in every_level.tolist()
            if abs(torch.tensor(level, dtype=work) - before) <= change + ROUNDING
        ]
        if not near:
            assert after == before
        elif after != before:
            assert after in near
            assert abs(after - to) <= min(abs(level - to) for level in near) + 1 / 255
            if number_type in (torch.float32, torch.float64):
                assert abs(after - to) <= min(abs(level - to) for level in near) + 1e-6
        else:
            assert after in near


def naive(
    network, pixels, mask, label, *, colour, change, step, momentum, iterations, enough, sign
):
    """One 8-bit picture, one step after the other, the whole of it rounded."""
    texture = pixels.clone()
    if colour is not None:
        texture[:, :, mask] = torch.tensor(colour).view(1, 3, 1)
    velocity = torch.zeros_like(pixels)
    best, best_score = None, -1.0
    for iteration in range(iterations + 1):
        rounded = texture.mul(255).round().div(255).requires_grad_(True)
        logits = network(rounded)
        score = logits.softmax(1)[0, label].item()
        if score > best_score:
            best, best_score = (rounded.detach(), logits.detach().softmax(1), iteration), score
        if score >= enough or iteration == iterations:
            return *best, iteration
        loss = nn.functional.cross_entropy(logits, torch.tensor([label]))
        (gradient,) = torch.autograd.grad(loss, rounded)
        inside = gradient * mask
        velocity = momentum * velocity + (inside.sign() if sign else inside / inside.abs().max())
        texture = texture - step * velocity
        if change is not None:
            texture = texture.clamp(pixels - change, pixels + change)
        texture = texture.clamp(0, 1)


@pytest.mark.parametrize(
    ("colour", "change", "sign"),
    [
        ((1.0, 1.0, 0.0), None, False),
        ((0.25, 0.5, 1.0), None, True),
        (None, None, False),
        (None, 8 / 255, True),
        (None, 1 / 255, False),
        (None, 30 / 255, False),
    ],
)
def test_8_bit_pictures_give_what_a_plain_loop_gives_to_the_bit(colour, change, sign):
    pixels, masks = levels(5), frames(5)
    labels = torch.arange(5) % CLASSES
    network = recognizer()
    chosen = {"step": 20 / 255, "momentum": 0.4, "iterations": 12}
    found = MaskedPixelAttack(
        network,
        initial_colour=colour,
        largest_change=change,
        direction=Sign() if sign else Scaled(),
        confidence=0.2512,
        batch_size=1,
        **chosen,
    )(pixels, masks, labels)
    ended = set()
    for row in range(5):
        picture, probabilities, iteration, gradients = naive(
            network,
            pixels[row : row + 1].contiguous(memory_format=torch.channels_last),
            masks[row],
            int(labels[row]),
            colour=colour,
            change=change,
            enough=0.2512,
            sign=sign,
            **chosen,
        )
        assert torch.equal(found.pixels[row], picture[0])
        assert torch.equal(found.probabilities[row], probabilities[0])
        assert (found.iterations[row], found.gradients[row]) == (iteration, gradients)
        ended.add(gradients)
    assert len(ended) > 1, "some reach the confidence, some do not"
