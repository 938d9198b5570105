"""The stages of attacks and honest wearers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from shipped import section

from glassguard.attack.controls import KINDS
from glassguard.attack.examples import join_shards
from glassguard.attack.robustness import ALL, first_of_pairs
from glassguard.attack.settings import AccessoryAttack, Controls, NamedPair, Robustness
from glassguard.attack.transformations import KINDS as KINDS_OF_CIRCUMSTANCES
from glassguard.configuration.sections import AttackSection, ControlsSection, RobustnessSection
from glassguard.errors import InputError
from glassguard.faces.manifest import COLUMNS
from glassguard.files.formats import read_arrays, read_examples, write_csv
from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.weights import write_recognizer
from glassguard.stages import attack, attack_shard, controls, robustness

PEOPLE = ["ada", "bob", "cleo", "dan", "eve", "finn"]
SIZE = 32
SETTINGS = AccessoryAttack.model_validate(
    section(
        "attack/glasses",
        targets=3,
        attackers_per_target=2,
        validation_images=2,
        test_images=3,
        iterations=3,
    )
)
CONTROLS = Controls.model_validate(
    section("controls/frames", colour=[1, 1, 0], images=9, validation_images=5, training_images=3)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = []
    for person in PEOPLE:
        for number in range(12):
            split = "train" if number < 4 else "val" if number < 8 else "test"
            eyes = [10.1, 13.9, 21.8, 13.8]
            row = [f"{person}{number}", person, split, "drawn", "0", SIZE, SIZE, *eyes, "drawn"]
            rows.append(row)
    write_csv(pd.DataFrame(rows, columns=list(COLUMNS)), tmp_path / "manifest.csv")
    generator = np.random.default_rng(0)
    np.save(
        tmp_path / "images.npy",
        generator.integers(0, 256, (len(rows), SIZE, SIZE, 3), dtype=np.uint8),
    )
    torch.manual_seed(0)
    network = FaceRecognizer(
        identities=len(PEOPLE),
        image_size=SIZE,
        width=1 / 16,
        hidden=8,
        mean=(127.5, 127.5, 127.5),
        scale=127.5,
    )
    write_recognizer(tmp_path / "recognizer.safetensors", network, PEOPLE)
    return tmp_path


def run_shards(folder: Path, count: int) -> list[Path]:
    config = AttackSection(seed=0, name="glasses", attack=SETTINGS)
    paths = [folder / f"{shard}-of-{count}.npz" for shard in range(count)]
    for shard, path in enumerate(paths):
        attack_shard.run(
            config,
            images=folder / "images.npy",
            manifest=folder / "manifest.csv",
            recognizer=folder / "recognizer.safetensors",
            shard=shard,
            shards=count,
            results=path,
        )
    return paths


def gather(folder: Path, paths: list[Path]) -> pd.DataFrame:
    attack.run(
        AttackSection(seed=0, name="glasses", attack=SETTINGS),
        shards=paths,
        examples=folder / "examples.csv",
        images=folder / "adversarial.npy",
        frames=folder / "frames.npy",
    )
    return read_examples(folder / "examples.csv")


def test_shards_in_any_order_make_the_same_table(folder: Path) -> None:
    whole = gather(folder, run_shards(folder, 1))
    pictures = np.load(folder / "adversarial.npy")
    thirds = gather(folder, run_shards(folder, 3)[::-1])
    assert list(whole["example_id"]) == [f"glasses_{row:05d}" for row in range(30)]
    decided = ["image_id", "split", "attacker", "target", "initial_prediction", "frame_area"]
    pd.testing.assert_frame_equal(whole[decided], thirds[decided])
    assert (whole["gradients"] <= SETTINGS.iterations).all()
    assert (whole["success"] == (whole["prediction"] == whole["target"])).all()

    originals = np.load(folder / "images.npy")
    rows = pd.read_csv(folder / "manifest.csv").set_index("image_id").index
    frames = np.load(folder / "frames.npy")
    untouched = originals[[rows.get_loc(image) for image in whole["image_id"]]]
    assert np.array_equal(pictures[~frames], untouched[~frames])
    assert (pictures[frames] != untouched[frames]).any()


def test_more_shards_than_pictures_leave_some_of_them_empty(folder: Path) -> None:
    paths = run_shards(folder, 32)
    with np.load(paths[31]) as last:
        assert last["images"].shape == (0, SIZE, SIZE, 3)
    found = gather(folder, paths)
    pd.testing.assert_series_equal(
        found["image_id"], gather(folder, run_shards(folder, 1))["image_id"]
    )


def run_robustness(folder: Path, **files: Path) -> pd.DataFrame:
    settings = Robustness.model_validate(
        section("robustness/placements", pictures=8, placements=6, placements_per_kind=2)
    )
    given = {
        "faces": folder / "images.npy",
        "manifest": folder / "manifest.csv",
        "examples": folder / "examples.csv",
        "images": folder / "adversarial.npy",
        "frames": folder / "frames.npy",
        "recognizer": folder / "recognizer.safetensors",
        "table": folder / "robustness.csv",
    }
    config = RobustnessSection(seed=0, name="glasses", robustness=settings)
    robustness.run(config, **(given | files))
    return pd.read_csv(folder / "robustness.csv")


def test_success_is_tried_in_held_out_circumstances(folder: Path) -> None:
    examples = gather(folder, run_shards(folder, 1))
    table = run_robustness(folder)
    assert table["transformation"].tolist() == [ALL, *KINDS_OF_CIRCUMSTANCES]
    assert (table["success_n"] == 8).all()
    rows = first_of_pairs(examples, 8)
    # Six pairs: the first picture of each, then second ones.
    chosen = examples.loc[rows]
    assert (chosen["split"] == "test").all()
    assert chosen[["attacker", "target"]].drop_duplicates().shape[0] == 6
    assert (table["undistorted"] == chosen["success"].mean()).all()
    pd.testing.assert_frame_equal(table, run_robustness(folder))


def test_files_of_another_study_are_refused(folder: Path) -> None:
    examples = gather(folder, run_shards(folder, 1))
    write_csv(examples.assign(target="zoe"), folder / "examples.csv")
    with pytest.raises(InputError, match="'zoe' is not in list"):
        run_robustness(folder)
    write_csv(examples.assign(split="val"), folder / "examples.csv")
    with pytest.raises(InputError, match="no picture has split test"):
        run_robustness(folder)


def test_a_robust_attack_does_not_depend_on_its_shards(folder: Path) -> None:
    algorithm = section("attack/robust")["algorithm"] | {"check_every": 2}
    settings = AccessoryAttack.model_validate(
        section("attack/glasses", validation_images=0, test_images=1, targets=3, iterations=3)
        | {"attackers_per_target": 2, "algorithm": algorithm}
    )
    found = []
    for shards in (1, 4):
        for shard in range(shards):
            attack_shard.run(
                AttackSection(seed=0, name="robust", attack=settings),
                images=folder / "images.npy",
                manifest=folder / "manifest.csv",
                recognizer=folder / "recognizer.safetensors",
                shard=shard,
                shards=shards,
                results=folder / f"{shard}.npz",
            )
        parts = [read_arrays(folder / f"{shard}.npz", kind="shard") for shard in range(shards)]
        found.append(join_shards(parts))
    assert len(found[0]["order"]) == 6
    assert set(found[0]["split"]) == {"test"}
    assert np.array_equal(found[0]["images"], found[1]["images"])


def test_a_missing_shard_is_noticed(folder: Path) -> None:
    paths = run_shards(folder, 3)
    with pytest.raises(InputError, match="do not make up one attack"):
        gather(folder, paths[:2])


def run_controls(folder: Path, kind: str) -> None:
    controls.run(
        ControlsSection(seed=0, controls=CONTROLS),
        kind=kind,
        images=folder / "images.npy",
        manifest=folder / "manifest.csv",
        recognizer=folder / "recognizer.safetensors",
        examples=folder / "controls.csv",
        control_images=folder / "controls.npy",
        frames=folder / "control_frames.npy",
    )


@pytest.mark.parametrize("kind", ["plain", "random"])
def test_honest_wearers_wear_the_same_frame(folder: Path, kind: str) -> None:
    run_controls(folder, kind)
    table = read_examples(folder / "controls.csv")
    assert table["split"].value_counts().to_dict() == {"test": 9, "val": 5, "train": 3}
    worn, frames = np.load(folder / "controls.npy"), np.load(folder / "control_frames.npy")
    colours = np.unique(worn[frames], axis=0)
    assert (len(colours) == 1) == (kind == "plain")
    if kind == "plain":
        assert colours.tolist() == [[255, 255, 0]]
    assert abs(table["frame_area"].mean() - 0.067) < 0.01


def test_the_same_faces_wear_either_frame(folder: Path) -> None:
    faces = {}
    for kind in KINDS:
        run_controls(folder, kind)
        faces[kind] = read_examples(folder / "controls.csv")["image_id"].tolist()
    assert faces["plain"] == faces["random"]


def test_an_unknown_control_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="--kind must be one of plain, random: striped"):
        controls.run(
            ControlsSection(seed=0, controls=CONTROLS),
            kind="striped",
            images=folder / "images.npy",
            manifest=folder / "manifest.csv",
            recognizer=folder / "recognizer.safetensors",
            examples=folder / "c.csv",
            control_images=folder / "c.npy",
            frames=folder / "f.npy",
        )


def test_a_shard_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="--shard must be between 0 and 2: 3"):
        attack_shard.run(
            AttackSection(seed=0, name="glasses", attack=SETTINGS),
            images=folder / "images.npy",
            manifest=folder / "manifest.csv",
            recognizer=folder / "recognizer.safetensors",
            shard=3,
            shards=3,
            results=folder / "3.npz",
        )


def test_a_named_pair_of_strangers_is_refused_with_its_key(folder: Path) -> None:
    named = SETTINGS.model_copy(update={"named_pairs": (NamedPair(attacker="ada", target="zoe"),)})
    with pytest.raises(InputError, match=r"attacks\.glasses\.named_pairs: there is no zoe"):
        attack_shard.run(
            AttackSection(seed=0, name="glasses", attack=named),
            images=folder / "images.npy",
            manifest=folder / "manifest.csv",
            recognizer=folder / "recognizer.safetensors",
            shard=0,
            shards=1,
            results=folder / "0.npz",
        )
