"""``glassguard doctor``: what is missing on this machine, and how to get it."""

import json
import shutil
import sqlite3
from collections import namedtuple

import pytest
import yaml
from shipped import copy_of_conf

from glassguard import cli, doctor


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the configuration in a folder of its own."""
    copy_of_conf(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings(capsys, *options):
    status = cli.main(["doctor", "--json", *map(str, options)])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return status, lines


def of(lines, topic):
    return [line for line in lines if line["topic"] == topic]


def test_a_sound_machine_lacks_nothing(project, capsys):
    status, lines = findings(capsys)
    assert status == 0
    assert {"kernels", "machine", "versions", "devices", "weights", "disk", "tracking"} <= {
        line["topic"] for line in lines
    }
    assert "torch 2." in of(lines, "versions")[0]["found"]
    assert of(lines, "tracking")[0]["found"].endswith("mlflow.db: made by the first run")
    assert any("drawn_faces" in line["found"] for line in of(lines, "weights"))
    for line in lines:
        assert line["state"] != "note" or line["remedy"] or line["topic"] in ("devices", "kernels")


def test_a_download_is_named_with_the_way_to_get_it(project, capsys):
    (note,) = [line for line in of(findings(capsys)[1], "weights") if "yunet" in line["found"]]
    assert note["state"] == "note"
    assert note["remedy"].startswith("data.detector=yunet downloads it")
    published = yaml.safe_load((project / "conf/downloads/published.yaml").read_text())
    file = project / published["folder"] / published["files"]["yunet"]["file"]
    file.parent.mkdir()
    file.write_bytes(b"something else")
    status, lines = findings(capsys)
    assert status == 3
    (wrong,) = [line for line in lines if line["state"] == "missing"]
    assert "has another digest" in wrong["found"]
    assert "remove it" in wrong["remedy"]


def test_the_table_says_what_to_do(project, capsys, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10, 9, 2**29))
    assert cli.main(["doctor"]) == 3
    said = capsys.readouterr().out
    assert "missing disk      0.5 GiB are free for results" in said
    assert "-> make room" in said


def test_a_package_that_is_not_installed_is_missing(project, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "optuna" else name)
    status, lines = findings(capsys)
    assert status == 3
    assert [line["found"] for line in lines if line["state"] == "missing"] == [
        "optuna is not installed"
    ]


def test_the_tracking_store_is_opened(project, capsys):
    database = project / "results/mlflow/mlflow.db"
    database.parent.mkdir(parents=True)
    with sqlite3.connect(database) as store:
        store.execute("CREATE TABLE runs (run_uuid TEXT)")
        store.executemany("INSERT INTO runs VALUES (?)", [("a",), ("b",)])
    store.close()
    assert "2 runs" in of(findings(capsys)[1], "tracking")[0]["found"]
    database.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    status, lines = findings(capsys)
    assert status == 3
    assert "cannot be read" in of(lines, "tracking")[0]["found"]


def test_a_study_that_does_not_compose_says_why(project, capsys):
    status, lines = findings(capsys, "--experiment", "nothing")
    assert status == 3
    assert "nothing" in of(lines, "study")[0]["found"]
    status, lines = findings(capsys, "--conf", project / "gone")
    assert status == 0
    assert of(lines, "study")[0]["state"] == "note"
