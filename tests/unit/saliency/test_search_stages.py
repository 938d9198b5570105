"""The stages responses, mask_grid_shard and mask_grid on a tiny study."""

import json

import numpy as np
import pandas as pd
import pytest
from saliency.small_study import (
    SIZE,
    inputs,
    respond,
    responding,
    search,
    settings,
)

from glassguard.errors import InputError
from glassguard.stages import (
    mask_grid,
    mask_grid_shard,
)


def test_maps_are_of_the_held_out_rows_in_order(study):
    table = pd.read_csv(study / "manifest.csv")
    held_out = table[table["split"] != "train"]
    with np.load(study / "benign/maps.npz") as file:
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


def test_a_race_finds_the_winners_of_the_whole_grid(study, searched, tmp_path):
    csv, best = search(study, settings(method="racing"), tmp_path / "race", shards=1)
    table, whole = pd.read_csv(csv), pd.read_csv(searched[0])
    found, expected = (json.loads(path.read_text()) for path in (best, searched[1]))
    for passes in ("network_passes", "network_passes_naive"):
        assert found.pop(passes) <= expected.pop(passes)
    dropped = table["goodness"].isna()
    assert found.pop("dropped") == dropped.sum()
    assert found == expected
    most = table.pop("goodness_most")
    assert (most[dropped] >= whole["goodness"][dropped]).all()
    assert np.array_equal(most[~dropped], whole["goodness"][~dropped])
    pd.testing.assert_frame_equal(table[~dropped], whole[~dropped])
    columns = ["mu", "mu_as", "n", "phi", "fill", "n_clean", "n_adv"]
    pd.testing.assert_frame_equal(table[columns], whole[columns])
    again, _ = search(study, settings(method="racing"), tmp_path / "again", shards=1)
    assert again.read_bytes() == csv.read_bytes()


def test_more_classes_than_people_are_refused(study, tmp_path):
    with pytest.raises(InputError, match=r"saliency\.top_classes: 4 exceeds the 3 people"):
        respond(
            responding(top_classes=4),
            study / "images.npy",
            study / "manifest.csv",
            study / "recognizer.safetensors",
            tmp_path,
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
    with pytest.raises(InputError, match=r"--shards 2: with saliency\.search\.method=bayesian all"):
        mask_grid_shard.run(
            settings(method="bayesian", trials=2, shards=None),
            **inputs(study),
            shard=0,
            shards=2,
            results=tmp_path / "half.npz",
        )
    with pytest.raises(InputError, match="--shard must be between 0 and 1"):
        mask_grid_shard.run(config, **inputs(study), shard=2, shards=2, results=paths[0])


def test_maps_of_a_kind_that_was_not_made_are_refused(study, tmp_path):
    respond(
        responding(maps=("guided",)),
        study / "images.npy",
        study / "manifest.csv",
        study / "recognizer.safetensors",
        tmp_path,
    )
    given = inputs(study)
    given["benign"][-1] = tmp_path / "maps.npz"
    with pytest.raises(InputError, match=r"maps\.npz: holds no relative maps; run responses"):
        mask_grid_shard.run(
            settings(map=["guided", "relative"]),
            **given,
            shard=0,
            shards=1,
            results=tmp_path / "0.npz",
        )


def test_dodging_has_no_target(study, tmp_path):
    folder = tmp_path / "dodging"
    folder.mkdir()
    table = pd.read_csv(study / "glasses/examples.csv").assign(goal="dodging", target="")
    table.to_csv(folder / "examples.csv", index=False)
    config = settings(mu=[0.5], n=[1], mu_as=["value"])
    given = inputs(study, examples=folder / "examples.csv")
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
        mask_grid_shard.run(config, **inputs(study, examples=tmp_path / "stranger.csv"), **shard)
    with pytest.raises(InputError, match=r"maps\.npz: has no saliency map of"):
        mask_grid_shard.run(config, **inputs(study, maps=study / "benign/maps.npz"), **shard)
    table.iloc[:-1].to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(InputError, match=r"has 30 rows, .*short\.csv has 29"):
        mask_grid_shard.run(config, **inputs(study, examples=tmp_path / "short.csv"), **shard)
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
        respond(
            responding(),
            tmp_path / "small.npy",
            study / "manifest.csv",
            study / "recognizer.safetensors",
            tmp_path,
        )
