"""What a race over the masks saves against the whole grid, and whether its winners are the same.

    python benchmarks/race.py results/embedded [--table docs/tables/cost-race.csv]

Both searches run on the validation pictures of a finished study, one after the other, as one
process each, with ``mask_grid`` behind them: the files of the study are read and not changed.
Printed are the passes and the processor seconds of both, their ratios, how many combinations the
race dropped, and whether ``best.json`` names the same masks with the same measures.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from bounds import Figure, reported

from glassguard.configuration.compose import compose_study
from glassguard.configuration.sections import sections
from glassguard.files.formats import read_json

ROOT = Path(__file__).resolve().parents[1]
OF_THE_SEARCH = ("network_passes", "network_passes_naive", "dropped")


def processor_seconds(stage: str, options: dict[str, Any]) -> float:
    """Run a stage to its end; user and system time that it took."""
    command = [sys.executable, "-m", "glassguard.cli", stage]
    for option, value in options.items():
        command += [f"--{option}", str(value)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def searched(results: Path, folder: Path, method: str) -> tuple[float, dict[str, Any]]:
    """Processor seconds of a search, and its ``best.json``."""
    overrides = [f"saliency.search.method={method}", "saliency.grid.shards=1"]
    study = compose_study(ROOT / "conf", results.name, overrides)
    attack = next(iter(study.attacks))
    folder.mkdir()
    config, examples = folder / "config.yaml", results / f"attacks/{attack}/examples.csv"
    config.write_text(yaml.safe_dump(sections(study)["mask_grid"]))
    seconds = processor_seconds(
        "mask_grid_shard",
        {
            "config": config,
            "manifest": results / "data/manifest.csv",
            "images": results / "data/images.npy",
            "maps": results / "saliency/maps/benign.npz",
            "examples": examples,
            "adversarial-images": results / f"attacks/{attack}/images.npy",
            "adversarial-maps": results / f"saliency/maps/{attack}.npz",
            "recognizer": results / "recognizer/recognizer.safetensors",
            "shard": 0,
            "shards": 1,
            "results": folder / "0.npz",
        },
    )
    files = {"grid": folder / "grid.csv", "best": folder / "best.json"}
    processor_seconds(
        "mask_grid", {"config": config, "shards": folder / "0.npz", "examples": examples, **files}
    )
    return seconds, read_json(files["best"])


def main() -> int:
    """Print the ratios; returns 1 when a bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a finished study")
    parser.add_argument("--table", type=Path, help="CSV file to write as well")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, grid = searched(chosen.results, Path(folder) / "grid", "grid")
        part, race = searched(chosen.results, Path(folder) / "race", "racing")
    passes, raced = grid["network_passes"], race["network_passes"]
    dropped = race["dropped"]
    for best in (grid, race):
        for name in OF_THE_SEARCH:
            best.pop(name, None)
    print(f"passes of the grid and of the race: {passes:,}, {raced:,}")
    print(f"processor seconds: {whole:.1f}, {part:.1f}; combinations dropped: {dropped}")
    figures = [
        Figure("passes of the race over those of the grid", raced / passes, 3, "<=", 1),
        Figure("processor time of the race over that of the grid", part / whole, 3, "<=", 1),
        Figure("best masks and their measures equal (1: all)", float(grid == race), 0, ">=", 1),
    ]
    return reported(figures, chosen.table)


if __name__ == "__main__":
    sys.exit(main())
