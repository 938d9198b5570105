"""What it costs to sweep a large grid of masks as shards in place of one process.

    snakemake --cores 2 --config experiment=smoke
    python benchmarks/grid_shards.py results/smoke
    python benchmarks/grid_shards.py results/embedded --images 4 --table FILE.csv

Ten values each of μ, n and φ with three fills, on the attacked validation pictures of a finished
study: the stage ``mask_grid_shard`` once over everything and then in shards, each a process of its
own as Snakemake starts them, and what Snakemake takes to plan the sharded sweep. It prints
processor seconds, which other work disturbs less than the wall clock, and their ratio. Every
shard starts Python, loads packages and opens the study once more, three to seven seconds, so a
shard should be a minute's work. Without ``--shards`` there are as many as the sweep has minutes,
and two at the least; planned is the sweep over all pictures of the study, with the shards that
follow from measured costs.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from bounds import Figure, reported

from glassguard.configuration.compose import compose_study
from glassguard.configuration.sections import sections
from glassguard.files import layout
from glassguard.saliency.search import planned_points

ROOT = Path(__file__).resolve().parents[1]
GRID = (
    "saliency.search.method=grid",
    "saliency.grid.map=[guided]",
    "saliency.grid.mu=[0.80,0.82,0.84,0.86,0.88,0.90,0.92,0.94,0.96,0.98]",
    "saliency.grid.n=[0,1,2,3,4,5,6,7,8,9]",
    "saliency.grid.phi=[4,8,12,16,20,24,28,32,36,40]",
    "saliency.grid.fill=[zero,mean,telea]",
)


def processor_seconds(command: list[str]) -> float:
    """Run a program to its end; user and system time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print the costs; returns 1 when a bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a finished study")
    parser.add_argument("--shards", type=int, help="how many; one for each minute by default")
    parser.add_argument("--images", type=int, help="attacked pictures; the study's by default")
    parser.add_argument("--table", type=Path, help="CSV file to write as well")
    chosen = parser.parse_args()
    results, experiment = chosen.results, chosen.results.name
    grid = list(GRID)
    if chosen.images is not None:
        grid.append(f"saliency.grid.images={chosen.images}")
    study = compose_study(ROOT / "conf", experiment, grid)
    # Study S's own setting is always among them.
    points = planned_points(study.saliency, seed=study.seed)
    attack = next(iter(study.attacks))
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "saliency.yaml"
        config.write_text(yaml.safe_dump(sections(study)["mask_grid"]))

        def of_set(name: str) -> list[Path]:
            files = layout.files_of_set(name, "maps")
            return [results / file.removeprefix(layout.result("")) for file in files]

        def sweep(shards: int) -> float:
            command = [sys.executable, "-m", "glassguard.cli", "mask_grid_shard"]
            for option, files in {
                "config": [config],
                "benign": of_set("benign"),
                "attack": of_set(attack),
                "recognizer": [results / "recognizer/recognizer.safetensors"],
            }.items():
                command += [f"--{option}", *map(str, files)]
            command += ["--shards", str(shards)]
            return sum(
                processor_seconds(
                    [*command, "--shard", str(one), "--results", str(Path(folder) / f"{one}.npz")]
                )
                for one in range(shards)
            )

        whole = sweep(1)
        shards = chosen.shards or max(2, round(whole / 60))
        parts = sweep(shards)
    print(f"{len(points or ()):,} points; processor seconds at once: {whole:.1f}")
    print(f"in {shards} shards: {parts:.1f}")
    overrides = ",".join(f'"{item}"' for item in GRID)
    planning = ["snakemake", "-n", "--quiet", "--config", f"experiment={experiment}"]
    started = time.perf_counter()
    processor_seconds([*planning, f"overrides=[{overrides}]"])
    figures = [
        Figure(f"time in {shards} shards over one process", parts / whole, 2, "<=", 1.3),
        Figure("seconds to plan the sweep", time.perf_counter() - started, 1, "<=", 5),
    ]
    return reported(figures, chosen.table)


if __name__ == "__main__":
    sys.exit(main())
