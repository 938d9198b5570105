"""What a browser shows of tracked studies: runs, two seeds side by side, a curve, a model."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tracked_study import Study

from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.weights import write_recognizer
from glassguard.tracking.address import runs_page

pytestmark = pytest.mark.slow
PORT = 5874
SEEDS = (1, 2)
PEOPLE = ["ada", "bob", "eve"]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a made-up study, with training curves and a model."""
    root = tmp_path_factory.mktemp("tracked")
    for seed in SEEDS:
        study = Study(root, f"made/seed_{seed}")
        (study.results / "recognizer").mkdir()
        (study.results / "config").mkdir()
        history = {"epoch": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0 / seed]}
        pd.DataFrame(history).to_csv(study.results / "recognizer" / "history.csv", index=False)
        torch.manual_seed(seed)
        network = FaceRecognizer(
            identities=3, image_size=32, width=0.125, hidden=8, mean=[127.5] * 3, scale=127.5
        )
        weights = study.results / "recognizer" / "recognizer.safetensors"
        write_recognizer(weights, network, PEOPLE)
        summary = {
            "experiment": "made",
            "seed": seed,
            "recognizer": {"test_accuracy": 0.9 + seed / 100},
            "attacks": {"glasses": {"success": 0.8 + seed / 100}},
        }
        (study.results / "summary.json").write_text(json.dumps(summary))
        settings = f"study: {{experiment: made, seed: {seed}, kernels: pinned}}\n"
        (study.results / "config" / "report.yaml").write_text(settings)
        study.write("recognizer", "recognizer", {"test_accuracy": 0.9 + seed / 100})
        study.track()
    return root


@pytest.fixture(scope="module")
def server(tracked: Path) -> Iterator[str]:
    """Address of the runs on a server of its own."""
    database = tracked / "mlflow.db"
    running = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"),
            *("--port", str(PORT), "--backend-store-uri", f"sqlite:///{database}"),
        ],
        env=os.environ
        | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2)
                break
            except (urllib.error.URLError, OSError):
                assert running.poll() is None, "the server ended"
                time.sleep(0.5)
        else:
            pytest.fail("the server did not answer")
        yield runs_page(database, port=PORT)
    finally:
        os.killpg(running.pid, 15)
        running.wait()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1600, "height": 1000})
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


def test_the_list_of_runs_opens_with_headline_columns_and_a_row_for_each_seed(
    page: Any, server: str
) -> None:
    page.goto(server)
    page.get_by_role("link", name="made/seed_1").wait_for()
    assert page.get_by_role("link", name="made/seed_2").is_visible()
    page.get_by_text("attack_success", exact=True).first.wait_for()
    assert page.get_by_text("0.81", exact=True).first.is_visible()


def test_two_seeds_can_be_compared(page: Any, server: str) -> None:
    page.goto(server)
    page.get_by_role("link", name="made/seed_1").wait_for()
    for box in page.get_by_role("checkbox", name="Press Space to toggle row selection").all()[-2:]:
        box.check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 2 Runs").first.wait_for()
    assert page.get_by_text("recognizer_accuracy").first.is_visible()


def test_training_is_a_curve_over_epochs(page: Any, server: str, tracked: Path) -> None:
    client, runs = Study.opened(tracked)
    run = next(one for one in runs if one.info.run_name == "recognizer")
    history = client.get_metric_history(run.info.run_id, "epoch/train_loss")
    assert [one.step for one in history] == [1, 2, 3]
    address = server.partition("?")[0]
    page.goto(f"{address}/{run.info.run_id}/model-metrics")
    page.get_by_text("epoch/train_loss").first.wait_for()
    page.locator(".js-plotly-plot").first.wait_for()


def test_the_model_names_the_people_in_pictures(tracked: Path) -> None:
    import mlflow

    client, runs = Study.opened(tracked)
    run = next(one for one in runs if one.info.run_name == "recognizer")
    (output,) = run.outputs.model_outputs
    mlflow.set_tracking_uri(f"sqlite:///{tracked}/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
    answers = model.predict(np.full((2, 32, 32, 3), 128, dtype=np.uint8))
    assert set(answers["prediction"]) <= set(PEOPLE)
    assert ((answers["confidence"] > 1 / 3) & (answers["confidence"] <= 1)).all()
    folder = Path(
        client.get_logged_model(output.model_id).artifact_location.removeprefix("file://")
    )
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert not kinds & {".pkl", ".pickle", ".pt", ".pth", ".joblib"}
