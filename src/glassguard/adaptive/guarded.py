"""The guard as an informed attacker sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassguard.adaptive.defences import Defence
from glassguard.attack.losses import LogitMargin
from glassguard.guard.banded_pixels import banded_pixels
from glassguard.guard.banding import banded
from glassguard.guard.decision import agreed
from glassguard.guard.guard import BATCH, Guard
from glassguard.recognizer.answers import logits_of
from glassguard.recognizer.network import to_images
from glassguard.saliency.evaluation import Predictions, classify

GUARD = "guard"
"""The name of the defence in tables."""


@dataclass(frozen=True)
class Bound:
    """What the certificate says of N pictures before anybody attacks them.

    Attributes:
        banded_target: N bool, whether the banded recognizer takes the bare face for the target.
        covered: N bool, whether the frame lies within the band.
    """

    banded_target: NDArray[np.bool_]
    covered: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Guarded(Defence):
    """Two recognizers that must agree, of which one never sees the band of the eyes.

    Attributes:
        guard: both recognizers and the confidences that they need.
        bands: H x W bool of every picture, by the number that tells pictures apart.
        numbers: of the pictures that are asked about, see :meth:`at`.
        answers: of the banded recognizer, by the bytes of what it saw. Attacks show it the same
            picture again and again.
    """

    guard: Guard
    bands: Mapping[int, NDArray[np.bool_]]
    numbers: tuple[int, ...] = ()
    answers: dict[bytes, tuple[int, float]] = field(default_factory=dict, repr=False)

    @classmethod
    def worn(cls, guard: Guard, eyes: NDArray[np.floating], numbers: Sequence[int]) -> "Guarded":
        """The guard of N pictures with their N x 2 x 2 eyes and N numbers, ready to be asked."""
        bands = guard.band.masks(eyes, guard.size)
        return cls(guard, dict(zip(numbers, bands, strict=True)), tuple(numbers))

    def at(self, numbers: Sequence[int]) -> "Guarded":
        """See :class:`Defence`."""
        return replace(self, numbers=tuple(numbers))

    def surplus(self, pixels: Tensor, labels: Tensor, progress: Tensor) -> Tensor:
        """See :class:`Defence`: how far the banded recognizer is from naming the label surely.

        The other recognizer's loss is the attack's own.
        """
        bands = torch.from_numpy(self._bands()).to(pixels.device)
        logits = logits_of(self.guard.hidden, banded_pixels(pixels, bands))
        confidences = logits.softmax(1).gather(1, labels[:, None])[:, 0]
        return torch.maximum(
            LogitMargin()(logits, labels), self.guard.least["least_banded"] - confidences
        )

    def passes(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Defence`: whether the guard accepts pictures as their labels."""
        images = np.ascontiguousarray(to_images(pixels.detach().cpu()).numpy())
        full = classify(self.guard.full, images, batch_size=BATCH)
        hidden = self._banded_answers(banded(images, self._bands()))
        accepted = agreed(full, hidden, **self.guard.least)
        return torch.from_numpy(accepted & (full.classes == labels.cpu().numpy())).to(labels.device)

    def bound(
        self, faces: NDArray[np.uint8], frames: NDArray[np.bool_], targets: NDArray[np.int64]
    ) -> "Bound":
        """What the certificate says.

        Args:
            faces: N x S x S x 3 uint8, without a frame.
            frames: N x S x S bool, where an attacker may paint.
            targets: N int64.
        """
        bands = self._bands()
        hidden = classify(self.guard.hidden, banded(faces, bands), batch_size=BATCH)
        uncovered = (frames & ~bands).reshape(len(frames), -1)
        return Bound(hidden.classes == targets, np.logical_not(uncovered.any(axis=1)))

    def _banded_answers(self, hidden: NDArray[np.uint8]) -> Predictions:
        keys = [image.tobytes() for image in hidden]
        new = [row for row, key in enumerate(keys) if key not in self.answers]
        if new:
            found = classify(self.guard.hidden, hidden[new], batch_size=BATCH)
            answers = zip(found.classes.tolist(), found.confidences.tolist(), strict=True)
            self.answers.update(zip((keys[row] for row in new), answers, strict=True))
        classes, confidences = zip(*(self.answers[key] for key in keys), strict=True)
        return Predictions(np.array(classes), np.array(confidences, dtype=np.float32))

    def _bands(self) -> NDArray[np.bool_]:
        return np.stack([self.bands[number] for number in self.numbers])
