"""The smoke study on a cluster, beside the same study on two cores."""

import sys
from pathlib import Path

import pytest
from checkouts import Checkout, checkout, tables

pytestmark = [pytest.mark.slurm, pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="session")
def on_two_cores(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    copy = checkout(tmp_path_factory.mktemp("local") / "checkout")
    copy.run(cores=2)
    return copy


def test_the_cluster_gives_the_same_tables(cluster, on_two_cores: Checkout, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{cluster.environment['PATH']}"
    copy = checkout(tmp_path / "checkout", environment={**cluster.environment, "PATH": path})
    done = copy.snakemake(
        *("--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2"),
        *("--latency-wait", "5"),
    )
    log = done.stdout + done.stderr
    assert done.returncode == 0, log[-6000:]
    assert "Submitted array job" in log
    assert "group job" in log.lower()

    here, there = tables(on_two_cores.results), tables(copy.results)
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []
