"""The stage that trains the dense layers, with copies masked by their own saliency and without."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from shipped import section
from torch import nn

from glassguard.configuration.sections import RecognizerSection
from glassguard.errors import InputError
from glassguard.faces import manifest as manifest_columns
from glassguard.files.formats import read_json, write_json
from glassguard.recognizer.network import convolutional_layers
from glassguard.recognizer.weights import BackboneFile, read_recognizer, write_backbone
from glassguard.stages import recognizer

PEOPLE = ["ada", "bob", "cyd"]
SIZE = 32
OUTPUTS = {
    "recognizer": "recognizer.safetensors",
    "metrics": "metrics.json",
    "predictions": "predictions.csv",
    "history": "history.csv",
}


def settings(copies: int, **copy_masks: Any) -> RecognizerSection:
    return RecognizerSection.model_validate(
        {
            "seed": 5,
            "recognizer": section(
                "recognizer/dense",
                hidden=8,
                epochs=3,
                occluded_copies=1,
                masked_copies=copies,
                copy_masks=copy_masks,
                threads=1,
            ),
        }
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    splits = ["train"] * 5 + ["val", "test", "test"]
    pd.DataFrame(
        [
            {"image_id": f"{name}{number}", "identity": name, "split": split}
            for name in PEOPLE
            for number, split in enumerate(splits)
        ]
    ).reindex(columns=manifest_columns.COLUMNS).to_csv(folder / "manifest.csv", index=False)
    shape = (len(PEOPLE) * len(splits), SIZE, SIZE, 3)
    np.save(folder / "images.npy", np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    torch.manual_seed(0)
    tensors = nn.Sequential(convolutional_layers(1 / 16)).state_dict()
    backbone = BackboneFile(tensors, 1 / 16, (127.5, 127.5, 127.5), 127.5)
    write_backbone(folder / "backbone.safetensors", backbone)
    write_json({"backbone": "random"}, folder / "backbone_metrics.json")
    return folder


def run(config: RecognizerSection, study: Path, out: Path) -> dict[str, Path]:
    out.mkdir()
    outputs = {name: out / file for name, file in OUTPUTS.items()}
    recognizer.run(
        config,
        images=study / "images.npy",
        manifest=study / "manifest.csv",
        backbone=study / "backbone.safetensors",
        backbone_metrics=study / "backbone_metrics.json",
        **outputs,
    )
    return outputs


@pytest.mark.parametrize("kind", ["guided", "relative"])
def test_masked_copies_change_the_training_and_repeat_themselves(
    study: Path, tmp_path: Path, kind: str
) -> None:
    # Two bare ones, plain and mirrored, and one that wears something.
    config = settings(3, map=kind)
    without = run(settings(0), study, tmp_path / "without")
    masked, again = (run(config, study, tmp_path / name) for name in ("masked", "again"))
    for name in OUTPUTS:
        assert masked[name].read_bytes() == again[name].read_bytes()
    for name in ("recognizer", "history"):
        assert masked[name].read_bytes() != without[name].read_bytes()
    network, identities = read_recognizer(masked["recognizer"])
    assert identities == PEOPLE
    plain, _ = read_recognizer(without["recognizer"])
    assert torch.equal(network.features.conv5_3.weight, plain.features.conv5_3.weight)
    described = read_json(masked["metrics"])
    assert (described["train_images"], described["val_images"], described["test_images"]) == (
        15,
        3,
        6,
    )
    assert len(pd.read_csv(masked["history"])) == 3
    predictions = pd.read_csv(masked["predictions"])
    right = predictions["prediction"] == predictions["identity"]
    assert described["train_accuracy"] == pytest.approx(
        right[predictions["split"] == "train"].mean()
    )


def test_more_classes_than_people_cannot_be_explained(study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"copy_masks\.top_classes: 4 exceeds the 3 people of"):
        run(settings(1, top_classes=4), study, tmp_path / "four")


def test_quantiles_of_copies_must_rise() -> None:
    with pytest.raises(ValidationError, match=r"mu: 0\.97 must not exceed 0\.8"):
        settings(1, mu=[0.97, 0.8])


def test_a_recognizer_at_chance_is_not_passed_over(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "chance"
    folder.mkdir()
    for name in ("manifest.csv", "backbone.safetensors", "backbone_metrics.json"):
        (folder / name).symlink_to(study / name)
    # All pictures alike: nobody can be told from anybody.
    np.save(folder / "images.npy", np.full_like(np.load(study / "images.npy"), 128))
    run(settings(0), folder, tmp_path / "out")
    assert "of its own training pictures: with 3 people" in capsys.readouterr().err
