"""The saliency stages from pictures on disk to grid.csv, best.json and evaluation.csv."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from shipped import section

from glassguard.configuration.sections import (
    MaskedDecisionsSection,
    MaskEvaluationSection,
    MaskGridSection,
    SaliencyMapsSection,
)
from glassguard.errors import InputError
from glassguard.faces import manifest as manifest_columns
from glassguard.files.formats import read_manifest
from glassguard.recognizer.network import FaceRecognizer, to_pixels
from glassguard.recognizer.weights import read_recognizer, write_recognizer
from glassguard.saliency.choice import affordable_row
from glassguard.saliency.mask import saliency_mask
from glassguard.saliency.settings import MaskJudgement, MaskSearch
from glassguard.stages import (
    mask_evaluation,
    mask_grid,
    mask_grid_shard,
    mask_transfer,
    masked_decisions,
    saliency_maps,
)
from glassguard.statistics import wilson_interval

SIZE = 32
PEOPLE = ["ada", "bob", "cyd"]
SPLITS = ["train", "val", "val", "test", "test", "test"]
MAPS = SaliencyMapsSection(
    maps=("guided", "relative"),
    top_classes=1,
    channel_reduction="max_abs",
    relative=section("saliency/guided")["relative"],
    batch_size=4,
    threads=1,
)


def settings(**changes):
    grid = {
        "map": ["guided"],
        "mu_as": ["value", "quantile"],
        "mu": [0.3, 0.9],
        "n": [0, 2],
        "phi": [0, 20],
        "fill": ["mean", "telea"],
    }
    search = {name: changes.pop(name) for name in ("method", "trials") if name in changes}
    values = section("saliency/guided", grid={**grid, **changes}, search=search, batch_size=16)
    read = {key: values[key] for key in MaskSearch.model_fields}
    return MaskGridSection.model_validate({"seed": 3, "saliency": read})


def judging():
    values = section("saliency/guided", batch_size=16)
    read = {key: values[key] for key in MaskJudgement.model_fields}
    return MaskEvaluationSection.model_validate({"seed": 3, "saliency": read})


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Pictures, glasses, a recognizer and the maps of a tiny study: its folder."""
    folder = tmp_path_factory.mktemp("study")
    generator = np.random.default_rng(0)
    torch.manual_seed(1)
    network = FaceRecognizer(
        identities=3, image_size=SIZE, width=1 / 16, hidden=16, mean=(120, 110, 100), scale=40
    )
    network.classifier.fc8.weight.data.mul_(40)
    write_recognizer(folder / "recognizer.safetensors", network, PEOPLE)

    # Ids run against the order of the rows: sorting must take pictures along.
    table = pd.DataFrame(
        [
            {"image_id": f"p{99 - 6 * person - number}", "identity": name, "split": split}
            for person, name in enumerate(PEOPLE)
            for number, split in enumerate(SPLITS)
        ]
    ).reindex(columns=manifest_columns.COLUMNS)
    table.to_csv(folder / "manifest.csv", index=False)
    noise = generator.integers(0, 256, (len(table), SIZE, SIZE, 3), dtype=np.uint8)
    images = np.stack([cv2.GaussianBlur(one, (0, 0), 2) for one in noise])
    np.save(folder / "images.npy", images)

    held_out = [row for row in table.index if table["split"][row] != "train"]
    # Each held-out picture is attacked towards both other people.
    pairs = [(row, name) for row in held_out for name in PEOPLE if name != table["identity"][row]]
    attack = folder / "glasses"
    attack.mkdir()
    examples = pd.DataFrame(
        {
            "example_id": [f"g{len(pairs) - place:05d}" for place in range(len(pairs))],
            "image_id": [table["image_id"][row] for row, _ in pairs],
            "split": [table["split"][row] for row, _ in pairs],
            "attacker": [table["identity"][row] for row, _ in pairs],
            "target": [name for _, name in pairs],
            "goal": "impersonation",
        }
    )
    examples.to_csv(attack / "examples.csv", index=False)
    attacked = images[[row for row, _ in pairs]]
    frames = np.zeros(attacked.shape[:3], dtype=bool)
    frames[:, 10:16, 4:28] = True
    attacked[frames] = generator.integers(0, 256, (frames.sum(), 3))
    np.save(attack / "images.npy", attacked)
    np.save(attack / "frames.npy", frames)

    for pictures, ids, maps in (
        ("images.npy", "manifest.csv", "maps.npz"),
        ("glasses/images.npy", "glasses/examples.csv", "adversarial_maps.npz"),
    ):
        saliency_maps.run(
            MAPS,
            images=folder / pictures,
            ids=folder / ids,
            recognizer=folder / "recognizer.safetensors",
            maps=folder / maps,
        )
    return folder


