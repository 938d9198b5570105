"""The detection study: slices compared and chosen, detectors of everybody fitted (Study I)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from glassguard.detection.evaluation import Pair, pairs_of, sweep_rates
from glassguard.detection.linear_detector import variant_named
from glassguard.detection.pictures import JOINED, Pictures, joined, only
from glassguard.detection.scores import OnJoined
from glassguard.detection.selection import TUNED, Choice, Minimum, choose, choose_without
from glassguard.detection.settings import DetectorFit, Variant
from glassguard.detection.slice_detectors import (
    DetectorSettings,
    SliceDetectors,
    fit_slice,
    fit_slices,
)

UNIT_LENGTH: Variant = "unit_standardised"
"""How slices are prepared that are to be joined."""


@dataclass(frozen=True)
class Reading:
    """Where in the network a detector reads, and how that was chosen.

    Attributes:
        slices: names of the slices.
        variant: how profiles are prepared; of a distance its metric.
        chosen_by: the rule, in words.
        votes: slice, variant and the number of pairs that would choose them without themselves;
            empty where the rule does not ask the pairs.
    """

    slices: tuple[str, ...]
    variant: str
    chosen_by: str
    votes: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True)
class SweptClassifier:
    """Detectors of every target under one setting of the classifier."""

    alpha: float
    max_iter: int
    detectors: SliceDetectors


class DetectionStudy:
    """Fits linear detectors on one kind of profile, and chooses among them.

    Reads benign training and validation pictures and validation attacks. Of the test split it reads
    only who attacks whom.

    Args:
        detector: settings of the classifier and of the choice.
        faces: benign pictures; those of the test split are not read.
        attacks: adversarial pictures; slices are chosen on those of the validation split.
        seed: of the study; the classifier's seeds follow from it.

    Raises:
        ValueError: there is no adversarial picture.
    """

    def __init__(
        self, detector: DetectorFit, faces: Pictures, attacks: Pictures, *, seed: int
    ) -> None:
        self.detector, self.seed = detector, seed
        self.pairs = pairs_of(attacks)
        if not self.pairs:
            raise ValueError("the attack has no example: there is no pair to choose a slice for")
        self.targets = np.array(sorted({target for target, _ in self.pairs}))
        self.training, self.validation = faces.in_split("train"), faces.in_split("val")
        self.attacks = attacks
        self.seen_attacks = attacks.in_split("val")
        self.settings = DetectorSettings(
            alpha=detector.alpha,
            max_iter=detector.max_iter,
            acceptance=detector.target_acceptance,
        )
        drawn = np.random.SeedSequence([seed, 0xDE7]).generate_state(detector.seeds)
        self.seeds = [int(one) for one in drawn]
        self._fitted: dict[tuple[str, str], SliceDetectors] = {}

    def beside(self, faces: Pictures, attacks: Pictures) -> "DetectionStudy":
        """The same study of other pictures or other profiles."""
        return DetectionStudy(self.detector, faces, attacks, seed=self.seed)

    def sweep(self) -> tuple[SliceDetectors, ...]:
        """Detectors of every target at every slice under every variant, of a few seeds."""
        return fit_slices(
            self.training,
            self.validation,
            variants=self.detector.variants,
            people=self.targets,
            settings=self.settings,
            seeds=self.seeds[: self.detector.sweep_seeds],
        )

    def rates(self, swept: Sequence[SliceDetectors]) -> pd.DataFrame:
        """What slices are chosen on: rates of every pair on validation pictures and attacks."""
        return sweep_rates(swept, {"val": (self.validation, self.seen_attacks)}, self.pairs)

    def choices(self, rates: pd.DataFrame) -> dict[Pair, Choice]:
        """The choice of every pair, made without all pairs that share its target or attacker.

        Args:
            rates: :meth:`rates`.
        """
        return {
            (target, attacker): choose_without(
                rates, target=target, attacker=attacker, minimum=self.detector.minimum
            )
            for target, attacker in self.pairs
        }

    def most_frequent(self, choices: Mapping[Pair, Choice], rates: pd.DataFrame) -> Choice:
        """The choice of most pairs, with its score over all of them; ties as in the sweep."""
        chosen = [(choice.slice, choice.variant) for choice in choices.values()]
        order = list(dict.fromkeys(zip(rates["slice"], rates["variant"], strict=True)))
        best = max(order, key=chosen.count)
        own = rates[(rates["slice"] == best[0]) & (rates["variant"] == best[1])]
        return choose(own, Minimum())

    def reading(self, choices: Mapping[Pair, Choice], chosen: Choice) -> Reading:
        """How the pairs voted, and what came of it."""
        voted = [(choice.slice, choice.variant) for choice in choices.values()]
        votes = tuple((*name, voted.count(name)) for name in dict.fromkeys(voted))
        return Reading((chosen.slice,), chosen.variant, "most pairs", votes)

    def fitted(self, slice_name: str, variant: str) -> SliceDetectors:
        """Detectors of every person under all seeds; fitted once."""
        key = slice_name, variant.removesuffix(TUNED)
        if key not in self._fitted:
            self._fitted[key] = self._fit(
                self.training, self.validation, slice_name, variant_named(key[1])
            )
        return self._fitted[key]

    def _fit(
        self, training: Pictures, validation: Pictures, slice_name: str, variant: Variant
    ) -> SliceDetectors:
        return fit_slice(
            training,
            validation,
            slice_name=slice_name,
            variant=variant,
            people=np.unique(training.identity),
            settings=self.settings,
            seeds=self.seeds,
        )

    def best(self, rates: pd.DataFrame) -> tuple[SliceDetectors, Reading]:
        """Detectors of everybody at the choice of most pairs."""
        choices = self.choices(rates)
        chosen = self.most_frequent(choices, rates)
        return self.fitted(chosen.slice, chosen.variant), self.reading(choices, chosen)

    def layers_combined(self, rates: pd.DataFrame) -> tuple[OnJoined, Reading]:
        """Detectors on the joined profiles of the best slices, by validation pictures of all pairs.

        Slices are ranked as they are joined, of unit length, where the sweep has that.
        """
        of_unit_length = rates[rates["variant"].str.removesuffix(TUNED) == UNIT_LENGTH]
        seen = rates if of_unit_length.empty else of_unit_length
        best: list[str] = []
        while len(best) < min(self.detector.combined_slices, len(self.training.profiles)):
            left = seen[~seen["slice"].isin(best)]
            best.append(choose(left, self.detector.minimum).slice)
        # Already of unit length each; all at once would be weighed by their number of filters.
        training, validation = (joined(one, best) for one in (self.training, self.validation))
        fitted = self._fit(training, validation, JOINED, "standardised")
        reading = Reading(tuple(best), "standardised", "best slices over all pairs")
        return OnJoined(tuple(best), fitted), reading

    def sweep_classifier(self, chosen: Choice) -> tuple[SweptClassifier, ...]:
        """Detectors of every target at the chosen slice, for every alpha and iterations."""
        return tuple(
            SweptClassifier(
                alpha,
                max_iter,
                fit_slice(
                    only(self.training, chosen.slice),
                    only(self.validation, chosen.slice),
                    slice_name=chosen.slice,
                    variant=variant_named(chosen.variant.removesuffix(TUNED)),
                    people=self.targets,
                    settings=replace(self.settings, alpha=alpha, max_iter=max_iter),
                    seeds=self.seeds,
                ),
            )
            for alpha, max_iter in product(self.detector.sweep.alpha, self.detector.sweep.max_iter)
        )
