"""The guard of a finished study, for pictures that come one at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassguard.errors import InputError
from glassguard.files.formats import read_json
from glassguard.guard.banding import banded
from glassguard.guard.decision import ACCEPT, NOBODY, agreed, decided
from glassguard.guard.eye_band import EyeBand
from glassguard.guard.settings import Mode
from glassguard.recognizer.network import Recognizer
from glassguard.recognizer.weights import read_recognizer
from glassguard.saliency.evaluation import classify

BATCH = 32
FILES = (
    "recognizer/recognizer.safetensors",
    "guard/banded_recognizer.safetensors",
    "guard/band.json",
    "guard/thresholds.json",
)
"""What the guard of a study is read from, below the study's folder."""


@dataclass(frozen=True)
class Inspection:
    """What the guard makes of one picture.

    Attributes:
        decision: ``accept``, ``reject`` or ``correct``.
        answer: a name, or None where the picture is rejected.
        why: in words.
        seen: whom the recognizer sees.
        seen_confidence: how sure it is, in [0, 1].
        banded: whom the recognizer sees that does not see the eye band.
        banded_confidence: how sure that one is, in [0, 1].
    """

    decision: str
    answer: str | None
    why: str
    seen: str
    seen_confidence: float
    banded: str
    banded_confidence: float


@dataclass(frozen=True)
class Guard:
    """Two recognizers that must agree, of which one never sees the band of the eyes.

    Attributes:
        full: maps N x 3 x S x S pixels in [0, 1] to logits.
        hidden: the same for pictures whose band is filled.
        identities: names of the classes of both.
        size: side S of the pictures in pixels.
        band: what the second does not see.
        least: ``least_full`` and ``least_banded``, the confidences that are needed.
        mode: what becomes of pictures on which they disagree.
    """

    full: Recognizer
    hidden: Recognizer
    identities: tuple[str, ...]
    size: int
    band: EyeBand
    least: dict[str, float]
    mode: Mode

    @classmethod
    def load(cls, results: Path | str, *, mode: Mode | None = None) -> "Guard":
        """The guard of a study.

        Args:
            results: folder of the study, as ``results/embedded``.
            mode: another mode than the study's.

        Raises:
            InputError: a file is missing, or is not the guard's of this study.
        """
        return cls.open(*(Path(results) / name for name in FILES), mode=mode)

    @classmethod
    def open(
        cls,
        recognizer: Path,
        banded_recognizer: Path,
        band: Path,
        thresholds: Path,
        *,
        mode: Mode | None = None,
    ) -> "Guard":
        """The guard in four files; see :meth:`load`."""
        full, identities = read_recognizer(recognizer)
        hidden, known = read_recognizer(banded_recognizer)
        if (known, hidden.image_size) != (identities, full.image_size):
            raise InputError(f"{banded_recognizer}: of other people or pictures than {recognizer}")
        rectangle, confidences = read_json(band), read_json(thresholds)
        try:
            edges = EyeBand(
                *(float(rectangle[edge]) for edge in ("half_width", "top", "bottom", "shift"))
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{band}: not a band of the eyes: {error}") from None
        try:
            least = {name: float(confidences[name]) for name in ("least_full", "least_banded")}
            chosen: Mode = mode or confidences["mode"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{thresholds}: not the guard's thresholds: {error}") from None
        if chosen not in ("accept_or_reject", "correct"):
            raise InputError(f"mode must be accept_or_reject or correct: {chosen!r}")
        return cls(full, hidden, tuple(identities), full.image_size, edges, least, chosen)

    def inspect(self, images: NDArray[np.uint8], eyes: NDArray[np.floating]) -> list[Inspection]:
        """Accept, reject or correct aligned faces.

        Args:
            images: N x S x S x 3 uint8 RGB, aligned as the study's.
            eyes: N x 2 x 2, see :meth:`EyeBand.masks`; where alignment brought them
                (:attr:`glassguard.faces.alignment.AlignedFace.eyes`).

        Raises:
            ValueError: pictures or eyes are of another type or shape.
        """
        wanted = (self.size, self.size, 3)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != wanted:
            raise ValueError(
                f"pictures are uint8, N x {self.size} x {self.size} x 3: {images.dtype}, "
                f"{' x '.join(map(str, images.shape))}"
            )
        if not len(images):
            return []
        full = classify(self.full, images, batch_size=BATCH)
        covered = banded(images, self.band.masks(eyes, self.size))
        hidden = classify(self.hidden, covered, batch_size=BATCH)
        verdict = decided(full, hidden, agreed(full, hidden, **self.least), mode=self.mode)
        found = []
        for row in range(len(images)):
            seen, banded_name = (self.identities[one.classes[row]] for one in (full, hidden))
            sure = float(full.confidences[row]), float(hidden.confidences[row])
            answer = verdict.answer[row]
            found.append(
                Inspection(
                    decision=str(verdict.decision[row]),
                    answer=None if answer == NOBODY else self.identities[answer],
                    why=self._why(seen, banded_name, sure),
                    seen=seen,
                    seen_confidence=sure[0],
                    banded=banded_name,
                    banded_confidence=sure[1],
                )
            )
        return found

    def hide(self, image: NDArray[np.uint8], eyes: NDArray[np.floating]) -> NDArray[np.uint8]:
        """What the banded recognizer sees of one S x S x 3 uint8 picture with its 2 x 2 eyes."""
        return banded(image[None], self.band.masks(eyes[None], self.size))[0]

    def detect(
        self, x: NDArray[np.floating], eyes: NDArray[np.floating]
    ) -> tuple[dict[str, Any], NDArray[np.bool_]]:
        """The interface of the Adversarial Robustness Toolbox's evasion detectors.

        Args:
            x: N x 3 x S x S in [0, 1], rounded to 256 levels.
            eyes: see :meth:`inspect`.

        Returns:
            A report with the :class:`Inspection` of every picture under ``inspections``, and which
            pictures are not accepted, N bool.

        Raises:
            ValueError: see :meth:`inspect`, or a value is out of range.
        """
        pixels = np.asarray(x)
        if not ((pixels >= 0) & (pixels <= 1)).all():
            raise ValueError("pixels are in [0, 1]")
        images = np.rint(pixels * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        found = self.inspect(np.ascontiguousarray(images), eyes)
        return {"inspections": found}, np.array([one.decision != ACCEPT for one in found], bool)

    def _why(self, seen: str, hidden: str, sure: tuple[float, float]) -> str:
        least = self.least["least_full"], self.least["least_banded"]
        if seen != hidden:
            return f"looks like {seen}, and like {hidden} with the band of the eyes hidden"
        for confidence, needed, how in zip(sure, least, ("", " with the band hidden"), strict=True):
            if confidence < needed:
                return f"looks like {seen}, but {confidence:.3f} is below {needed:.3f}{how}"
        return f"looks like {seen} with and without the band of the eyes"
