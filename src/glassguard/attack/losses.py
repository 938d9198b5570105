"""Losses that are low where a network takes pictures for their labels."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class CrossEntropy:
    """The negative logarithm of the label's confidence (Sharif et al. 2016, section 4.1)."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """N x classes logits and N int64 labels to N losses."""
        return F.cross_entropy(logits, labels, reduction="none")


@dataclass(frozen=True)
class LogitMargin:
    """By how much the largest other logit exceeds the label's (Carlini and Wagner 2017, f6).

    Its gradient does not vanish where the softmax saturates.
    """

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """N x classes logits, of two classes or more, and N int64 labels to N losses."""
        of_label = logits.gather(1, labels[:, None])[:, 0]
        own = F.one_hot(labels, logits.shape[1]).bool()
        return logits.masked_fill(own, -torch.inf).amax(dim=1) - of_label


@dataclass(frozen=True)
class LabelLogit:
    """Minus the label's logit.

    Where the logits are cosine similarities to enrolled people, this is the loss of an attack on
    open-set recognition: towards one person, whoever else is near.
    """

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """N x classes logits and N int64 labels to N losses."""
        return -logits.gather(1, labels[:, None])[:, 0]


LOSSES: dict[str, CrossEntropy | LogitMargin | LabelLogit] = {
    "cross_entropy": CrossEntropy(),
    "logit_margin": LogitMargin(),
    "label_logit": LabelLogit(),
}
"""By their names in the configuration."""
