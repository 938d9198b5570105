"""Made-up files of a small study, as the stages of detection read them."""

from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.detection.settings import PIXEL_DETECTORS

PEOPLE = [f"person_{k}" for k in range(5)]
PAIRS = [(0, 1), (0, 2), (3, 4)]
EYES = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y")


def write_manifest(path: Path, identity: np.ndarray, split: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k:04d}" for k in range(len(identity))],
            "identity": np.array(PEOPLE)[identity],
            "split": split,
            "source": "made up",
            "sha256": "0",
            "width": 32,
            "height": 32,
            **dict.fromkeys(EYES, 10.0),
            "aligned_by": "test",
        }
    )
    frame.to_csv(path, index=False)
    return frame


def write_profiles(path: Path, ids: list[str], centre: np.ndarray, prediction: np.ndarray) -> None:
    generator = np.random.default_rng(len(ids))
    centres = np.random.default_rng(5).normal(0, 3, (len(PEOPLE), 8))
    profiles = {
        name: (
            generator.normal(size=(len(ids), 8))
            + (centres[centre] if name == "conv4_2" else centres[prediction])
        ).astype(np.float32)
        for name in ("conv3_2", "conv4_2", "fc7")
    }
    np.savez(
        path,
        allow_pickle=False,
        **profiles,
        ids=np.array(ids),
        prediction=prediction.astype(np.int64),
        confidence=np.full(len(ids), 0.9, dtype=np.float32),
        identities=np.array(PEOPLE),
        quantity=np.array("logit"),
    )


def write_decisions(path: Path, ids: list[str], decision: np.ndarray, agreement: float) -> None:
    noise = np.random.default_rng(len(ids)).uniform(-0.2, 0, (len(ids), 2))
    np.savez(
        path,
        ids=np.array(ids),
        decision=decision.astype(np.int64),
        log_confidence=(agreement + noise).astype(np.float32),
    )


def write_baselines(path: Path, ids: list[str], centre: np.ndarray, decision: np.ndarray) -> None:
    generator = np.random.default_rng(len(ids))
    centres = np.random.default_rng(6).normal(0, 3, (len(PEOPLE), 8))
    activations = {
        f"{kind}_{name}": (centres[centre] + generator.normal(size=(len(ids), 8))).astype(
            np.float32
        )
        for kind in ("largest", "mean")
        for name in ("conv3_2", "fc7")
    }
    np.savez(
        path,
        **activations,
        ids=np.array(ids),
        prediction=decision.astype(np.int64),
        **{
            one.array: generator.uniform(0, 2, len(ids)).astype(np.float32)
            for one in PIXEL_DETECTORS
        },
    )
