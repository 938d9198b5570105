"""Linear detectors of one person each (Study I, section 3).

A linear classifier on quadratic terms gives the quadratic boundaries that Study I wishes for
(section 4).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, PolynomialFeatures, StandardScaler
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from glassguard.detection.gradient_descent import PRODUCTS, descend, most_profiles
from glassguard.detection.settings import Variant
from glassguard.progress import track

COMPONENTS = 16
"""Sixteen components have 152 terms; all terms of 128 filters would be 8,384 for 1,500 profiles."""

LEAST_VARIANCE = 1e-6
"""Of a component, as a share of the first's. Below lies rounding, which unit variance would turn
into a coordinate like any other."""


class QuadraticTerms(TransformerMixin, BaseEstimator):
    """Leading principal components of unit variance, their squares and their products.

    Args:
        components: the most; fewer are kept where the values vary in fewer directions.

    Attributes:
        steps_: the fitted steps.
        n_features_in_: number of filters.
    """

    def __init__(self, components: int = COMPONENTS) -> None:
        self.components = components

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Fit on N x filters values, N at least 2; ``y`` is ignored.

        Raises:
            ValueError: there is to be no component, or there are too few values.
        """
        if self.components < 1:
            raise ValueError(f"components: at least one is kept, not {self.components}")
        known = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        most = min(self.components, *known.shape)
        variance = PCA(most, svd_solver="full").fit(known).explained_variance_
        count = max(1, int((variance > LEAST_VARIANCE * variance[0]).sum()))
        self.steps_ = make_pipeline(
            PCA(count, whiten=True, svd_solver="full"),
            PolynomialFeatures(2, include_bias=False),
            StandardScaler(),
        ).fit(known)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """N x filters to N x terms."""
        check_is_fitted(self)
        return self.steps_.transform(validate_data(self, X, dtype=np.float64, reset=False))


NARROW = 64
"""Up to so many filters, scikit-learn's descent takes less time than one for many at once."""

PREPARATION = {
    "raw": (),
    "standardised": (StandardScaler,),
    "unit_standardised": (Normalizer, StandardScaler),
    "quadratic": (Normalizer, StandardScaler, QuadraticTerms),
}


def variant_named(name: str) -> Variant:
    """A name as the variant that it stands for.

    Raises:
        ValueError: there is no such variant.
    """
    for variant in get_args(Variant):
        if variant == name:
            return variant
    raise ValueError(f"variant {name!r}: must be one of {', '.join(get_args(Variant))}")


def _preparation(variant: Variant) -> Pipeline:
    return make_pipeline(*(step() for step in PREPARATION[variant]), "passthrough")


def _classifier(alpha: float, max_iter: int, seed: int) -> SGDClassifier:
    """Study I's: hinge loss, its regularisation, scikit-learn's defaults."""
    return SGDClassifier(alpha=alpha, max_iter=max_iter, random_state=seed)


