"""Gradient attacks on a recognizer together with its defence."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from glassguard.adaptive.defences import Defence
from glassguard.attack.looks import Batch, Look
from glassguard.attack.masked_pixels import MaskedPixelAttack


@dataclass(kw_only=True)
class InformedAttack(MaskedPixelAttack):
    """Steps that fool the recognizer and get past its defence at once.

    The objective is the attack's own plus ``weight`` times a hinge on the defence's surplus. An
    iterate that gets past the defence, decided exactly, is better than any that does not; among
    equals the more confident one is kept. A picture is done when it gets through and its
    confidence is reached.

    Attributes:
        defence: what is to be got past; of the same network.
        weight: of the hinge, at least 0; 0 is the blind attack, of which the best iterate for the
            defence is kept.
        margin: how far below its threshold the defence's stand-in is pushed, at least 0.

    Raises:
        ValueError: an argument is out of its range, the goal is dodging, or see
            :class:`MaskedPixelAttack`.
    """

    defence: Defence
    weight: float = 1.0
    margin: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("weight", "margin"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be finite, at least 0: {getattr(self, name)!r}")
        if self.goal != "impersonation":
            raise ValueError("an informed attack impersonates: a defence knows labels of targets")

    def look(self, iterates: Tensor, batch: Batch) -> Look:
        """See :meth:`MaskedPixelAttack.look`."""
        look = super().look(iterates, batch)
        passed = self.defence.at(batch.numbers).passes(iterates.detach(), batch.labels)
        judged = replace(look, score=look.score + passed, done=look.done & passed)
        if bool((judged.done | batch.last).all()) or self.weight == 0:
            return judged
        return replace(judged, objective=self.combined(look, iterates, batch))

    def combined(self, look: Look, iterates: Tensor, batch: Batch) -> Tensor:
        """N values that the next step lowers."""
        return look.objective + self.weight * self.hinge(iterates, batch)

    def hinge(self, iterates: Tensor, batch: Batch) -> Tensor:
        """How far pictures are from getting past the defence with the margin: N floats."""
        taken = torch.tensor(batch.taken, dtype=iterates.dtype, device=iterates.device)
        progress = taken / max(1, self.iterations)
        defence = self.defence.at(batch.numbers)
        surplus = defence.surplus(iterates, batch.labels, progress)
        return (surplus + self.margin).clamp(min=0)


@dataclass(kw_only=True)
class OrthogonalAttack(InformedAttack):
    """Steps on one of the two, along the part of its gradient that leaves the other alone.

    Orthogonal projected gradient descent (Bryniarski et al. 2022, section 4): while the recognizer
    is not fooled a step follows its gradient, then the defence's; each without its component along
    the other's. A joint objective, by contrast, may trade one for the other.
    """

    def combined(self, look: Look, iterates: Tensor, batch: Batch) -> Tensor:
        """See :meth:`InformedAttack.combined`; its gradient is the projected one."""
        fooled = look.probabilities.argmax(dim=1) == batch.labels
        (recognizer,) = torch.autograd.grad(look.objective.sum(), iterates, retain_graph=True)
        hinge = self.hinge(iterates, batch)
        masks = batch.masks.to(iterates.dtype)
        one, other = recognizer * masks, torch.zeros_like(recognizer)
        # Without a defence there is nothing to differentiate.
        if hinge.requires_grad:
            (defence,) = torch.autograd.grad(hinge.sum(), iterates)
            other = defence * masks
        # Nothing is left to gain of a defence that is got past.
        towards_defence = fooled & (hinge.detach() > 0)
        chosen = torch.where(
            towards_defence[:, None, None, None], _without(other, one), _without(one, other)
        )
        return (iterates * chosen).sum(dim=(1, 2, 3))


def _without(gradient: Tensor, direction: Tensor) -> Tensor:
    """N x 3 x H x W without its component along a direction; the direction may be zero."""
    along = (gradient * direction).sum(dim=(1, 2, 3), keepdim=True)
    square = direction.square().sum(dim=(1, 2, 3), keepdim=True)
    tiny = torch.finfo(gradient.dtype).tiny
    return gradient - torch.where(square > tiny, along / square.clamp(min=tiny), 0.0) * direction
