"""Attacks on open-set recognition: on the cosine similarity to enrolled people."""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from glassguard.attack.inputs import require_classes
from glassguard.attack.looks import Batch, Look
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.recognizer.answers import logits_of
from glassguard.recognizer.embedding_recognizer import EmbeddingRecognizer


class SimilaritiesAndLogits(nn.Module):
    """Cosine similarities to enrolled people and the trained layers' logits, in one pass.

    Args:
        network: a recognizer with an embedding.
        enrolled: directions, people x D.
    """

    enrolled: Tensor

    def __init__(self, network: EmbeddingRecognizer, enrolled: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("enrolled", F.normalize(enrolled, dim=1))

    def forward(self, pixels: Tensor) -> Tensor:
        """N x 3 x H x W float32 RGB in [0, 1] to N x (2 · people), similarities first."""
        embeddings = self.network.embeddings(pixels)
        similarities = F.normalize(embeddings, dim=1) @ self.enrolled.T
        logits = self.network.classifier(self.network.flatten(embeddings))
        return torch.cat([similarities, logits], dim=1)


@dataclass(kw_only=True)
class CosineAttack(MaskedPixelAttack):
    """Steps on the embedding's cosine similarity to enrolled people (Deng et al. 2019, section 4).

    Similarities take the place of logits and confidences: the loss reads them, the iterate with the
    highest similarity to the target is kept (of dodging: the lowest to the attacker), and a picture
    is done where it reaches ``confidence`` (``dodging_confidence``). With the loss
    :class:`~glassguard.attack.losses.LabelLogit`, steps lead towards the target, whoever else is
    near. Probabilities of the result remain those of the trained layers.

    Attributes:
        enrolled: directions of the people, people x D, in the order of the network's logits; of
            any length but zero.

    Raises:
        ValueError: the network has no embedding, ``enrolled`` does not fit it, or see
            :class:`MaskedPixelAttack`.
    """

    enrolled: NDArray[np.floating] = field(repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.network, EmbeddingRecognizer):
            raise ValueError(f"network must have an embedding: {type(self.network).__name__}")
        last = self.network.get_submodule("classifier.fc3")
        assert isinstance(last, nn.Linear)
        expected = last.out_features, self.network.features.dimensions
        given = np.asarray(self.enrolled)
        if given.shape != expected:
            raise ValueError(f"enrolled must be people x dimensions, {expected}: {given.shape}")
        if not (np.isfinite(given).all() and given.any(axis=1).all()):
            raise ValueError("enrolled must be finite, and no row zero")
        directions = torch.as_tensor(given).to(last.weight.device, last.weight.dtype)
        self._answering = SimilaritiesAndLogits(self.network, directions).eval()

    def look(self, iterates: Tensor, batch: Batch) -> Look:
        """See :meth:`MaskedPixelAttack.look`."""
        answers = logits_of(self._answering, iterates, batch.rows)
        similarities, logits = answers.chunk(2, dim=1)
        require_classes(batch.labels, similarities.shape[1])
        chosen = similarities.detach().gather(1, batch.labels[:, None])[:, 0].float()
        return Look(
            logits=similarities,
            objective=self.objective(similarities, batch.labels, iterates, batch.masks),
            score=chosen if self.goal == "impersonation" else -chosen,
            probabilities=logits.detach().softmax(1).float(),
            done=self.reached(chosen),
        )
