"""Records of stages as MLflow runs."""

import json
import sqlite3

import pandas as pd
import pytest
from tracked_study import Study

from glassguard.errors import InputError
from glassguard.stages import tracked_runs
from glassguard.tracking.records import (
    Artifact,
    Record,
    flatten,
    grid_points,
    parse_record,
    split_metrics,
    stage_run,
)


def record(**changes):
    values = {"job": "data", "stage": "data", "started": 1.0, "ended": 2.0}
    return Record(**(values | {"params": {"seed": 0}, "metrics": {"pictures": 7}} | changes))


def test_flatten_names_nested_settings():
    flat = flatten({"b": {"y": [1, 2], "x": None}, "a": True, "text": "é"})
    assert flat == {"a": "true", "b.x": "null", "b.y": "[1, 2]", "text": "é"}
    assert len(flatten({"long": "x" * 9000})["long"]) == 5000


def test_split_metrics_leaves_out_what_cannot_be_drawn():
    numbers, words = split_metrics(
        {"a": {"b": 1, "c": float("nan")}, "d": "conv4_3", "e": None, "f": [1], "g": True}
    )
    assert numbers == {"a.b": 1.0, "g": 1.0}
    assert words == {"d": "conv4_3"}


def test_digest_covers_findings_and_files_but_no_times(tmp_path):
    digest = stage_run(record()).digest
    assert stage_run(record(started=5.0, ended=9.0)).digest == digest
    assert stage_run(record(params={"seed": 1})).digest != digest
    assert stage_run(record(metrics={"pictures": 8})).digest != digest
    assert stage_run(record(), artifacts=[Artifact(tmp_path / "a", "00")]).digest != digest


def test_grid_points_are_the_best_and_the_best_of_every_fill():
    grid = pd.DataFrame(
        {
            "mu": [0.9, 0.95, 0.98, 0.98],
            "mu_as": "quantile",
            "n": [0, 2, 4, 8],
            "phi": 80,
            "fill": ["telea", "telea", "telea", "zero"],
            "goodness": [0.7, 0.9, 0.8, 0.6],
        }
    )
    points = grid_points(grid, limit=2)
    assert [point.metrics["goodness"] for point in points] == [0.9, 0.8, 0.6]
    assert points[2].params["fill"] == "zero"
    assert points[0].params["mu"] == "0.95"
    dropped = grid.assign(
        goodness=[0.7, 0.9, float("nan"), 0.6], goodness_most=[0.7, 0.9, 0.8, 0.6]
    )
    assert [point.metrics["goodness"] for point in grid_points(dropped, limit=3)] == [0.9, 0.7, 0.6]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "must be an object"),
        ({"stage": "data"}, "started: Field required"),
        (
            {"stage": "d", "started": "x", "ended": 1, "params": {}, "metrics": {}},
            "started: .*number",
        ),
    ],
)
def test_broken_record_is_named(values, said):
    with pytest.raises(InputError, match=f"data.json.*{said}"):
        parse_record("data", values)


