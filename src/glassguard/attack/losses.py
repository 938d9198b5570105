"""Losses that are low where a network takes pictures for their labels."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class CrossEntropy:
    """The negative logarithm of the label's confidence (Sharif et al. 2016, section 4.1)."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """N x classes logits and N int64 labels to N losses."""
        return F.cross_entropy(logits, labels, reduction="none")
