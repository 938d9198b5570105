"""Attacks that optimise the pixels of a mask: adversarial eyeglasses and what goes the same way.

Sharif et al. (2016) optimise the colours of an eyeglass frame. The mask is an argument here, so a
sticker, a patch, a headband or the whole picture is attacked with the same code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from numbers import Integral, Real
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn

from glassguard.attack.directions import Scaled
from glassguard.attack.inputs import require_classes, require_labels, require_masks
from glassguard.attack.looks import Batch, Look
from glassguard.attack.losses import CrossEntropy
from glassguard.attack.optimisers import Optimiser
from glassguard.attack.rounding import rounded_to_8_bit
from glassguard.attack.settings import Goal
from glassguard.attack.starts import Start
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
        iterations: N int64, the iteration of the best iterate in its attempt (0: before the first
            step).
        gradients: N int64, steps that were made for the picture in all attempts.
        score: N float32, what the best iterate was kept by.
    """

    pixels: Tensor
    probabilities: Tensor
    iterations: Tensor
    gradients: Tensor
    score: Tensor


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
    :meth:`reached`; or :meth:`look`, where the network shall see something else.

    Attributes:
        network: maps pixels in [0, 1] to logits; in evaluation mode, of any floating-point type
            and on any device. The attack runs on that device. Gradients below 6e-8 vanish in
            float16.
        goal: ``impersonation`` (towards the target) or ``dodging`` (away from the true class).
        loss: what an impersonation minimises and dodging maximises, see :data:`Loss`.
        penalties: terms that both goals minimise, see :data:`Penalty`.
        direction: how a gradient becomes a step, see :data:`Direction`.
        optimiser: how gradients become steps, in place of ``direction`` and ``momentum``.
        initial_colour: R, G, B in [0, 1] of the mask before the first step; None keeps the
            picture.
        largest_change: how far a colour value may move from the picture's own, in [0, 1]; None
            sets no bound.
        step: length of a step, in (0, 1].
        momentum: share of the previous step that is kept, in [0, 1].
        iterations: maximum number of steps per picture.
        confidence: target confidence in [0, 1] at which an impersonation is done.
        dodging_confidence: confidence of the true class in [0, 1] at which dodging is done.
        restarts: where further attempts start. Each is made at the pictures that no attempt before
            it finished; of all attempts the best iterate is kept.
        patience: steps without a better iterate after which an attempt ends; None for no limit.
        seed: of random draws.
        batch_size: pictures per batch.

    Raises:
        ValueError: an argument is out of its range, or two arguments contradict each other.
    """

    network: nn.Module = field(kw_only=False, repr=False)
    goal: Goal = "impersonation"
    loss: Loss = field(default_factory=CrossEntropy)
    penalties: Sequence[Penalty] = ()
    direction: Direction = field(default_factory=Scaled)
    optimiser: Optimiser | None = None
    initial_colour: tuple[float, float, float] | None = (1.0, 1.0, 0.0)
    largest_change: float | None = None
    step: float = 20 / 255
    momentum: float = 0.4
    iterations: int = 300
    confidence: float = 0.95
    dodging_confidence: float = 0.01
    restarts: Sequence[Start] = ()
    patience: int | None = None
    seed: int = 0
    batch_size: int = 32

    def __post_init__(self) -> None:
        colour = (0.0, 0.0, 0.0) if self.initial_colour is None else self.initial_colour
        bound = 0.0 if self.largest_change is None else self.largest_change
        patience = 1 if self.patience is None else self.patience
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
            ("restarts", _are_callable(self.restarts), "a sequence of starts"),
            ("patience", _is_count(patience, 1), "a whole number, at least 1, or None"),
            ("seed", _is_count(self.seed, 0), "a whole number, at least 0"),
            ("batch_size", _is_count(self.batch_size, 1), "a whole number, at least 1"),
        ):
            if not sound:
                raise ValueError(f"{name} must be {allowed}: {getattr(self, name)!r}")
        if not (self.optimiser is None or callable(self.optimiser)):
            raise ValueError(f"optimiser must be callable, or None: {self.optimiser!r}")
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
        numbers: Sequence[int] | None = None,
        on_done: Callable[[int], None] = lambda count: None,
    ) -> AttackResult:
        """Attack pictures.

        Args:
            pixels: N x 3 x H x W in [0, 1], float16, bfloat16, float32 or float64; N may be 0.
            masks: True where a picture may change: N x H x W or N x 1 x H x W, or H x W or
                1 x H x W for all pictures; bool, or 0 and 1 of any number type.
            labels: N of any integer type: the class to be taken for (impersonation) or the true
                class (dodging).
            numbers: N whole numbers, at least 0, by which random draws tell pictures apart; from
                0 on when None. A picture's result does not depend on those beside it.
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
        draws = list(range(len(given))) if numbers is None else list(numbers)
        if len(draws) != len(given):
            raise ValueError(f"numbers are one for each picture: {len(draws)} for {len(given)}")
        with torch.inference_mode(False), torch.enable_grad():
            prepared = self._prepared(given, masks, labels)
            found = self._attempts(*prepared, draws, given.dtype, on_done)
        return AttackResult(**{name: part.to(given.device) for name, part in vars(found).items()})

    def start(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """Pictures before the first step; a new tensor of the shape of ``pixels``."""
        if self.initial_colour is None:
            return pixels.clone()
        colour = pixels.new_tensor(self.initial_colour).view(1, 3, 1, 1)
        return torch.where(masks, colour, pixels)

    def look(self, iterates: Tensor, batch: Batch) -> Look:
        """Ask the network about iterates, N x 3 x H x W of 8 bits; gradients flow back to them."""
        logits = self.answers(iterates, batch)
        probabilities = logits.detach().softmax(1).float()
        confidences = probabilities.gather(1, batch.labels[:, None])[:, 0]
        return Look(
            logits=logits,
            objective=self.objective(logits, batch.labels, iterates, batch.masks),
            score=confidences if self.goal == "impersonation" else -confidences,
            probabilities=probabilities,
            done=self.reached(confidences),
        )

    def answers(self, pictures: Tensor, batch: Batch) -> Tensor:
        """Logits of the batch's pictures, N x classes.

        Raises:
            ValueError: logits are not finite, or a label is none of the classes.
        """
        logits = logits_of(self.network, pictures, batch.rows)
        require_classes(batch.labels, logits.shape[1])
        return logits

    def objective(self, logits: Tensor, labels: Tensor, pixels: Tensor, masks: Tensor) -> Tensor:
        """What the steps minimise: N values from N x classes logits of the iterates ``pixels``."""
        loss = self.towards_goal(logits, labels)
        for penalty in self.penalties:
            loss = loss + penalty(pixels, masks)
        return loss

    def towards_goal(self, logits: Tensor, labels: Tensor) -> Tensor:
        """N losses, low where an impersonation, or dodging, succeeds."""
        loss = self.loss(logits, labels)
        return -loss if self.goal == "dodging" else loss

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

    def _attempts(
        self,
        pixels: Tensor,
        masks: Tensor,
        labels: Tensor,
        numbers: list[int],
        number_type: torch.dtype,
        on_done: Callable[[int], None],
    ) -> AttackResult:
        """The best of all attempts."""
        starts = [None, *self.restarts]
        rows = torch.arange(len(pixels), device=pixels.device)
        found: AttackResult | None = None
        for attempt, start in enumerate(starts):
            drawn = [numbers[row] for row in rows.tolist()]
            one, reached = self._attack(
                pixels[rows] if attempt else pixels,
                masks[rows],
                labels[rows],
                drawn,
                [np.random.default_rng([self.seed, number, attempt]) for number in drawn],
                start,
                number_type,
                on_done,
                final=attempt == len(self.restarts),
            )
            found = one if found is None else _better(found, one, rows)
            rows = rows[~reached]
            if not len(rows):
                break
        assert found is not None
        return found

    def _attack(
        self,
        pixels: Tensor,
        masks: Tensor,
        labels: Tensor,
        numbers: list[int],
        generators: list[np.random.Generator],
        start: Start | None,
        number_type: torch.dtype,
        on_done: Callable[[int], None],
        *,
        final: bool,
    ) -> tuple[AttackResult, Tensor]:
        """One attempt at pictures of the given number type, and which of them are done with."""
        count = len(pixels)
        begin = self.start if start is None else partial(start, generators=generators)
        texture = begin(pixels, masks)
        memory = torch.zeros_like(pixels)[:, None].repeat_interleave(self._memory, dim=1)
        best = torch.empty_like(pixels, dtype=number_type)
        best_probabilities: Tensor | None = None
        best_score = torch.full((count,), -torch.inf, device=pixels.device)
        best_iteration = torch.zeros(count, dtype=torch.int64, device=pixels.device)
        gradients = torch.zeros_like(best_iteration)
        reached = torch.zeros(count, dtype=torch.bool, device=pixels.device)
        waiting = iter(range(count))
        active = list(islice(waiting, self.batch_size))
        while active:
            rows = torch.tensor(active, device=pixels.device)
            rounded = rounded_to_8_bit(
                texture[rows], pixels[rows], masks[rows], self.largest_change, number_type
            ).contiguous(memory_format=torch.channels_last)
            last = gradients[rows] >= self.iterations
            batch = Batch(
                pixels=pixels[rows],
                masks=masks[rows],
                labels=labels[rows],
                rows=active,
                numbers=[numbers[row] for row in active],
                generators=[generators[row] for row in active],
                taken=gradients[rows].tolist(),
                last=last,
            )
            leaf = rounded.requires_grad_(not bool(last.all()))
            look = self.look(leaf, batch)
            if best_probabilities is None:
                best_probabilities = look.probabilities.new_zeros(
                    count, look.probabilities.shape[1]
                )
            better = look.score > best_score[rows]
            improved = rows[better]
            best[improved] = rounded.detach()[better].to(number_type)
            best_probabilities[improved] = look.probabilities[better]
            best_score[improved] = look.score[better]
            best_iteration[improved] = gradients[improved]

            reached[rows] = look.done
            left = look.done | last
            if self.patience is not None:
                left |= gradients[rows] - best_iteration[rows] >= self.patience
            going = rows[~left]
            if len(going):
                (gradient,) = gradients_of(look.objective.sum(), look.logits, {"the pixels": leaf})
                inside = gradient[~left].where(masks[going], 0.0)
                require_finite("the network's gradients", inside, pictures=going.tolist())
                kept = memory[going]
                moves = self._moves(inside, masks[going], kept, gradients[going].tolist())
                memory[going] = kept
                moved = texture[going] - self.step * moves
                texture[going] = self.allowed(moved, pixels[going])
                gradients[going] += 1
            leaving = len(rows) - len(going)
            if leaving:
                on_done(leaving if final else int(look.done.sum()))
                active = going.tolist() + list(islice(waiting, leaving))
        if best_probabilities is None:
            # The logits of a blank picture tell how many classes the network has.
            blank = logits_of(self.network, pixels.new_zeros(1, *pixels.shape[1:]))
            best_probabilities = blank.detach()[:0].float()
        found = AttackResult(best, best_probabilities, best_iteration, gradients, best_score)
        return found, reached

    @property
    def _memory(self) -> int:
        return 1 if self.optimiser is None else self.optimiser.memory

    def _moves(self, gradients: Tensor, masks: Tensor, memory: Tensor, taken: list[int]) -> Tensor:
        """Steps; updates the memory."""
        if self.optimiser is not None:
            return self.optimiser(gradients, memory, taken)
        memory[:, 0] = self.momentum * memory[:, 0] + self.unit_steps(gradients, masks)
        return memory[:, 0]


def _better(found: AttackResult, further: AttackResult, rows: Tensor) -> AttackResult:
    """The better iterate of each picture; ``further`` is of some of them."""
    improved = further.score > found.score[rows]
    chosen = rows[improved]
    for name in ("pixels", "probabilities", "iterations", "score"):
        getattr(found, name)[chosen] = getattr(further, name)[improved]
    found.gradients[rows] += further.gradients
    return found


def _is_fraction(value: object) -> bool:
    return isinstance(value, Real) and 0 <= float(value) <= 1


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, Integral) and int(value) >= least


def _is_colour(colour: object) -> bool:
    return isinstance(colour, Sequence) and len(colour) == 3 and all(map(_is_fraction, colour))


def _are_callable(values: object) -> bool:
    return isinstance(values, Sequence) and all(map(callable, values))