def search(study, config, out, *, shards):
    """Run the shards and gather them; returns grid.csv and best.json."""
    out.mkdir()
    paths = [out / f"{shard}.npz" for shard in range(shards)]
    for shard, path in enumerate(paths):
        mask_grid_shard.run(config, **inputs(study), shard=shard, shards=shards, results=path)
    mask_grid.run(
        config,
        shards=paths,
        examples=study / "glasses/examples.csv",
        grid=out / "grid.csv",
        best=out / "best.json",
    )
    return out / "grid.csv", out / "best.json"


def inputs(study):
    return {
        "manifest": study / "manifest.csv",
        "images": study / "images.npy",
        "maps": study / "maps.npz",
        "examples": study / "glasses/examples.csv",
        "adversarial_images": study / "glasses/images.npy",
        "adversarial_maps": study / "adversarial_maps.npz",
        "recognizer": study / "recognizer.safetensors",
    }


def evaluate(study, config, best, out, clean_confidence=0.0):
    out.mkdir()
    images = pd.read_csv(study / "manifest.csv")[["image_id"]]
    predictions = images.assign(confidence_true=clean_confidence)
    predictions.to_csv(out / "predictions.csv", index=False)
    metrics = mask_evaluation.run(
        config,
        **inputs(study),
        frames=study / "glasses/frames.npy",
        best=best,
        grid=best.parent / "grid.csv",
        predictions=out / "predictions.csv",
        evaluation=out / "evaluation.csv",
        curve=out / "threshold_curve.csv",
        working_point=out / "working_point.json",
        masks=out / "masks.npz",
    )
    return metrics, pd.read_csv(out / "evaluation.csv")


@pytest.fixture(scope="module")
def searched(study, tmp_path_factory):
    return search(study, settings(), tmp_path_factory.mktemp("grid") / "one", shards=1)


def test_maps_are_of_the_held_out_rows_in_order(study):
    table = pd.read_csv(study / "manifest.csv")
    held_out = table[table["split"] != "train"]
    with np.load(study / "maps.npz") as file:
        assert file["ids"].tolist() == held_out["image_id"].tolist()
        for kind in ("guided", "relative"):
            assert file[kind].shape == (len(held_out), SIZE, SIZE)
            assert file[kind].dtype == np.float32
            assert (file[kind].max(axis=(1, 2)) == 1).all()
        assert not np.array_equal(file["guided"], file["relative"])
        assert set(file["prediction"]) <= {0, 1, 2}


def test_shards_do_not_change_a_byte(study, searched, tmp_path):
    csv, best = searched
    for shards in (3, 20):  # of 20 shards, some have no picture
        other_csv, other_best = search(study, settings(), tmp_path / f"{shards}", shards=shards)
        assert other_csv.read_bytes() == csv.read_bytes()
        assert other_best.read_bytes() == best.read_bytes()


def test_grid_and_best_agree(study, searched):
    csv, best = searched
    table, chosen = pd.read_csv(csv), json.loads(best.read_text())
    # 2 kinds x 2 mu x 2 n x 2 phi x 2 fills, and the source's setting.
    assert len(table) == 33
    expected = (table["ac_clean_real"] + table["ac_adv_real"] + 1 - table["ac_adv_target"]) / 3
    np.testing.assert_allclose(table["goodness"], expected, atol=2e-6)
    assert set(table["n_adv"]) == {12}
    assert set(table["n_clean"]) == {6}
    assert chosen["goodness"]["goodness"] == pytest.approx(table["goodness"].max(), abs=1e-6)
    assert chosen["clean"]["ac_clean_real"] == pytest.approx(table["ac_clean_real"].max(), abs=1e-6)
    assert chosen["adversarial_correct"]["ac_adv_real"] == pytest.approx(
        table["ac_adv_real"].max(), abs=1e-6
    )
    assert chosen["adversarial_success"]["ac_adv_target"] == pytest.approx(
        table["ac_adv_target"].min(), abs=1e-6
    )
    assert set(chosen["by_fill"]) == {"mean", "telea", "zero"}
    for fill, row in chosen["by_fill"].items():
        of_fill = table[table["fill"] == fill]
        assert row["fill"] == fill
        assert row["goodness"] == pytest.approx(of_fill["goodness"].max(), abs=1e-6)
    source = chosen["source_setting"]
    assert (source["mu"], source["mu_as"], source["n"], source["phi"], source["fill"]) == (
        0.98,
        "quantile",
        8,
        80,
        "zero",
    )
    assert chosen["network_passes_naive"] == 33 * 18
    assert 18 <= chosen["network_passes"] < chosen["network_passes_naive"]


