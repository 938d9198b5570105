"""Print the address at which MLflow shows the runs of the studies."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path


def runs_page(database: Path, *, port: int) -> str:
    """The page of the runs with the headline figures; MLflow itself opens a page without any.

    Args:
        database: MLflow's SQLite file.
        port: of the server on this machine.
    """
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as opened:
        found = opened.execute(
            "SELECT experiment_id FROM experiments WHERE name = ?", ("glassguard",)
        ).fetchone()
    view = "workflowType=machine_learning&viewStateShareKey=headline"
    page = f"#/experiments/{found[0]}/runs?{view}" if found else ""
    return f"http://127.0.0.1:{port}/{page}"


if __name__ == "__main__":
    print(runs_page(Path(sys.argv[1]), port=int(sys.argv[2])))
