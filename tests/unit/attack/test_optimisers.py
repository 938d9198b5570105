"""Optimisers with a memory, and directions."""

import pytest
import torch
from attack.small_attacks import CLASSES, frames, levels, recognizer

from glassguard.attack.directions import Scaled, Smooth
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.attack.optimisers import Adam, SignOfMomentum


def gradients(count: int) -> torch.Tensor:
    return torch.randn(count, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_adam_is_that_of_torch():
    """On gradients of largest entry 1, which it leaves as they are."""
    given = gradients(6)
    given /= given.abs().amax(dim=(2, 3, 4), keepdim=True)
    leaf = torch.zeros(2, 3, 4, 5, requires_grad=True)
    peer = torch.optim.Adam([leaf], lr=1.0, betas=(0.9, 0.999), eps=0.0)
    ours, memory = torch.zeros(2, 3, 4, 5), torch.zeros(2, 2, 3, 4, 5)
    adam = Adam(epsilon=1e-12)
    for step, gradient in enumerate(given):
        leaf.grad = gradient.clone()
        peer.step()
        ours -= adam(gradient, memory, [step, step])
        torch.testing.assert_close(ours, leaf.detach(), atol=1e-4, rtol=1e-4)


def test_the_sign_is_of_the_gathered_gradients_by_their_length():
    memory = torch.zeros(1, 1, 3, 4, 5)
    optimiser, gathered = SignOfMomentum(0.5), torch.zeros(3, 4, 5)
    for step, gradient in enumerate(gradients(4)[:, :1]):
        gathered = 0.5 * gathered + gradient[0] / gradient.abs().sum()
        moves = optimiser(gradient, memory, [step])
        assert torch.equal(moves[0], gathered.sign())


def test_a_picture_is_moved_alike_whatever_is_beside_it():
    given = gradients(3)
    for optimiser in (Adam(), SignOfMomentum()):
        together, alone = (torch.zeros(n, optimiser.memory, 3, 4, 5) for n in (2, 1))
        for step, gradient in enumerate(given):
            both = optimiser(gradient, together, [step + 7, step])
            one = optimiser(gradient[1:], alone, [step])
            assert torch.equal(both[1:], one)


@pytest.mark.parametrize("optimiser", [Adam(), SignOfMomentum(0.4)])
def test_an_attack_by_another_optimiser_raises_the_confidence(optimiser):
    pixels, masks, labels = levels(5), frames(5), torch.arange(5) % CLASSES
    arguments = {"confidence": 1.0, "step": 4 / 255, "initial_colour": None}

    def confidences(iterations):
        attack = MaskedPixelAttack(
            recognizer(), optimiser=optimiser, iterations=iterations, **arguments
        )
        return attack(pixels, masks, labels).probabilities.gather(1, labels[:, None])

    assert (confidences(10) > confidences(0)).all()


def test_smooth_steps_are_the_same_for_a_block_and_of_length_one():
    given = gradients(1)[0]
    steps = Smooth(block=2)(given)
    assert steps.shape == given.shape
    whole = steps[..., :4, :4].unflatten(3, (2, 2)).unflatten(2, (2, 2))
    assert (whole == whole[:, :, :, :1, :, :1]).all()
    assert steps.abs().amax(dim=(1, 2, 3)).tolist() == [1.0, 1.0]
    assert torch.equal(Smooth(block=1)(given), Scaled()(given))
    mean = given[0, 0, :2, :2].mean() / given[0, 0, 2:4, 2:4].mean()
    torch.testing.assert_close(steps[0, 0, 0, 0] / steps[0, 0, 2, 2], mean)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(decay=(0.9, 1.0)), r"decay must be in \[0, 1\)"),
        (lambda: Adam(epsilon=0.0), "epsilon must be finite, above 0"),
        (lambda: SignOfMomentum(-0.1), "decay must be finite, at least 0"),
        (lambda: Smooth(block=0), "block must be a whole number, at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
