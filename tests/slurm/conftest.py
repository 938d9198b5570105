"""One cluster for all tests of this folder."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


def _module(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module
    specification.loader.exec_module(module)
    return module


slurm = _module(Path(__file__).with_name("cluster.py"))


@pytest.fixture(scope="session")
def cluster() -> Iterator:
    """A running SLURM cluster of two nodes; skipped where SLURM or its plugin is not installed."""
    missing = slurm.missing_programs()
    if missing:
        pytest.skip(f"SLURM is not installed: no {', '.join(missing)}")
    for plugin in ("slurm", "slurm_jobstep"):
        if importlib.util.find_spec(f"snakemake_executor_plugin_{plugin}") is None:
            pytest.skip(f"snakemake-executor-plugin-{plugin} is not installed: extra slurm")
    with slurm.running_cluster() as running:
        yield running
