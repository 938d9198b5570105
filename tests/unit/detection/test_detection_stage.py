"""The stages fit_detectors and detection, by hand on small files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from detection.made_up_files import (
    PAIRS,
    PEOPLE,
    write_baselines,
    write_decisions,
    write_manifest,
    write_profiles,
)
from shipped import section

from glassguard.cli import main
from glassguard.detection.settings import DetectorFit, DetectorJudgement

TABLES = [
    "layers.csv",
    "activation_layers.csv",
    "sweep.csv",
    "best_layer.json",
    "choices.csv",
    "table1.csv",
    "roc.csv",
    "attacks.csv",
    "gain.csv",
    "controls.csv",
    "distances.csv",
    "distance_matrix.csv",
    "histograms.csv",
    "summary.json",
]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Folder of made-up profiles; attacks show at conv4_2."""
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
    settings = section("detector/linear", **changes)
    fitting = {key: settings[key] for key in DetectorFit.model_fields}
    judging = {key: settings[key] for key in DetectorJudgement.model_fields}
    for stage, config in (
        ("fit_detectors", {"seed": 3, "detector": fitting}),
        ("detection", {"seed": 3, "attacks": ["glasses"], "detector": judging}),
    ):
        (tmp_path / f"{stage}.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def files_of_set(folder: Path, name: str, table: str) -> list[str]:
    names = (table, f"{name}.npz", f"{name}_decisions.npz", f"{name}_baselines.npz")
    return [str(folder / file) for file in names]


def given(study: Path, attacks: str, repeated: int = 1) -> list[str]:
    return [
        *("--benign", *files_of_set(study, "benign", "manifest.csv")),
        *(f"--{attacks}", *(files_of_set(study, "attack", "examples.csv") * repeated)),
        *("--plain", *files_of_set(study, "plain", "plain.csv")),
        *("--random", *files_of_set(study, "random", "random.csv")),
        *("--detectors", str(study / "detectors.safetensors")),
        *("--description", str(study / "detectors.json")),
    ]


def fit(study: Path) -> int:
    config = str(study / "fit_detectors.yaml")
    return main(["fit_detectors", "--config", config, *given(study, "attack")])


def detect(study: Path, *options: str, attacks: int = 1) -> int:
    config = str(study / "detection.yaml")
    files = [*given(study, "attacks", attacks), "--tables", str(study / "out")]
    return main(["detection", "--config", config, *files, *options])


def run(study: Path) -> int:
    return fit(study) or detect(study)


def test_detection_writes_the_contract_and_repeats(study: Path, tmp_path: Path) -> None:
    assert fit(study) == 0
    assert detect(study, "--record", str(tmp_path / "record.json")) == 0
    out = tmp_path / "out"
    first = {path.name: path.read_bytes() for path in sorted(out.iterdir())}
    assert sorted(first) == sorted(TABLES)
    best = json.loads(first["best_layer.json"])
    assert best["slice"] == "conv4_2"
    assert best["paper_index"] == 12
    table = pd.read_csv(out / "table1.csv")
    assert list(table.columns[:3]) == ["target", "attacker", "benign_target"]
    assert len(table) == len(PAIRS)
    assert (table["slice"] == "conv4_2").all()
    assert (table["impersonation_n"] == 3).all()
    assert (table["seeds"] == 4).all()
    assert table["impersonation"].mean() > 0.9
    controls = pd.read_csv(out / "controls.csv").set_index(["detector", "control"])["flag_rate"]
    assert controls["masking@0.05@half_wearing", "impersonations"] == 1
    assert controls["masking@0.05@half_wearing", "plain_frames"] <= 0.2
    curves = pd.read_csv(out / "roc.csv")["detector"].unique().tolist()
    assert {"influence_and_masking", "masking@half_wearing"} <= set(curves)
    assert {"activations", "influence_quadratic", "influence_layers"} <= set(curves)
    assert {"influence_with_frames", "activations_with_frames"} <= set(curves)
    assert {"influence_given_area", "influence_given_area@half_wearing"} <= set(curves)
    assert {"feature_squeezing", "mahalanobis_layers", "intrinsic_dimensionality"} <= set(curves)
    read = pd.read_csv(out / "choices.csv").set_index("detector")
    influence = read.loc[["influence"]]
    assert influence["pairs"].sum() == len(PAIRS)
    assert influence.loc[influence["used"], "slice"].tolist() == ["conv4_2"]
    assert read.loc[["influence_layers"], "used"].all()
    assert len(read.loc[["influence_layers"]]) == 2
    assert read.at["distance_euclidean", "slice"] == "conv4_2"
    assert {"activations", "influence_with_frames", "activations_with_frames"} <= set(read.index)
    settings = pd.read_csv(out / "sweep.csv")
    assert len(settings) == 8
    assert settings["chosen"].sum() == len(PAIRS)
    assert set(pd.read_csv(out / "activation_layers.csv")["slice"]) == {"conv3_2", "fc7"}
    summary = json.loads(first["summary.json"])
    points = pd.DataFrame(summary["detectors"])
    assert set(points["population"]) == {"bare", "half_wearing"}
    assert list(summary["tpr_at_fpr"]) == ["0.01", "0.05", "0.0991"]
    assert {"plain_frames", "random_frames", "failed_attacks"} <= set(summary["flag_rate"])
    flagged = pd.read_csv(out / "controls.csv").set_index(["detector", "control"])["n"]
    assert 0 < flagged["influence", "benign_targets"] < flagged["influence", "benign"]
    assert summary["auc"] > 0.95
    assert summary["source_setting"]["slice"] == "conv3_2"
    # At conv3_2 the made-up impersonation is the target's own profile: nothing to be seen.
    assert summary["source_setting"]["impersonation"] < 0.5
    assert json.loads((tmp_path / "record.json").read_text())["metrics"]["slice"] == "conv4_2"
    gain = pd.read_csv(out / "gain.csv")
    assert len(gain) == 4
    assert np.allclose(gain["difference"], gain["auc"] - gain["against_auc"], atol=1e-5)
    assert (gain["difference_low"] <= gain["difference"] + 1e-5).all()
    assert (gain["difference"] <= gain["difference_high"] + 1e-5).all()
    matrix = pd.read_csv(out / "distance_matrix.csv")
    assert len(matrix) == 3 * len(PEOPLE) ** 2
    shares = pd.read_csv(out / "histograms.csv").groupby(["metric", "group"])["share"].sum()
    assert np.allclose(shares, 1)
    assert detect(study) == 0
    assert first == {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_profiles_of_other_pictures_are_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = pd.read_csv(tmp_path / "examples.csv")
    examples.iloc[::-1].to_csv(tmp_path / "examples.csv", index=False)
    assert run(study) == 2
    assert "attack.npz: its rows are not those of" in capsys.readouterr().err


def test_damaged_profiles_are_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "attack.npz"
    content = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)
    for damaged in (b"", content[: len(content) // 2], b"\x80\x04pickle"):
        path.write_bytes(damaged)
        assert run(study) == 2
        assert "attack.npz: not a file of profiles, or damaged" in capsys.readouterr().err
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert run(study) == 2
    assert "attack.npz: not a file of profiles" in capsys.readouterr().err
    for wrong, said in (
        ({"conv4_2": arrays["conv4_2"][1:]}, "conv4_2 must have"),
        (
            {"conv4_2": np.full_like(arrays["conv4_2"], np.nan)},
            "conv4_2 holds numbers that are not",
        ),
    ):
        np.savez(path, **arrays | wrong)
        assert run(study) == 2
        assert f"attack.npz: {said}" in capsys.readouterr().err
    del arrays["prediction"]
    np.savez(path, **arrays)
    assert run(study) == 2
    assert "attack.npz: not a file of profiles: lacks prediction" in capsys.readouterr().err


def test_kinds_of_frames_on_different_faces_are_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    control = pd.read_csv(tmp_path / "plain.csv")
    held = control["split"] == "val"
    control.loc[held, "image_id"] = control.loc[held, "image_id"].iloc[0]
    control.to_csv(tmp_path / "plain.csv", index=False)
    assert run(study) == 2
    assert "random.csv: a face is in one set of pictures more than once" in capsys.readouterr().err


def test_decisions_of_another_recognizer_are_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = pd.read_csv(tmp_path / "examples.csv")
    ids = examples["example_id"].tolist()
    write_decisions(tmp_path / "attack_decisions.npz", ids, np.zeros(len(ids)), 0)
    assert run(study) == 2
    assert "attack_decisions.npz: made with another recognizer" in capsys.readouterr().err


def test_baselines_of_other_pictures_are_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plain_baselines.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {"ids": arrays["ids"][::-1]})
    assert run(study) == 2
    assert "plain_baselines.npz: its pictures are not those of" in capsys.readouterr().err
    np.savez(path, **arrays | {"prediction": (arrays["prediction"] + 1) % len(PEOPLE)})
    assert run(study) == 2
    assert "plain_baselines.npz: made with another recognizer" in capsys.readouterr().err
    del arrays["squeezed"]
    np.savez(path, **arrays)
    assert run(study) == 2
    assert "plain_baselines.npz: not a file of baselines: lacks squeezed" in capsys.readouterr().err


def test_other_attacks_are_only_tested_on(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study) == 0
    out = tmp_path / "out"
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    settings = yaml.safe_load((tmp_path / "detection.yaml").read_text())
    settings["attacks"] = ["glasses", "sticker"]
    (tmp_path / "detection.yaml").write_text(yaml.safe_dump(settings))
    assert detect(study) == 2
    assert "attacks are glasses, sticker: the files of 1 are given" in capsys.readouterr().err
    # The same pictures under another name, once more.
    assert detect(study, attacks=2) == 0
    points = pd.read_csv(out / "attacks.csv")
    glasses, sticker = (
        points[points["attack"] == name].drop(columns="attack").reset_index(drop=True)
        for name in ("glasses", "sticker")
    )
    assert glasses.equals(sticker)
    assert {"tpr_n", "tpr_low", "fpr_high", "auc_low"} <= set(points.columns)
    assert all(first[name] == (out / name).read_bytes() for name in first if name != "attacks.csv")


def test_detectors_that_learnt_honest_frames_pass_wearers(study: Path, tmp_path: Path) -> None:
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
    assert run(study) == 0
    out = tmp_path / "out"
    flagged = pd.read_csv(out / "controls.csv").set_index(["detector", "control"])["flag_rate"]
    assert flagged["influence@0.05", "plain_frames"] > 0.2
    assert flagged["influence_with_frames@0.05", "plain_frames"] < 0.1
    assert flagged["influence_with_frames@0.05", "impersonations"] == 1


def test_dodging_counts_whoever_is_seen_instead(study: Path, tmp_path: Path) -> None:
    examples = pd.read_csv(tmp_path / "examples.csv")
    examples.assign(goal="dodging", target="").to_csv(tmp_path / "examples.csv", index=False)
    assert run(study) == 0
    table = pd.read_csv(tmp_path / "out" / "table1.csv")
    assert table["target"].tolist() == [PEOPLE[target] for target, _ in PAIRS]


def test_fitting_reads_no_attacked_test_picture_and_repeats(study: Path) -> None:
    assert fit(study) == 0
    files = study / "detectors.safetensors", study / "detectors.json"
    first = [path.read_bytes() for path in files]
    assert fit(study) == 0
    assert [path.read_bytes() for path in files] == first
    test = (pd.read_csv(study / "examples.csv")["split"] == "test").to_numpy()
    with np.load(study / "attack.npz") as file:
        arrays = dict(file)
    for name in ("conv3_2", "conv4_2", "fc7"):
        arrays[name][test] = 1e6
    np.savez(study / "attack.npz", **arrays)
    assert fit(study) == 0
    assert [path.read_bytes() for path in files] == first
    for name in ("conv3_2", "conv4_2", "fc7"):
        arrays[name][~test] = 0
    np.savez(study / "attack.npz", **arrays)
    assert fit(study) == 0
    assert [path.read_bytes() for path in files] != first


def test_detectors_of_something_else_are_refused(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(study) == 0
    arrays, description = study / "detectors.safetensors", study / "detectors.json"
    kept = arrays.read_bytes(), description.read_text()
    for damaged in (b"", kept[0][:1000], b"\x80\x04pickle"):
        arrays.write_bytes(damaged)
        assert detect(study) == 2
        assert "detectors.safetensors: not safetensors, or damaged" in capsys.readouterr().err
    arrays.write_bytes(kept[0])
    for old, new, said in (
        ('"person_0"', '"person_9"', "detectors of other people; fit them again"),
        ('"kind": "DetectorBank"', '"kind": "Popen"', "not fitted detectors: KeyError: 'Popen'"),
        ('"conv4_2"', '"conv4_9"', "profiles lack conv4_9"),
        ('"pairs": [\n  [\n   0,', '"pairs": [\n  [\n   2,', "other pairs of target and attacker"),
    ):
        assert old in kept[1]
        description.write_text(kept[1].replace(old, new))
        assert detect(study) == 2
        assert said in capsys.readouterr().err
    description.write_text("[1]")
    assert detect(study) == 2
    assert "detectors.json: not the detectors of a study" in capsys.readouterr().err
    assert fit(study) == 0
    assert detect(study) == 0
