"""Classification by angle, with a margin for the true class in training."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassguard.recognizer.settings import Margin

LARGEST_COSINE = 1 - 1e-6
"""The gradient of the angle is infinite at a cosine of 1."""


class MarginClassifier(nn.Module):
    """Logits ``scale * cosine`` to a centre of each class, lowered for the true class.

    With margin m, ``cosine`` gives the true class cos θ - m (CosFace, Wang et al. 2018, eq. 4) and
    ``arc`` cos(θ + m), m in radians (ArcFace, Deng et al. 2019, eq. 3); beyond θ = π - m, where
    that would rise again, cos θ - m sin m as in their code.
    """

    def __init__(
        self, dimensions: int, identities: int, *, kind: Margin, margin: float, scale: float
    ) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.empty(identities, dimensions))
        nn.init.normal_(self.centres, std=0.01)
        self.kind = kind
        self.margin = margin
        self.scale = scale

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        """N x dimensions float32 and N int64 (None: no margin) to N x identities logits."""
        cosines = F.linear(F.normalize(embeddings), F.normalize(self.centres))
        if labels is not None:
            true = F.one_hot(labels, cosines.shape[1])
            if self.kind == "cosine":
                cosines = cosines - self.margin * true
            else:
                cosines = torch.where(true.bool(), self._turned(cosines), cosines)
        return self.scale * cosines

    def _turned(self, cosines: Tensor) -> Tensor:
        inside = cosines.clamp(-LARGEST_COSINE, LARGEST_COSINE)
        # MKL's square root depends on the processor's maker.
        sines = (1 - inside**2).rsqrt().reciprocal()
        turned = inside * math.cos(self.margin) - sines * math.sin(self.margin)
        beyond = inside - self.margin * math.sin(self.margin)
        return torch.where(inside > -math.cos(self.margin), turned, beyond)
