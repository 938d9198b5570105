"""The address of the page of the runs."""

import sqlite3

from glassguard.tracking.address import runs_page


def test_the_page_is_that_of_the_experiment(tmp_path):
    database = tmp_path / "a folder" / "mlflow.db"
    database.parent.mkdir()
    with sqlite3.connect(database) as opened:
        opened.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT)")
        assert runs_page(database, port=5001) == "http://127.0.0.1:5001/"
        opened.execute("INSERT INTO experiments VALUES (7, 'glassguard')")
    assert runs_page(database, port=5001) == (
        "http://127.0.0.1:5001/#/experiments/7/runs"
        "?workflowType=machine_learning&viewStateShareKey=headline"
    )
