"""Search for the best mask: which points of the grid are tried, and what each of them measures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from glassguard.progress import Progress, track
from glassguard.saliency.choice import measures
from glassguard.saliency.grid import (
    NO_TARGET,
    PARAMETERS,
    Combination,
    Pictured,
    SearchResult,
    Seen,
    combinations,
    exact_sum,
    search,
    source_combination,
    spread,
)
from glassguard.saliency.sampling import tried
from glassguard.saliency.settings import MaskSearch


@dataclass(frozen=True)
class MaskSearchResult:
    """What a search measured.

    Attributes:
        points: the combinations that were tried.
        clean_real: clean pictures x points float32 in [0, 1], confidence in the real person.
        adversarial_real: attacked pictures x points, likewise.
        adversarial_target: confidence in the target; see
            :class:`glassguard.saliency.grid.SearchResult`.
        network_passes: pictures that the network classified.
        network_passes_naive: pictures that a loop over all points would have classified.
    """

    points: list[Combination]
    clean_real: np.ndarray
    adversarial_real: np.ndarray
    adversarial_target: np.ndarray
    network_passes: int
    network_passes_naive: int


def mask_search(
    network: nn.Module,
    clean: Sequence[Pictured],
    clean_real: np.ndarray,
    attacked: Sequence[Pictured],
    real: np.ndarray,
    target: np.ndarray,
    settings: MaskSearch,
    *,
    seed: int,
) -> MaskSearchResult:
    """Try masks on pictures, as the settings say.

    Args:
        network: maps pixels in [0, 1] to logits, in evaluation mode.
        clean: M clean pictures with their saliency maps.
        clean_real: M int64, the class of the person in each.
        attacked: N attacked pictures with their saliency maps.
        real: N int64, the class of the attacker in each.
        target: N int64, the class that the attack aims at, or
            :data:`~glassguard.saliency.grid.NO_TARGET`.
        settings: the grid, how it is searched, kernel and batch size.
        seed: seed of a random or Bayesian search.
    """
    pictures = [*clean, *attacked]
    nobody = np.full(len(clean), NO_TARGET, dtype=np.int64)
    classes = np.stack([np.append(clean_real, real), np.append(nobody, target)], axis=1)
    kernel, batch_size = settings.kernel, settings.batch_size
    points = planned_points(settings, seed=seed)
    if points is not None:
        shown = track(pictures, description="mask grid, pictures", total=len(pictures))
        found = search(network, shown, classes, points, kernel=kernel, batch_size=batch_size)
    else:
        seen: Seen = {}
        points, found = _by_trial(
            lambda point: search(
                network,
                pictures,
                classes,
                [point],
                kernel=kernel,
                batch_size=batch_size,
                seen=seen,
            ),
            settings,
            clean=len(clean),
            seed=seed,
        )
    return MaskSearchResult(
        points,
        found.confidences[: len(clean), :, 0],
        found.confidences[len(clean) :, :, 0],
        found.confidences[len(clean) :, :, 1],
        found.network_passes,
        found.network_passes_naive,
    )


def searched_attacks(examples: pd.DataFrame, settings: MaskSearch, *, seed: int) -> pd.DataFrame:
    """The attacked validation pictures that masks are searched on, sorted by id.

    Args:
        examples: table of an attack: ``example_id``, ``split``.
        settings: ``grid.images`` of them are taken, evenly spread.
        seed: seed of where the spread starts.
    """
    attacks = examples[examples["split"] == "val"].sort_values("example_id")
    return attacks.iloc[spread(len(attacks), settings.grid.images, seed)]


def planned_points(settings: MaskSearch, *, seed: int) -> list[Combination] | None:
    """The points that are tried: those of the search, then Study S's setting if it is not one.

    Returns:
        None for a Bayesian search, where each point depends on what was found before it.
    """
    source = source_combination(settings.source_setting)
    method, trials = settings.search.method, settings.search.trials
    if method == "grid":
        return combinations(**_values(settings), extra=[source])
    if method == "random":
        drawn = tried(_values(settings), lambda _: 0.0, method=method, trials=trials, seed=seed)
        return list(dict.fromkeys([*drawn, source]))
    return None


def _values(settings: MaskSearch) -> dict[str, Any]:
    return {name: getattr(settings.grid, name) for name in PARAMETERS}


def _by_trial(
    look: Callable[[Combination], SearchResult], settings: MaskSearch, *, clean: int, seed: int
) -> tuple[list[Combination], SearchResult]:
    """Bayesian search for goodness over all pictures; the first ``clean`` of them are clean."""
    results: dict[Combination, SearchResult] = {}
    trials = settings.search.trials

    with Progress(description="mask search, trials", total=trials) as progress:

        def score(point: Combination) -> float:
            results[point] = look(point)
            progress.advance()
            confidences = results[point].confidences[:, 0]
            found = measures(
                exact_sum(confidences[:clean, 0]),
                exact_sum(confidences[clean:, 0]),
                exact_sum(confidences[clean:, 1]),
                clean=clean,
                attacked=len(confidences) - clean,
            )
            return float(found["goodness"])

        tried(_values(settings), score, method="bayesian", trials=trials, seed=seed)
        # A point that is drawn again is not measured again.
        progress.advance(trials - len(results))
        source = source_combination(settings.source_setting)
        if source not in results:
            results[source] = look(source)
    found = SearchResult(
        confidences=np.concatenate([one.confidences for one in results.values()], axis=1),
        network_passes=sum(one.network_passes for one in results.values()),
        network_passes_naive=sum(one.network_passes_naive for one in results.values()),
    )
    return list(results), found
