"""What all tests share: one thread and pinned kernels for numerics."""

import os

# Before torch and OpenCV are imported, here and in the processes that tests start.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MPLBACKEND", "agg")
# `make test VENV=there` hands its settings down, and a `make clean` among the tests would remove
# the environment that they run in.
_OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
for _variable in (*_OF_MAKE, "CORES", "EXPERIMENT", "PORT", "PYTHON", "TORCH", "VENV"):
    os.environ.pop(_variable, None)

from glassguard import kernels

kernels.choose("pinned")

import pytest
import torch
from hypothesis import settings

# No test may depend on how busy the machine is, or fail on some days only.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Undo what a stage that ran inside an earlier test may have set."""
    torch.set_num_threads(1)