def test_random_search_tries_points_of_the_grid(study, searched, tmp_path):
    config = settings(method="random", trials=9)
    csv, best = search(study, config, tmp_path / "one", shards=1)
    table, whole = pd.read_csv(csv), pd.read_csv(searched[0])
    assert 5 <= len(table) <= 10
    # Every row is the grid's row of that point.
    assert len(table.merge(whole)) == len(table)
    assert json.loads(best.read_text())["source_setting"]["n"] == 8
    other_csv, other_best = search(study, config, tmp_path / "three", shards=3)
    assert other_csv.read_bytes() == csv.read_bytes()
    assert other_best.read_bytes() == best.read_bytes()


def test_bayesian_search_finds_good_points_in_few_trials(study, searched, tmp_path):
    config = settings(method="bayesian", trials=20, shards=1)
    csv, best = search(study, config, tmp_path / "one", shards=1)
    table, whole = pd.read_csv(csv), pd.read_csv(searched[0])
    assert len(table) <= 21
    assert len(table.merge(whole)) == len(table)
    found, everything = (json.loads(path.read_text()) for path in (best, searched[1]))
    assert found["goodness"]["goodness"] >= whole["goodness"].quantile(0.8)
    assert found["network_passes"] <= everything["network_passes"]
    again, _ = search(study, config, tmp_path / "again", shards=1)
    assert again.read_bytes() == csv.read_bytes()


def test_more_classes_than_people_are_refused(study, tmp_path):
    with pytest.raises(InputError, match=r"saliency\.top_classes: 4 exceeds the 3 people"):
        saliency_maps.run(
            MAPS.model_copy(update={"top_classes": 4}),
            images=study / "images.npy",
            ids=study / "manifest.csv",
            recognizer=study / "recognizer.safetensors",
            maps=tmp_path / "maps.npz",
        )


def test_a_cap_takes_that_many_attacks_and_their_clean_pictures(study, tmp_path):
    csv, _ = search(study, settings(images=4), tmp_path / "capped", shards=2)
    table = pd.read_csv(csv)
    assert set(table["n_adv"]) == {4}
    assert set(table["n_clean"]) <= {2, 3, 4}


def test_shards_of_another_grid_and_missing_shards_are_refused(study, tmp_path):
    paths = [tmp_path / f"{shard}.npz" for shard in range(2)]
    config = settings(mu=[0.5], n=[1], mu_as=["value"])
    for shard, path in enumerate(paths):
        mask_grid_shard.run(config, **inputs(study), shard=shard, shards=2, results=path)
    outputs = {"grid": tmp_path / "grid.csv", "best": tmp_path / "best.json"}
    examples = study / "glasses/examples.csv"
    with pytest.raises(InputError, match="another grid"):
        mask_grid.run(settings(), shards=paths, examples=examples, **outputs)
    np.savez(tmp_path / "maps.npz", ids=np.zeros(3))
    with pytest.raises(InputError, match=r"maps\.npz: not a shard of the mask grid: lacks "):
        mask_grid.run(config, shards=[tmp_path / "maps.npz"], examples=examples, **outputs)
    with pytest.raises(InputError, match="do not make up"):
        mask_grid.run(config, shards=paths[:1], examples=examples, **outputs)
    with pytest.raises(InputError, match="--shards 2: a Bayesian search looks at all pictures"):
        mask_grid_shard.run(
            settings(method="bayesian", trials=2, shards=None),
            **inputs(study),
            shard=0,
            shards=2,
            results=tmp_path / "half.npz",
        )
    with pytest.raises(InputError, match="--shard must be between 0 and 1"):
        mask_grid_shard.run(config, **inputs(study), shard=2, shards=2, results=paths[0])


