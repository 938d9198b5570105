"""Search for the best mask: which points of the grid are tried, and what each of them measures.

Where the whole grid takes too many passes, points of it are tried: at random (Bergstra and Bengio
2012) or by tree-structured Parzen estimators (Bergstra et al. 2011), with Optuna (Akiba et al.
2019).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
from glassguard.saliency.racing import raced
from glassguard.saliency.settings import MaskSearch, SamplingMethod

if TYPE_CHECKING:
    import optuna
    from torch import nn


def mask_search(
    network: "nn.Module",
    clean: Sequence[Pictured],
    clean_real: np.ndarray,
    attacked: Sequence[Pictured],
    real: np.ndarray,
    target: np.ndarray,
    settings: MaskSearch,
    *,
    seed: int,
) -> tuple[list[Combination], SearchResult]:
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

    Returns:
        The points that were tried, and what was measured on the clean pictures, then on the
        attacked ones.
    """
    pictures = [*clean, *attacked]
    nobody = np.full(len(clean), NO_TARGET, dtype=np.int64)
    classes = np.stack([np.append(clean_real, real), np.append(nobody, target)], axis=1)
    how: dict[str, Any] = {"kernel": settings.kernel, "batch_size": settings.batch_size}
    points = planned_points(settings, seed=seed)
    if points is not None and settings.search.method == "racing":
        return points, _raced(network, pictures, classes, points, settings, clean=len(clean))
    if points is not None:
        shown = track(pictures, description="mask grid, pictures", total=len(pictures))
        return points, search(network, shown, classes, points, **how)
    seen: Seen = {}
    return _by_trial(
        lambda point: search(network, pictures, classes, [point], **how, seen=seen),
        settings,
        clean=len(clean),
        seed=seed,
    )


def _raced(
    network: "nn.Module",
    pictures: Sequence[Pictured],
    classes: np.ndarray,
    points: Sequence[Combination],
    settings: MaskSearch,
    *,
    clean: int,
) -> SearchResult:
    seen: Seen = {}

    def measure(wanted: NDArray[np.bool_]) -> NDArray[np.float32]:
        how: dict[str, Any] = {"kernel": settings.kernel, "batch_size": settings.batch_size}
        return search(
            network, pictures, classes, points, **how, seen=seen, wanted=wanted
        ).confidences

    confidences = raced(
        measure,
        points,
        clean=clean,
        attacked=len(pictures) - clean,
        source=points.index(source_combination(settings.source_setting)),
    )
    return SearchResult(confidences, len(seen), len(pictures) * len(points))


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
    if method in ("grid", "racing"):
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
            of_clean, of_attacked = exact_sum(confidences[:clean]), exact_sum(confidences[clean:])
            attacked = len(confidences) - clean
            found = measures(of_clean[0], *of_attacked, clean=clean, attacked=attacked)
            return float(found["goodness"])

        tried(_values(settings), score, method="bayesian", trials=trials, seed=seed)
        # A point that is drawn again is not measured again.
        progress.advance(trials - len(results))
        source = source_combination(settings.source_setting)
        if source not in results:
            results[source] = look(source)
    return list(results), SearchResult(
        confidences=np.concatenate([one.confidences for one in results.values()], axis=1),
        network_passes=sum(one.network_passes for one in results.values()),
        network_passes_naive=sum(one.network_passes_naive for one in results.values()),
    )


def tried(
    values: Mapping[str, Sequence[Any]],
    score: Callable[[Combination], float],
    *,
    method: SamplingMethod,
    trials: int,
    seed: int,
) -> list[Combination]:
    """Try points of a grid in turn.

    Args:
        values: what each field of :class:`~glassguard.saliency.grid.Combination` may be. Numbers
            are tried as steps of their order, all else as names without one.
        score: of a point, greater is better; asked once for each. Random search does not read it.
        method: ``random`` or ``bayesian``.
        trials: how often a point is drawn. A point that was drawn before is not tried again.
        seed: seed of the draws.

    Returns:
        The different points in the order in which they were tried.
    """
    import optuna  # imported late: a search of the whole grid needs none of it

    samplers = {"random": optuna.samplers.RandomSampler, "bayesian": optuna.samplers.TPESampler}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize", sampler=samplers[method](seed=seed))
        scores: dict[Combination, float] = {}
        for _ in range(trials):
            trial = study.ask()
            point = Combination(**{name: _drawn(trial, name, values[name]) for name in values})
            if point not in scores:
                scores[point] = score(point)
            study.tell(trial, scores[point])
    finally:
        optuna.logging.set_verbosity(verbosity)
    return list(scores)


def _drawn(trial: "optuna.Trial", name: str, options: Sequence[Any]) -> Any:
    if isinstance(options[0], str):
        return trial.suggest_categorical(name, list(options))
    return sorted(options)[trial.suggest_int(name, 0, len(options) - 1)]
