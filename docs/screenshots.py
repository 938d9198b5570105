"""Take the pictures of docs/tracking.md: what a browser shows of the tracked runs.

``python docs/screenshots.py results/mlflow/mlflow.db`` serves the database, opens it in an
installed Chromium and writes ``docs/images/mlflow-*.png``. Pictures of attacks are not taken: in a
study of photographs they would show people.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient
from playwright.sync_api import TimeoutError, sync_playwright

from glassguard.tracking.address import runs_page

IMAGES = Path(__file__).parent / "images"
PORT = 5875
PATIENCE = 300
"""Seconds that the server and each page may take."""

SETTLED = 4_000
"""Milliseconds until curves are drawn."""


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("database", type=Path, help="MLflow's SQLite file of a finished study")
    database: Path = parser.parse_args().database.resolve()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not database.is_file() or chromium is None:
        sys.exit(f"{database}: no such file" if chromium else "Chromium is not installed")
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("glassguard")
    if experiment is None:
        sys.exit(f"{database}: holds no experiment glassguard; run make reproduce first")
    runs = client.search_runs([experiment.experiment_id], "", max_results=1000)
    ids = {run.info.run_name: run.info.run_id for run in runs}
    (study,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    with served(database), sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 800})
        page.set_default_timeout(1000 * PATIENCE)
        address = runs_page(database, port=PORT)
        runs_at = address.partition("?")[0]
        take(page, address, study.info.run_name, "mlflow-runs")
        take(page, f"{runs_at}/{study.info.run_id}", "Child runs", "mlflow-study")
        curves = f"{runs_at}/{ids['recognizer']}/model-metrics"
        take(page, curves, "epoch/train_loss", "mlflow-training")
        browser.close()


def take(page: Any, address: str, awaited: str, name: str) -> None:
    """A picture of a page once a text is there, without MLflow's chat."""
    page.goto(address)
    page.get_by_text(awaited).first.wait_for()
    with suppress(TimeoutError):
        page.get_by_role("button", name="Close").first.click(timeout=3_000)
    page.wait_for_timeout(SETTLED)
    page.screenshot(path=IMAGES / f"{name}.png")
    print(IMAGES / f"{name}.png")


@contextmanager
def served(database: Path) -> Iterator[None]:
    """MLflow's server while the pictures are taken."""
    switched_off = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"),
            *("--port", str(PORT), "--backend-store-uri", f"sqlite:///{database}"),
        ],
        env=os.environ | switched_off,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(2 * PATIENCE):
            with suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2)
                break
            time.sleep(0.5)
        else:
            sys.exit(f"MLflow's server did not answer within {PATIENCE} seconds")
        yield
    finally:
        os.killpg(server.pid, 15)
        server.wait()


if __name__ == "__main__":
    main()
