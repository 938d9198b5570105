"""Whom a recognizer names, and how often it is right."""

import numpy as np
import pandas as pd
import pytest
from torch import nn

from glassguard.recognizer.predictions import accuracies, parameter_counts, predictions_table

ROWS = pd.DataFrame(
    {
        "image_id": ["1", "2", "3"],
        "identity": ["ann", "zoe", "bob"],
        "split": ["train", "test", "test"],
        "path": ["", "", ""],
    }
)
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.4, 0.1]])


def test_a_line_names_the_likeliest_and_the_confidence_in_the_person_shown() -> None:
    table = predictions_table(ROWS, ["ann", "bob", "zoe"], PROBABILITIES)
    assert [*table.columns[:3]] == ["image_id", "identity", "split"]
    assert table["prediction"].tolist() == ["ann", "zoe", "ann"]
    assert table["confidence"].tolist() == [0.7, 0.6, 0.5]
    assert table["confidence_true"].tolist() == [0.7, 0.6, 0.4]


def test_accuracies_are_of_each_split() -> None:
    table = predictions_table(ROWS, ["ann", "bob", "zoe"], PROBABILITIES)
    assert accuracies(table, ("train", "test")) == {
        "train_accuracy": 1.0,
        "test_accuracy": pytest.approx(0.5),
        "train_images": 1,
        "test_images": 2,
    }


def test_parameters_are_trained_or_frozen() -> None:
    network = nn.Module()
    network.features, network.classifier = nn.Linear(3, 5), nn.Linear(5, 2)
    assert parameter_counts(network) == {"parameters_trained": 12, "parameters_frozen": 20}
