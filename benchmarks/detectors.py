"""What fitting the linear detectors costs, beside scikit-learn fitting one after the other.

    python benchmarks/detectors.py results/embedded [--table docs/tables/cost-detectors.csv]

The benign training profiles of a study, at every slice under every variant, as the comparison of
slices fits them: ``descend`` fits twelve people under three seeds, all of them. Of the same fits,
``SGDClassifier`` does those of ``--people`` people under one seed, and its time is scaled up. Times
are seconds of the processor on one thread. The last line says whether the bounds hold:
coefficients are the same to 1e-9, and ours take less time.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bounds import Figure, reported
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from glassguard.detection.linear_detector import fit_banks, variant_named
from glassguard.files.formats import read_arrays, read_manifest
from glassguard.recognizer.layers import PRE_RELU, SLICES

VARIANTS = ("raw", "standardised", "unit_standardised")
PEOPLE = 12
SEEDS = (0, 1, 2)
ALPHA = 0.005
MAX_ITER = 500


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the work returns, and its processor time."""
    started = time.process_time()
    return work(), time.process_time() - started


def main() -> int:
    """Print seconds and the ratio; returns 1 when a bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of a finished study")
    parser.add_argument("--people", type=int, default=2, help="of 12 that scikit-learn fits")
    parser.add_argument("--table", type=Path, help="CSV file to write as well")
    options = parser.parse_args()
    manifest = read_manifest(options.study / "data" / "manifest.csv")
    arrays = read_arrays(options.study / "influence" / "benign" / "profiles.npz", kind="profiles")
    train = (manifest["split"] == "train").to_numpy()
    _, people = np.unique(manifest["identity"].to_numpy(dtype=str), return_inverse=True)
    identity = people[train]
    asked = [
        (arrays[name][train], variant_named(variant))
        for name in SLICES
        for variant in VARIANTS
        if name in arrays and (variant != "raw" or not name.endswith(PRE_RELU))
    ]
    wanted = np.arange(min(PEOPLE, len(np.unique(people))))
    settings: dict[str, Any] = {"alpha": ALPHA, "max_iter": MAX_ITER}
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(limits=1):
        banks, ours = timed(
            lambda: fit_banks(asked, identity, people=wanted, seeds=SEEDS, **settings)
        )
        prepared = [
            np.ascontiguousarray(bank.preparation.transform(profiles.astype(np.float64)))
            for bank, (profiles, _) in zip(banks, asked, strict=True)
        ]
        few = wanted[: options.people]
        peers, some = timed(
            lambda: [
                [
                    SGDClassifier(random_state=SEEDS[0], **settings).fit(values, identity == one)
                    for one in few
                ]
                for values in prepared
            ]
        )
    error = max(
        float(np.abs(peer.coef_[0] - bank.weights[0, row]).max())
        for bank, of_people in zip(banks, peers, strict=True)
        for row, peer in enumerate(of_people)
    )
    fits = len(asked) * len(wanted) * len(SEEDS)
    theirs = some * len(wanted) * len(SEEDS) / len(few)
    figures = [
        Figure("fits", fits, 0),
        Figure("s for all of them, together", ours, 1),
        Figure("s for all of them, one after the other by scikit-learn", theirs, 1),
        Figure("times faster than scikit-learn", theirs / ours, 2, ">=", 1),
        Figure("largest difference of a coefficient, times 1e9", error * 1e9, 6, "<=", 1),
    ]
    return reported(figures, options.table)


if __name__ == "__main__":
    sys.exit(main())
