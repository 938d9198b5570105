"""Attacks that survive: expectation over transformation."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glassguard.attack.looks import Batch, Look
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.attack.settings import Transformations
from glassguard.attack.transformations import draw, seen_under

CHECKS = 0xC4EC
"""Separates the circumstances of checks from those of steps."""


@dataclass(kw_only=True)
class RobustAttack(MaskedPixelAttack):
    """Steps that lower the mean loss over random circumstances (Athalye et al. 2018, section 2).

    Each step sees a few circumstances that no step saw before. Every few steps the iterate is
    checked under others, always the same, and on the picture as it is; the iterate with the highest
    mean confidence in a check is kept. The attack of a picture ends where that mean reaches
    ``confidence`` (of dodging: ``dodging_confidence``).

    Attributes:
        transformations: how far circumstances range; a mapping of its fields will do.
        samples: circumstances a step, at least 1.
        checks: circumstances of a check, at least 1.
        check_every: steps from one check to the next, at least 1.

    Raises:
        ValueError: an argument is out of its range, or see :class:`MaskedPixelAttack`.
    """

    transformations: Transformations
    samples: int = 2
    checks: int = 8
    check_every: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Any = self.transformations
        self.transformations = Transformations.model_validate(given)
        for name in ("samples", "checks", "check_every"):
            if not (isinstance(getattr(self, name), int) and getattr(self, name) >= 1):
                raise ValueError(
                    f"{name} must be a whole number, at least 1: {getattr(self, name)!r}"
                )
        if self.patience is not None and self.patience < self.check_every:
            raise ValueError(
                f"patience must be at least check_every={self.check_every}: {self.patience}"
            )

    def look(self, iterates: Tensor, batch: Batch) -> Look:
        """See :meth:`MaskedPixelAttack.look`; only checked iterates have a score."""
        look = self._checked(iterates.detach(), batch)
        if bool((look.done | batch.last).all()):
            return look
        copies = batch.repeated(self.samples)
        logits = self.answers(
            self._seen(iterates.repeat_interleave(self.samples, dim=0), copies), copies
        )
        losses = self.towards_goal(logits, copies.labels)
        objective = losses.view(-1, self.samples).mean(dim=1)
        for penalty in self.penalties:
            objective = objective + penalty(iterates, batch.masks)
        return replace(look, logits=logits, objective=objective)

    @torch.no_grad()
    def _checked(self, iterates: Tensor, batch: Batch) -> Look:
        """Scores of the iterates whose turn it is, ``-inf`` of the others."""
        turn = torch.tensor([taken % self.check_every == 0 for taken in batch.taken])
        asked = (turn.to(iterates.device) | batch.last).nonzero()[:, 0]
        score = torch.full((len(iterates),), -torch.inf, device=iterates.device)
        done = torch.zeros(len(iterates), dtype=torch.bool, device=iterates.device)
        probabilities = score[:, None]
        if len(asked):
            part = batch.at(asked)
            logits = self.answers(iterates[asked], part)
            bare = logits.softmax(1).float()
            fixed = [np.random.default_rng([self.seed, number, CHECKS]) for number in part.numbers]
            copies = replace(part, generators=fixed).repeated(self.checks)
            seen = self._seen(iterates[asked].repeat_interleave(self.checks, dim=0), copies)
            answers = self.answers(seen, copies).softmax(1).float()
            confidences = answers.gather(1, copies.labels[:, None]).view(-1, self.checks)
            mean = confidences.mean(dim=1)
            score[asked] = mean if self.goal == "impersonation" else -mean
            done[asked] = self.reached(mean)
            probabilities = bare.new_zeros(len(iterates), bare.shape[1])
            probabilities[asked] = bare
        return Look(score[:, None], score, score, probabilities, done)

    def _seen(self, worn: Tensor, copies: Batch) -> Tensor:
        size = (worn.shape[2], worn.shape[3])
        circumstances = draw(self.transformations, copies.generators, size)
        return seen_under(circumstances, worn, copies.pixels, copies.masks)
