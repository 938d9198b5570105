"""How good fitted detectors are: every table of the detection study."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from glassguard.detection.comparison import readings_table
from glassguard.detection.detectors import Detectors
from glassguard.detection.evaluation import pair_rates, sweep_rates
from glassguard.detection.headline import best_layer, headline
from glassguard.detection.pictures import Pictures, half_wearing, only, with_activations
from glassguard.detection.scores import Score, remembered
from glassguard.detection.selection import GROUPS, TUNED, Minimum
from glassguard.detection.settings import DetectorJudgement
from glassguard.detection.tables import (
    classifier_sweep_table,
    controls_table,
    distance_matrix_table,
    distances_table,
    gain_table,
    histograms_table,
    layers_table,
    operating_points,
    roc_table,
)
from glassguard.detection.thresholds import BARE, HALF_WEARING, detector_name, flags_at_rates
from glassguard.recognizer.layers import paper_index
from glassguard.statistics import Rate

HELD_OUT = ("val", "test")
"""What detectors are measured on: slices are chosen on the first, results are of the second."""


@dataclass(frozen=True)
class Results:
    """Tables by the name of their file, the choice of most pairs, and the headline."""

    tables: Mapping[str, pd.DataFrame]
    best_layer: Mapping[str, Any]
    summary: Mapping[str, Any]


def measure(
    detectors: Detectors,
    settings: DetectorJudgement,
    faces: Pictures,
    attacks: Mapping[str, Pictures],
    honest: Mapping[str, Pictures],
    *,
    seed: int,
) -> Results:
    """Measure fitted detectors on the test split (Study I, section 3). Nothing is chosen here.

    Args:
        detectors: fitted on the same benign pictures and the first attack.
        settings: of intervals and of the least rates of a preferred slice.
        faces: benign pictures of all splits.
        attacks: adversarial pictures by attack; detectors were chosen on the first.
        honest: benign pictures with plain frames and with frames of random texture, by kind.
        seed: of the bootstrap.

    Raises:
        UnmatchedFacesError: no test face is there bare and with both kinds of frames.
    """
    own_attacks = next(iter(attacks.values()))
    test, test_attacks = faces.in_split("test"), own_attacks.in_split("test")
    impersonations = test_attacks.successful
    wearers = {name: pictures.in_split("test") for name, pictures in honest.items()}
    populations = {BARE: test, HALF_WEARING: half_wearing(test, *wearers.values())}
    scores: dict[str, Score] = {
        name: remembered(score) for name, score in detectors.compared.items()
    }
    chosen = detectors.chosen
    drawn: dict[str, Any] = {
        "populations": populations,
        "bootstrap": settings.bootstrap,
        "seed": seed,
    }
    rates, layers = _layers(detectors, faces, own_attacks)
    of_attacks = {
        name: operating_points(
            scores,
            thresholds=detectors.thresholds,
            impersonations=seen.in_split("test").successful,
            **drawn,
        )
        for name, seen in attacks.items()
    }
    flags = {
        "influence": lambda pictures: detectors.at(chosen).flagged(
            pictures, tuned=chosen.variant.endswith(TUNED)
        ),
        **flags_at_rates(scores, detectors.thresholds),
    }
    kinds = {
        "benign": test,
        "benign_targets": test.where(np.isin(test.identity, own_attacks.target)),
        **wearers,
        "failed_attacks": test_attacks.where(~test_attacks.impersonating),
        "impersonations": impersonations,
    }
    curves = {
        detector_name(name, population): (score, benign)
        for population, benign in populations.items()
        for name, score in scores.items()
    }
    tables = {
        **layers,
        "sweep": _classifier_sweep(detectors, settings, faces, own_attacks),
        "choices": readings_table(detectors.readings),
        "table1": _table1(detectors, test, test_attacks),
        "roc": roc_table(curves, impersonations),
        "attacks": pd.concat(of_attacks, names=["attack"]).reset_index("attack"),
        "gain": gain_table(scores, impersonations=impersonations, **drawn),
        "controls": controls_table(flags, kinds),
        "distances": distances_table(faces, own_attacks, slices=list(faces.profiles)),
        "distance_matrix": distance_matrix_table(
            faces.in_split("train"), slice_name=chosen.slice, identities=detectors.identities
        ),
        "histograms": histograms_table(
            faces, own_attacks, slice_name=chosen.slice, score=scores["influence"]
        ),
    }
    first = next(iter(of_attacks.values()))
    return Results(
        tables,
        best_layer(chosen, detectors.readings["influence"], _sizes(faces)),
        headline(chosen, tables["table1"], first, tables["controls"], rates),
    )


def _sizes(faces: Pictures) -> dict[str, int]:
    return {name: profile.shape[1] for name, profile in faces.profiles.items()}


def _held_out(faces: Pictures, attacks: Pictures) -> dict[str, tuple[Pictures, Pictures]]:
    return {split: (faces.in_split(split), attacks.in_split(split)) for split in HELD_OUT}


def _layers(
    detectors: Detectors, faces: Pictures, attacks: Pictures
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Rates on influence, and ``layers.csv`` and ``activation_layers.csv``."""
    active = with_activations(faces), with_activations(attacks)
    rates, tables = [], {}
    for name, swept, pictures, quantity in (
        ("layers", detectors.swept, (faces, attacks), detectors.quantity),
        ("activation_layers", detectors.swept_activations, active, "activation"),
    ):
        rates.append(sweep_rates(swept, _held_out(*pictures), detectors.pairs))
        tables[name] = layers_table(
            rates[-1], sizes=_sizes(pictures[0]), quantity=quantity, seeds=swept[0].seeds
        )
    return rates[0], tables


def _classifier_sweep(
    detectors: Detectors, settings: DetectorJudgement, faces: Pictures, attacks: Pictures
) -> pd.DataFrame:
    chosen = detectors.chosen
    held_out = _held_out(only(faces, chosen.slice), only(attacks, chosen.slice))
    rates = [
        sweep_rates([one.detectors], held_out, detectors.pairs).assign(
            alpha=one.alpha, max_iter=one.max_iter
        )
        for one in detectors.swept_classifiers
    ]
    return classifier_sweep_table(
        pd.concat(rates, ignore_index=True),
        variant=chosen.variant,
        sizes=_sizes(faces),
        seeds=detectors.swept_classifiers[0].detectors.seeds,
        minimum=Minimum(settings.minimum_benign_target, settings.minimum_benign_other),
    )


def _table1(detectors: Detectors, test: Pictures, attacks: Pictures) -> pd.DataFrame:
    """``table1.csv``: every pair of the test split at its own choice."""
    rows = []
    for (target, attacker), choice in zip(detectors.pairs, detectors.choices, strict=True):
        fitted, tuned = detectors.at(choice), choice.variant.endswith(TUNED)
        rates = pair_rates(fitted, test, attacks, [(target, attacker)], tuned=(tuned,)).iloc[0]
        row: dict[str, object] = {
            "target": detectors.identities[target],
            "attacker": detectors.identities[attacker],
        }
        for name in GROUPS:
            row |= Rate.estimated(rates[name], rates[f"{name}_n"]).columns(name)
            if name == "benign_target":
                row["benign_target_named"] = rates["benign_target_named"]
                row["benign_target_named_n"] = rates["benign_target_named_n"]
        row |= {str(name): value for name, value in rates.items() if name not in row}
        row["paper_index"] = paper_index(choice.slice)
        row["size"] = test.profiles[choice.slice].shape[1]
        row |= {"chosen_on_pairs": choice.pairs, "seeds": fitted.seeds}
        rows.append(row)
    return pd.DataFrame(rows)
