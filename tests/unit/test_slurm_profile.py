"""What profiles/slurm/run does before it hands over to Snakemake."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from shipped import ROOT

RUN = ROOT / "profiles" / "slurm" / "run"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/cwd").exists() or shutil.which("flock") is None,
    reason="needs /proc and flock",
)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with a Snakemake that prints its options, or sleeps where it is told to."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "snakemake"
    program.write_text('#!/usr/bin/env bash\n[[ "$1" == --sleep ]] && read -r _\necho "ran $*"\n')
    program.chmod(0o755)
    return folder


def run(programs: Path, where: Path, *options: str) -> subprocess.CompletedProcess[str]:
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [RUN, *options],
        cwd=where,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_snakemake_started_by_hand_is_left_alone(programs: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    command = [programs / "snakemake", "--sleep"]
    with subprocess.Popen(command, cwd=here, stdin=subprocess.PIPE) as alive:
        refused = run(programs, here, "--config", "experiment=smoke")
        # A dry run submits nothing, so it may be asked for beside.
        dry = run(programs, here, "-n")
        alive.communicate(b"\n")
    assert refused.returncode == 2
    assert f"Snakemake runs in {here} already (process {alive.pid})" in refused.stderr
    assert "ran" not in refused.stdout
    assert dry.stdout == f"ran --profile {RUN.parent} -n\n"


def test_a_dry_run_cancels_and_unlocks_nothing(programs: Path, tmp_path: Path) -> None:
    for option in (
        "-n",
        "--dry-run",
        "--help",
        "-np",
        "-nq",
        "--summary",
        "--lint",
        "--list-rules",
    ):
        assert run(programs, tmp_path, option).stdout == f"ran --profile {RUN.parent} {option}\n"
    assert not (tmp_path / ".snakemake").exists()
