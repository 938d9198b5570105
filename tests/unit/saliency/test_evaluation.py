"""Rates, controls and mask quality of the evaluation."""

import math

import numpy as np
import pytest
import torch

from glassguard.recognizer.network import FaceRecognizer
from glassguard.saliency.defences import misplaced
from glassguard.saliency.evaluation import (
    Predictions,
    adversarial_success,
    classify,
    classify_masked,
    correct,
    defence_success,
    mean,
    overlap,
    rate,
)
from glassguard.saliency.fill import filled
from glassguard.saliency.grid import NO_TARGET
from glassguard.saliency.working_point import working_point
from glassguard.statistics import wilson_interval

REAL = np.array([0, 0, 0, 1])
TARGET = np.array([2, 2, 2, NO_TARGET])
BEFORE = Predictions(np.array([2, 2, 0, 3]), np.array([0.9, 0.6, 0.9, 0.9], dtype=np.float32))
AFTER = Predictions(np.array([0, 2, 0, 1]), np.array([0.7, 0.9, 0.9, 0.8], dtype=np.float32))


def test_attack_and_defence_rates():
    assert adversarial_success(BEFORE, REAL, TARGET).tolist() == [True, True, False, True]
    assert adversarial_success(BEFORE, REAL, TARGET, 0.8).tolist() == [True, False, False, True]
    assert adversarial_success(AFTER, REAL, TARGET).tolist() == [False, True, False, False]
    assert correct(AFTER, REAL).tolist() == [True, False, True, True]
    # 0.8 of float32 lies just above the threshold of double precision, so it is accepted.
    assert correct(AFTER, REAL, 0.8).tolist() == [False, False, True, True]
    assert defence_success(BEFORE, AFTER, REAL, TARGET).tolist() == [True, False, False, True]
    assert defence_success(BEFORE, AFTER, REAL, TARGET, 0.8).tolist() == [
        False,
        False,
        False,
        True,
    ]


def test_a_threshold_above_every_confidence_rejects_everybody():
    assert not correct(AFTER, REAL, 1.0).any()
    assert not adversarial_success(BEFORE, REAL, TARGET, 1.0).any()
    assert np.array_equal(correct(AFTER, REAL, 0.0), correct(AFTER, REAL))


def test_rates_have_counts_and_wilson_intervals():
    found = rate("success", np.array([True, True, True, False]))
    low, high = wilson_interval(3, 4)
    assert found == {
        "success": 0.75,
        "success_n": 4,
        "success_low": low,
        "success_high": high,
    }
    assert math.isnan(rate("success", np.zeros(0, dtype=bool))["success"])


def test_means_have_normal_intervals():
    values = np.array([0.2, 0.4, 0.6, 0.8])
    found = mean("iou", values)
    margin = 1.96 * values.std(ddof=1) / 2
    assert found["iou"] == pytest.approx(0.5)
    assert found["iou_n"] == 4
    assert found["iou_low"] == pytest.approx(0.5 - margin, abs=1e-4)
    assert found["iou_high"] == pytest.approx(0.5 + margin, abs=1e-4)
    assert math.isnan(mean("iou", np.array([0.5]))["iou_low"])


def test_overlap_with_the_true_frame():
    frames = np.zeros((4, 4, 4), dtype=bool)
    frames[:3, 0] = True
    masks = np.zeros_like(frames)
    masks[0, 0] = True  # exact
    masks[1, :2] = True  # twice too large
    masks[2, 0, :2] = True  # half of it
    intersection_over_union, recall = overlap(masks, frames)
    assert intersection_over_union.tolist() == [1, 0.5, 0.5, 1]
    assert recall.tolist() == [1, 1, 0.5, 1]


def test_misplaced_masks_keep_their_area_and_depend_on_seed_and_name_alone():
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:9, 3:25] = True
    moved = misplaced(mask, seed=1, name="a")
    assert moved.sum() == mask.sum()
    assert not np.array_equal(moved, mask)
    assert np.array_equal(moved, misplaced(mask, seed=1, name="a"))
    assert not np.array_equal(moved, misplaced(mask, seed=1, name="b"))
    assert not np.array_equal(moved, misplaced(mask, seed=2, name="a"))


def test_masked_pictures_are_classified_and_others_taken_over():
    torch.manual_seed(0)
    network = FaceRecognizer(
        identities=4, image_size=32, width=1 / 16, hidden=16, mean=(120, 110, 100), scale=40
    ).eval()
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    masks = np.zeros((5, 32, 32), dtype=bool)
    masks[1, 4:20] = masks[3, 10:30] = True
    before = classify(network, images, batch_size=3)
    passes = []
    hook = network.register_forward_hook(lambda *_: passes.append(1))
    after = classify_masked(network, images, masks, "zero", before, batch_size=3)
    hook.remove()
    assert len(passes) == 1
    direct = classify(
        network,
        np.stack([filled(*pair, "zero") for pair in zip(images, masks, strict=True)]),
        batch_size=3,
    )
    assert np.array_equal(after.classes, direct.classes)
    assert np.array_equal(after.confidences, direct.confidences)
    assert not np.array_equal(after.confidences, before.confidences)


def test_the_working_point_costs_attacks_most_and_clean_pictures_hardly_anything():
    thresholds = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    accuracy = np.array([0.9, 0.9, 0.88, 0.8, 0.0])
    success = np.array([0.2, 0.1, 0.1, 0.02, 0.0])
    # 0.5 undoes no attack that 0.25 leaves, and would cost clean pictures.
    for loss, expected in ((0.0, 0.25), (0.05, 0.25), (0.1, 0.75), (0.2, 0.75), (1.0, 1.0)):
        found = working_point(
            thresholds, accuracy, success, clean_pictures=100, largest_clean_loss=loss
        )
        assert found == expected
    nothing_left = np.zeros(5)
    assert (
        working_point(
            thresholds, accuracy, nothing_left, clean_pictures=100, largest_clean_loss=1.0
        )
        == 0
    )


def test_a_loss_of_exactly_the_allowed_pictures_is_allowed():
    # In binary fractions 0.95 - 0.9 is more than 0.05.
    for right in range(18, 361):
        accuracy = np.array([right / 360, (right - 18) / 360, (right - 19) / 360])
        found = working_point(
            np.array([0.0, 0.5, 0.6]),
            accuracy,
            np.array([0.3, 0.2, 0.1]),
            clean_pictures=360,
            largest_clean_loss=0.05,
        )
        assert found == 0.5
