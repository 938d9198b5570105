"""Detectors as plain values and arrays, and back.

The description holds what JSON can, and names the arrays. An object is written as its ``kind`` and
its fields, an array as its name, shape and type. Text is kept as code points (``"dtype": "text"``),
an array in Fortran's order as its transpose (``"order": "F"``). So sums keep their order, and a
detector that is loaded scores to the bit as the one that was fitted. Only the kinds below are
built; a file holds no code.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, PolynomialFeatures, StandardScaler

from glassguard.detection import scores
from glassguard.detection.calibration import Calibration
from glassguard.detection.characteristic_profiles import CharacteristicProfiles
from glassguard.detection.covered_area import CoveredArea, GivenArea
from glassguard.detection.detectors import Detectors
from glassguard.detection.intrinsic_dimensionality import LocalIntrinsicDimensionality
from glassguard.detection.linear_detector import DetectorBank, QuadraticTerms
from glassguard.detection.selection import Choice
from glassguard.detection.slice_detectors import SliceDetectors
from glassguard.detection.study import Reading, SweptClassifier

DATACLASSES: tuple[type, ...] = (
    Detectors,
    Choice,
    Reading,
    SweptClassifier,
    SliceDetectors,
    DetectorBank,
    Calibration,
    CoveredArea,
    GivenArea,
    *(
        one
        for one in vars(scores).values()
        if isinstance(one, type) and is_dataclass(one) and one.__module__ == scores.__name__
    ),
)
"""Written field by field, among them every detector of :mod:`glassguard.detection.scores`."""

ESTIMATORS: dict[type[BaseEstimator], dict[str, str]] = {
    Normalizer: {},
    StandardScaler: {"mean_": "n", "scale_": "n"},
    PCA: {"mean_": "n", "components_": "kn", "explained_variance_": "k"},
    PolynomialFeatures: {},
    QuadraticTerms: {"steps_": ""},
    CharacteristicProfiles: {"classes_": "c", "centres_": "cn", "whitening_": "n|nn"},
    LocalIntrinsicDimensionality: {"index_": ""},
    NearestNeighbors: {"_fit_X": "rn"},
    RidgeCV: {"coef_": "n", "intercept_": ""},
    LinearRegression: {"coef_": "n", "intercept_": ""},
}
"""Kept attributes of fitted estimators and the axes of arrays; ``n`` is the number of features."""

KINDS: dict[str, type] = {one.__name__: one for one in (*DATACLASSES, *ESTIMATORS, Pipeline)}


def to_arrays(detectors: Any) -> tuple[Any, dict[str, NDArray]]:
    """A description of detectors, and the arrays that it names.

    Args:
        detectors: a :class:`~.detectors.Detectors`, or any single detector.

    Raises:
        TypeError: a detector is of no known kind.
    """
    writer = _Writer({}, {})
    return writer.described(detectors, ""), writer.arrays


def from_arrays(description: Any, arrays: Mapping[str, NDArray]) -> Any:
    """The detectors that a description and its arrays stand for.

    Raises:
        ValueError: something is missing, of an unknown kind or of the wrong size.
    """
    try:
        return _built(description, arrays)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


@dataclass(frozen=True)
class _Writer:
    arrays: dict[str, NDArray]
    names: dict[tuple[str, tuple[int, ...], bytes], str]
    """Of arrays that are known: detectors that share one share it in the file."""

    def described(self, value: Any, name: str) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return self._array(value, name)
        if isinstance(value, tuple | list):
            return [self.described(one, f"{name}.{row}") for row, one in enumerate(value)]
        if isinstance(value, Mapping):
            return {key: self.described(one, f"{name}.{key}") for key, one in value.items()}
        kind = type(value)
        if KINDS.get(kind.__name__) is not kind:
            raise TypeError(f"{kind.__name__} is no kind of detector that can be written")
        kept = _fields(value).items()
        described = {key: self.described(one, f"{name}.{key}".lstrip(".")) for key, one in kept}
        return {"kind": kind.__name__, **described}

    def _array(self, values: NDArray, name: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"shape": list(values.shape), "dtype": str(values.dtype)}
        if values.dtype.kind == "U":
            entry["dtype"] = "text"
            letters = max(1, values.dtype.itemsize // 4)
            values = np.ascontiguousarray(values, dtype=f"<U{letters}").view(np.uint32)
            values = values.reshape(*entry["shape"], letters)
        elif values.ndim > 1 and values.strides[0] < values.strides[-1]:
            entry["order"] = "F"
            values = values.T
        values = np.ascontiguousarray(values)
        key = str(values.dtype), values.shape, hashlib.sha256(values.tobytes()).digest()
        entry["array"] = self.names.setdefault(key, name)
        self.arrays[entry["array"]] = values
        return entry


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, Pipeline):
        return {"steps": [step for _, step in value.steps if step != "passthrough"]}
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    kept = ESTIMATORS[type(value)]
    return {
        "parameters": value.get_params(deep=False),
        "features": getattr(value, "n_features_in_", None),
        **{name: getattr(value, name) for name in kept},
    }


def _built(value: Any, arrays: Mapping[str, NDArray]) -> Any:
    if isinstance(value, list):
        return tuple(_built(one, arrays) for one in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return _read_array(value, arrays)
    if "kind" not in value:
        return {key: _built(one, arrays) for key, one in value.items()}
    kind = KINDS[value["kind"]]
    given = {key: _built(one, arrays) for key, one in value.items() if key != "kind"}
    if kind is Pipeline:
        return _pipeline(given["steps"])
    return kind(**given) if is_dataclass(kind) else _estimator(kind, **given)


def _read_array(entry: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> NDArray:
    name, shape, dtype = entry["array"], tuple(entry["shape"]), entry["dtype"]
    values = arrays[name]
    if dtype == "text":
        if values.dtype != np.uint32 or values.ndim != len(shape) + 1:
            raise ValueError(f"{name}: not text")
        values = np.ascontiguousarray(values).view(f"<U{values.shape[-1]}")[..., 0]
    elif str(values.dtype) != dtype:
        raise ValueError(f"{name}: {values.dtype}, not {dtype}")
    if entry.get("order") == "F":
        values = values.T
    if values.shape != shape:
        raise ValueError(f"{name}: shape {values.shape}, not {shape}")
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError(f"{name}: holds numbers that are not finite")
    return values


def _pipeline(steps: tuple[Any, ...]) -> Pipeline:
    named = [(type(step).__name__.lower(), step) for step in steps]
    # A pipeline needs a step.
    return Pipeline(named or [("passthrough", "passthrough")])


def _estimator(
    kind: type[BaseEstimator], parameters: Mapping[str, Any], features: int | None, **kept: Any
) -> BaseEstimator:
    estimator = kind(**parameters)
    sizes = {} if features is None else {"n": features}
    if kept.keys() != ESTIMATORS[kind].keys():
        raise ValueError(f"{kind.__name__}: must hold {', '.join(ESTIMATORS[kind])}")
    for name, axes in ESTIMATORS[kind].items():
        if axes:
            _check_sizes(f"{kind.__name__}.{name}", kept[name], axes, sizes)
    if isinstance(estimator, NearestNeighbors):
        return estimator.fit(kept["_fit_X"])
    if isinstance(estimator, PolynomialFeatures):
        return estimator.fit(np.zeros((1, features or 1)))
    for name, value in {**kept, "n_features_in_": features}.items():
        setattr(estimator, name, value)
    return estimator


def _check_sizes(name: str, values: Any, axes: str, sizes: dict[str, int]) -> None:
    """Refuse an array whose axes differ from those of the estimator's other arrays."""
    for wanted in axes.split("|"):
        if isinstance(values, np.ndarray) and values.ndim == len(wanted):
            for axis, size in zip(wanted, values.shape, strict=True):
                if sizes.setdefault(axis, size) != size:
                    raise ValueError(f"{name}: shape {values.shape} does not fit the others")
            return
    raise ValueError(f"{name}: an array of {axes} is wanted")
