"""What all tests share: one thread for numerics, and the real faces where they exist."""

import os
from pathlib import Path

# Before torch and OpenCV are imported, here and in the processes that tests start.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Undo what a stage that ran inside an earlier test may have set."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder beside the checkout with real faces and weights; the test is skipped without it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist: no real faces and weights here")
    return folder
