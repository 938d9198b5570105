"""What the start of each stage costs: processor seconds of its imports, and the large libraries.

python benchmarks/imports.py [--table docs/tables/cost-imports.csv] [STAGE ...]
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

from glassguard.cli import STAGES

LIBRARIES = (
    "cv2",
    "matplotlib",
    "mlflow",
    "optuna",
    "pandas",
    "pytorch_lightning",
    "requests",
    "scipy",
    "sklearn",
    "torch",
)
PROGRAM = """
import importlib, resource, sys
from glassguard import kernels
kernels.choose("pinned")
importlib.import_module("glassguard.stages." + sys.argv[1])
import glassguard.cli
import glassguard.configuration.sections
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, *(one for one in sys.argv[2:] if one in sys.modules))
"""


def measured(stage: str) -> tuple[float, list[str]]:
    """Processor seconds of a fresh process that imports a stage, and the libraries that it has."""
    command = [sys.executable, "-c", PROGRAM, stage, *LIBRARIES]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds, *libraries = output.split()
    return float(seconds), libraries


def main() -> None:
    """Print a line for each stage."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="all by default")
    parser.add_argument("--table", type=Path, help="CSV to write")
    chosen = parser.parse_args()
    rows = []
    for stage in chosen.stages or STAGES:
        seconds, libraries = measured(stage)
        rows.append([stage, f"{seconds:.2f}", " ".join(libraries)])
        print(f"{stage:20}{seconds:6.2f} s  {' '.join(libraries)}", flush=True)
    if chosen.table:
        with chosen.table.open("w", newline="") as file:
            csv.writer(file).writerows([["stage", "processor_s", "libraries"], *rows])


if __name__ == "__main__":
    main()
