"""Jobs that a cluster kills, and submitters that are killed, under the project's own profile."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120
# Of a test cluster, where everything is near and short.
QUICK = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")


class Folder:
    """A folder with the profile and a workflow of jobs that get killed."""

    def __init__(self, folder: Path, cluster) -> None:
        self.folder = folder
        self.cluster = cluster
        shutil.copytree(ROOT / "profiles", folder / "profiles")
        shutil.copy(Path(__file__).with_name("kills.smk"), folder / "Snakefile")

    def start(self, *options: str) -> subprocess.Popen[str]:
        environment = {**os.environ, **self.cluster.environment}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        with (self.folder / "submitter.log").open("a") as log:
            return subprocess.Popen(
                [self.folder / "profiles" / "slurm" / "run", *QUICK, *options],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )

    @property
    def log(self) -> str:
        return (self.folder / "submitter.log").read_text()

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def wait(self, ready: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not ready():
            assert time.monotonic() < end, self.log
            time.sleep(0.2)


@pytest.fixture
def folder(tmp_path: Path, cluster) -> Folder:
    return Folder(tmp_path, cluster)


def test_killed_jobs_are_tried_again_or_reported(folder: Folder) -> None:
    run = folder.start()
    folder.wait(lambda: folder.lines("cancelled.attempts"))
    folder.cluster.command("scancel", folder.lines("cancelled.attempts")[0])
    assert run.wait(timeout=600) == 1, folder.log

    for name in ("time", "memory", "cancelled", "once"):
        assert folder.lines(f"out/{name}.txt") == ["done"], folder.log
        assert len(folder.lines(f"{name}.attempts")) == 2, folder.log
    # Three shards, one array.
    shards = [folder.lines(f"out/shard_{number}.txt") for number in range(3)]
    assert [shard[0] for shard in shards] == ["0", "1", "2"]
    assert len({shard[1] for shard in shards}) == 1

    assert not (folder.folder / "out" / "always.txt").exists()
    assert len(folder.lines("always.attempts")) == 3
    assert "Error in rule fails_always" in folder.log
    assert "the reason why" in folder.log


def test_a_killed_submitter_is_resumed_with_one_writer(folder: Folder) -> None:
    first = folder.start("out/slow.txt")
    folder.wait(lambda: folder.lines("ticks"))
    (job,) = set(folder.lines("ticks"))

    rival = folder.start("out/slow.txt")
    assert rival.wait(timeout=60) == 2
    assert "another run" in folder.log

    first.send_signal(signal.SIGKILL)
    first.wait()
    ticks = len(folder.lines("ticks"))
    folder.wait(lambda: len(folder.lines("ticks")) > ticks)  # its job goes on

    assert folder.start("out/slow.txt").wait(timeout=300) == 0, folder.log
    ticks = folder.lines("ticks")
    (successor,) = set(ticks) - {job}
    # Two writers would alternate.
    assert ticks == sorted(ticks, key=[job, successor].index)
    assert ticks.count(successor) == 20
    assert ticks.count(job) < 20
    assert folder.lines("out/slow.txt") == ["done"]


def test_only_the_jobs_of_this_folder_are_cancelled(folder: Folder, tmp_path_factory) -> None:
    def submitted(name: str, where: Path) -> str:
        options = ("--parsable", "--job-name", name, "--chdir", str(where), "--output", "/dev/null")
        return folder.cluster.command("sbatch", *options, "--wrap", "sleep 600").strip()

    elsewhere = tmp_path_factory.mktemp("elsewhere")
    left = submitted("glassguard_1234", folder.folder)
    others = {submitted("mine", folder.folder), submitted("glassguard_1234", elsewhere)}
    subprocess.run(
        [folder.folder / "profiles" / "slurm" / "cancel"],
        cwd=folder.folder,
        env={**os.environ, **folder.cluster.environment},
        check=True,
    )
    queue = set(folder.cluster.command("squeue", "--noheader", "--format", "%A").split())
    assert left not in queue
    assert others <= queue
    folder.cluster.command("scancel", *others)
