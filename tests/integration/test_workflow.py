"""The whole DAG, driven through Snakemake in copies of the checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "conf", "environment.yml", "profiles", "src", "workflow")
# What tells when and how long, and so differs between two runs.
CLOCK_KEYS = ("started", "wall_s")


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository that a test may edit and run."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results" / "smoke"

    def snakemake(
        self, *options: str, experiment: str = "smoke", overrides: list[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        config = [f"experiment={experiment}", f"overrides={json.dumps(overrides or [])}"]
        environment = {**os.environ, "PYTHONPATH": str(self.folder / "src")}
        # Not activated: the jobs have to find the command line by themselves.
        environment["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        return subprocess.run(
            [Path(sys.executable).parent / "snakemake", *options, "--config", *config],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, cores: int) -> None:
        done = self.snakemake("--cores", str(cores))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]

    def planned(self, *overrides: str) -> set[str]:
        """Rules that a run would execute."""
        plan = self.snakemake("--dry-run", "--cores", "2", overrides=list(overrides))
        assert plan.returncode == 0, plan.stderr
        text = plan.stdout + plan.stderr
        if "Nothing to be done" in text:
            return set()
        table = text.split("Job stats:")[1]
        return set(re.findall(r"^(\w+) +\d+$", table, flags=re.MULTILINE)) - {"total", "all"}


def checkout(folder: Path, original: Path = ROOT) -> Checkout:
    folder.mkdir(parents=True)
    for part in PARTS:
        source = original / part
        if source.is_dir():
            shutil.copytree(
                source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(source, folder / part)
    return Checkout(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy in which ``smoke`` has run on two cores."""
    copy = checkout(tmp_path_factory.mktemp("workflow") / "two_cores")
    copy.run(cores=2)
    return copy


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    """A copy in which nothing has run."""
    return checkout(tmp_path / "checkout")


@pytest.fixture
def twin(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished copy's sources in which nothing has run."""
    return checkout(tmp_path / "one_core", finished.folder)


@pytest.fixture
def edited(finished: Checkout) -> Iterator[Checkout]:
    """The finished copy, whose edited files are put back afterwards."""
    kept = {
        path: path.read_bytes()
        for part in ("conf", "src")
        for path in sorted((finished.folder / part).rglob("*"))
        if path.suffix in (".yaml", ".py")
    }
    yield finished
    for path, content in kept.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_smoke_leaves_what_is_promised(finished: Checkout) -> None:
    summary = json.loads((finished.results / "summary.json").read_text())
    assert summary["experiment"] == "smoke"
    assert summary["attacks"]["glasses"]["n"] > 0
    assert (finished.results / "report.html").stat().st_size > 1000
    records = {path.stem for path in (finished.results / "tracking" / "outbox").glob("*.json")}
    assert {"data", "attack_glasses_1-of-2", "grid_2-of-2", "report"} <= records


def test_a_second_run_does_nothing(finished: Checkout) -> None:
    assert finished.planned() == set()


def test_a_changed_grid_repeats_no_attack(finished: Checkout) -> None:
    planned = finished.planned("saliency.grid.n=[3]")
    assert {"grid_shard", "grid", "evaluation", "report"} <= planned
    assert not planned & {"attack_shard", "attack", "saliency_maps", "pretrain", "recognizer"}


def test_a_changed_step_repeats_no_training(finished: Checkout) -> None:
    planned = finished.planned("attacks.glasses.step=10")
    assert {"attack_shard", "attack", "detection", "evaluation"} <= planned
    assert not planned & {"data", "pool", "pretrain", "recognizer", "controls"}


def test_a_comment_in_the_configuration_repeats_nothing(edited: Checkout) -> None:
    for path in sorted((edited.folder / "conf").rglob("*.yaml")):
        append(path, "\n# A remark.\n")
    assert edited.planned() == set()


def test_touched_sources_repeat_nothing(edited: Checkout) -> None:
    for path in (edited.folder / "src").rglob("*.py"):
        path.touch()
    assert edited.planned() == set()


def test_an_edited_stage_is_repeated(edited: Checkout) -> None:
    append(edited.folder / "src" / "glassguard" / "stages" / "detection.py", "\nEDITED = True\n")
    planned = edited.planned()
    assert {"detection", "report"} <= planned
    assert not planned & {"data", "pretrain", "recognizer", "attack_shard", "influence", "grid"}


def test_a_new_key_of_the_schema_repeats_nothing_by_itself(edited: Checkout) -> None:
    append(edited.folder / "src" / "glassguard" / "configuration" / "schema.py", "\nNEW = 1\n")
    assert edited.planned() == set()


@pytest.mark.parametrize(
    ("experiment", "overrides", "said"),
    [
        ("smoke", ["saliency.grdi=1"], "did you mean grid?"),
        ("smok", [], "embedded, folder, smoke"),
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


def tables(results: Path) -> dict[str, object]:
    """Every table, picture and network of a run, without what tells the time.

    The outbox repeats numbers of the tables beside times.
    """
    found: dict[str, object] = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        if name == "timings.csv" or "outbox" in path.parts:
            continue
        if path.suffix in (".csv", ".npy", ".npz", ".safetensors"):
            found[name] = path.read_bytes()
        elif name == "summary.json":
            values = json.loads(path.read_text())
            found[name] = {key: value for key, value in values.items() if key not in CLOCK_KEYS}
        elif path.suffix == ".json" and path.parent.name != "tracking":
            found[name] = path.read_bytes()
    return found


def test_the_same_seed_gives_the_same_tables_on_one_core_and_on_two(
    finished: Checkout, twin: Checkout
) -> None:
    twin.run(cores=1)
    first, second = tables(finished.results), tables(twin.results)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
