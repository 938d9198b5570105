"""All detectors of a study, fitted without a test picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np

from glassguard.detection.comparison import compare
from glassguard.detection.evaluation import Pair, pairs_of
from glassguard.detection.pictures import Pictures, half_wearing, together, with_activations
from glassguard.detection.scores import Score, remembered
from glassguard.detection.selection import TUNED, Choice
from glassguard.detection.settings import DetectorFit
from glassguard.detection.slice_detectors import SliceDetectors
from glassguard.detection.study import DetectionStudy, Reading, SweptClassifier
from glassguard.detection.thresholds import BARE, HALF_WEARING, Thresholds, thresholds_of


@dataclass(frozen=True)
class Detectors:
    """Fitted detectors, the choices among them, and thresholds.

    Attributes:
        identities: the network's classes.
        quantity: quantity of interest of the influence profiles.
        pairs: target and attacker, by index of ``identities``.
        choices: the choice of each pair, made without all that share its target or attacker.
        chosen: the choice of most pairs.
        of_choices: detectors of everybody at every slice and variant that a pair chose.
        swept: detectors of every target at every slice under every variant, on influence.
        swept_activations: the same on activations.
        swept_classifiers: the same at the choice of most pairs, for other settings.
        compared: every detector that is compared, by name.
        readings: where those of them read that read a chosen slice.
        thresholds: of ``compared``.
    """

    identities: tuple[str, ...]
    quantity: str
    pairs: tuple[Pair, ...]
    choices: tuple[Choice, ...]
    chosen: Choice
    of_choices: tuple[SliceDetectors, ...]
    swept: tuple[SliceDetectors, ...]
    swept_activations: tuple[SliceDetectors, ...]
    swept_classifiers: tuple[SweptClassifier, ...]
    compared: Mapping[str, Score]
    readings: Mapping[str, Reading]
    thresholds: Thresholds

    def at(self, choice: Choice) -> SliceDetectors:
        """Detectors of everybody at the slice and variant of a choice."""
        key = choice.slice, choice.variant.removesuffix(TUNED)
        return next(one for one in self.of_choices if (one.slice, one.variant) == key)

    def check(self, identities: Sequence[str], faces: Pictures, attacks: Pictures) -> None:
        """Refuse people, pairs or profiles other than those that detectors were fitted for.

        Args:
            identities: the network's classes.
            faces: benign pictures.
            attacks: adversarial pictures that slices were chosen on.

        Raises:
            ValueError: they differ.
        """
        if self.identities != tuple(identities):
            raise ValueError("detectors of other people")
        if self.pairs != tuple(pairs_of(attacks)):
            raise ValueError("detectors of other pairs of target and attacker")
        one = faces.take(np.arange(1))
        read = product(self.swept, [one]), product(self.swept_activations, [with_activations(one)])
        for detectors, pictures in chain(*read):
            if detectors.slice not in pictures.profiles:
                raise ValueError(f"profiles lack {detectors.slice}")
            detectors.margins(pictures)


def fit(
    settings: DetectorFit,
    faces: Pictures,
    attacks: Pictures,
    wearers: Sequence[Pictures],
    *,
    identities: Sequence[str],
    quantity: str,
    seed: int,
) -> Detectors:
    """Fit every detector on benign training pictures, choose and calibrate on validation pictures.

    The slice and variant are chosen on validation pictures and validation attacks. A pair's row of
    Table 1 uses the choice made without every pair that shares its target or its attacker. The
    detectors that are compared use the most frequent of these choices. Benign pictures belong to no
    pair that could be left out, so one slice serves all, and the validation attacks of the reported
    pairs had a vote in it.

    Args:
        settings: of the classifier, its seeds and the choice.
        faces: benign pictures; those of the test split are not read.
        attacks: adversarial pictures; of the test split only who attacks whom is read.
        wearers: benign pictures with plain frames, and with frames of random texture.
        identities: the network's classes.
        quantity: quantity of interest of the influence profiles.
        seed: of the study.

    Raises:
        ValueError: there is no adversarial picture.
        UnmatchedFacesError: no validation face is there bare and with both kinds of frames.
    """
    study = DetectionStudy(settings, faces, attacks, seed=seed)
    of_activations = study.of_others(with_activations(faces), with_activations(attacks))
    held_out = [kind.in_split("val") for kind in wearers]
    mixture = half_wearing(study.validation, *held_out)
    # A wearer whom the network takes for somebody else has that person's profile.
    seen = [kind.where((kind.split == "train") & kind.named_right) for kind in wearers]
    scores, readings = compare(
        study,
        of_activations,
        wearing=together([study.training, *seen, mixture]),
        mixture=mixture,
    )
    choices = tuple(study.choices.values())
    named = dict.fromkeys((one.slice, one.variant.removesuffix(TUNED)) for one in choices)
    return Detectors(
        identities=tuple(identities),
        quantity=quantity,
        pairs=tuple(study.pairs),
        choices=choices,
        chosen=study.chosen,
        of_choices=tuple(study.fitted(*name) for name in named),
        swept=study.swept,
        swept_activations=of_activations.swept,
        swept_classifiers=study.sweep_classifier(),
        compared=scores,
        readings=readings,
        thresholds=thresholds_of(
            {name: remembered(score) for name, score in scores.items()},
            {
                BARE: [study.validation],
                HALF_WEARING: [mixture, study.validation, *held_out],
            },
        ),
    )
