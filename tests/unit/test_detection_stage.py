"""The stages influence and detection, by hand on small files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from shipped import section

from glassguard.cli import main
from glassguard.recognizer.layers import SLICES
from glassguard.recognizer.network import FaceRecognizer, to_pixels
from glassguard.recognizer.weights import read_recognizer, write_recognizer

PEOPLE = [f"person_{k}" for k in range(5)]
PAIRS = [(0, 1), (0, 2), (3, 4)]
EYES = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y")
OPTIONS = (
    "layers",
    "activation_layers",
    "classifier_sweep",
    "best_layer",
    "choices",
    "table1",
    "roc",
    "points",
    "gain",
    "controls",
    "distances",
    "distance_matrix",
    "histograms",
    "summary",
)


SETS = ("benign", "attack", "plain", "random")


def write_manifest(path: Path, identity: np.ndarray, split: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k:04d}" for k in range(len(identity))],
            "identity": np.array(PEOPLE)[identity],
            "split": split,
            "source": "made up",
            "sha256": "0",
            "width": 32,
            "height": 32,
            **dict.fromkeys(EYES, 10.0),
            "aligned_by": "test",
        }
    )
    frame.to_csv(path, index=False)
    return frame


def write_profiles(path: Path, ids: list[str], centre: np.ndarray, prediction: np.ndarray) -> None:
    generator = np.random.default_rng(len(ids))
    centres = np.random.default_rng(5).normal(0, 3, (len(PEOPLE), 8))
    profiles = {
        name: (
            generator.normal(size=(len(ids), 8))
            + (centres[centre] if name == "conv4_2" else centres[prediction])
        ).astype(np.float32)
        for name in ("conv3_2", "conv4_2", "fc7")
    }
    np.savez(
        path,
        allow_pickle=False,
        **profiles,
        ids=np.array(ids),
        prediction=prediction.astype(np.int64),
        confidence=np.full(len(ids), 0.9, dtype=np.float32),
        identities=np.array(PEOPLE),
        quantity=np.array("logit"),
    )


def write_decisions(path: Path, ids: list[str], decision: np.ndarray, agreement: float) -> None:
    noise = np.random.default_rng(len(ids)).uniform(-0.2, 0, (len(ids), 2))
    np.savez(
        path,
        ids=np.array(ids),
        decision=decision.astype(np.int64),
        log_confidence=(agreement + noise).astype(np.float32),
    )


def write_baselines(path: Path, ids: list[str], centre: np.ndarray, decision: np.ndarray) -> None:
    generator = np.random.default_rng(len(ids))
    centres = np.random.default_rng(6).normal(0, 3, (len(PEOPLE), 8))
    activations = {
        f"{kind}_{name}": (centres[centre] + generator.normal(size=(len(ids), 8))).astype(
            np.float32
        )
        for kind in ("largest", "mean")
        for name in ("conv3_2", "fc7")
    }
    np.savez(
        path,
        **activations,
        ids=np.array(ids),
        prediction=decision.astype(np.int64),
        squeezed=generator.uniform(0, 2, len(ids)).astype(np.float32),
    )


@pytest.fixture
def study(tmp_path: Path) -> list[str]:
    """Command line of ``glassguard detection`` over made-up profiles; attacks show at conv4_2."""
    identity = np.repeat(np.arange(len(PEOPLE)), 30)
    split = np.tile(np.repeat(["train", "val", "test"], [14, 8, 8]), len(PEOPLE))
    manifest = write_manifest(tmp_path / "manifest.csv", identity, split)
    write_profiles(tmp_path / "benign.npz", manifest["image_id"].tolist(), identity, identity)
    target, attacker = (np.repeat(column, 8) for column in np.array(PAIRS).T)
    prediction = np.where(np.arange(len(target)) % 8 == 7, attacker, target)
    names = np.array(PEOPLE)
    examples = pd.DataFrame(
        {
            "example_id": [f"g{k:05d}" for k in range(len(target))],
            "image_id": "i0000",
            "split": np.tile(np.repeat(["val", "test"], 4), len(PAIRS)),
            "attacker": names[attacker],
            "target": names[target],
            "goal": "impersonation",
            "prediction": names[prediction],
            "frame_area": 0.07,
        }
    )
    examples.to_csv(tmp_path / "examples.csv", index=False)
    write_profiles(tmp_path / "attack.npz", examples["example_id"].tolist(), attacker, prediction)
    write_baselines(
        tmp_path / "benign_baselines.npz", manifest["image_id"].tolist(), identity, identity
    )
    rows = np.flatnonzero(split != "train")
    held_out = manifest["image_id"][rows].tolist()
    write_decisions(tmp_path / "benign_decisions.npz", held_out, identity[rows], 0)
    attacked = examples["example_id"].tolist()
    write_decisions(tmp_path / "attack_decisions.npz", attacked, prediction, -5)
    write_baselines(tmp_path / "attack_baselines.npz", attacked, attacker, prediction)
    for kind in ("plain", "random"):
        control = pd.DataFrame(
            {
                "example_id": [f"{kind}_{k}" for k in range(len(rows))],
                "image_id": manifest["image_id"][rows].to_numpy(),
                "split": split[rows],
                "identity": names[identity[rows]],
                "frame_area": 0.05,
            }
        )
        control.to_csv(tmp_path / f"{kind}.csv", index=False)
        write_profiles(
            tmp_path / f"{kind}.npz", control["example_id"].tolist(), identity[rows], identity[rows]
        )
        worn = control["example_id"].tolist()
        write_decisions(tmp_path / f"{kind}_decisions.npz", worn, identity[rows], -0.1)
        write_baselines(tmp_path / f"{kind}_baselines.npz", worn, identity[rows], identity[rows])
    changes = {"variants": ["raw", "standardised"], "seeds": 4, "sweep_seeds": 2, "bootstrap": 50}
    config = {"seed": 3, "attacks": ["glasses"], "detector": section("detector/linear", **changes)}
    (tmp_path / "detection.yaml").write_text(yaml.safe_dump(config))
    given = {
        "config": "detection.yaml",
        "manifest": "manifest.csv",
        "examples": "examples.csv",
        "benign": "benign.npz",
        "attack": "attack.npz",
        "plain": "plain.npz",
        "plain-examples": "plain.csv",
        "random": "random.npz",
        "random-examples": "random.csv",
        **{
            f"{set_}-{what}": f"{set_}_{what}.npz"
            for set_ in SETS
            for what in ("decisions", "baselines")
        },
    }
    written = {name.replace("_", "-"): f"out/{name}" for name in OPTIONS}
    return [
        "detection",
        *(
            part
            for name, file in (given | written).items()
            for part in (f"--{name}", str(tmp_path / file))
        ),
    ]


def test_detection_writes_the_contract_and_repeats(study: list[str], tmp_path: Path) -> None:
    assert main([*study, "--record", str(tmp_path / "record.json")]) == 0
    out = tmp_path / "out"
    first = {path.name: path.read_bytes() for path in sorted(out.iterdir())}
    assert sorted(first) == sorted(OPTIONS)
    best = json.loads(first["best_layer"])
    assert best["slice"] == "conv4_2"
    assert best["paper_index"] == 12
    table = pd.read_csv(out / "table1")
    assert list(table.columns[:3]) == ["target", "attacker", "benign_target"]
    assert len(table) == len(PAIRS)
    assert (table["slice"] == "conv4_2").all()
    assert (table["impersonation_n"] == 3).all()
    assert (table["seeds"] == 4).all()
    assert table["impersonation"].mean() > 0.9
    controls = pd.read_csv(out / "controls").set_index(["detector", "control"])["flag_rate"]
    assert controls["masking@0.05@half_wearing", "impersonations"] == 1
    assert controls["masking@0.05@half_wearing", "plain_frames"] <= 0.2
    curves = pd.read_csv(out / "roc")["detector"].unique().tolist()
    assert {"influence_and_masking", "masking@half_wearing"} <= set(curves)
    assert {"activations", "influence_quadratic", "influence_layers"} <= set(curves)
    assert {"influence_with_frames", "activations_with_frames"} <= set(curves)
    assert {"influence_given_area", "influence_given_area@half_wearing"} <= set(curves)
    assert {"feature_squeezing", "mahalanobis_layers", "intrinsic_dimensionality"} <= set(curves)
    read = pd.read_csv(out / "choices").set_index("detector")
    influence = read.loc[["influence"]]
    assert influence["pairs"].sum() == len(PAIRS)
    assert influence.loc[influence["used"], "slice"].tolist() == ["conv4_2"]
    assert read.loc[["influence_layers"], "used"].all()
    assert len(read.loc[["influence_layers"]]) == 2
    assert read.at["distance_euclidean", "slice"] == "conv4_2"
    assert {"activations", "influence_with_frames", "activations_with_frames"} <= set(read.index)
    settings = pd.read_csv(out / "classifier_sweep")
    assert len(settings) == 8
    assert settings["chosen"].sum() == len(PAIRS)
    assert set(pd.read_csv(out / "activation_layers")["slice"]) == {"conv3_2", "fc7"}
    summary = json.loads(first["summary"])
    points = pd.DataFrame(summary["detectors"])
    assert set(points["population"]) == {"bare", "half_wearing"}
    assert list(summary["tpr_at_fpr"]) == ["0.01", "0.05", "0.0991"]
    assert {"plain_frames", "random_frames", "failed_attacks"} <= set(summary["flag_rate"])
    flagged = pd.read_csv(out / "controls").set_index(["detector", "control"])["n"]
    assert 0 < flagged["influence", "benign_targets"] < flagged["influence", "benign"]
    assert summary["auc"] > 0.95
    assert summary["source_setting"]["slice"] == "conv3_2"
    # At conv3_2 the made-up impersonation is the target's own profile: nothing to be seen.
    assert summary["source_setting"]["impersonation"] < 0.5
    assert json.loads((tmp_path / "record.json").read_text())["metrics"]["slice"] == "conv4_2"
    gain = pd.read_csv(out / "gain")
    assert len(gain) == 4
    assert np.allclose(gain["difference"], gain["auc"] - gain["against_auc"], atol=1e-5)
    assert (gain["difference_low"] <= gain["difference"] + 1e-5).all()
    assert (gain["difference"] <= gain["difference_high"] + 1e-5).all()
    matrix = pd.read_csv(out / "distance_matrix")
    assert len(matrix) == 3 * len(PEOPLE) ** 2
    shares = pd.read_csv(out / "histograms").groupby(["metric", "group"])["share"].sum()
    assert np.allclose(shares, 1)
    assert main(study) == 0
    assert first == {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_profiles_of_other_pictures_are_refused(
    study: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = pd.read_csv(tmp_path / "examples.csv")
    examples.iloc[::-1].to_csv(tmp_path / "examples.csv", index=False)
    assert main(study) == 2
    assert "attack.npz: its rows are not those of" in capsys.readouterr().err


def test_damaged_profiles_are_refused(
    study: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "attack.npz"
    content = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)
    for damaged in (b"", content[: len(content) // 2], b"\x80\x04pickle"):
        path.write_bytes(damaged)
        assert main(study) == 2
        assert "attack.npz: not a file of profiles, or damaged" in capsys.readouterr().err
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert main(study) == 2
    assert "attack.npz: not a file of profiles" in capsys.readouterr().err
    for wrong, said in (
        ({"conv4_2": arrays["conv4_2"][1:]}, "conv4_2 must have"),
        (
            {"conv4_2": np.full_like(arrays["conv4_2"], np.nan)},
            "conv4_2 holds numbers that are not",
        ),
    ):
        np.savez(path, **arrays | wrong)
        assert main(study) == 2
        assert f"attack.npz: {said}" in capsys.readouterr().err
    del arrays["prediction"]
    np.savez(path, **arrays)
    assert main(study) == 2
    assert "attack.npz: not a file of profiles: lacks prediction" in capsys.readouterr().err


def test_kinds_of_frames_on_different_faces_are_refused(
    study: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    control = pd.read_csv(tmp_path / "plain.csv")
    held = control["split"] == "val"
    control.loc[held, "image_id"] = control.loc[held, "image_id"].iloc[0]
    control.to_csv(tmp_path / "plain.csv", index=False)
    assert main(study) == 2
    assert "random.csv: a face is in one set of pictures more than once" in capsys.readouterr().err


def test_decisions_of_another_recognizer_are_refused(
    study: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = pd.read_csv(tmp_path / "examples.csv")
    ids = examples["example_id"].tolist()
    write_decisions(tmp_path / "attack_decisions.npz", ids, np.zeros(len(ids)), 0)
    assert main(study) == 2
    assert "attack_decisions.npz: made with another recognizer" in capsys.readouterr().err


def test_baselines_of_other_pictures_are_refused(
    study: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plain_baselines.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {"ids": arrays["ids"][::-1]})
    assert main(study) == 2
    assert "plain_baselines.npz: its pictures are not those of" in capsys.readouterr().err
    np.savez(path, **arrays | {"prediction": (arrays["prediction"] + 1) % len(PEOPLE)})
    assert main(study) == 2
    assert "plain_baselines.npz: made with another recognizer" in capsys.readouterr().err
    del arrays["squeezed"]
    np.savez(path, **arrays)
    assert main(study) == 2
    assert "plain_baselines.npz: not a file of baselines: lacks squeezed" in capsys.readouterr().err


def test_other_attacks_are_only_tested_on(
    study: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(study) == 0
    out = tmp_path / "out"
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    settings = yaml.safe_load((tmp_path / "detection.yaml").read_text())
    settings["attacks"] = ["glasses", "sticker"]
    (tmp_path / "detection.yaml").write_text(yaml.safe_dump(settings))
    assert main(study) == 2
    assert "attacks are glasses, sticker: one file of each kind" in capsys.readouterr().err
    # The same pictures under another name, once more.
    for option in ("--examples", "--attack", "--attack-decisions", "--attack-baselines"):
        place = study.index(option) + 1
        study.insert(place, study[place])
    assert main(study) == 0
    points = pd.read_csv(out / "points")
    glasses, sticker = (
        points[points["attack"] == name].drop(columns="attack").reset_index(drop=True)
        for name in ("glasses", "sticker")
    )
    assert glasses.equals(sticker)
    assert {"tpr_n", "tpr_low", "fpr_high", "auc_low"} <= set(points.columns)
    assert all(first[name] == (out / name).read_bytes() for name in first if name != "points")


def test_detectors_that_learnt_honest_frames_pass_wearers(study: list[str], tmp_path: Path) -> None:
    manifest = pd.read_csv(tmp_path / "manifest.csv")
    identity = manifest["identity"].map(PEOPLE.index).to_numpy()
    frame = np.random.default_rng(7).normal(0, 6, 8).astype(np.float32)
    for kind in ("plain", "random"):
        worn = [f"{kind}_{row}" for row in range(len(manifest))]
        columns = manifest[["image_id", "split", "identity"]].assign(
            example_id=worn, frame_area=0.05
        )
        columns.to_csv(tmp_path / f"{kind}.csv", index=False)
        write_profiles(tmp_path / f"{kind}.npz", worn, identity, identity)
        with np.load(tmp_path / f"{kind}.npz") as file:
            arrays = dict(file)
        # A frame turns every profile the same way, whoever wears it.
        for name in ("conv3_2", "conv4_2", "fc7"):
            arrays[name] = arrays[name] + frame
        np.savez(tmp_path / f"{kind}.npz", **arrays)
        held_out = np.flatnonzero(manifest["split"] != "train")
        write_decisions(
            tmp_path / f"{kind}_decisions.npz",
            [worn[row] for row in held_out],
            identity[held_out],
            -0.1,
        )
        write_baselines(tmp_path / f"{kind}_baselines.npz", worn, identity, identity)
    assert main(study) == 0
    out = tmp_path / "out"
    flagged = pd.read_csv(out / "controls").set_index(["detector", "control"])["flag_rate"]
    assert flagged["influence@0.05", "plain_frames"] > 0.2
    assert flagged["influence_with_frames@0.05", "plain_frames"] < 0.1
    assert flagged["influence_with_frames@0.05", "impersonations"] == 1


def test_dodging_counts_whoever_is_seen_instead(study: list[str], tmp_path: Path) -> None:
    examples = pd.read_csv(tmp_path / "examples.csv")
    examples.assign(goal="dodging", target="").to_csv(tmp_path / "examples.csv", index=False)
    assert main(study) == 0
    table = pd.read_csv(tmp_path / "out" / "table1")
    assert table["target"].tolist() == [PEOPLE[target] for target, _ in PAIRS]


@pytest.fixture
def recognizer(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = FaceRecognizer(
        identities=5, image_size=32, width=1 / 16, hidden=8, mean=(127.5,) * 3, scale=127.5
    )
    write_recognizer(tmp_path / "recognizer.safetensors", network, PEOPLE)
    return tmp_path / "recognizer.safetensors"


def influence_arguments(tmp_path: Path, recognizer: Path, **changes: object) -> list[str]:
    changes = {"quantity": "comparative", "batch_size": 3} | changes
    own = section("influence/internal", **changes)
    own.pop("experts")
    settings = {"influence": own}
    (tmp_path / "influence.yaml").write_text(yaml.safe_dump(settings))
    files = {
        "config": tmp_path / "influence.yaml",
        "images": tmp_path / "images.npy",
        "ids": tmp_path / "manifest.csv",
        "recognizer": recognizer,
        "profiles": tmp_path / "profiles.npz",
    }
    return [
        "influence",
        *(str(part) for name, file in files.items() for part in (f"--{name}", file)),
    ]


def test_influence_stage_is_byte_identical(tmp_path: Path, recognizer: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    write_manifest(tmp_path / "manifest.csv", np.arange(7) % 5, np.repeat("test", 7))
    arguments = influence_arguments(tmp_path, recognizer)
    assert main(arguments) == 0
    first = (tmp_path / "profiles.npz").read_bytes()
    with np.load(tmp_path / "profiles.npz", allow_pickle=False) as file:
        assert tuple(file)[: len(SLICES)] == SLICES
        assert all(file[name].dtype == np.float32 for name in SLICES)
        assert file["conv5_3"].shape == (7, 32)
        assert file["ids"].tolist() == [f"i{k:04d}" for k in range(7)]
        assert file["identities"].tolist() == PEOPLE
        assert file["prediction"].dtype == np.int64
        assert str(file["quantity"]) == "comparative"
    assert main(arguments) == 0
    assert (tmp_path / "profiles.npz").read_bytes() == first


@pytest.mark.parametrize("kind", ["input_line", "layer_line"])
def test_influence_stage_takes_lines(tmp_path: Path, recognizer: Path, kind: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    write_manifest(tmp_path / "manifest.csv", np.arange(3), np.repeat("test", 3))
    found = []
    for steps in (40, 80):
        distribution = {"kind": kind, "steps": steps}
        assert main(influence_arguments(tmp_path, recognizer, distribution=distribution)) == 0
        with np.load(tmp_path / "profiles.npz", allow_pickle=False) as file:
            assert str(file["distribution"]) == kind
            found.append(file["conv5_3"])
    scale = np.abs(found[0]).max()
    assert scale > 0
    np.testing.assert_allclose(found[0], found[1], atol=0.2 * scale)


def test_influence_refuses_pictures_that_do_not_fit(
    tmp_path: Path, recognizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(tmp_path / "manifest.csv", np.arange(5), np.repeat("test", 5))
    np.save(tmp_path / "images.npy", np.zeros((4, 32, 32, 3), dtype=np.uint8))
    assert main(influence_arguments(tmp_path, recognizer)) == 2
    assert "images.npy: has 4 rows" in capsys.readouterr().err
    np.save(tmp_path / "images.npy", np.zeros((5, 64, 64, 3), dtype=np.uint8))
    assert main(influence_arguments(tmp_path, recognizer)) == 2
    assert "takes 32x32" in capsys.readouterr().err


def test_baselines_stage(tmp_path: Path, recognizer: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    split = np.array(["train", "val", "test", "train", "val", "test", "test"])
    write_manifest(tmp_path / "manifest.csv", np.arange(7) % 5, split)
    settings = section("detector/linear")["baselines"] | {"batch_size": 3}
    config = {"baselines": settings, "places": [1, 1], "threads": 1}
    (tmp_path / "baselines.yaml").write_text(yaml.safe_dump(config))
    files = {
        "config": tmp_path / "baselines.yaml",
        "images": tmp_path / "images.npy",
        "ids": tmp_path / "manifest.csv",
        "recognizer": recognizer,
        "baselines": tmp_path / "baselines.npz",
    }
    arguments = [
        "baselines",
        *(str(part) for name, file in files.items() for part in (f"--{name}", file)),
    ]
    assert main(arguments) == 0
    first = (tmp_path / "baselines.npz").read_bytes()
    network, _ = read_recognizer(recognizer)
    with torch.inference_mode():
        z = network.features[: list(dict(network.features.named_children())).index("relu3_2") + 1](
            network.normalisation(to_pixels(torch.from_numpy(images)))
        )
    with np.load(tmp_path / "baselines.npz", allow_pickle=False) as file:
        assert np.allclose(file["largest_conv3_2"], z.amax(dim=(2, 3)), atol=1e-5)
        assert np.allclose(file["mean_conv3_2"], z.mean(dim=(2, 3)), atol=1e-5)
        assert file["largest_fc7"].shape == (7, 8)
        assert (np.isnan(file["squeezed"]) == (split == "train")).all()
    assert main(arguments) == 0
    assert (tmp_path / "baselines.npz").read_bytes() == first

    (tmp_path / "baselines.yaml").write_text(yaml.safe_dump(config | {"places": [2, 1]}))
    assert main(arguments) == 0
    halves = torch.stack([half.amax(dim=(2, 3)) for half in z.chunk(2, dim=2)], dim=2)
    with np.load(tmp_path / "baselines.npz", allow_pickle=False) as file:
        assert np.allclose(file["largest_conv3_2"], halves.flatten(1), atol=1e-5)
        assert np.allclose(file["mean_conv3_2"], z.mean(dim=(2, 3)), atol=1e-5)