@pytest.mark.slow
def test_upsert_follows_the_records(tmp_path):
    study = Study(tmp_path)
    study.write("data", "data", {"pictures": 7})
    study.write("mask_grid", "mask_grid", {"goodness": 0.9, "fill": "telea"})
    (study.results / "saliency").mkdir()
    pd.DataFrame(
        {
            "mu": [0.9, 0.98],
            "mu_as": "quantile",
            "n": 0,
            "phi": 80,
            "fill": ["zero", "telea"],
            "goodness": [0.5, 0.9],
        }
    ).to_csv(study.results / "saliency" / "grid.csv", index=False)
    (study.results / "summary.json").write_text(json.dumps({"detection": {"auc": 0.9}}))

    assert study.track() == {
        "enabled": 1,
        "runs": 2,
        "new": 2,
        "replaced": 0,
        "unchanged": 0,
        "removed": 0,
    }
    client, runs = study.runs()
    by_name = {run.info.run_name: run for run in runs}
    assert len(runs) == 5
    parent, grid = by_name["smoke"], by_name["mask_grid"]
    assert parent.data.metrics == {"influence_auc": 0.9}
    assert grid.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert grid.data.metrics["goodness"] == 0.9
    assert grid.data.params == {"seed": "0"}
    # What the page of the study says leads to the runs of its stages.
    assert f"/runs/{grid.info.run_id}" in parent.data.tags["mlflow.note.content"]
    assert [file.path for file in client.list_artifacts(grid.info.run_id)] == ["grid.csv"]
    points = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == grid.info.run_id]
    assert sorted(run.data.params["fill"] for run in points) == ["telea", "zero"]

    assert study.track()["unchanged"] == 2
    _, again = study.runs()
    assert {run.info.run_id for run in again} == {run.info.run_id for run in runs}

    study.write("data", "data", {"pictures": 8})
    (study.outbox / "mask_grid.json").unlink()
    (study.results / "summary.json").write_text(json.dumps({"detection": {"auc": 0.95}}))
    counts = study.track()
    assert (counts["replaced"], counts["removed"], counts["unchanged"]) == (1, 1, 0)
    _, later = study.runs()
    assert sorted(run.info.run_name for run in later) == ["data", "smoke"]
    data = next(run for run in later if run.info.run_name == "data")
    parent = next(run for run in later if run.info.run_name == "smoke")
    assert data.data.metrics["pictures"] == 8
    assert parent.data.metrics == {"influence_auc": 0.95}
    assert data.data.tags["mlflow.parentRunId"] == parent.info.run_id

    # Moved: the whole is written again where artifacts belong now.
    assert study.track(artifacts="elsewhere")["new"] == 1


def test_every_search_over_masks_has_its_own_points_and_files(tmp_path):
    for folder, goodness in (("saliency", 0.9), ("saliency/tuned_on/sticker", 0.4)):
        (tmp_path / folder).mkdir(parents=True)
        table = pd.DataFrame({"map": ["guided"], "fill": ["zero"], "goodness": [goodness]})
        table.to_csv(tmp_path / folder / "grid.csv", index=False)
    for job, folder, goodness in (
        ("mask_grid", "saliency", 0.9),
        ("mask_grid_sticker", "saliency/tuned_on/sticker", 0.4),
    ):
        of_job = record(job=job, stage="mask_grid")
        artifacts = tracked_runs.files_of(of_job, tmp_path)
        assert [one.path for one in artifacts] == [tmp_path / folder / "grid.csv"]
        (point,) = tracked_runs.run_of(of_job, tmp_path).points
        assert point.metrics["goodness"] == goodness


@pytest.mark.slow
def test_a_store_that_may_not_be_written_is_one_line_and_loses_nothing(tmp_path):
    study = Study(tmp_path)
    study.write("data", "data", {"pictures": 7})
    study.track()
    study.write("data", "data", {"pictures": 8})
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    with pytest.raises(InputError, match=r"tracking\.uri: sqlite.*no record is lost") as caught:
        study.track()
    assert "\n" not in str(caught.value)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("DROP TRIGGER full")
    assert study.track()["new"] == 1
    _, runs = study.runs()
    (data,) = (run for run in runs if run.info.run_name == "data")
    assert data.data.metrics["pictures"] == 8


def test_without_tracking_only_done_is_written(tmp_path):
    study = Study(tmp_path)
    study.write("data", "data", {"pictures": 7})
    assert study.track(enabled=False) == {"enabled": 0}
    assert (study.results / "tracking" / "done.json").exists()
    assert not (tmp_path / "mlflow.db").exists()


def test_store_that_cannot_be_opened_is_one_line(tmp_path):
    study = Study(tmp_path)
    study.write("data", "data", {"pictures": 7})
    (tmp_path / "mlflow.db").write_text("this is no database, but a text that is long enough " * 9)
    with pytest.raises(InputError, match=r"tracking\.uri") as caught:
        study.track()
    assert "\n" not in str(caught.value)
