"""Copies of the checkout that tests edit and run, and what a run left in them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = Path(sys.executable).parent / "snakemake"
PARTS = ("Snakefile", "conf", "environment.yml", "profiles", "src", "workflow")
# What tells when and how long, and so differs between two runs.
NOT_MEASURED = ("timings.csv", "file_dates.json", "machine.json")
CLOCK_KEYS = ("started", "wall_s")


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository that a test may edit and run."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results" / "smoke"

    def snakemake(
        self, *options: str, experiment: str = "smoke", overrides: list[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        config = [f"experiment={experiment}", f"overrides={json.dumps(overrides or [])}"]
        options, added = _split(options, "--config")
        return subprocess.run(
            [SNAKEMAKE, *options, "--config", *config, *added],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *options: str, experiment: str = "smoke") -> subprocess.Popen[bytes]:
        """A run in the background, the leader of a process group of its own."""
        return subprocess.Popen(
            [SNAKEMAKE, *options, "--config", f"experiment={experiment}"],
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(self.folder / "src"),
            # Not activated: the jobs have to find the command line by themselves.
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            **self.environment,
        }

    def run(self, cores: int) -> None:
        done = self.snakemake("--cores", str(cores))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]

    def planned(self, *overrides: str) -> set[str]:
        """Rules that a run would execute."""
        return set(self.plan(overrides=overrides))

    def plan(
        self, *options: str, experiment: str = "smoke", overrides: Sequence[str] = ()
    ) -> dict[str, int]:
        """Jobs that a run would execute, by rule."""
        done = self.snakemake(
            "--dry-run",
            "--cores",
            "2",
            *options,
            experiment=experiment,
            overrides=list(overrides),
        )
        assert done.returncode == 0, done.stderr
        text = done.stdout + done.stderr
        if "Nothing to be done" in text:
            return {}
        table = text.split("Job stats:")[1]
        counts = re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)
        return {rule: int(count) for rule, count in counts if rule not in ("total", "all")}


def _split(options: tuple[str, ...], at: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    where = options.index(at) if at in options else len(options)
    return options[:where], options[where + 1 :]


def checkout(
    folder: Path, original: Path = ROOT, environment: Mapping[str, str] | None = None
) -> Checkout:
    folder.mkdir(parents=True)
    for part in PARTS:
        source = original / part
        if source.is_dir():
            shutil.copytree(
                source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(source, folder / part)
    return Checkout(folder, environment or {})


def tables(results: Path) -> dict[str, object]:
    """Every table, picture and network of a run, without what tells the time.

    The outbox repeats numbers of the tables beside times.
    """
    found: dict[str, object] = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        if name in NOT_MEASURED or "outbox" in path.parts:
            continue
        if path.suffix in (".csv", ".npy", ".npz", ".safetensors"):
            found[name] = path.read_bytes()
        elif name == "summary.json":
            values = json.loads(path.read_text())
            found[name] = {key: value for key, value in values.items() if key not in CLOCK_KEYS}
        elif path.suffix == ".json" and path.parent.name != "tracking":
            found[name] = path.read_bytes()
    return found
