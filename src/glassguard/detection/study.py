"""The detection study: slices compared and chosen, detectors of everybody fitted (Study I)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
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
        variant: how profiles are prepared; the metric of a distance.
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

    It reads benign training and validation pictures and validation attacks; of the test split, only
    who attacks whom. What a property returns is computed once.

    Args:
        detector: settings of the classifier and of the choice.
        faces: benign pictures; those of the test split are not read.
        attacks: adversarial pictures; slices are chosen on those of the validation split.
        seed: of the study; the classifier's seeds follow from it.
        sweep_seeds: seeds while slices are compared; those of the settings when None.

    Raises:
        ValueError: there is no adversarial picture.
    """

    def __init__(
        self,
        detector: DetectorFit,
        faces: Pictures,
        attacks: Pictures,
        *,
        seed: int,
        sweep_seeds: int | None = None,
    ) -> None:
        self.detector, self.seed, self.attacks = detector, seed, attacks
        self.sweep_seeds = detector.sweep_seeds if sweep_seeds is None else sweep_seeds
        self.minimum = Minimum(detector.minimum_benign_target, detector.minimum_benign_other)
        self.pairs = pairs_of(attacks)
        if not self.pairs:
            raise ValueError("the attack has no example: there is no pair to choose a slice for")
        self.targets = np.array(sorted({target for target, _ in self.pairs}))
        self.training, self.validation = faces.in_split("train"), faces.in_split("val")
        self.settings = DetectorSettings(
            detector.alpha, detector.max_iter, detector.target_acceptance
        )
        drawn = np.random.SeedSequence([seed, 0xDE7]).generate_state(detector.seeds)
        self.seeds = [int(one) for one in drawn]
        self._fitted: dict[tuple[str, str], SliceDetectors] = {}

    def of_others(
        self, faces: Pictures, attacks: Pictures, *, sweep_seeds: int | None = None
    ) -> "DetectionStudy":
        """The same study of other pictures or other profiles."""
        return DetectionStudy(
            self.detector, faces, attacks, seed=self.seed, sweep_seeds=sweep_seeds
        )

    @cached_property
    def swept(self) -> tuple[SliceDetectors, ...]:
        """Detectors of every target at every slice under every variant, of a few seeds."""
        return fit_slices(
            self.training,
            self.validation,
            variants=self.detector.variants,
            people=self.targets,
            settings=self.settings,
            seeds=self.seeds[: self.sweep_seeds],
        )

    @cached_property
    def rates(self) -> pd.DataFrame:
        """Rates of every pair on validation pictures and attacks, on which slices are chosen."""
        held_out = {"val": (self.validation, self.attacks.in_split("val"))}
        return sweep_rates(self.swept, held_out, self.pairs)

    @cached_property
    def choices(self) -> dict[Pair, Choice]:
        """The choice of every pair, made without all pairs that share its target or attacker."""
        return {
            (target, attacker): choose_without(
                self.rates, target=target, attacker=attacker, minimum=self.minimum
            )
            for target, attacker in self.pairs
        }

    @property
    def _votes(self) -> list[tuple[str, str]]:
        return [(choice.slice, choice.variant) for choice in self.choices.values()]

    @cached_property
    def chosen(self) -> Choice:
        """The choice of most pairs, with its score over all of them; ties as in the sweep."""
        rates = self.rates
        order = list(dict.fromkeys(zip(rates["slice"], rates["variant"], strict=True)))
        best = max(order, key=self._votes.count)
        own = rates[(rates["slice"] == best[0]) & (rates["variant"] == best[1])]
        return choose(own, Minimum())

    def best(self) -> tuple[SliceDetectors, Reading]:
        """Detectors of everybody at the choice of most pairs."""
        chosen, voted = self.chosen, self._votes
        votes = tuple((*name, voted.count(name)) for name in dict.fromkeys(voted))
        reading = Reading((chosen.slice,), chosen.variant, "most pairs", votes)
        return self.fitted(chosen.slice, chosen.variant), reading

    def fitted(self, slice_name: str, variant: str) -> SliceDetectors:
        """Detectors of every person under all seeds; fitted once."""
        key = slice_name, variant.removesuffix(TUNED)
        if key not in self._fitted:
            self._fitted[key] = self._fit(*key)
        return self._fitted[key]

    def _fit(
        self, slice_name: str, variant: str, prepare: Callable[[Pictures], Pictures] | None = None
    ) -> SliceDetectors:
        pictures = self.training, self.validation
        return fit_slice(
            *(pictures if prepare is None else map(prepare, pictures)),
            slice_name=slice_name,
            variant=variant_named(variant),
            people=np.unique(self.training.identity),
            settings=self.settings,
            seeds=self.seeds,
        )

    def layers_combined(self) -> tuple[OnJoined, Reading]:
        """Detectors on the joined profiles of the best slices, by validation pictures of all pairs.

        Slices are ranked as they are joined, at unit length, where the sweep has that.
        """
        of_unit_length = self.rates[self.rates["variant"].str.removesuffix(TUNED) == UNIT_LENGTH]
        seen = self.rates if of_unit_length.empty else of_unit_length
        best: tuple[str, ...] = ()
        while len(best) < min(self.detector.combined_slices, len(self.training.profiles)):
            best += (choose(seen[~seen["slice"].isin(best)], self.minimum).slice,)
        # Each is of unit length already; all at once would be weighed by their number of filters.
        fitted = self._fit(JOINED, "standardised", lambda pictures: joined(pictures, best))
        return OnJoined(best, fitted), Reading(best, "standardised", "best slices over all pairs")

    def sweep_classifier(self) -> tuple[SweptClassifier, ...]:
        """Detectors of every target at the chosen slice, for every alpha and iterations."""
        name, variant = self.chosen.slice, self.chosen.variant.removesuffix(TUNED)
        training, validation = only(self.training, name), only(self.validation, name)
        found = []
        for alpha, max_iter in product(self.detector.sweep.alpha, self.detector.sweep.max_iter):
            fitted = fit_slice(
                training,
                validation,
                slice_name=name,
                variant=variant_named(variant),
                people=self.targets,
                settings=replace(self.settings, alpha=alpha, max_iter=max_iter),
                seeds=self.seeds,
            )
            found.append(SweptClassifier(alpha, max_iter, fitted))
        return tuple(found)
