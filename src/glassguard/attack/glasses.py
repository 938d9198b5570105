"""The adversarial eyeglasses attack (Sharif et al. 2016), as Study S uses it.

The region that may be changed is given by the caller, so that a sticker, a patch, a headband or
the whole picture go the same way.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Integral, Real
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassguard.attack.inputs import require_classes, require_labels, require_masks
from glassguard.attack.printing import non_printability, require_colours, total_variation
from glassguard.attack.rounding import rounded_to_8_bit
from glassguard.attack.settings import Direction, Goal
from glassguard.recognizer.answers import (
    gradients_of,
    logits_of,
    require_evaluation_mode,
    require_pixels,
    weights_like,
)
from glassguard.recognizer.finite import require_finite

LARGEST = sys.float_info.max


@dataclass(frozen=True)
class GlassesResult:
    """What the attack found for N pictures.

    Attributes:
        pixels: N x 3 x H x W in [0, 1], of the given pictures' number type: the best iterate.
            Outside the frame exactly the given values, in it multiples of 1/255 as closely as the
            type has them. A value between two levels, neither of which lies within
            ``largest_change``, stays as given.
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

    Every iterate is rounded to 8 bits in the frame before the network sees it, while the steps
    accumulate unrounded, so confidence and success are those of the picture that is written.
    Rounding never leaves the bound (but for 2⁻²¹, which floats need): where the nearest level lies
    past it, the next one towards the picture is taken. A picture leaves the batch as soon as it is
    done and another one takes its place.

    Args:
        network: pixels in [0, 1] to logits, in evaluation mode; of any floating-point type, on any
            device. The attack runs on that device. Gradients below 6e-8 vanish in float16.
        goal: ``impersonation`` (towards the target) or ``dodging`` (away from the true class).
        initial_colour: R, G, B in [0, 1] of the frame before the first step; None leaves the
            picture as it is.
        direction: ``scaled`` divides the gradient by its largest entry, ``sign`` takes its sign.
        largest_change: how far a colour value may move from the picture's own, in [0, 1]; None
            for anywhere.
        step: length of a step in (0, 1] at the pixel with the largest gradient.
        momentum: share of the previous step's direction that is kept, in [0, 1].
        iterations: most steps per picture.
        confidence: target confidence in [0, 1] at which an impersonation is done.
        dodging_confidence: confidence of the true class in [0, 1] at which dodging is done.
        total_variation_weight: weight of :func:`glassguard.attack.printing.total_variation`.
        non_printability_weight: weight of :func:`glassguard.attack.printing.non_printability`.
        printable_colours: P x 3 float in [0, 1].
        batch_size: pictures that are worked on together.

    Raises:
        ValueError: an argument is out of its range, or two of them contradict each other.
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
        bound = 0.0 if largest_change is None else largest_change
        for name, value, sound, allowed in (
            ("network", network, isinstance(network, nn.Module), "an nn.Module"),
            ("goal", goal, goal in get_args(Goal), " or ".join(get_args(Goal))),
            (
                "initial_colour",
                initial_colour,
                initial_colour is None or _is_colour(initial_colour),
                "R, G, B in [0, 1], or None",
            ),
            ("direction", direction, direction in get_args(Direction), "scaled or sign"),
            ("largest_change", bound, _within(bound), "in [0, 1], or None"),
            ("step", step, _within(step) and step > 0, "above 0, at most 1"),
            ("momentum", momentum, _within(momentum), "in [0, 1]"),
            ("iterations", iterations, _is_count(iterations, 0), "a whole number from 0 on"),
            ("confidence", confidence, _within(confidence), "in [0, 1]"),
            ("dodging_confidence", dodging_confidence, _within(dodging_confidence), "in [0, 1]"),
            (
                "total_variation_weight",
                total_variation_weight,
                _within(total_variation_weight, LARGEST),
                "finite, not negative",
            ),
            (
                "non_printability_weight",
                non_printability_weight,
                _within(non_printability_weight, LARGEST),
                "finite, not negative",
            ),
            ("batch_size", batch_size, _is_count(batch_size, 1), "a whole number from 1 on"),
        ):
            if not sound:
                raise ValueError(f"{name} must be {allowed}: {value!r}")
        if printable_colours is not None:
            require_colours(printable_colours)
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
            pixels: N x 3 x H x W in [0, 1], float16, bfloat16, float32 or float64; N may be 0.
            masks: N x H x W or N x 1 x H x W, the frame of each picture, or H x W or 1 x H x W,
                one frame for all; bool, or 0 and 1 of any number type.
            labels: N of any integer type: whom to be taken for (impersonation), or who one is
                (dodging).
            on_done: called with the number of pictures that left the batch.

        Returns:
            The best iterate of every picture, in the order given, on the device of ``pixels``.

        Raises:
            ValueError: an argument is none of the above, the network is in training mode, a label
                is no class of it, or its logits or gradients are not finite. The message names the
                argument, the first such picture (counted from 0) and what was found.
        """
        require_evaluation_mode(self.network)
        given = require_pixels(pixels)
        with torch.inference_mode(False), torch.enable_grad():
            found = self._attack(*self._prepared(given, masks, labels), given.dtype, on_done)
        return GlassesResult(*(part.to(given.device) for part in found))

    def _prepared(
        self, pixels: Tensor, masks: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Checked and on the network's device: pixels as float32 or 64, N x 1 x H x W, int64."""
        count, _, height, width = pixels.shape
        frames = require_masks(masks, count, height, width)
        classes = require_labels(labels, count)
        device = weights_like(self.network, pixels).device
        number_type = torch.promote_types(pixels.dtype, torch.float32)
        return pixels.to(device, number_type), frames[:, None].to(device), classes.to(device)

    def _attack(
        self,
        pixels: Tensor,
        masks: Tensor,
        labels: Tensor,
        number_type: torch.dtype,
        on_done: Callable[[int], None],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The attributes of :class:`GlassesResult`, of pictures that are given in a number type."""
        texture = self._before_the_first_step(pixels, masks)
        velocity = torch.zeros_like(pixels)
        count = len(pixels)
        best = torch.empty_like(pixels, dtype=number_type)
        best_probabilities: Tensor | None = None
        best_score = torch.full((count,), -torch.inf, device=pixels.device)
        best_iteration = torch.zeros(count, dtype=torch.int64, device=pixels.device)
        gradients = torch.zeros_like(best_iteration)

        waiting = iter(range(count))
        active = list(islice(waiting, self.batch_size))
        while active:
            rows = torch.tensor(active, device=pixels.device)
            rounded = rounded_to_8_bit(
                texture[rows], pixels[rows], masks[rows], self.largest_change, number_type
            ).contiguous(memory_format=torch.channels_last)
            last = gradients[rows] >= self.iterations
            leaf = rounded.requires_grad_(not bool(last.all()))
            logits = logits_of(self.network, leaf, active)
            probabilities = logits.detach().softmax(1).float()
            if best_probabilities is None:
                require_classes(labels, logits.shape[1])
                best_probabilities = probabilities.new_zeros(count, logits.shape[1])
            confidences = probabilities.gather(1, labels[rows, None])[:, 0]
            score = confidences if self.goal == "impersonation" else -confidences

            better = score > best_score[rows]
            improved = rows[better]
            best[improved] = rounded.detach()[better].to(number_type)
            best_probabilities[improved] = probabilities[better]
            best_score[improved] = score[better]
            best_iteration[improved] = gradients[improved]

            done = self._reached(confidences) | last
            going = rows[~done]
            if len(going):
                loss = self._loss(logits, labels[rows], leaf, masks[rows])
                (gradient,) = gradients_of(loss.sum(), logits, {"the pixels": leaf})
                inside = gradient[~done].where(masks[going], 0.0)
                require_finite("the network's gradients", inside, pictures=going.tolist())
                velocity[going] = self.momentum * velocity[going] + self._direction(inside)
                moved = texture[going] - self.step * velocity[going]
                texture[going] = self._allowed(moved, pixels[going])
                gradients[going] += 1
            left = int(done.sum())
            if left:
                on_done(left)
                active = going.tolist() + list(islice(waiting, left))
        if best_probabilities is None:
            # One blank picture stands in for none: the network says how many classes it has.
            blank = logits_of(self.network, pixels.new_zeros(1, *pixels.shape[1:]))
            best_probabilities = blank.detach()[:0].float()
        return best, best_probabilities, best_iteration, gradients

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
                pixels, masks, self.printable_colours.to(pixels)
            )
        return loss

    def _direction(self, inside: Tensor) -> Tensor:
        """The gradient inside the frame, its largest entry one."""
        if self.direction == "sign":
            return inside.sign()
        largest = inside.abs().amax(dim=(1, 2, 3), keepdim=True)
        return inside / largest.clamp(min=torch.finfo(inside.dtype).tiny)


def _within(value: object, most: float = 1.0) -> bool:
    return isinstance(value, Real) and 0 <= float(value) <= most


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, Integral) and int(value) >= least


def _is_colour(colour: object) -> bool:
    return isinstance(colour, Sequence) and len(colour) == 3 and all(map(_within, colour))
