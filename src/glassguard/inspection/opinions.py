"""What the saved detectors and the saliency mask of a study make of a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassguard.configuration.sections import ResponsesSection, read_section
from glassguard.detection.activations import profiles_and_activations
from glassguard.detection.detector_file import from_arrays
from glassguard.detection.detectors import Detectors
from glassguard.detection.pictures import NOBODY, Pictures
from glassguard.detection.pixel_detectors import pixel_scores
from glassguard.detection.thresholds import FALSE_POSITIVE_RATES, HALF_WEARING
from glassguard.errors import InputError
from glassguard.files.formats import read_json, read_safetensors
from glassguard.influence.measure import internal_influence, pictures_at_once
from glassguard.recognizer.network import Recognizer
from glassguard.saliency.agreement import masked_agreement
from glassguard.saliency.choice import combination_of
from glassguard.saliency.evaluation import Predictions, classify_masked, masks_under
from glassguard.saliency.explanation import explained
from glassguard.saliency.grid import Combination, with_maps


@dataclass(frozen=True)
class Flag:
    """What a detector says of a picture.

    Attributes:
        detector: its name in the study's tables.
        slices: the layers that it reads; none where it reads no chosen layer.
        score: larger is more suspicious.
        threshold: the score above which a picture is flagged.
        flagged: whether it is.
    """

    detector: str
    slices: tuple[str, ...]
    score: float
    threshold: float
    flagged: bool


@dataclass(frozen=True)
class Opinion:
    """What detectors and mask say of a picture.

    Attributes:
        flags: of every saved detector.
        removed: share of the picture that the saliency mask removes, in [0, 1].
        masked: whom the recognizer sees then.
        masked_confidence: how sure it is, in [0, 1].
        mask: H x W bool, what is removed.
    """

    flags: tuple[Flag, ...]
    removed: float
    masked: str
    masked_confidence: float
    mask: NDArray[np.bool_]

    def plain(self) -> dict[str, Any]:
        """Everything but the mask, as JSON can hold it."""
        return {
            "detectors": [
                {**vars(flag), "slices": list(flag.slices), "score": _finite(flag.score)}
                for flag in self.flags
            ],
            "mask_removes": self.removed,
            "masked": self.masked,
            "masked_confidence": self.masked_confidence,
        }


@dataclass(frozen=True)
class SecondOpinion:
    """The detectors and the best saliency mask of a finished study.

    Attributes:
        network: the recognizer that sees everything.
        detectors: fitted.
        settings: of what detectors and masks read of a picture.
        mask: the mask with the best goodness.
        false_alarms: rate that the detectors' thresholds are set at, among benign pictures of which
            half wear honest frames; one of :data:`FALSE_POSITIVE_RATES`.
    """

    network: Recognizer
    detectors: Detectors
    settings: ResponsesSection
    mask: Combination
    false_alarms: float

    @classmethod
    def load(
        cls,
        results: Path,
        network: Recognizer,
        identities: Sequence[str],
        *,
        false_alarms: float = FALSE_POSITIVE_RATES[1],
    ) -> "SecondOpinion":
        """Those of a study.

        Raises:
            InputError: a file is missing, or is not of this study.
        """
        description = results / "detection/detectors.json"
        arrays = results / "detection/detectors.safetensors"
        best = results / "saliency/best.json"
        try:
            detectors = from_arrays(read_json(description), read_safetensors(arrays))
        except ValueError as error:
            raise InputError(f"{description}, {arrays}: not fitted detectors: {error}") from None
        if not isinstance(detectors, Detectors) or detectors.identities != tuple(identities):
            raise InputError(f"{description}: not the detectors of this study's recognizer")
        try:
            mask = combination_of(read_json(best)["goodness"])
        except (KeyError, TypeError):
            raise InputError(f"{best}: holds no best mask") from None
        settings = read_section(results / "config/responses.yaml", ResponsesSection)
        return cls(network, detectors, settings, mask, false_alarms)

    def __call__(self, images: NDArray[np.uint8]) -> list[Opinion]:
        """Opinions on N x S x S x 3 uint8 aligned faces, in their order."""
        if not len(images):
            return []
        saliency = self.settings.saliency
        kinds = list(dict.fromkeys([*saliency.maps, self.mask.map]))
        size = saliency.batch_size
        maps, decided = explained(self.network, images, kinds, saliency, batch_size=size)
        fixed = saliency.masking.model_dump(exclude={"mu"})
        masks = [Combination(**fixed, mu=mu) for mu in dict.fromkeys(saliency.masking.mu)]
        pairs = with_maps(images, range(len(images)), maps)
        how: dict[str, int] = {"kernel": saliency.kernel, "batch_size": size}
        left = masked_agreement(self.network, pairs, decided, masks, **how)
        pictures = self._pictures(images, left.mean(axis=1, dtype=np.float64))

        bare = Predictions(pictures.prediction, pictures.confidence)
        removed = masks_under(maps, self.mask, kernel=saliency.kernel)
        fill = self.mask.fill
        behind = classify_masked(self.network, images, removed, fill, bare, batch_size=size)
        flags = self._flags(pictures)
        names = self.detectors.identities
        return [
            Opinion(
                flags=tuple(of_detector[row] for of_detector in flags),
                removed=float(removed[row].mean()),
                masked=names[behind.classes[row]],
                masked_confidence=float(behind.confidences[row]),
                mask=removed[row],
            )
            for row in range(len(images))
        ]

    def _pictures(self, images: NDArray[np.uint8], agreement: NDArray[np.float64]) -> Pictures:
        """The pictures as detectors see them; who is in them is not known."""
        measure, count = self.settings.influence, len(images)
        positions = measure.positions
        found, activations = profiles_and_activations(
            internal_influence(
                measure, self.network, self.network.slice_modules(positions, measure.slices)
            ),
            self.network.slice_modules(("post_relu",), measure.slices),
            images,
            reduction=measure.reduction,
            places=measure.places,
            batch_size=pictures_at_once(measure),
        )
        answers, size = activations.logits, self.settings.baselines.batch_size
        return Pictures(
            profiles=found.profiles,
            prediction=found.prediction,
            confidence=found.confidence,
            identity=np.full(count, NOBODY),
            target=np.full(count, NOBODY),
            split=np.full(count, "test"),
            face=np.array([str(row) for row in range(count)]),
            agreement=agreement,
            covered=np.full(count, np.nan),
            misnamed_bare=np.zeros(count, dtype=bool),
            activations=activations.largest,
            mean_activations=activations.mean,
            pixel_scores={
                name: score(self.network, images, answers, batch_size=size)
                for name, score in pixel_scores(self.settings.baselines).items()
            },
        )

    def _flags(self, pictures: Pictures) -> list[list[Flag]]:
        """Of every detector, its flags of all pictures."""
        place = FALSE_POSITIVE_RATES.index(self.false_alarms)
        found = []
        for name, score in self.detectors.compared.items():
            threshold = float(self.detectors.thresholds[HALF_WEARING][name][place])
            reading = self.detectors.readings.get(name)
            slices = () if reading is None else reading.slices
            scores = score(pictures).tolist()
            found.append([Flag(name, slices, one, threshold, one > threshold) for one in scores])
        return found


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if np.isfinite(value) else None
