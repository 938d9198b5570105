"""The detection study: slices compared and chosen, detectors of everybody, Table 1 (Study I)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import pandas as pd

from glassguard.detection.evaluation import (
    SPLITS,
    DetectorSettings,
    SliceDetectors,
    fit_slice,
    pair_rates,
    pairs_of,
    sweep,
)
from glassguard.detection.linear_detector import variant_named
from glassguard.detection.pictures import JOINED, Pictures, joined, only
from glassguard.detection.scores import Score
from glassguard.detection.selection import GROUPS, TUNED, Choice, choose, choose_without
from glassguard.detection.settings import Detector, Variant
from glassguard.detection.tables import classifier_sweep_table, with_intervals
from glassguard.recognizer.layers import paper_index

UNIT_LENGTH: Variant = "unit_standardised"
"""How slices are prepared that are to be joined."""

Pair = tuple[int, int]
"""Target and attacker, by class index."""


@dataclass(frozen=True)
class Reading:
    """Where in the network a detector reads, and how that was chosen.

    Attributes:
        slices: names of the slices.
        variant: how profiles are prepared; of a distance its metric.
        chosen_by: the rule, in words.
        votes: pairs by the slice and variant that each would choose without itself; empty where
            the rule does not ask the pairs.
    """

    slices: tuple[str, ...]
    variant: str
    chosen_by: str
    votes: Mapping[tuple[str, str], int] = field(default_factory=dict)


class DetectionStudy:
    """Linear detectors on one kind of profile, and the choice among them.

    Args:
        detector: settings of the classifier and of the choice.
        faces: benign pictures of all splits.
        attacks: adversarial pictures; slices are chosen on those of the validation split.
        seed: of the study; the classifier's seeds follow from it.

    Raises:
        ValueError: there is no adversarial picture.
    """

    def __init__(
        self, detector: Detector, faces: Pictures, attacks: Pictures, *, seed: int
    ) -> None:
        self.detector, self.seed = detector, seed
        self.faces, self.attacks = faces, attacks
        self.pairs = pairs_of(attacks)
        if not self.pairs:
            raise ValueError("the attack has no example: there is no pair to choose a slice for")
        self.sizes = {name: profile.shape[1] for name, profile in faces.profiles.items()}
        self.settings = DetectorSettings(
            alpha=detector.alpha,
            max_iter=detector.max_iter,
            acceptance=detector.target_acceptance,
        )
        drawn = np.random.SeedSequence([seed, 0xDE7]).generate_state(detector.seeds)
        self.seeds = [int(one) for one in drawn]
        self.sweep_seeds = min(detector.sweep_seeds, len(self.seeds))
        self._minima = {
            "minimum_benign_target": detector.minimum_benign_target,
            "minimum_benign_other": detector.minimum_benign_other,
        }
        self._fitted: dict[tuple[str, str], SliceDetectors] = {}

    def beside(self, faces: Pictures, attacks: Pictures) -> "DetectionStudy":
        """The same study of other pictures or other profiles."""
        return DetectionStudy(self.detector, faces, attacks, seed=self.seed)

    def sweep(self, variants: Sequence[Variant], *, splits: Sequence[str] = SPLITS) -> pd.DataFrame:
        """Rates of every pair at every slice (:func:`..evaluation.sweep`)."""
        return sweep(
            self.faces,
            self.attacks,
            variants=variants,
            settings=self.settings,
            seeds=self.seeds[: self.sweep_seeds],
            splits=splits,
        )

    def choices(self, rates: pd.DataFrame) -> dict[Pair, Choice]:
        """The choice of every pair, made without all pairs that share its target or attacker.

        Args:
            rates: :meth:`sweep`; only its validation rows are read.
        """
        seen = rates[rates["split"] == "val"]
        return {
            (target, attacker): choose_without(
                seen, target=target, attacker=attacker, **self._minima
            )
            for target, attacker in self.pairs
        }

    def most_frequent(self, choices: Mapping[Pair, Choice], rates: pd.DataFrame) -> Choice:
        """The choice of most pairs, with its score over all of them; ties as in the sweep."""
        chosen = [(choice.slice, choice.variant) for choice in choices.values()]
        seen = rates[rates["split"] == "val"]
        order = list(dict.fromkeys(zip(seen["slice"], seen["variant"], strict=True)))
        best = max(order, key=chosen.count)
        own = seen[(seen["slice"] == best[0]) & (seen["variant"] == best[1])]
        return choose(own, minimum_benign_target=0.0, minimum_benign_other=0.0)

    def reading(self, choices: Mapping[Pair, Choice], chosen: Choice) -> Reading:
        """How the pairs voted, and what came of it."""
        voted = [(choice.slice, choice.variant) for choice in choices.values()]
        votes = {name: voted.count(name) for name in dict.fromkeys(voted)}
        return Reading((chosen.slice,), chosen.variant, "most pairs", votes)

    def fitted(self, slice_name: str, variant: str) -> SliceDetectors:
        """Detectors of every person under all seeds; fitted once."""
        key = slice_name, variant.removesuffix(TUNED)
        if key not in self._fitted:
            self._fitted[key] = self._fit(self.faces, slice_name, variant_named(key[1]))
        return self._fitted[key]

    def _fit(self, faces: Pictures, slice_name: str, variant: Variant) -> SliceDetectors:
        return fit_slice(
            faces.in_split("train"),
            faces.in_split("val"),
            slice_name=slice_name,
            variant=variant,
            people=np.unique(faces.identity),
            settings=self.settings,
            seeds=self.seeds,
        )

    def best_scores(self, rates: pd.DataFrame) -> tuple[Score, Reading]:
        """Scores by the detectors that most pairs would choose."""
        choices = self.choices(rates)
        chosen = self.most_frequent(choices, rates)
        return self.fitted(chosen.slice, chosen.variant).scores, self.reading(choices, chosen)

    def layers_combined(self, rates: pd.DataFrame) -> tuple[Score, Reading]:
        """Scores on the joined profiles of the best slices, by validation pictures of all pairs.

        Slices are ranked as they are joined, of unit length, where the sweep has that.
        """
        seen = rates[rates["split"] == "val"]
        of_unit_length = seen[seen["variant"].str.removesuffix(TUNED) == UNIT_LENGTH]
        seen = seen if of_unit_length.empty else of_unit_length
        best: list[str] = []
        while len(best) < min(self.detector.combined_slices, len(self.sizes)):
            left = seen[~seen["slice"].isin(best)]
            best.append(choose(left, **self._minima).slice)
        # Already of unit length each; all at once would be weighed by their number of filters.
        fitted = self._fit(joined(self.faces, best), JOINED, "standardised")
        reading = Reading(tuple(best), "standardised", "best slices over all pairs")
        return lambda pictures: fitted.scores(joined(pictures, best)), reading

    def classifier_sweep(self, chosen: Choice) -> pd.DataFrame:
        """``sweep.csv``: alpha and iterations at the chosen slice, and who would choose them."""
        parts = []
        for alpha, max_iter in product(self.detector.sweep.alpha, self.detector.sweep.max_iter):
            rates = sweep(
                only(self.faces, chosen.slice),
                only(self.attacks, chosen.slice),
                variants=[variant_named(chosen.variant.removesuffix(TUNED))],
                settings=replace(self.settings, alpha=alpha, max_iter=max_iter),
                seeds=self.seeds,
            )
            parts.append(rates.assign(alpha=alpha, max_iter=max_iter))
        return classifier_sweep_table(
            pd.concat(parts, ignore_index=True),
            variant=chosen.variant,
            sizes=self.sizes,
            seeds=len(self.seeds),
            **self._minima,
        )

    def table1(self, choices: Mapping[Pair, Choice]) -> pd.DataFrame:
        """``table1.csv``: every pair of the test split at its own choice, people by index."""
        test, attacks = self.faces.in_split("test"), self.attacks.in_split("test")
        rows = []
        for pair, choice in choices.items():
            row = pair_rates(
                self.fitted(choice.slice, choice.variant),
                test,
                attacks,
                [pair],
                tuned=(choice.variant.endswith(TUNED),),
            )
            rows.append(
                row.assign(
                    paper_index=paper_index(choice.slice),
                    size=self.sizes[choice.slice],
                    chosen_on_pairs=choice.pairs,
                    seeds=len(self.seeds),
                )
            )
        return with_intervals(pd.concat(rows, ignore_index=True), GROUPS)
