"""Made-up profiles of people and of attacks, for tests of detectors."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from glassguard.detection.evaluation import pairs_of, sweep_rates
from glassguard.detection.pictures import (
    NOBODY,
    Pictures,
)
from glassguard.detection.selection import Minimum
from glassguard.detection.settings import Variant
from glassguard.detection.slice_detectors import DetectorSettings, fit_slice, fit_slices

PEOPLE = 6
SETTINGS = DetectorSettings(alpha=0.005, max_iter=100, acceptance=0.9)
FAIR = Minimum(benign_target=0.7, benign_other=0.9)


def made_up(seed: int = 0, *, size: int = 12, scale: float = 1.0) -> tuple[Pictures, Pictures]:
    """Benign and adversarial pictures; an attack only shows at conv4_1.

    There an impersonation's profile stays the attacker's; at conv1_1 it is noise for everybody,
    at fc7 it is the target's.
    """
    generator = np.random.default_rng(seed)
    # The second half: where activations of attacks lie, near nobody.
    centres = generator.normal(0, 3, (2 * PEOPLE, size))
    identity = np.repeat(np.arange(PEOPLE), 40)
    split = np.tile(np.repeat(["train", "val", "test"], [20, 10, 10]), PEOPLE)

    def profiles(at_conv4: np.ndarray, at_fc7: np.ndarray) -> dict[str, np.ndarray]:
        noise = generator.normal(0, 1, (3, len(at_conv4), size))
        return {
            "conv1_1": scale * noise[0],
            "conv4_1": scale * (centres[at_conv4] + noise[1]),
            "fc7": scale * (centres[at_fc7] + noise[2]),
        }

    def baselines(at_conv4: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        seen = {"conv4_1": centres[at_conv4] + generator.normal(size=(len(at_conv4), size))}
        return {"activations": seen, "mean_activations": seen}

    benign = Pictures(
        profiles(identity, identity),
        prediction=identity,
        confidence=np.full(len(identity), 0.99),
        identity=identity,
        target=np.full(len(identity), NOBODY),
        split=split,
        face=np.array([f"i{row}" for row in range(len(identity))]),
        agreement=np.where(split == "train", np.nan, generator.uniform(-0.5, 0, len(split))),
        covered=np.zeros(len(identity)),
        misnamed_bare=np.zeros(len(identity), dtype=bool),
        pixel_scores={
            "squeezed": np.where(split == "train", np.nan, generator.uniform(0, 0.1, len(split)))
        },
        **baselines(identity),
    )
    pairs = [(0, 2), (0, 3), (1, 4), (1, 5)]
    target, attacker = (np.repeat(column, 12) for column in np.array(pairs).T)
    prediction = target.copy()
    prediction[::6] = attacker[::6]
    attacks = Pictures(
        profiles(attacker, prediction),
        prediction=prediction,
        confidence=np.full(len(target), 0.9),
        identity=attacker,
        target=target,
        split=np.tile(np.repeat(["val", "test"], 6), len(pairs)),
        face=np.full(len(target), "i0"),
        agreement=generator.uniform(-9, -3, len(target)),
        covered=np.full(len(target), 0.07),
        misnamed_bare=np.zeros(len(target), dtype=bool),
        pixel_scores={"squeezed": generator.uniform(0.5, 2, len(target))},
        **baselines(attacker + PEOPLE),
    )
    return benign, attacks


def sweep(
    benign: Pictures,
    attacks: Pictures,
    *,
    variants: Sequence[Variant],
    settings: DetectorSettings,
    seeds: Sequence[int],
    splits: Sequence[str] = ("val", "test"),
) -> pd.DataFrame:
    """Detectors of every target at every slice, and their rates."""
    pairs = pairs_of(attacks)
    swept = fit_slices(
        benign.in_split("train"),
        benign.in_split("val"),
        variants=variants,
        people=np.array(sorted({target for target, _ in pairs})),
        settings=settings,
        seeds=seeds,
    )
    held_out = {split: (benign.in_split(split), attacks.in_split(split)) for split in splits}
    return sweep_rates(swept, held_out, pairs)


def rates_of(benign: Pictures, attacks: Pictures, seed: int = 0) -> pd.DataFrame:
    return sweep(
        benign,
        attacks,
        variants=("raw", "standardised"),
        settings=SETTINGS,
        seeds=[seed, seed + 1],
    )


def thresholds(pictures: Pictures) -> np.ndarray:
    """Of everybody's detector at one slice, from benign pictures."""
    return fit_slice(
        pictures.in_split("train"),
        pictures.in_split("val"),
        slice_name="conv4_1",
        variant="standardised",
        people=np.arange(PEOPLE),
        settings=SETTINGS,
        seeds=[0],
    ).calibration.thresholds