def test_the_better_kind_of_map_is_chosen_and_the_sources_has_a_row(study, tmp_path):
    config = settings(map=["guided", "relative"])
    csv, best = search(study, config, tmp_path / "both", shards=2)
    table, chosen = pd.read_csv(csv), json.loads(best.read_text())
    assert table["map"].value_counts().to_dict() == {"guided": 33, "relative": 32}
    for kind, row in chosen["by_map"].items():
        assert row["map"] == kind
        of_kind = table.loc[table["map"] == kind, "goodness"]
        assert row["goodness"] == pytest.approx(of_kind.max(), abs=1e-6)
    # Whichever won here: with the relative map on top, the best of the source's is judged too.
    chosen["goodness"] = chosen["by_map"]["relative"]
    best.write_text(json.dumps(chosen))
    _, judged = evaluate(study, judging(), best, tmp_path / "judged", clean_confidence=2)
    rows = judged[judged["threshold"].isna()].set_index("defence")
    assert rows.index.tolist() == [
        "none",
        "saliency",
        "saliency_guided",
        "saliency_source",
        "oracle",
        "random",
    ]
    # With the guided map on top a mask is two things at once, and has a row as either.
    chosen["goodness"] = chosen["by_map"]["guided"]
    best.write_text(json.dumps(chosen))
    _, again = evaluate(study, judging(), best, tmp_path / "again", clean_confidence=2)
    twice = again[again["threshold"].isna()].set_index("defence")
    assert twice.index.tolist() == rows.index.tolist()
    pd.testing.assert_series_equal(
        twice.loc["saliency"], twice.loc["saliency_guided"], check_names=False
    )
    pd.testing.assert_series_equal(
        twice.loc["saliency_guided"], rows.loc["saliency_guided"], check_names=False
    )


def test_the_best_mask_that_clean_pictures_afford_has_a_row(study, searched, tmp_path):
    table, chosen = pd.read_csv(searched[0]), json.loads(searched[1].read_text())
    # On these pictures the best of all costs nothing; elsewhere it does.
    first = table["goodness"].idxmax()
    table.loc[first, "ac_clean_real"] = chosen["goodness"]["ac_clean_real"] = 0.1
    grid_csv, best = tmp_path / "grid.csv", tmp_path / "best.json"
    table.to_csv(grid_csv, index=False)
    best.write_text(json.dumps(chosen))
    loss = judging().saliency.largest_clean_loss
    wanted = table.loc[table.drop(index=first)["goodness"].idxmax()]

    def found(clean_confidence):
        return affordable_row(
            chosen["goodness"],
            pd.read_csv(grid_csv),
            clean_confidence=clean_confidence,
            largest_clean_loss=loss,
        )

    bare = wanted["ac_clean_real"] + loss - 1e-9
    row = found(bare)
    assert row is not None
    assert row["goodness"] == wanted["goodness"]
    assert found(0.1) == chosen["goodness"]
    assert found(2) is None

    _, judged = evaluate(study, judging(), best, tmp_path / "judged", clean_confidence=bare)
    rows = judged[judged["threshold"].isna()].set_index("defence")
    assert rows.index.tolist()[:3] == ["none", "saliency", "saliency_affordable"]
    assert rows.loc["saliency_affordable", "fill"] == row["fill"]
    point = json.loads((tmp_path / "judged/working_point.json").read_text())
    assert point["affordable_mask"]["mu"] == row["mu"]


def test_a_grid_without_the_sources_kind_of_map_has_no_row_for_it(study, tmp_path):
    csv, best = search(study, settings(map=["relative"]), tmp_path / "relative", shards=1)
    # The source's own setting alone is of the other kind.
    assert pd.read_csv(csv)["map"].value_counts().to_dict() == {"relative": 32, "guided": 1}
    chosen = json.loads(best.read_text())
    chosen["goodness"] = chosen["by_map"]["relative"]
    best.write_text(json.dumps(chosen))
    _, judged = evaluate(study, judging(), best, tmp_path / "judged")
    rows = judged[judged["threshold"].isna()].set_index("defence")
    # The only point of the guided map is Study S's setting.
    pd.testing.assert_series_equal(
        rows.loc["saliency_guided"], rows.loc["saliency_source"], check_names=False
    )


