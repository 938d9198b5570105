"""The whole DAG, driven through Snakemake in copies of the checkout."""

import hashlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from checkouts import Checkout, tables
from torch import nn

from glassguard.recognizer.network import convolutional_layers
from glassguard.recognizer.weights import read_backbone

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_smoke_leaves_what_is_promised(finished: Checkout) -> None:
    summary = json.loads((finished.results / "summary.json").read_text())
    assert summary["experiment"] == "smoke"
    assert summary["attacks"]["glasses"]["n"] > 0
    assert 1000 < (finished.results / "report.html").stat().st_size < 6_000_000
    records = {path.stem for path in (finished.results / "tracking" / "outbox").glob("*.json")}
    assert {"data", "attack_glasses_1-of-2", "mask_grid_2-of-2", "report"} <= records


def with_intervals(*rates: str) -> set[str]:
    return {f"{rate}{end}" for rate in rates for end in ("", "_n", "_low", "_high")}


# Scripts outside the repository read these names: columns are added, none is renamed.
PROMISED_COLUMNS = {
    "data/manifest.csv": {
        "image_id",
        "identity",
        "split",
        "source",
        "sha256",
        "width",
        "height",
        "left_eye_x",
        "left_eye_y",
        "right_eye_x",
        "right_eye_y",
        "aligned_by",
    },
    "data/rejected.csv": {"source", "reason"},
    "attacks/glasses/examples.csv": {
        "example_id",
        "image_id",
        "split",
        "attacker",
        "target",
        "goal",
        "iterations",
        "gradients",
        "initial_prediction",
        "prediction",
        "confidence_true",
        "confidence_target",
        "success",
        "success_jpeg",
        "frame_area",
    },
    "detection/layers.csv": {"slice", "paper_index", "size", "quantity", "variant", "seeds", "auc"}
    | with_intervals("benign_target", "benign_other", "impersonation")
    | {"balanced_accuracy"},
    "detection/table1.csv": {"target", "attacker", "slice", "variant"}
    | with_intervals("benign_target", "benign_other", "impersonation"),
    "detection/choices.csv": {"detector", "slice", "variant", "chosen_by", "pairs", "used"},
    "detection/roc.csv": {"detector", "fpr", "tpr"},
    "detection/controls.csv": {"detector", "control", "flag_rate", "n"},
    "saliency/grid.csv": {
        "mu",
        "mu_as",
        "n",
        "phi",
        "fill",
        "ac_clean_real",
        "ac_adv_real",
        "ac_adv_target",
        "goodness",
    },
    "saliency/evaluation.csv": {"attack", "defence", "threshold", "mask_iou"}
    | with_intervals(
        "adversarial_success", "adversarial_correct", "clean_accuracy", "defence_success"
    ),
    "timings.csv": {"stage", "wall_s", "cpu_s", "max_rss_mb"},
}


@pytest.mark.parametrize("table", PROMISED_COLUMNS)
def test_tables_have_the_promised_columns(finished: Checkout, table: str) -> None:
    columns = set(pd.read_csv(finished.results / table, nrows=0).columns)
    assert PROMISED_COLUMNS[table] - columns == set()


