"""The stage experts, by hand on small files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from shipped import section

from glassguard.configuration.sections import ExpertsSection
from glassguard.errors import InputError
from glassguard.faces import manifest as manifest_columns
from glassguard.influence.settings import InfluenceMeasure
from glassguard.recognizer.layers import LAYERS
from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.weights import write_recognizer
from glassguard.stages import experts

SIZE = 32
PEOPLE = ["ada", "bob", "cyd"]
WORN = ("examples.csv", "images.npy", "frames.npy")


def settings(**changes: object) -> ExpertsSection:
    own = section("influence/internal", batch_size=4)
    share = own.pop("experts") | {"layers": ["conv2_2", "fc6"], "pictures": 5} | changes
    measure = {key: own[key] for key in InfluenceMeasure.model_fields}
    return ExpertsSection.model_validate({"influence": measure, "experts": share})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    generator = np.random.default_rng(0)
    torch.manual_seed(1)
    network = FaceRecognizer(
        identities=3, image_size=SIZE, width=1 / 8, hidden=16, mean=(120, 110, 100), scale=40
    )
    write_recognizer(folder / "recognizer.safetensors", network, PEOPLE)
    table = pd.DataFrame(
        [
            {"image_id": f"{name}-{number}", "identity": name, "split": split}
            for name in PEOPLE
            for number, split in enumerate(["train", "val", "test", "test"])
        ]
    ).reindex(columns=manifest_columns.COLUMNS)
    table.to_csv(folder / "manifest.csv", index=False)
    images = generator.integers(0, 256, (len(table), SIZE, SIZE, 3), dtype=np.uint8)
    np.save(folder / "images.npy", images)
    held_out = table.index[table["split"] != "train"]
    frames = np.zeros((len(held_out), SIZE, SIZE), dtype=bool)
    frames[:, 10:16, 4:28] = True
    worn = np.where(frames[..., None], np.uint8(200), images[held_out])
    for name in ("glasses", "plain"):
        (folder / name).mkdir()
        np.save(folder / name / "images.npy", worn)
        np.save(folder / name / "frames.npy", frames)
    attacker = table["identity"][held_out].tolist()
    attacks = pd.DataFrame(
        {
            "example_id": [f"g{row}" for row in range(len(held_out))],
            "image_id": table["image_id"][held_out],
            "split": table["split"][held_out],
            "attacker": attacker,
            "target": [PEOPLE[(PEOPLE.index(name) + 1) % 3] for name in attacker],
            "goal": "impersonation",
            "success": True,
        }
    )
    attacks.to_csv(folder / "glasses" / "examples.csv", index=False)
    attacks[["example_id", "image_id", "split"]].to_csv(
        folder / "plain" / "examples.csv", index=False
    )
    return folder


def run(study: Path, out: Path, config: ExpertsSection, attack: str = "glasses") -> dict:
    return experts.run(
        config,
        benign=[study / "manifest.csv", study / "images.npy"],
        attack=[study / attack / name for name in WORN],
        plain=[study / "plain" / name for name in WORN],
        recognizer=study / "recognizer.safetensors",
        maps=out / "experts.npz",
        shares=out / "share_inside.csv",
    )


def test_maps_and_shares(study: Path, tmp_path: Path) -> None:
    run(study, tmp_path, settings())
    with np.load(tmp_path / "experts.npz", allow_pickle=False) as file:
        assert file["kind"].tolist() == ["impersonation", "attacker", "target"] * 2
        assert file["identity"].tolist() == ["ada", "ada", "bob", "bob", "bob", "cyd"]
        assert file["heat"].shape == file["strongest"].shape == (2, 6, SIZE, SIZE)
        assert file["heat"].dtype == np.float32
        assert (file["heat"] >= 0).all()
        assert 0 <= file["fields"].min() <= file["fields"].max() <= 1
        assert file["frames"].any(axis=(1, 2)).tolist() == [True, False, False] * 2
        # Inside the glasses the attacked picture differs from the attacker's, and only there.
        differs = (file["images"][0] != file["images"][1]).any(axis=2)
        assert (differs <= file["frames"][0]).all()
        assert differs.any()
    table = pd.read_csv(tmp_path / "share_inside.csv")
    assert table["set"].unique().tolist() == ["impersonations", "without_glasses", "plain_frames"]
    assert (table.groupby("set")["slice"].apply(list) == [list(LAYERS)] * 3).all()
    assert table["n"].max() == 5
    seen = table[table["n"] > 1]
    assert (seen["ratio_low"] <= seen["ratio"]).all()
    assert (seen["ratio"] <= seen["ratio_high"]).all()
    np.testing.assert_allclose(seen["ratio"], seen["share_inside"] / seen["frame_area"], rtol=1e-4)
    first = [(tmp_path / name).read_bytes() for name in ("experts.npz", "share_inside.csv")]
    run(study, tmp_path, settings())
    assert first == [(tmp_path / name).read_bytes() for name in ("experts.npz", "share_inside.csv")]


@pytest.mark.parametrize("successes", [0, 1])
def test_hardly_any_success_is_a_result_and_not_a_crash(
    study: Path, tmp_path: Path, successes: int
) -> None:
    attack = study / f"weak{successes}"
    attack.mkdir()
    for name in ("images.npy", "frames.npy"):
        (attack / name).write_bytes((study / "glasses" / name).read_bytes())
    table = pd.read_csv(study / "glasses" / "examples.csv")
    table["success"] = np.arange(len(table)) - 1 < successes
    table.loc[table["split"] == "val", "success"] = False
    table.to_csv(attack / "examples.csv", index=False)
    run(study, tmp_path, settings(), attack.name)
    with np.load(tmp_path / "experts.npz", allow_pickle=False) as file:
        assert file["images"].shape == (3 * successes, SIZE, SIZE, 3)
        assert file["strongest"].shape == (2, 3 * successes, SIZE, SIZE)
        assert file["kind"].dtype.kind == "U"
    shares = pd.read_csv(tmp_path / "share_inside.csv")
    own = shares[shares["set"] == "impersonations"]
    assert own["n"].max() == successes
    assert own["ratio_low"].isna().all()


def test_files_that_do_not_belong_together_are_refused(study: Path, tmp_path: Path) -> None:
    wrong = study / "wrong"
    wrong.mkdir()
    for name in ("images.npy", "examples.csv"):
        (wrong / name).write_bytes((study / "glasses" / name).read_bytes())
    np.save(wrong / "frames.npy", np.zeros((3, SIZE, SIZE), dtype=bool))
    with pytest.raises(InputError, match=r"frames\.npy: has 3 rows"):
        run(study, tmp_path, settings(), "wrong")
