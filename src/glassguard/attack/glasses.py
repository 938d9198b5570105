"""The adversarial eyeglasses attack (Sharif et al. 2016), as Study S uses it.

The region that may be changed is given by the caller, so that a sticker, a patch, a headband or
the whole picture go the same way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassguard.attack.printing import non_printability, total_variation

Goal = Literal["impersonation", "dodging"]
Direction = Literal["scaled", "sign"]


@dataclass(frozen=True)
class GlassesResult:
    """What the attack found for N pictures.

    Attributes:
        pixels: N x 3 x H x W float32 in [0, 1], exact multiples of 1/255: the best iterate.
        probabilities: N x identities float32, the network's confidences on ``pixels``.
        iterations: N int64, the iteration at which the best iterate was met (0: the frame in its
            initial colour).
        gradients: N int64, gradients spent on the picture.
    """

    pixels: Tensor
    probabilities: Tensor
    iterations: Tensor
    gradients: Tensor


class AdversarialGlasses:
    """Iterated, normalised gradient steps with momentum on the pixels of a spectacle frame.

    With the whole picture as its frame, no initial colour, ``direction="sign"``, no momentum and a
    ``largest_change`` it is projected gradient descent in the maximum norm (Madry et al. 2018)
    from the picture itself, also known as the basic iterative method (Kurakin et al. 2017).

    Every iterate is rounded to 8 bit before the network sees it, while the steps accumulate
    unrounded, so confidence and success are those of the picture that is written. A picture leaves
    the batch as soon as it is done and another one takes its place.

    Args:
        network: pixels in [0, 1] to logits, in evaluation mode.
        goal: ``impersonation`` (towards the target) or ``dodging`` (away from the true class).
        initial_colour: R, G, B in [0, 1] of the frame before the first step; None leaves the
            picture as it is.
        direction: ``scaled`` divides the gradient by its largest entry, ``sign`` takes its sign.
        largest_change: how far a colour value may move from the picture's own, in [0, 1]; None
            for anywhere.
        step: length of a step in [0, 1] at the pixel with the largest gradient.
        momentum: share of the previous step's direction that is kept.
        iterations: most steps per picture.
        confidence: target confidence at which an impersonation is done.
        dodging_confidence: confidence of the true class at which dodging is done.
        total_variation_weight: weight of :func:`glassguard.attack.printing.total_variation`.
        non_printability_weight: weight of :func:`glassguard.attack.printing.non_printability`.
        printable_colours: P x 3 float in [0, 1].
        batch_size: pictures that are worked on together.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        goal: Goal = "impersonation",
        initial_colour: tuple[float, float, float] | None = (1.0, 1.0, 0.0),
        direction: Direction = "scaled",
        largest_change: float | None = None,
        step: float = 20 / 255,
        momentum: float = 0.4,
        iterations: int = 300,
        confidence: float = 0.95,
        dodging_confidence: float = 0.01,
        total_variation_weight: float = 0.0,
        non_printability_weight: float = 0.0,
        printable_colours: Tensor | None = None,
        batch_size: int = 32,
    ) -> None:
        if initial_colour is not None and largest_change is not None:
            raise ValueError(
                "largest_change needs initial_colour=None: a colour is a change itself"
            )
        if non_printability_weight > 0 and printable_colours is None:
            raise ValueError("non_printability_weight needs printable_colours")
        self.network = network
        self.goal = goal
        self.initial_colour = initial_colour
        self.direction = direction
        self.largest_change = largest_change
        self.step = step
        self.momentum = momentum
        self.iterations = iterations
        self.confidence = confidence
        self.dodging_confidence = dodging_confidence
        self.total_variation_weight = total_variation_weight
        self.non_printability_weight = non_printability_weight
        self.printable_colours = printable_colours
        self.batch_size = batch_size

    def __repr__(self) -> str:
        shown = ("goal", "initial_colour", "step", "momentum", "iterations", "confidence")
        return (
            f"AdversarialGlasses({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"
        )

    def __call__(
        self,
        pixels: Tensor,
        masks: Tensor,
        labels: Tensor,
        *,
        on_done: Callable[[int], None] = lambda count: None,
    ) -> GlassesResult:
        """Attack pictures.

        Args:
            pixels: N x 3 x H x W float32 in [0, 1].
            masks: N x H x W bool, the frame of each picture.
            labels: N int64: whom to be taken for (impersonation), or who one is (dodging).
            on_done: called with the number of pictures that left the batch.

        Returns:
            The best iterate of every picture, in the order given.
        """
        masks = masks[:, None]
        texture = self._before_the_first_step(pixels, masks)
        velocity = torch.zeros_like(pixels)
        count = len(pixels)
        best = texture.clone()
        best_probabilities: Tensor | None = None
        best_score = torch.full((count,), -torch.inf)
        best_iteration = torch.zeros(count, dtype=torch.int64)
        gradients = torch.zeros(count, dtype=torch.int64)

        waiting = iter(range(count))
        active = list(islice(waiting, self.batch_size))
        while active:
            rows = torch.tensor(active)
            rounded = _round_to_8_bit(texture[rows]).contiguous(memory_format=torch.channels_last)
            last = gradients[rows] >= self.iterations
            leaf = rounded.requires_grad_(not bool(last.all()))
            logits = self.network(leaf)
            probabilities = logits.detach().softmax(1)
            if best_probabilities is None:
                best_probabilities = torch.zeros(count, logits.shape[1])
            confidences = probabilities.gather(1, labels[rows, None])[:, 0]
            score = confidences if self.goal == "impersonation" else -confidences

            better = score > best_score[rows]
            improved = rows[better]
            best[improved] = rounded.detach()[better]
            best_probabilities[improved] = probabilities[better]
            best_score[improved] = score[better]
            best_iteration[improved] = gradients[improved]

            done = self._reached(confidences) | last
            going = rows[~done]
            if len(going):
                loss = self._loss(logits, labels[rows], leaf, masks[rows])
                (gradient,) = torch.autograd.grad(loss.sum(), leaf)
                direction = self._direction(gradient[~done], masks[going])
                velocity[going] = self.momentum * velocity[going] + direction
                moved = texture[going] - self.step * velocity[going]
                texture[going] = self._allowed(moved, pixels[going])
                gradients[going] += 1
            left = int(done.sum())
            if left:
                on_done(left)
                active = going.tolist() + list(islice(waiting, left))
        assert best_probabilities is not None or count == 0
        return GlassesResult(
            pixels=best,
            probabilities=best_probabilities if best_probabilities is not None else torch.zeros(0),
            iterations=best_iteration,
            gradients=gradients,
        )

    def _before_the_first_step(self, pixels: Tensor, masks: Tensor) -> Tensor:
        if self.initial_colour is None:
            return pixels.clone()
        colour = pixels.new_tensor(self.initial_colour).view(1, 3, 1, 1)
        return torch.where(masks, colour, pixels)

    def _allowed(self, moved: Tensor, pixels: Tensor) -> Tensor:
        if self.largest_change is not None:
            moved = moved.clamp(pixels - self.largest_change, pixels + self.largest_change)
        return moved.clamp(0, 1)

    def _reached(self, confidences: Tensor) -> Tensor:
        if self.goal == "impersonation":
            return confidences >= self.confidence
        return confidences <= self.dodging_confidence

    def _loss(self, logits: Tensor, labels: Tensor, pixels: Tensor, masks: Tensor) -> Tensor:
        loss = F.cross_entropy(logits, labels, reduction="none")
        if self.goal == "dodging":
            loss = -loss
        if self.total_variation_weight > 0:
            loss = loss + self.total_variation_weight * total_variation(pixels, masks)
        if self.non_printability_weight > 0:
            assert self.printable_colours is not None
            loss = loss + self.non_printability_weight * non_printability(
                pixels, masks, self.printable_colours
            )
        return loss

    def _direction(self, gradient: Tensor, masks: Tensor) -> Tensor:
        """The gradient inside the frame, its largest entry one."""
        inside = gradient * masks
        if self.direction == "sign":
            return inside.sign()
        largest = inside.abs().amax(dim=(1, 2, 3), keepdim=True)
        return inside / largest.clamp(min=torch.finfo(inside.dtype).tiny)


def _round_to_8_bit(pixels: Tensor) -> Tensor:
    return pixels.mul(255.0).round_().div_(255.0)
