"""Folders of people that tests make, and the stages ``data`` and ``pool`` on them."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from datasets.made_collections import run_data, scene
from shipped import section

from glassguard.configuration.sections import PoolSection
from glassguard.datasets import intake, reading
from glassguard.files.formats import read_images, read_manifest
from glassguard.stages import pool

NAMES = ("anna", "Bo_Ek", "cid", "dora")


def small_scene(*seed: int) -> np.ndarray:
    return scene(*seed, width=100, height=120, cells=(10, 12))


def save(path: Path, picture: np.ndarray, quality: int = 95) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])


def run_folder(root: Path, out: Path, **keys) -> tuple[dict, np.ndarray, pd.DataFrame, pd.Series]:
    metrics, manifest, reasons = run_data("folder", root, out, **keys)
    return metrics, read_images(out / "images.npy"), manifest, reasons


def run_pool(root: Path | None, out: Path, study: Path, **keys):
    out.mkdir(exist_ok=True)
    pretraining = {"identities": None, "images_per_identity": None, "minimum_images": 4} | keys
    config = PoolSection.model_validate(
        {
            "seed": 1,
            "data": section("data/folder", root=study, image_size=64),
            "backbone": {"pool": root, "pretraining": pretraining},
        }
    )
    metrics = pool.run(
        config,
        images=out / "images.npy",
        manifest=out / "manifest.csv",
        rejected=out / "rejected.csv",
        study_manifest=study / "manifest.csv",
        study_images=study / "images.npy",
    )
    reasons = pd.read_csv(out / "rejected.csv", keep_default_na=False).set_index("source").reason
    return metrics, read_images(out / "images.npy"), read_manifest(out / "manifest.csv"), reasons


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stop_after(count: int, monkeypatch) -> list[str]:
    """Make the ``count``-th alignment fail like a kill; returns the list of alignments so far."""
    done: list[str] = []
    align = reading.align

    def aligned(*arguments, **keywords):
        if len(done) == count:
            raise KeyboardInterrupt
        done.append("one")
        return align(*arguments, **keywords)

    monkeypatch.setattr(reading, "align", aligned)
    monkeypatch.setattr(intake, "WORKERS", 1)
    return done


def interrupted(people: Path, out: Path, count: int, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(count, patch)
        with pytest.raises(KeyboardInterrupt):
            run_folder(people, out)