def test_maps_of_a_kind_that_was_not_made_are_refused(study, tmp_path):
    saliency_maps.run(
        MAPS.model_copy(update={"maps": ("guided",)}),
        images=study / "images.npy",
        ids=study / "manifest.csv",
        recognizer=study / "recognizer.safetensors",
        maps=tmp_path / "maps.npz",
    )
    given = inputs(study) | {"maps": tmp_path / "maps.npz"}
    with pytest.raises(InputError, match=r"maps\.npz: holds no relative maps; run saliency_maps"):
        mask_grid_shard.run(
            settings(map=["guided", "relative"]),
            **given,
            shard=0,
            shards=1,
            results=tmp_path / "0.npz",
        )


def test_evaluation(study, searched, tmp_path):
    metrics, table = evaluate(study, judging(), searched[1], tmp_path / "first")
    rows = table[table["threshold"].isna()].set_index("defence")
    assert list(rows.index) == [
        "none",
        "saliency",
        "saliency_affordable",
        "saliency_guided",
        "saliency_source",
        "oracle",
        "random",
    ]
    assert set(table["threshold"].dropna()) == {0.8}
    assert set(table["attack"]) == {"glasses"}
    assert set(table["adversarial_success_n"]) == {18}
    assert set(table["clean_accuracy_n"]) == {9}
    chosen = json.loads(searched[1].read_text())
    best, guided = chosen["goodness"], chosen["by_map"]["guided"]
    point = json.loads((tmp_path / "first/working_point.json").read_text())
    affordable = point["affordable_mask"]
    assert rows["fill"].fillna("").tolist() == [
        "",
        best["fill"],
        affordable["fill"],
        guided["fill"],
        "zero",
        best["fill"],
        best["fill"],
    ]
    for name in ("adversarial_success", "adversarial_correct", "clean_accuracy"):
        for _, row in table.iterrows():
            n = int(row[f"{name}_n"])
            low, high = wilson_interval(round(row[name] * n), n)
            assert row[f"{name}_low"] == pytest.approx(low, abs=1e-5)
            assert row[f"{name}_high"] == pytest.approx(high, abs=1e-5)
        # A threshold can only take predictions away.
        thresholded = table[table["threshold"].notna()].set_index("defence")
        assert (thresholded[name] <= rows[name]).all()
    assert rows.loc["none", "defence_success"] == 0
    assert np.isnan(rows.loc["none", "mask_iou"])
    assert rows.loc["oracle", "mask_iou"] == 1
    assert rows.loc["oracle", "mask_recall"] == 1
    assert rows.loc["oracle", "clean_accuracy"] == rows.loc["none", "clean_accuracy"]
    assert metrics["saliency_adversarial_success"] == pytest.approx(
        rows.loc["saliency", "adversarial_success"], abs=1e-5
    )
    json.dumps(metrics, allow_nan=False)

    curve = pd.read_csv(tmp_path / "first/threshold_curve.csv")
    assert set(curve["split"]) == {"val", "test"}
    for defence, of_defence in curve[curve["split"] == "test"].groupby("defence"):
        assert of_defence["threshold"].iloc[[0, -1]].tolist() == [0, 1]
        for name in ("adversarial_success", "adversarial_correct", "clean_accuracy"):
            assert (of_defence[name].diff().dropna() <= 0).all()
            assert of_defence[name].iloc[0] == rows.loc[defence, name]

    chosen = json.loads((tmp_path / "first/working_point.json").read_text())
    of_mask = curve[curve["defence"] == "saliency"].set_index(["split", "threshold"])
    clean = of_mask["clean_accuracy"]
    affordable = clean["val"] >= clean["val", 0] - judging().saliency.largest_clean_loss
    least = of_mask["adversarial_success"]["val"][affordable]
    assert chosen["threshold"] == least.index[least == least.min()].min()
    for split in ("val", "test"):
        at = of_mask.loc[(split, chosen["threshold"])]
        assert chosen[split]["clean_accuracy"] == pytest.approx(at["clean_accuracy"], abs=1e-6)

    evaluate(study, judging(), searched[1], tmp_path / "second")
    for name in ("evaluation.csv", "threshold_curve.csv", "working_point.json", "masks.npz"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_shown_masks_are_the_steps_of_the_chosen_combination(study, searched, tmp_path):
    evaluate(study, judging(), searched[1], tmp_path / "out")
    examples = pd.read_csv(study / "glasses/examples.csv").set_index("example_id")
    with np.load(tmp_path / "out/masks.npz") as file:
        shown = dict(file)
    assert len(shown["example_ids"]) > 0
    for place, name in enumerate(shown["example_ids"]):
        assert examples["split"][name] == "test"
        assert shown["prediction_before"][place] == shown["target"][place]
        undone = shown["prediction_after"][place] == shown["attacker"][place]
        assert shown["worked"][place] == undone
        mask = shown["filtered"][place]
        assert (mask <= shown["closed"][place]).all()
        assert (shown["thresholded"][place] <= shown["closed"][place]).all()
        assert np.array_equal(shown["filled"][place][~mask], shown["images"][place][~mask])


@pytest.fixture(scope="module")
def sticker(study, tmp_path_factory):
    """The same attacks with a sticker: the folder of the attack."""
    folder = tmp_path_factory.mktemp("sticker") / "sticker"
    folder.mkdir()
    examples = pd.read_csv(study / "glasses/examples.csv")
    examples["example_id"] = examples["example_id"].str.replace("g", "s")
    examples.to_csv(folder / "examples.csv", index=False)
    images = np.load(study / "glasses/images.npy")[:, ::-1].copy()
    np.save(folder / "images.npy", images)
    frames = np.zeros(images.shape[:3], dtype=bool)
    frames[:, 16:22, 4:28] = True
    np.save(folder / "frames.npy", frames)
    saliency_maps.run(
        MAPS,
        images=folder / "images.npy",
        ids=folder / "examples.csv",
        recognizer=study / "recognizer.safetensors",
        maps=folder / "maps.npz",
    )
    return folder


def test_masks_tuned_on_one_attack_are_tried_on_all(study, sticker, searched, tmp_path):
    other = {
        "mu": 0.9,
        "map": "guided",
        "mu_as": "quantile",
        "n": 0,
        "phi": 0,
        "fill": "mean",
    }
    (tmp_path / "other.json").write_text(json.dumps({"goodness": other}))
    given = {
        "manifest": study / "manifest.csv",
        "images": study / "images.npy",
        "maps": study / "maps.npz",
        "examples": [study / "glasses/examples.csv", sticker / "examples.csv"],
        "adversarial_images": [study / "glasses/images.npy", sticker / "images.npy"],
        "frames": [study / "glasses/frames.npy", sticker / "frames.npy"],
        "adversarial_maps": [study / "adversarial_maps.npz", sticker / "maps.npz"],
        "best": [searched[1], tmp_path / "other.json"],
        "recognizer": study / "recognizer.safetensors",
        "transfer": tmp_path / "generality.csv",
    }
    metrics = mask_transfer.run(judging(), **given)
    json.dumps(metrics, allow_nan=False)
    table = pd.read_csv(given["transfer"])
    free = table[table["threshold"].isna()]
    assert list(zip(free["tuned_on"], free["tested_on"], strict=True)) == [
        ("glasses", "glasses"),
        ("glasses", "sticker"),
        ("sticker", "glasses"),
        ("sticker", "sticker"),
    ]
    assert set(table["threshold"].dropna()) == {0.8}
    assert set(free["adversarial_success_n"]) == {18}
    assert {key: free.iloc[2][key] for key in other} == other
    # Clean pictures see the combination alone, attacks before any mask their own pictures alone.
    assert free.groupby("tuned_on")["clean_accuracy"].nunique().tolist() == [1, 1]
    assert free.groupby("tested_on")["undefended_success"].nunique().tolist() == [1, 1]

    _, evaluated = evaluate(study, judging(), searched[1], tmp_path / "evaluated")
    headline = evaluated[(evaluated["defence"] == "saliency") & evaluated["threshold"].isna()]
    for name in ("adversarial_success", "clean_accuracy", "defence_success", "mask_iou"):
        assert free.iloc[0][name] == headline.iloc[0][name]
        assert free.iloc[0][f"{name}_low"] == headline.iloc[0][f"{name}_low"]

    with pytest.raises(InputError, match="as many files each"):
        mask_transfer.run(judging(), **{**given, "best": given["best"][:1]})


def test_dodging_has_no_target(study, tmp_path):
    folder = tmp_path / "dodging"
    folder.mkdir()
    table = pd.read_csv(study / "glasses/examples.csv").assign(goal="dodging", target="")
    table.to_csv(folder / "examples.csv", index=False)
    config = settings(mu=[0.5], n=[1], mu_as=["value"])
    given = {**inputs(study), "examples": folder / "examples.csv"}
    mask_grid_shard.run(config, **given, shard=0, shards=1, results=folder / "0.npz")
    with np.load(folder / "0.npz") as file:
        np.testing.assert_allclose(
            file["adversarial_confidence_target"],
            1 - file["adversarial_confidence_real"],
            atol=1e-6,
        )


def test_bad_input_is_named(study, searched, tmp_path):
    config = settings()
    table = pd.read_csv(study / "glasses/examples.csv")
    shard = {"shard": 0, "shards": 1, "results": tmp_path / "0.npz"}
    table.assign(attacker="eve").to_csv(tmp_path / "stranger.csv", index=False)
    with pytest.raises(InputError, match=r"stranger\.csv: the recognizer does not know 'eve'"):
        mask_grid_shard.run(
            config, **{**inputs(study), "examples": tmp_path / "stranger.csv"}, **shard
        )
    with pytest.raises(InputError, match=r"maps\.npz: has no saliency map of"):
        mask_grid_shard.run(
            config, **{**inputs(study), "adversarial_maps": study / "maps.npz"}, **shard
        )
    table.iloc[:-1].to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(InputError, match=r"has 30 rows, .*short\.csv has 29"):
        mask_grid_shard.run(
            config, **{**inputs(study), "examples": tmp_path / "short.csv"}, **shard
        )
    table[table["split"] == "test"].to_csv(tmp_path / "test_only.csv", index=False)
    with pytest.raises(InputError, match="no attacked validation picture"):
        mask_grid.run(
            config,
            shards=[searched[0].parent / "0.npz"],
            examples=tmp_path / "test_only.csv",
            grid=tmp_path / "grid.csv",
            best=tmp_path / "best.json",
        )
    np.save(tmp_path / "small.npy", np.zeros((18, 16, 16, 3), dtype=np.uint8))
    with pytest.raises(InputError, match=r"small\.npy: pictures are 16x16, .* takes 32x32"):
        saliency_maps.run(
            MAPS,
            images=tmp_path / "small.npy",
            ids=study / "manifest.csv",
            recognizer=study / "recognizer.safetensors",
            maps=tmp_path / "maps.npz",
        )


def test_a_decision_is_asked_again_under_every_mask(study, tmp_path):
    masking = {
        "map": "guided",
        "mu": [0.5, 0.9],
        "mu_as": "quantile",
        "n": 0,
        "phi": 0,
        "fill": "grey",
    }
    config = MaskedDecisionsSection.model_validate(
        {"masking": masking, "kernel": 3, "batch_size": 8, "threads": 1}
    )
    masked_decisions.run(
        config,
        images=study / "images.npy",
        ids=study / "manifest.csv",
        maps=study / "maps.npz",
        recognizer=study / "recognizer.safetensors",
        decisions=tmp_path / "decisions.npz",
    )
    table = read_manifest(study / "manifest.csv")
    rows = np.flatnonzero(table["split"] != "train")
    network, _ = read_recognizer(study / "recognizer.safetensors")
    images = np.load(study / "images.npy")
    with np.load(tmp_path / "decisions.npz") as found, np.load(study / "maps.npz") as maps:
        assert found["ids"].tolist() == table["image_id"][rows].tolist()
        assert np.array_equal(found["decision"], maps["prediction"])
        for place, row in enumerate(rows):
            for column, mu in enumerate(masking["mu"]):
                saliency = maps["guided"][place]
                mask = saliency_mask(saliency, mu=mu, mu_as="quantile", n=0, phi=0)
                masked = images[row].copy()
                masked[mask] = 128
                with torch.inference_mode():
                    logits = network(to_pixels(torch.from_numpy(masked[None])))[0]
                expected = logits.log_softmax(0)[found["decision"][place]].item()
                assert found["log_confidence"][place, column] == pytest.approx(expected, abs=1e-4)
