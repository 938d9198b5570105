"""Attacks that optimise the pixels of a mask: adversarial eyeglasses and what goes the same way.

Sharif et al. (2016) optimise the colours of an eyeglass frame. The mask is an argument here, so a
sticker, a patch, a headband or the whole picture is attacked with the same code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from numbers import Integral, Real
from typing import get_args

import torch
from torch import Tensor, nn

from glassguard.attack.directions import Scaled
from glassguard.attack.inputs import require_classes, require_labels, require_masks
from glassguard.attack.losses import CrossEntropy
from glassguard.attack.rounding import rounded_to_8_bit
from glassguard.attack.settings import Goal
from glassguard.recognizer.answers import (
    gradients_of,
    logits_of,
    require_evaluation_mode,
    require_pixels,
    weights_like,
)
from glassguard.recognizer.finite import require_finite

Loss = Callable[[Tensor, Tensor], Tensor]
"""N x classes logits and N int64 labels to N losses, low where pictures pass for their labels."""
Penalty = Callable[[Tensor, Tensor], Tensor]
"""N x 3 x H x W pixels and N x 1 x H x W bool masks to N terms that are added to the loss."""
Direction = Callable[[Tensor], Tensor]
"""N x 3 x H x W gradients, 0 outside the mask, to steps of length 1 of the same shape."""


@dataclass(frozen=True)
class AttackResult:
    """What an attack found for N pictures.

    Attributes:
        pixels: N x 3 x H x W in [0, 1], of the number type of the given pictures: the best
            iterate. Outside the mask it has exactly the given values; inside, multiples of 1/255
            as closely as the type has them. A value between two levels, neither of which lies
            within ``largest_change``, stays as given.
        probabilities: N x identities float32, the network's confidences on ``pixels``.
        iterations: N int64, the iteration of the best iterate (0: before the first step).
        gradients: N int64, gradients computed for the picture.
    """

    pixels: Tensor
    probabilities: Tensor
    iterations: Tensor
    gradients: Tensor


@dataclass(kw_only=True)
class MaskedPixelAttack:
    """Iterated, normalised gradient steps with momentum on the pixels of a mask.

    On an eyeglass frame this is the attack of Sharif et al. (2016, section 4). On the whole
    picture, without an initial colour or momentum, with the direction
    :class:`~glassguard.attack.directions.Sign` and a ``largest_change``, it is projected gradient
    descent in the maximum norm (Madry et al. 2018, section 2.1) from the picture itself, also known
    as the basic iterative method (Kurakin et al. 2017).

    The network sees every iterate rounded to 8 bits inside the mask, while the steps accumulate
    unrounded. So confidence and success are those of the picture that is written. Rounding never
    leaves the bound (but for 2⁻²¹, which floats need): where the nearest level lies beyond it, the
    next level towards the picture is taken. A picture leaves the batch as soon as it is done, and
    another takes its place.

    A variant is a dataclass derived from this one. It adds its parameters as fields and overrides
    what differs: :meth:`start`, :meth:`objective`, :meth:`unit_steps`, :meth:`allowed` or
    :meth:`reached`.

    Attributes:
        network: maps pixels in [0, 1] to logits; in evaluation mode, of any floating-point type
            and on any device. The attack runs on that device. Gradients below 6e-8 vanish in
            float16.
        goal: ``impersonation`` (towards the target) or ``dodging`` (away from the true class).
        loss: what an impersonation minimises and dodging maximises, see :data:`Loss`.
        penalties: terms that both goals minimise, see :data:`Penalty`.
        direction: how a gradient becomes a step, see :data:`Direction`.
        initial_colour: R, G, B in [0, 1] of the mask before the first step; None keeps the
            picture.
        largest_change: how far a colour value may move from the picture's own, in [0, 1]; None
            sets no bound.
        step: length of a step, in (0, 1].
        momentum: share of the previous step that is kept, in [0, 1].
        iterations: maximum number of steps per picture.
        confidence: target confidence in [0, 1] at which an impersonation is done.
        dodging_confidence: confidence of the true class in [0, 1] at which dodging is done.
        batch_size: pictures per batch.

    Raises:
        ValueError: an argument is out of its range, or two arguments contradict each other.
    """

    network: nn.Module = field(kw_only=False, repr=False)
    goal: Goal = "impersonation"
    loss: Loss = field(default_factory=CrossEntropy)
    penalties: Sequence[Penalty] = ()
    direction: Direction = field(default_factory=Scaled)
    initial_colour: tuple[float, float, float] | None = (1.0, 1.0, 0.0)
    largest_change: float | None = None
    step: float = 20 / 255
    momentum: float = 0.4
    iterations: int = 300
    confidence: float = 0.95
    dodging_confidence: float = 0.01
    batch_size: int = 32

    def __post_init__(self) -> None:
        colour = (0.0, 0.0, 0.0) if self.initial_colour is None else self.initial_colour
        bound = 0.0 if self.largest_change is None else self.largest_change
        for name, sound, allowed in (
            ("network", isinstance(self.network, nn.Module), "an nn.Module"),
            ("goal", self.goal in get_args(Goal), " or ".join(get_args(Goal))),
            ("loss", callable(self.loss), "callable"),
            ("penalties", _are_callable(self.penalties), "a sequence of callables"),
            ("direction", callable(self.direction), "callable"),
            ("initial_colour", _is_colour(colour), "R, G, B in [0, 1], or None"),
            ("largest_change", _is_fraction(bound), "in [0, 1], or None"),
            ("step", _is_fraction(self.step) and self.step > 0, "above 0, at most 1"),
            ("momentum", _is_fraction(self.momentum), "in [0, 1]"),
            ("iterations", _is_count(self.iterations, 0), "a whole number, at least 0"),
            ("confidence", _is_fraction(self.confidence), "in [0, 1]"),
            ("dodging_confidence", _is_fraction(self.dodging_confidence), "in [0, 1]"),
            ("batch_size", _is_count(self.batch_size, 1), "a whole number, at least 1"),
        ):
            if not sound:
                raise ValueError(f"{name} must be {allowed}: {getattr(self, name)!r}")
        if self.initial_colour is not None and self.largest_change is not None:
            raise ValueError(
                "largest_change needs initial_colour=None: a colour is a change itself"
            )

    def __call__(
        self,
        pixels: Tensor,
        masks: Tensor,
        labels: Tensor,
        *,
        on_done: Callable[[int], None] = lambda count: None,
    ) -> AttackResult:
        """Attack pictures.

        Args:
            pixels: N x 3 x H x W in [0, 1], float16, bfloat16, float32 or float64; N may be 0.
            masks: True where a picture may change: N x H x W or N x 1 x H x W, or H x W or
                1 x H x W for all pictures; bool, or 0 and 1 of any number type.
            labels: N of any integer type: the class to be taken for (impersonation) or the true
                class (dodging).
            on_done: called with the number of pictures that left the batch.

        Returns:
            The best iterate of every picture, in the given order, on the device of ``pixels``.

        Raises:
            ValueError: an argument is none of the above, the network is in training mode, a label
                is not one of its classes, or its logits or gradients are not finite. The message
                names the argument, the first such picture (counted from 0) and what was found.
        """
        require_evaluation_mode(self.network)
        given = require_pixels(pixels)
        with torch.inference_mode(False), torch.enable_grad():
            found = self._attack(*self._prepared(given, masks, labels), given.dtype, on_done)
        return AttackResult(*(part.to(given.device) for part in found))

    def start(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """Pictures before the first step; a new tensor of the shape of ``pixels``."""
        if self.initial_colour is None:
            return pixels.clone()
        colour = pixels.new_tensor(self.initial_colour).view(1, 3, 1, 1)
        return torch.where(masks, colour, pixels)

    def objective(self, logits: Tensor, labels: Tensor, pixels: Tensor, masks: Tensor) -> Tensor:
        """What the steps minimise: N values from N x classes logits of the iterates ``pixels``."""
        loss = self.loss(logits, labels)
        if self.goal == "dodging":
            loss = -loss
        for penalty in self.penalties:
            loss = loss + penalty(pixels, masks)
        return loss

    def unit_steps(self, gradients: Tensor, masks: Tensor) -> Tensor:
        """Steps of length 1 for N x 3 x H x W finite gradients that are 0 outside the masks."""
        return self.direction(gradients)

    def allowed(self, moved: Tensor, pixels: Tensor) -> Tensor:
        """The nearest pictures to ``moved`` that the bound around ``pixels`` allows."""
        if self.largest_change is not None:
            moved = moved.clamp(pixels - self.largest_change, pixels + self.largest_change)
        return moved.clamp(0, 1)

    def reached(self, confidences: Tensor) -> Tensor:
        """Whether N confidences in the labels end the attack: N bool."""
        if self.goal == "impersonation":
            return confidences >= self.confidence
        return confidences <= self.dodging_confidence

    def _prepared(
        self, pixels: Tensor, masks: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Checked inputs on the network's device: float32 or float64, N x 1 x H x W bool, int64."""
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
        """The attributes of :class:`AttackResult` for pictures of the given number type."""
        texture = self.start(pixels, masks)
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

            done = self.reached(confidences) | last
            going = rows[~done]
            if len(going):
                loss = self.objective(logits, labels[rows], leaf, masks[rows])
                (gradient,) = gradients_of(loss.sum(), logits, {"the pixels": leaf})
                inside = gradient[~done].where(masks[going], 0.0)
                require_finite("the network's gradients", inside, pictures=going.tolist())
                velocity[going] = self.momentum * velocity[going] + self.unit_steps(
                    inside, masks[going]
                )
                moved = texture[going] - self.step * velocity[going]
                texture[going] = self.allowed(moved, pixels[going])
                gradients[going] += 1
            left = int(done.sum())
            if left:
                on_done(left)
                active = going.tolist() + list(islice(waiting, left))
        if best_probabilities is None:
            # The logits of a blank picture tell how many classes the network has.
            blank = logits_of(self.network, pixels.new_zeros(1, *pixels.shape[1:]))
            best_probabilities = blank.detach()[:0].float()
        return best, best_probabilities, best_iteration, gradients


def _is_fraction(value: object) -> bool:
    return isinstance(value, Real) and 0 <= float(value) <= 1


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, Integral) and int(value) >= least


def _is_colour(colour: object) -> bool:
    return isinstance(colour, Sequence) and len(colour) == 3 and all(map(_is_fraction, colour))


def _are_callable(values: object) -> bool:
    return isinstance(values, Sequence) and all(map(callable, values))
