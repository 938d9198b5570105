"""Metrics with steps, from the tables of a study."""

import numpy as np
import pandas as pd

from glassguard.tracking.curves import (
    as_picture,
    attack_curves,
    attack_pictures,
    detector_points,
    layer_curves,
    threshold_curves,
    training_curves,
)
from glassguard.tracking.records import Record, datasets_of, folded


def test_training_is_drawn_against_the_epoch():
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.5], "val_loss": [np.nan, 1.0]})
    assert training_curves(history) == {
        "epoch/train_loss": [(1, 2.0), (2, 1.5)],
        "epoch/val_loss": [(2, 1.0)],
    }


def examples():
    return pd.DataFrame(
        {
            "image_id": ["a", "b", "c", "d"],
            "split": ["test", "test", "test", "val"],
            "success": [True, True, False, True],
            "iterations": [3, 10, 10, 1],
        }
    )


def test_the_share_of_successful_attacks_rises_to_the_final_rate():
    curve = dict(attack_curves(examples())["iteration/success"])
    assert [curve[step] for step in (0, 2, 3, 9, 10)] == [0, 0, 1 / 3, 1 / 3, 2 / 3]


def test_pictures_before_and_after_belong_together():
    attacked = (
        np.full((4, 2, 2, 3), 9, dtype=np.uint8)
        * np.arange(1, 5, dtype=np.uint8)[:, None, None, None]
    )
    bare = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), dtype=np.uint8)
    ids = pd.Series(["d", "c", "b", "a"])
    shown = attack_pictures(examples(), attacked, bare, ids)
    assert shown["attack/before"][:, 0, 0, 0].tolist() == [3, 2]
    assert shown["attack/after"][:, 0, 0, 0].tolist() == [9, 18]


def test_each_layer_counts_by_its_best_variant():
    layers = pd.DataFrame(
        {
            "slice": ["conv1_1", "conv1_1", "fc6", "conv1_1_pre_relu"],
            "balanced_accuracy": [0.5, 0.7, 0.9, 0.6],
            "auc": [0.6, 0.5, 0.8, 0.4],
        }
    )
    curves = layer_curves(layers)
    assert curves["layer/balanced_accuracy"] == [(1, 0.7), (2, 0.9)]
    assert curves["layer/auc_pre_relu"] == [(1, 0.4)]


def test_thresholds_are_steps_in_percent_of_test_pictures():
    table = pd.DataFrame(
        {
            "defence": ["none", "none", "saliency", "none"],
            "threshold": [0.0, 0.01, 0.29, 0.0],
            "split": ["test", "test", "test", "val"],
            "adversarial_success": [0.9, 0.8, 0.1, 0.0],
            "adversarial_correct": [0.1, 0.1, 0.5, 0.0],
            "clean_accuracy": [1.0, 0.9, 0.8, 0.0],
        }
    )
    curves = threshold_curves(table)
    assert curves["threshold_percent/none/adversarial_success"] == [(0, 0.9), (1, 0.8)]
    assert curves["threshold_percent/saliency/clean_accuracy"] == [(29, 0.8)]


def test_a_detector_is_a_point_for_each_population_of_the_first_attack():
    rows = [
        ("glasses", "influence", "bare", 0.01, 0.4, 0.8),
        ("glasses", "influence", "bare", 0.0991, 0.6, 0.8),
        ("glasses", "influence", "half_wearing", 0.01, np.nan, 0.7),
        ("sticker", "influence", "bare", 0.01, 0.1, 0.2),
    ]
    table = pd.DataFrame(
        rows, columns=["attack", "detector", "population", "wanted_fpr", "tpr", "auc"]
    )
    bare, half = detector_points(table)
    assert bare.name == "influence, bare"
    assert bare.metrics == {"auc": 0.8, "found_at_1_percent": 0.4, "found_at_9.91_percent": 0.6}
    assert half.metrics == {"auc": 0.7}


def test_maps_and_masks_are_pictures():
    assert as_picture(np.array([0.0, 0.5, 1.0])).tolist() == [0, 128, 255]
    assert as_picture(np.array([True, False])).tolist() == [255, 0]


def job(name, stage, started, ended, **metrics):
    return Record(job=name, stage=stage, started=started, ended=ended, params={}, metrics=metrics)


def test_shards_and_sets_are_folded_and_their_time_is_added_up():
    records = [
        job("attack_glasses_1-of-2", "attack_shard", 0, 5, pictures=3),
        job("attack_glasses_2-of-2", "attack_shard", 1, 9, pictures=4),
        job("attack_glasses", "attack", 9, 10, success=0.5),
        job("attack_sticker", "attack", 9, 10, success=0.25),
        job("influence_benign", "influence", 2, 4, profiles=7),
        job("influence_glasses", "influence", 3, 6, profiles=8),
        job("mask_grid_sticker_1-of-2", "mask_grid_shard", 0, 1),
        job("mask_grid_sticker", "mask_grid", 1, 2, goodness=0.5),
    ]
    found = {one.job: one for one in folded(records)}
    assert sorted(found) == ["attack_glasses", "attack_sticker", "influence", "mask_grid_sticker"]
    glasses = found["attack_glasses"]
    assert (glasses.metrics, glasses.jobs, glasses.seconds) == ({"success": 0.5}, 3, 14.0)
    assert (glasses.started, glasses.ended) == (0, 10)
    assert found["influence"].metrics == {"benign.profiles": 7, "glasses.profiles": 8}
    assert found["mask_grid_sticker"].metrics == {"goodness": 0.5}


def test_a_data_set_is_known_by_its_pictures():
    manifest = pd.DataFrame(
        {
            "image_id": ["1", "2", "3"],
            "identity": ["a", "b", "a"],
            "sha256": ["x", "y", "z"],
            "split": ["train", "train", "test"],
        }
    )
    train, test = datasets_of(manifest, name="faces")
    assert (train.split, train.profile) == ("train", {"pictures": 2, "people": 2})
    changed, same = datasets_of(manifest.assign(sha256=["x", "!", "z"]), name="faces")
    assert changed.digest != train.digest
    assert same.digest == test.digest