def test_arrays_and_json_files_are_as_promised(finished: Checkout) -> None:
    results = finished.results
    examples = pd.read_csv(results / "attacks" / "glasses" / "examples.csv")
    images = np.load(results / "attacks" / "glasses" / "images.npy")
    frames = np.load(results / "attacks" / "glasses" / "frames.npy")
    assert images.shape == (len(examples), 64, 64, 3)
    assert images.dtype == np.uint8
    assert frames.shape == images.shape[:3]
    assert frames.dtype == bool
    with np.load(results / "influence" / "glasses" / "profiles.npz") as profiles:
        assert len(profiles["ids"]) == len(examples)
        assert profiles["conv3_2"].shape == (len(examples), 64)
        assert profiles["conv3_2"].dtype == np.float32
    metrics = json.loads((results / "recognizer" / "metrics.json").read_text())
    assert metrics.keys() >= {
        "train_accuracy",
        "val_accuracy",
        "test_accuracy",
        "epochs",
        "backbone",
        "parameters_trained",
        "parameters_frozen",
    }
    layer = json.loads((results / "detection" / "best_layer.json").read_text())
    assert layer.keys() >= {"slice", "paper_index", "size", "chosen_on", "score"}
    best = json.loads((results / "saliency" / "best.json").read_text())
    assert best["network_passes"] <= best["network_passes_naive"]
    assert best["goodness"].keys() >= {"mu", "mu_as", "n", "phi", "fill"}
    summary = json.loads((results / "summary.json").read_text())
    assert summary.keys() >= {"experiment", "seed", "started", "wall_s", "recognizer", "attacks"}
    assert summary["attacks"]["glasses"].keys() >= {"n", "success", "still_correct"}
    assert summary["detection"].keys() >= {"slice", "variant", "pairs", "auc", "tpr_at_fpr"}
    assert summary["detection"]["tpr_at_fpr"].keys() == {"0.01", "0.05", "0.0991"}
    assert summary["detection"]["flag_rate"].keys() >= {
        "plain_frames",
        "random_frames",
        "failed_attacks",
    }
    assert summary["saliency"]["test"].keys() >= {"before", "after", "after_threshold_0.8"}
    assert summary["saliency"]["test"]["after"].keys() >= {"adversarial_success", "clean_accuracy"}


def test_a_second_run_does_nothing(finished: Checkout) -> None:
    assert finished.planned() == set()


def test_a_changed_grid_repeats_no_attack(finished: Checkout) -> None:
    planned = finished.planned("saliency.grid.n=[3]")
    assert {"mask_grid_shard", "mask_grid", "mask_evaluation", "report"} <= planned
    assert not planned & {"attack_shard", "attack", "responses", "shipped_backbone", "recognizer"}


def test_a_changed_step_repeats_no_training(finished: Checkout) -> None:
    planned = finished.planned("attacks.glasses.step=10")
    assert {"attack_shard", "attack", "detection", "mask_evaluation"} <= planned
    assert not planned & {"data", "shipped_backbone", "recognizer", "controls"}


def test_a_comment_in_the_configuration_repeats_nothing(edited: Checkout) -> None:
    for path in sorted((edited.folder / "conf").rglob("*.yaml")):
        append(path, "\n# A remark.\n")
    assert edited.planned() == set()


def test_replicates_and_variants_lie_side_by_side_and_repeat_nothing_of_the_study(
    finished: Checkout,
) -> None:
    several = ("replicates=[0,7]", "variants=[absolute_saliency]")
    planned = finished.plan("--config", *several)
    assert planned["recognizer"] == planned["report"] == 4
    assert planned["replicates"] == 1
    only_variants = finished.plan("--config", "variants=[absolute_saliency]")
    assert only_variants["recognizer"] == 1


def test_touched_sources_repeat_nothing(edited: Checkout) -> None:
    for path in (edited.folder / "src").rglob("*.py"):
        path.touch()
    assert edited.planned() == set()


def test_an_edited_stage_is_repeated(edited: Checkout) -> None:
    append(edited.folder / "src" / "glassguard" / "stages" / "detection.py", "\nEDITED = True\n")
    planned = edited.planned()
    assert {"detection", "report"} <= planned
    earlier = {"data", "shipped_backbone", "recognizer", "attack_shard", "responses", "mask_grid"}
    assert not planned & earlier
    assert "fit_detectors" not in planned


def test_an_edited_template_is_rendered_again(edited: Checkout) -> None:
    templates = edited.folder / "src" / "glassguard" / "report" / "templates"
    append(templates / "page.html.jinja", "{# A remark. #}\n")
    assert "report" in edited.planned()
    assert not edited.planned() & {"detection", "mask_evaluation", "attack_shard"}


