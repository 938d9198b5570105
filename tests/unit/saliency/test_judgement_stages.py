"""The stages mask_evaluation, mask_transfer and responses on a tiny study."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from saliency.small_study import (
    evaluate,
    inputs,
    judging,
    respond,
    responding,
    search,
    settings,
)

from glassguard.errors import InputError
from glassguard.files.formats import read_manifest
from glassguard.recognizer.network import to_pixels
from glassguard.recognizer.weights import read_recognizer
from glassguard.saliency.choice import affordable_row
from glassguard.saliency.mask import saliency_mask
from glassguard.stages import (
    mask_transfer,
)
from glassguard.statistics import wilson_interval


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
    pictures = folder / "images.npy", folder / "examples.csv"
    respond(responding(), *pictures, study / "recognizer.safetensors", folder)
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
    tuned = tmp_path / "sticker" / "best.json"
    tuned.parent.mkdir(exist_ok=True)
    tuned.write_text(json.dumps({"goodness": other}))
    given = {
        "benign": inputs(study)["benign"],
        "attacks": [
            *inputs(study)["attack"],
            *(sticker / name for name in ("examples.csv", "images.npy", "frames.npy", "maps.npz")),
        ],
        "best": [searched[1], tuned],
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

    with pytest.raises(InputError, match="maps of every attack, and names 7 files"):
        mask_transfer.run(judging(), **{**given, "attacks": given["attacks"][:-1]})
    mask_transfer.run(judging(), **{**given, "best": given["best"][:1]})
    untuned = pd.read_csv(given["transfer"])
    kept = table[table["tuned_on"] == "glasses"].reset_index(drop=True)
    pd.testing.assert_frame_equal(untuned, kept)
    stranger = tmp_path / "hat" / "best.json"
    with pytest.raises(InputError, match="--best: hat is none of the attacks glasses, sticker"):
        mask_transfer.run(judging(), **{**given, "best": [searched[1], stranger]})


def test_a_decision_is_asked_again_under_every_mask(study, tmp_path):
    masking = {
        "map": "guided",
        "mu": [0.5, 0.9],
        "mu_as": "quantile",
        "n": 0,
        "phi": 0,
        "fill": "grey",
    }
    config = responding(masking=masking, batch_size=8)
    files = study / "images.npy", study / "manifest.csv", study / "recognizer.safetensors"
    made = respond(config, *files, tmp_path)
    table = read_manifest(study / "manifest.csv")
    rows = np.flatnonzero(table["split"] != "train")
    network, _ = read_recognizer(study / "recognizer.safetensors")
    images = np.load(study / "images.npy")
    with np.load(made["decisions"]) as found, np.load(made["maps"]) as maps:
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