class ProfileDetector(ClassifierMixin, BaseEstimator):
    """Tells whether an influence profile belongs to a certain person.

    ``SGDClassifier`` with hinge loss, the person's benign training profiles against everybody
    else's. Variants differ in the preparation of the profiles:

    - ``raw``: none, as in the source. Gradients of 1e-3 cannot move weights that alpha = 0.005
      holds down, so this variant rejects everybody; it is kept for the report.
    - ``standardised``: every filter to mean 0 and variance 1 over the training profiles.
    - ``unit_standardised``: every profile to unit length before that. This removes how steep the
      network is at the picture and keeps which filters matter.
    - ``quadratic``: after that, squares and products of the leading principal components, so that
      the boundary is a quadric.

    Args:
        variant: see above.
        alpha: weight of the regularisation.
        max_iter: passes over the training profiles, at most.
        random_state: seed of the order of the profiles.

    Attributes:
        classes_: the two labels in order; the second stands for the person.
        pipeline_: the fitted steps.
        n_iter_: passes that were made.
        n_features_in_: number of filters.
    """

    def __init__(
        self,
        variant: Variant = "standardised",
        alpha: float = 0.005,
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        self.variant = variant
        self.alpha = alpha
        self.max_iter = max_iter
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that there are two classes."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit on benign training profiles.

        Args:
            X: N x filters profiles.
            y: N booleans, whether a profile is of the person, or two other labels.

        Raises:
            ValueError: the variant is unknown, or there are not two kinds of profiles.
        """
        values, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        kind = type_of_target(labels, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}."
            )
        self.classes_, truth = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("the profiles are all of one class; a detector tells two apart")
        self.pipeline_ = make_pipeline(
            _preparation(variant_named(self.variant)),
            _classifier(self.alpha, self.max_iter, self.random_state),
        )
        self.pipeline_.fit(values, truth)
        self.n_iter_ = self.pipeline_[-1].n_iter_
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Signed margin of N x filters profiles, N possibly 0; positive speaks for the person."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False, ensure_min_samples=0)
        if not len(values):
            return np.zeros(0)
        return self.pipeline_.decision_function(values)

    def predict(self, X: ArrayLike) -> NDArray:
        """The label of each of N x filters profiles, by the classifier's own boundary."""
        speaks_for_the_person = self.decision_function(X) > 0
        return self.classes_[speaks_for_the_person.astype(np.int64)]


@dataclass(frozen=True)
class DetectorBank:
    """Detectors of several people at one slice, each fitted under several seeds.

    The preparation of the profiles does not depend on the person. It is fitted and applied once,
    and all margins are one product.

    Attributes:
        people: P class indices.
        preparation: fitted steps before the classifier.
        weights: seeds x P x filters.
        intercepts: seeds x P.

    Raises:
        ValueError: people, weights and intercepts have different sizes.
    """

    people: NDArray[np.integer]
    preparation: Pipeline
    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    def __post_init__(self) -> None:
        sizes = self.weights.shape[:-1], self.intercepts.shape, self.people.shape
        if len(sizes[0]) != 2 or sizes[0] != sizes[1] or sizes[0][1:] != sizes[2]:
            raise ValueError(
                f"weights {self.weights.shape}, intercepts {sizes[1]} and people {sizes[2]} "
                "do not fit"
            )

    def margins(self, profiles: ArrayLike) -> NDArray[np.float64]:
        """Margins of N profiles, seeds x P x N."""
        values = np.asarray(profiles, dtype=np.float64)
        if not len(values):
            return np.zeros((*self.intercepts.shape, 0))
        return self.weights @ self.preparation.transform(values).T + self.intercepts[..., None]


def fit_detectors(
    profiles: ArrayLike,
    identity: ArrayLike,
    *,
    people: ArrayLike,
    variant: Variant,
    alpha: float,
    max_iter: int,
    seeds: Sequence[int],
) -> DetectorBank:
    """One detector per person and seed, each person against all others.

    Args:
        profiles: N x filters benign training profiles.
        identity: N class indices.
        people: the people to detect.
        variant: see :class:`ProfileDetector`, as for ``alpha`` and ``max_iter``.
        alpha: weight of the regularisation.
        max_iter: passes over the training profiles, at most.
        seeds: seeds of the classifier.

    Raises:
        ValueError: as :func:`~glassguard.detection.gradient_descent.descend`.
    """
    (bank,) = fit_banks(
        [(profiles, variant)],
        identity,
        people=people,
        alpha=alpha,
        max_iter=max_iter,
        seeds=seeds,
    )
    return bank


def fit_banks(
    profiles_of: Sequence[tuple[ArrayLike, Variant]],
    identity: ArrayLike,
    *,
    people: ArrayLike,
    alpha: float,
    max_iter: int,
    seeds: Sequence[int],
) -> list[DetectorBank]:
    """:func:`fit_detectors` for several kinds of profiles of the same pictures.

    Wide matrices of one size are fitted together, which takes a half to a third of the time. What
    is found is the same: the coefficients of ``SGDClassifier`` up to rounding.

    Args:
        profiles_of: N x filters profiles and the variant by which they are prepared, for each bank.
        identity: N class indices.
        people: the people to detect.
        alpha: weight of the regularisation.
        max_iter: passes over the training profiles, at most.
        seeds: seeds of the classifier.

    Raises:
        ValueError: as :func:`~glassguard.detection.gradient_descent.descend`.
    """
    persons, wanted = np.asarray(identity), np.asarray(people)
    given = [np.asarray(profiles, dtype=np.float64) for profiles, _ in profiles_of]
    preparations = [
        _preparation(variant).fit(one) for one, (_, variant) in zip(given, profiles_of, strict=True)
    ]
    widths = [
        preparation.transform(one[:1]).shape[1]
        for preparation, one in zip(preparations, given, strict=True)
    ]
    found: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    chunks = _of_one_size(widths, len(persons))
    for chunk in track(chunks, description="detectors, groups of matrices"):
        values = np.stack([preparations[row].transform(given[row]) for row in chunk])
        at_once = values.shape[2] > NARROW and len(persons) <= most_profiles()
        descent = descend if at_once else _one_by_one
        weights, intercepts, _ = descent(
            values, persons, people=wanted, alpha=alpha, max_iter=max_iter, seeds=seeds
        )
        found |= zip(chunk, zip(weights, intercepts, strict=True), strict=True)
    return [
        DetectorBank(wanted, preparation, *found[row])
        for row, preparation in enumerate(preparations)
    ]


def _of_one_size(widths: Sequence[int], count: int) -> list[list[int]]:
    """Which matrices of ``count`` profiles are fitted together."""
    chunks: list[list[int]] = []
    for width in dict.fromkeys(widths):
        rows = [row for row, one in enumerate(widths) if one == width]
        each = max(1, PRODUCTS // (count * max(count, width)))
        chunks += [rows[start : start + each] for start in range(0, len(rows), each)]
    return chunks


def _one_by_one(
    values: NDArray[np.float64],
    identity: NDArray,
    *,
    people: NDArray,
    alpha: float,
    max_iter: int,
    seeds: Sequence[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """``descend`` by scikit-learn, for narrow matrices and for too many profiles."""
    size = len(values), len(seeds), len(people)
    weights, intercepts = np.zeros((*size, values.shape[2])), np.zeros(size)
    passes = np.zeros(size, dtype=np.int64)
    with warnings.catch_warnings():
        # The sweep compares few passes with many on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for one in np.ndindex(*size):
            classifier = _classifier(alpha, max_iter, seeds[one[1]])
            classifier.fit(values[one[0]], identity == people[one[2]])
            weights[one], intercepts[one] = classifier.coef_[0], classifier.intercept_[0]
            passes[one] = classifier.n_iter_
    return weights, intercepts, passes
