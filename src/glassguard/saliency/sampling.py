"""Search of the mask's parameters by trial where a grid takes too many passes (Akiba et al. 2019).

The points are those of the grid; random search (Bergstra and Bengio 2012) and Bayesian search by
tree-structured Parzen estimators (Bergstra et al. 2011) differ in which of them are tried.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna

from glassguard.saliency.grid import Combination
from glassguard.saliency.settings import SamplingMethod


def tried(
    values: Mapping[str, Sequence[Any]],
    score: Callable[[Combination], float],
    *,
    method: SamplingMethod,
    trials: int,
    seed: int,
) -> list[Combination]:
    """Try points of a grid one after the other.

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
    choices = {name: _in_order(options) for name, options in values.items()}
    samplers = {"random": optuna.samplers.RandomSampler, "bayesian": optuna.samplers.TPESampler}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize", sampler=samplers[method](seed=seed))
        scores: dict[Combination, float] = {}
        for _ in range(trials):
            trial = study.ask()
            point = Combination(**{name: _drawn(trial, name, choices[name]) for name in choices})
            if point not in scores:
                scores[point] = score(point)
            study.tell(trial, scores[point])
    finally:
        optuna.logging.set_verbosity(verbosity)
    return list(scores)


def _in_order(options: Sequence[Any]) -> list[Any]:
    return list(options) if isinstance(options[0], str) else sorted(options)


def _drawn(trial: optuna.Trial, name: str, options: list[Any]) -> Any:
    if isinstance(options[0], str):
        return trial.suggest_categorical(name, options)
    return options[trial.suggest_int(name, 0, len(options) - 1)]