@pytest.mark.parametrize(
    ("lost", "rule"),
    [
        ("detection/table1.csv", "detection"),
        ("saliency/grid.csv", "mask_grid"),
        ("attacks/glasses/examples.csv", "attack"),
        ("data/rejected.csv", "data"),
    ],
)
def test_a_lost_table_is_made_again(finished: Checkout, lost: str, rule: str) -> None:
    path = finished.results / lost
    kept = path.rename(path.with_suffix(".kept"))
    try:
        assert rule in finished.planned()
    finally:
        kept.rename(path)


def test_a_new_key_of_the_schema_repeats_nothing_by_itself(edited: Checkout) -> None:
    append(edited.folder / "src" / "glassguard" / "configuration" / "schema.py", "\nNEW = 1\n")
    assert edited.planned() == set()


@contextmanager
def local_server(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Address of a server of a folder's files, and what is asked of it."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

    handler = partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.fixture
def published(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Address of a weights file on a local server, and what was asked of that."""
    torch.manual_seed(0)
    tensors = nn.Sequential(convolutional_layers(1 / 16)).state_dict()
    torch.save(tensors, tmp_path / "vgg_face_dag.pth")
    with local_server(tmp_path) as (address, asked):
        yield f"{address}/vgg_face_dag.pth", asked


def test_published_weights_are_fetched_once_for_all_experiments(
    fresh: Checkout, published: tuple[str, list[str]]
) -> None:
    url, asked = published
    overrides = [
        "backbone=vggface",
        "backbone.weights=vgg_face_dag",
        f"downloads.files.vgg_face_dag.url={url}",
    ]
    options = ("--cores", "1", "--until", "import_backbone")
    done = fresh.snakemake(*options, overrides=overrides)
    assert done.returncode == 0, done.stderr
    assert asked == ["/vgg_face_dag.pth"]
    kept = sorted(path.name for path in (fresh.folder / "downloads").glob("[!.]*"))
    names = [f"vgg_face_dag.pth{suffix}" for suffix in ("", ".log", ".sha256", ".yaml")]
    assert kept == ["file_dates.json", *names]
    described = json.loads((fresh.results / "backbone" / "metrics.json").read_text())
    digest = (fresh.folder / "downloads" / names[2]).read_text().split()[0]
    assert described["sha256"] == digest
    backbone = read_backbone(fresh.results / "backbone" / "backbone.safetensors")
    assert backbone.mean == (129.1863, 104.7624, 93.594)
    again = fresh.snakemake(*options, experiment="embedded", overrides=overrides)
    assert again.returncode == 0, again.stderr
    assert len(asked) == 1


def test_a_download_that_fails_is_one_line_in_the_log(fresh: Checkout) -> None:
    overrides = ["backbone=vggface", "downloads.files.vgg_face.url=http://127.0.0.1:9/file.h5"]
    done = fresh.snakemake("--cores", "1", "--until", "fetch", overrides=overrides)
    assert done.returncode != 0
    log = fresh.folder / "downloads" / "rcmalli_vggface_tf_notop_vgg16.h5.log"
    line = log.read_text().splitlines()[-1]
    assert line.startswith("glassguard fetch: http://127.0.0.1:9/file.h5: no connection")
    assert "downloads/rcmalli_vggface_tf_notop_vgg16.h5" in line


def test_folds_of_a_published_collection_share_one_download(fresh: Checkout) -> None:
    options = ("--config", 'variants=["fold_1","fold_2"]')
    jobs = fresh.plan(*options, experiment="dong2019")
    assert (jobs["fetch_pictures"], jobs["data"]) == (1, 3)
    # VGG-Face and YuNet.
    assert jobs["fetch"] == 2
    pubfig = ["data=pubfig", "attacks.glasses.named_pairs=[]"]
    jobs = fresh.plan(*options, experiment="dong2019", overrides=pubfig)
    assert (jobs["fetch_pictures"], jobs["data"]) == (1, 3)


def test_a_copy_of_a_published_collection_is_not_downloaded(fresh: Checkout) -> None:
    (fresh.folder / "lfw.tgz").write_bytes(b"as far as a plan can tell")
    jobs = fresh.plan(experiment="lfw", overrides=["data.root=lfw.tgz", "data.detector=null"])
    assert jobs["data"] == 1
    assert not {"fetch", "fetch_pictures"} & set(jobs)


def test_photographs_of_pubfig_are_fetched_and_listed(
    photographs: Path, tmp_path: Path, fresh: Checkout
) -> None:
    (tmp_path / "site").mkdir()
    lines = ["# PubFig Dataset v1.2 - dev_urls.txt - made by a test"]
    lines.append("#\t" + "\t".join(["person", "imagenum", "url", "rect", "md5sum"]))
    with local_server(tmp_path / "site") as (address, asked):
        for number, picture in enumerate(sorted((photographs / "study").glob("*/*.jpg"))):
            content = picture.read_bytes()
            # Of everybody's first picture nothing is left.
            if picture.stem != "0":
                (tmp_path / "site" / f"{number}.jpg").write_bytes(content)
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            columns = [picture.parent.name, picture.stem, f"{address}/{number}.jpg"]
            lines.append("\t".join([*columns, "0,0,96,96", digest]))
        (tmp_path / "dev_urls.txt").write_text("\n".join(lines) + "\n")
        overrides = [
            "data=pubfig",
            f"data.fetch.list_file={tmp_path / 'dev_urls.txt'}",
            "data.fetch.list_sha256=null",
            "data.fetch.pause=0",
            "data.detector=null",
            "data.identities=null",
        ]
        options = ("--cores", "1", "--until", "data")
        done = fresh.snakemake(*options, experiment="lfw", overrides=overrides)
    assert done.returncode == 0, done.stderr
    results = fresh.folder / "results" / "lfw_pubfig"
    gone = pd.read_csv(results / "data" / "gone.csv")
    assert sorted(gone["source"]) == [f"person_{number}/0" for number in range(5)]
    assert len(pd.read_csv(results / "data" / "pubfig.csv")) == len(asked) - len(gone) == 55
    assert pd.read_csv(results / "data" / "manifest.csv")["identity"].nunique() == 5


@pytest.mark.parametrize(
    ("override", "gpus"),
    [
        ("backbone.pretraining.accelerator=cpu", "0"),
        ("backbone.pretraining.accelerator=auto", "1"),
        ("backbone.pretraining.accelerator=gpu", "1"),
    ],
)
def test_pretraining_asks_for_a_gpu_where_it_takes_one(
    override: str, gpus: str, fresh: Checkout
) -> None:
    chosen = ["backbone=pretrain", override]
    done = fresh.snakemake("--dry-run", "--cores", "2", overrides=chosen)
    assert _asked_for(done, "gpu") == gpus


@pytest.mark.parametrize(
    ("options", "gpus"),
    [
        # One in this machine, unless more are counted; on a cluster as many as the job wants.
        (["--cores", "8"], "1"),
        (["--cores", "8", "--resources", "gpu=4"], "2"),
        (["--cores", "8", "--jobs", "100"], "2"),
    ],
)
def test_the_gpus_of_this_machine_do_not_limit_a_cluster(
    options: list[str], gpus: str, fresh: Checkout
) -> None:
    several = ["accelerator=gpu", "devices=2", "strategy=ddp_spawn", "threads=8"]
    overrides = ["backbone=pretrain", *(f"backbone.pretraining.{one}" for one in several)]
    done = fresh.snakemake("--dry-run", *options, overrides=overrides)
    assert _asked_for(done, "gpu") == gpus
    assert "threads: 8" in done.stdout + done.stderr


def _asked_for(done: subprocess.CompletedProcess[str], resource: str) -> str:
    """How much of a resource a dry run says that pretraining asks for."""
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    resources = text.split("rule pretrain:")[1].split("resources:")[1].splitlines()[0]
    return re.search(rf"{resource}=(\d+)", resources).group(1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("experiment", "overrides", "said"),
    [
        ("smoke", ["saliency.grdi=1"], "did you mean grid?"),
        ("smok", [], "folder, lfw, smoke"),
        ("smoke", ["attacks.glasses.step=-1"], "greater than 0"),
        ("folder", ["data.root=nowhere"], "nowhere"),
        ("folder", ["data.root=empty"], "empty"),
    ],
)
def test_a_mistake_is_one_line_before_any_job(
    experiment: str, overrides: list[str], said: str, fresh: Checkout
) -> None:
    (fresh.folder / "empty").mkdir()
    done = fresh.snakemake("--cores", "1", experiment=experiment, overrides=overrides)
    assert done.returncode != 0
    # Snakemake itself says which profile it uses.
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Using workflow")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("glassguard: ")
    assert said in lines[0]
    assert done.stdout == ""
    assert not (fresh.folder / "results").exists()


def test_a_killed_run_on_one_core_ends_with_the_same_tables_as_one_on_two(
    finished: Checkout, twin: Checkout
) -> None:
    """The same seed, one core and two, interrupted or not."""
    running = twin.start("--cores", "1")
    reached = twin.results / "recognizer" / "metrics.json"
    while not reached.exists() and running.poll() is None:
        time.sleep(0.2)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert reached.exists()
    assert not (twin.results / "summary.json").exists()
    assert twin.snakemake("--unlock").returncode == 0
    twin.run(cores=1)
    first, second = tables(finished.results), tables(twin.results)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.parametrize("pool", [True, False], ids=["pool", "own pictures"])
def test_a_folder_of_photographs_trains_a_recognizer(
    photographs: Path, pool: bool, fresh: Checkout
) -> None:
    overrides = [
        f"data.root={photographs / 'study'}",
        "data.image_size=64",
        "backbone.width=0.0625",
        "backbone.pretraining.steps=[{image_size: 32, epochs: 1}]",
        "backbone.pretraining.threads=1",
        "recognizer.hidden=8",
        "recognizer.epochs=2",
        "recognizer.occluded_copies=0",
        "recognizer.threads=1",
        *([f"backbone.pool={photographs / 'others'}"] if pool else []),
    ]
    done = fresh.snakemake(
        "--cores", "1", "--until", "recognizer", experiment="folder", overrides=overrides
    )
    assert done.returncode == 0, done.stderr
    results = fresh.folder / "results" / "folder"
    manifest = pd.read_csv(results / "data" / "manifest.csv")
    assert manifest["identity"].nunique() == 5
    assert set(manifest["aligned_by"]) == {"crop"}
    described = json.loads((results / "backbone" / "metrics.json").read_text())
    assert described["pool_identities"] == (3 if pool else 5)
    assert (results / "recognizer" / "metrics.json").exists()


def test_a_pretraining_leaves_what_the_shipped_network_replaces(fresh: Checkout) -> None:
    done = fresh.snakemake(
        "--cores", "2", "--until", "recognizer", overrides=["backbone=tiny", "recognizer.epochs=2"]
    )
    assert done.returncode == 0, done.stderr
    backbone = fresh.results / "backbone"
    assert len(pd.read_csv(backbone / "pool_manifest.csv")) == 12 * 16
    described = json.loads((backbone / "metrics.json").read_text())
    assert described["backbone"] == "pretrained on other people"
    assert described["pool_identities"] == 12
    assert read_backbone(backbone / "backbone.safetensors").width == 0.125
    recognizer = json.loads((fresh.results / "recognizer" / "metrics.json").read_text())
    assert recognizer["backbone"] == described["backbone"]
    # From the shipped network on, everything is made again.
    planned = fresh.plan("--until", "recognizer")
    assert {"shipped_backbone", "recognizer"} <= planned.keys()
    assert not planned.keys() & {"data", "pool", "pretrain"}
