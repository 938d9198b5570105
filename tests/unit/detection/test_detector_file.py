"""Detectors that were written and read again are those that were fitted."""

import copy
import json
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from detection.made_up_profiles import PEOPLE, SETTINGS, made_up
from safetensors.numpy import load, save

from glassguard.detection.characteristic_profiles import METRICS
from glassguard.detection.covered_area import CoveredArea, GivenArea
from glassguard.detection.detector_file import from_arrays, to_arrays
from glassguard.detection.pictures import JOINED, Pictures, joined, with_activations
from glassguard.detection.scores import (
    Confidence,
    Distance,
    Masking,
    OnActivations,
    OnJoined,
    OnPixels,
    Score,
    Sum,
    dimensionality_over_layers,
    mahalanobis_over_layers,
)
from glassguard.detection.settings import Variant
from glassguard.detection.slice_detectors import SliceDetectors, fit_slice

BENIGN, ATTACKS = made_up(size=40, scale=1e-3)
TRAINING, VALIDATION = BENIGN.in_split("train"), BENIGN.in_split("val")


def linear(
    variant: Variant,
    name: str = "conv4_1",
    prepared: Callable[[Pictures], Pictures] = lambda pictures: pictures,
) -> SliceDetectors:
    return fit_slice(
        prepared(TRAINING),
        prepared(VALIDATION),
        slice_name=name,
        variant=variant,
        people=np.arange(PEOPLE),
        settings=SETTINGS,
        seeds=[1, 2],
    )


def read_again(detector: Any) -> Any:
    """Through the bytes of both files."""
    description, arrays = to_arrays(detector)
    return from_arrays(json.loads(json.dumps(description)), load(save(arrays)))


DETECTORS: dict[str, Score] = {
    **{variant: linear(variant) for variant in get_args(Variant)},
    "joined": OnJoined(
        ("conv4_1", "fc7"),
        linear("standardised", JOINED, lambda pictures: joined(pictures, ("conv4_1", "fc7"))),
    ),
    "activations": OnActivations(linear("unit_standardised", prepared=with_activations)),
    **{
        metric: Distance.fitted(TRAINING, slice_name="conv4_1", metric=metric) for metric in METRICS
    },
    "given_area": GivenArea.fitted(
        Confidence(), area=CoveredArea.fitted(TRAINING), benign=VALIDATION
    ),
    "confidence": Confidence(),
    "on_pixels": OnPixels("squeezed"),
    "masking": Masking(),
    "sum": Sum.fitted([OnPixels("squeezed"), Masking()], benign=VALIDATION),
    "mahalanobis_layers": mahalanobis_over_layers(TRAINING, validation=VALIDATION),
    "dimensionality": dimensionality_over_layers(TRAINING, validation=VALIDATION, neighbours=10),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_a_read_detector_scores_to_the_bit_as_the_fitted_one(name: str) -> None:
    fitted = DETECTORS[name]
    found = read_again(fitted)
    assert type(found) is type(fitted)
    for pictures in (VALIDATION, BENIGN.in_split("test"), ATTACKS):
        expected = fitted(pictures)
        assert np.isfinite(expected).all()
        assert found(pictures).tobytes() == expected.tobytes()


def test_a_read_detector_has_the_thresholds_of_the_fitted_one() -> None:
    fitted = linear("quadratic")
    found = read_again(fitted)
    assert np.array_equal(found.calibration.thresholds, fitted.calibration.thresholds)
    assert np.array_equal(found.flagged(ATTACKS, tuned=True), fitted.flagged(ATTACKS, tuned=True))
    assert found.calibrated_on.tolist() == fitted.calibrated_on.tolist()


def test_what_detectors_share_is_written_once() -> None:
    detector = linear("standardised")
    alone, twice = (to_arrays(one)[1] for one in (detector, [detector, detector]))
    assert len(alone) == len(twice)


def test_arrays_in_fortrans_order_stay_so() -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert read_again(array).flags.f_contiguous
    assert np.array_equal(read_again(array), array)


def changed(description: Any, key: str, change: Callable[[dict], None]) -> Any:
    """The description with a change to every mapping that has ``key``."""
    found = copy.deepcopy(description)
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and key in value:
            change(value)
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    return found


def test_wrong_sizes_and_kinds_are_refused() -> None:
    description, arrays = to_arrays(DETECTORS["quadratic"])
    weights = description["bank"]["weights"]["array"]
    for wrong, said in (
        ({**arrays, weights: arrays[weights][:, :-1]}, "weights: shape"),
        ({**arrays, weights: arrays[weights].astype(np.float32)}, "weights: float32, not float64"),
        ({**arrays, weights: arrays[weights] + np.inf}, "weights: holds numbers that are not"),
        ({name: one for name, one in arrays.items() if name != weights}, "KeyError"),
    ):
        with pytest.raises(ValueError, match=said):
            from_arrays(description, wrong)
    for key, change, said in (
        ("cut", lambda value: value.pop("cut"), "TypeError"),
        ("intercepts", lambda value: value.update(intercepts=value["people"]), "do not fit"),
        ("cut", lambda value: value.update(cut=value["scale"]), "calibration is not that of"),
        ("mean_", lambda value: value.update(features=7), "does not fit the others"),
        ("mean_", lambda value: value.pop("mean_"), "must hold"),
        ("mean_", lambda value: value.update(mean_=1.0), "an array"),
        ("steps", lambda value: value.update(kind="eval"), "KeyError: 'eval'"),
    ):
        with pytest.raises(ValueError, match=said):
            from_arrays(changed(description, key, change), arrays)


def test_an_unknown_kind_is_not_written() -> None:
    with pytest.raises(TypeError, match="function is no kind of detector"):
        to_arrays(lambda pictures: pictures)
