"""The stages banded_recognizer and guard on a tiny study."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from shipped import section
from worn_frames import EYES

from glassguard.attack.accessories import frame_masks
from glassguard.configuration.sections import BandedRecognizerSection, GuardSection
from glassguard.errors import InputError
from glassguard.faces import manifest as manifest_columns
from glassguard.files.formats import read_table
from glassguard.guard.certificate import Judged
from glassguard.guard.tables import judged_in
from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.weights import BackboneFile, write_backbone, write_recognizer
from glassguard.stages import banded_recognizer, guard

SIZE = 32
PEOPLE = ["007", "NA", "bob"]
SPLITS = ["train", "train", "val", "val", "test", "test"]
SETS = ("benign", "glasses", "plain_frames", "random_frames")
MEAN, SCALE = (120.0, 110.0, 100.0), 40.0


def settings(**changes):
    values = section("guard/eye_band", **changes)
    layers = section("recognizer/dense", hidden=16, epochs=40, threads=1)
    layers |= {"learning_rate": 0.01, "dropout": 0.0}
    layers.pop("copy_masks")
    training = {key: values[key] for key in ("placements", "margin", "occluded_copies")}
    kept = ("placements", "margin", "mode", "largest_rejected")
    deciding = {key: values[key] for key in kept}
    return (
        BandedRecognizerSection.model_validate(
            {"seed": 1, "recognizer": layers, "guard": training | {"occluded_copies": 0}}
        ),
        GuardSection.model_validate(
            {
                "sets": SETS,
                "guard": deciding,
                "saliency": {"kernel": 3, "batch_size": 8, "threads": 1},
            }
        ),
    )


def write_maps(path, ids, generator):
    np.savez(
        path,
        ids=np.array(ids),
        prediction=np.zeros(len(ids), dtype=np.int64),
        guided=generator.random((len(ids), SIZE, SIZE), dtype=np.float32),
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    generator = np.random.default_rng(0)
    torch.manual_seed(0)
    network = FaceRecognizer(
        identities=3, image_size=SIZE, width=1 / 16, hidden=16, mean=MEAN, scale=SCALE
    )
    for name, tensor in network.features.named_parameters():
        if name.endswith("weight"):
            # As He et al. (2015) start: thirteen layers keep the size of what passes them.
            tensor.data.mul_(6**0.5)
    network.classifier.fc8.weight.data.mul_(40)
    write_recognizer(folder / "recognizer.safetensors", network, PEOPLE)
    convolutions = dict(network.features.state_dict())
    write_backbone(folder / "backbone.safetensors", BackboneFile(convolutions, 1 / 16, MEAN, SCALE))
    manifest = pd.DataFrame(
        [
            {"image_id": f"p{99 - 6 * person - number}", "identity": name, "split": split}
            for person, name in enumerate(PEOPLE)
            for number, split in enumerate(SPLITS)
        ]
    ).reindex(columns=manifest_columns.COLUMNS)
    eyes = EYES * SIZE / 96
    manifest[list(manifest_columns.EYES)] = eyes.ravel()
    manifest.to_csv(folder / "manifest.csv", index=False)
    # People differ below the eyes.
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], dtype=np.uint8)
    images = generator.integers(0, 60, (len(manifest), SIZE, SIZE, 3), dtype=np.uint8)
    for row, name in enumerate(manifest["identity"]):
        images[row, 22:] = colours[PEOPLE.index(name)]
    np.save(folder / "images.npy", images)
    write_maps(folder / "benign.npz", manifest["image_id"].tolist(), generator)
    frame = frame_masks(eyes[None], SIZE)[0]
    for name in SETS[1:]:
        (folder / name).mkdir()
        held_out = manifest[manifest["split"] != "train"]
        worn = images[held_out.index].copy()
        worn[:, frame] = generator.integers(0, 256, (len(worn), int(frame.sum()), 3))
        if name == "glasses":
            # One attacker also paints his chin.
            worn[0, 30, 4] = 255
        examples = pd.DataFrame(
            {
                "example_id": [f"{name}_{row}" for row in range(len(worn))],
                "image_id": held_out["image_id"].to_numpy(),
                "split": held_out["split"].to_numpy(),
            }
        )
        person = "attacker" if name == "glasses" else "identity"
        examples[person] = held_out["identity"].to_numpy()
        if name == "glasses":
            examples["target"] = "NA"
        examples.to_csv(folder / name / "examples.csv", index=False)
        np.save(folder / name / "images.npy", worn)
        write_maps(folder / f"{name}.npz", examples["example_id"].tolist(), generator)
    best = {"map": "guided", "mu": 0.9, "mu_as": "quantile", "n": 1, "phi": 2, "fill": "mean"}
    (folder / "best.json").write_text(json.dumps({"goodness": best}))
    banded_recognizer.run(
        settings()[0],
        images=folder / "images.npy",
        manifest=folder / "manifest.csv",
        backbone=folder / "backbone.safetensors",
        **{
            name: folder / file
            for name, file in (
                ("recognizer", "banded.safetensors"),
                ("metrics", "metrics.json"),
                ("history", "history.csv"),
            )
        },
    )
    return folder


def ask(folder, out, **changes):
    out.mkdir()
    given = {
        "tables": [folder / "manifest.csv", *(folder / n / "examples.csv" for n in SETS[1:])],
        "images": [folder / "images.npy", *(folder / n / "images.npy" for n in SETS[1:])],
        "maps": [folder / f"{name}.npz" for name in SETS],
        "recognizer": folder / "recognizer.safetensors",
        "banded_recognizer": folder / "banded.safetensors",
        "best": folder / "best.json",
    }
    mode = changes.pop("mode", "accept_or_reject")
    guard.run(
        settings(mode=mode)[1],
        **given | changes,
        band=out / "band.json",
        decisions=out / "decisions.csv",
        thresholds=out / "thresholds.json",
    )
    return read_table(out / "decisions.csv"), json.loads((out / "thresholds.json").read_text())


@pytest.fixture(scope="module")
def asked(study):
    return ask(study, study / "asked")


def test_the_banded_recognizer_learns_who_is_who_without_the_eyes(study):
    metrics = json.loads((study / "metrics.json").read_text())
    assert metrics["train_images"] == metrics["test_images"] == 6
    assert metrics["train_accuracy"] == metrics["test_accuracy"] == 1.0


def test_the_band_is_described(study, asked):
    band = json.loads((study / "asked/band.json").read_text())
    assert 0.2 < band["smallest_share"] <= band["share_of_picture"] <= band["largest_share"] < 0.45
    assert band["half_width"] > 1.02
    assert band["placements"] == section("guard/eye_band")["placements"]
    assert band["landmarks"] is None


def test_a_band_that_moves_with_the_eyes_is_not_certified(study, tmp_path, asked):
    table, _ = asked
    moved = table[["set", "example_id"]].assign(along=0.0, across=0.0)
    moved.loc[15, "across"] = 0.01
    moved.loc[16, "along"] = np.nan
    moved.sample(frac=1, random_state=0).to_csv(tmp_path / "landmarks.csv", index=False)
    found, _ = ask(study, tmp_path / "out", landmarks=tmp_path / "landmarks.csv")
    changed = found["certified"] != table["certified"]
    assert changed[changed].index.tolist() == [15, 16]
    band = json.loads((tmp_path / "out/band.json").read_text())
    assert band["landmarks"]["glasses"]["not_found"] == 1
    assert band["landmarks"]["glasses"]["across"]["0.5"] == 0
    moved[moved["example_id"] != "glasses_3"].to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(InputError, match=r"few\.csv: lacks glasses_3 of glasses; run the stage"):
        ask(study, tmp_path / "few", landmarks=tmp_path / "few.csv")


def test_what_is_painted_in_the_band_changes_no_banded_answer(asked):
    table, _ = asked
    columns = ["answer_banded", "confidence_banded"]
    bare = table[table["set"] == "benign"].set_index("image_id")[columns]
    for name in SETS[1:]:
        rows = table[(table["set"] == name) & table["covered"]]
        assert len(rows) == 12 - (name == "glasses")
        assert (rows[columns].to_numpy() == bare.loc[rows["image_id"]].to_numpy()).all()


def test_paint_outside_the_band_is_not_certified(asked):
    table, _ = asked
    outside = table[~table["covered"]]
    assert outside["example_id"].tolist() == ["glasses_0"]
    assert not outside["certified"].any()
    rest = table[table["covered"]]
    assert (rest["certified"] == (rest["answer_banded"] == rest["identity"])).all()
    assert rest["certified"].all()


def test_held_out_pictures_of_every_set_are_decided(asked):
    table, _ = asked
    assert table.groupby("set", sort=False).size().to_dict() == dict.fromkeys(SETS, 12)
    assert set(table["split"]) == {"val", "test"}
    agree = table["answer_full"] == table["answer_banded"]
    accepted = table["decision"] == "accept"
    assert set(table["decision"]) <= {"accept", "reject"}
    assert (agree | ~accepted).all()
    assert (table.loc[accepted, "answer"] == table.loc[accepted, "answer_full"]).all()
    assert (table.loc[~accepted, "answer"] == "").all()
    judged = judged_in(table, PEOPLE)
    assert isinstance(judged, Judged)
    assert (judged.certified == table["certified"]).all()


def test_a_correcting_guard_answers_with_the_banded_recognizer(study, tmp_path, asked):
    table, _ = ask(study, tmp_path / "out", mode="correct")
    other = table["decision"] != "accept"
    assert (table["decision"] == "accept").equals(asked[0]["decision"] == "accept")
    assert (table.loc[other, "decision"] == "correct").all()
    assert (table.loc[other, "answer"] == table.loc[other, "answer_banded"]).all()


def test_thresholds_come_from_validation_pictures_alone(study, tmp_path, asked):
    images = np.load(study / "images.npy")
    manifest = read_table(study / "manifest.csv")
    images[manifest["split"] == "test"] = 0
    np.save(tmp_path / "images.npy", images)
    others = [study / name / "images.npy" for name in SETS[1:]]
    _, thresholds = ask(study, tmp_path / "out", images=[tmp_path / "images.npy", *others])
    assert thresholds == asked[1]


def test_files_that_do_not_belong_together_are_refused(study, tmp_path):
    with pytest.raises(InputError, match="--maps: a file for each of benign, glasses"):
        ask(study, tmp_path / "few", maps=[study / "benign.npz"])
    table = pd.read_csv(study / "glasses/examples.csv").assign(image_id="p0")
    table.to_csv(tmp_path / "examples.csv", index=False)
    tables = [study / "manifest.csv", tmp_path / "examples.csv"]
    tables += [study / name / "examples.csv" for name in SETS[2:]]
    with pytest.raises(InputError, match=r"examples\.csv: made from p0, which is no picture"):
        ask(study, tmp_path / "others", tables=tables)
