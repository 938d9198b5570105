"""What a study costs beside the bare network passes that it needs.

    python benchmarks/study.py
    python benchmarks/study.py --experiment smoke --cores 1
    python benchmarks/study.py --results results/embedded [--table docs/tables/cost-study.csv]

Runs the study in a folder that is removed afterwards, or takes a finished one of this machine, and
counts from its files how many forward passes and how many forward and backward passes each group of
stages cannot do without: every picture, copy, attacked iterate and mask once. The same passes are
then timed bare, with the study's own recognizer in batches of 64 on one thread, right after the
run. Printed are the wall clock (of a run that it made itself), and for each group and for the whole
the processor seconds of the stages, those of the bare passes, and their ratio.

Stages whose work is no pass - detectors, figures, the report, drawing faces, starting Python and
PyTorch - count in full on the side of the study. Passes of pretraining are those of its pictures
and epochs with gradients of the weights; dense layers are trained on stored features, and their
passes are left out as too small.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from bounds import Figure, reported

from glassguard.configuration.compose import compose_study
from glassguard.configuration.schema import Study
from glassguard.configuration.sections import sections
from glassguard.files import layout
from glassguard.files.formats import read_images, read_json, read_table
from glassguard.recognizer.network import Recognizer, pixels_for
from glassguard.recognizer.weights import read_recognizer

ROOT = Path(__file__).resolve().parents[1]
BATCH = 64
SECONDS = 8.0
"""How long each kind of pass is timed."""

GROUPS = {
    "pretraining": ("pool", "pretrain", "teacher", "import_backbone"),
    "recognizer": ("recognizer",),
    "attacks": ("attack_", "controls_"),
    "responses": ("responses_",),
    "mask search": ("mask_grid",),
    "other stages": ("",),
}
"""Groups of stages by the beginnings of their names; a stage belongs to the first that fits."""


@dataclass
class Passes:
    """Pictures that pass the network: forwards, also back to the pixels, also to the weights."""

    forward: float = 0
    gradient: float = 0
    training: float = 0

    def seconds(self, cost: Mapping[str, float]) -> float:
        """Processor seconds, from those of one picture by kind."""
        return sum(getattr(self, kind) * cost[kind] for kind in cost)


def needed(results: Path, study: Study) -> dict[str, Passes]:
    """The passes of every group, from the files of a finished study."""
    split = read_table(results / "data/manifest.csv")["split"].value_counts()
    tables = {
        name: read_table(results / layout.table_of_set(name))
        for name in layout.sets(list(study.attacks))
    }
    held_out = sum(int(table["split"].isin(("val", "test")).sum()) for table in tables.values())
    pictures = sum(map(len, tables.values()))
    asked = sections(study)["responses"]["saliency"]
    layers = study.recognizer
    copies = 1 + layers.flipped_copies + layers.occluded_copies + layers.masked_copies
    searched = [results / folder / "best.json" for folder in layout.searched(list(study.attacks))]
    evaluated = read_table(results / "saliency/evaluation.csv")
    judged = tables[next(iter(study.attacks))]["split"].value_counts()["test"] + split["test"]
    return {
        "pretraining": Passes(training=_pretraining(results, study)),
        "recognizer": Passes(
            forward=split["train"] * copies + split["val"] + split["test"],
            gradient=split["train"] * layers.masked_copies,
        ),
        "attacks": Passes(
            gradient=sum(float(tables[attack]["gradients"].sum()) for attack in study.attacks)
        ),
        # Feature squeezing asks about two copies of a picture.
        "responses": Passes(
            forward=held_out * (2 + len(asked["masking"]["mu"])),
            gradient=pictures + held_out * len(asked["maps"]),
        ),
        "mask search": Passes(forward=sum(read_json(path)["network_passes"] for path in searched)),
        "other stages": Passes(
            forward=float(judged * len(evaluated[["defence", "fill"]].drop_duplicates()))
        ),
    }


def _pretraining(results: Path, study: Study) -> float:
    """Pictures of pretraining in all epochs, in units of the study's size of picture."""
    manifest = results / "backbone/pool_manifest.csv"
    if study.backbone.weights is not None or not manifest.exists():
        return 0
    trained = int((read_table(manifest)["split"] == "train").sum())
    size = study.data.image_size
    steps = study.backbone.pretraining.steps
    return sum(trained * step.epochs * (step.image_size / size) ** 2 for step in steps)


def cost_of_passes(network: Recognizer, images: np.ndarray) -> dict[str, float]:
    """Processor seconds of a picture in a bare pass of every kind."""
    pixels = pixels_for(network, images)

    def forward() -> None:
        with torch.inference_mode():
            network(pixels)

    def gradient() -> None:
        leaf = pixels.detach().clone().requires_grad_(True)
        torch.autograd.grad(network(leaf).amax(dim=1).sum(), leaf)

    def training() -> None:
        weights = list(network.features.parameters())
        for one in weights:
            one.requires_grad_(True)
        torch.autograd.grad(network.features(network.normalisation(pixels)).sum(), weights)
        for one in weights:
            one.requires_grad_(False)

    return {one.__name__: timed(one) / len(images) for one in (forward, gradient, training)}


def timed(run: Callable[[], None]) -> float:
    """Mean processor seconds of a call, the first one aside."""
    run()
    started, calls = time.process_time(), 0
    while time.process_time() - started < SECONDS:
        run()
        calls += 1
    return (time.process_time() - started) / calls


def group_of(stage: str) -> str:
    """The group that a row of ``timings.csv`` belongs to."""
    return next(
        name for name, starts in GROUPS.items() if any(stage.startswith(one) for one in starts)
    )


def measured(results: Path, experiment: str, wall: float | None) -> list[Figure]:
    """Costs and ratios of a finished study."""
    study = compose_study(ROOT / "conf", experiment)
    network, _ = read_recognizer(results / "recognizer/recognizer.safetensors")
    torch.set_num_threads(1)
    cost = cost_of_passes(network, np.array(read_images(results / "data/images.npy")[:BATCH]))
    bare = {name: one.seconds(cost) for name, one in needed(results, study).items()}
    timings = read_table(results / "timings.csv")
    spent: pd.Series = timings.groupby(timings["stage"].map(group_of))["cpu_s"].sum()
    for kind, seconds in cost.items():
        print(f"milliseconds of a {kind} pass: {1000 * seconds:.2f}")
    figures = []
    for name, seconds in bare.items():
        stages = float(spent.get(name, 0.0))
        figures.append(Figure(f"{name}: processor seconds", stages, 1))
        figures.append(Figure(f"{name}: of bare passes", seconds, 1))
    whole, passes = float(spent.sum()), sum(bare.values())
    if wall is not None:
        figures.append(Figure("the study: wall seconds", wall, 0))
    return [
        *figures,
        Figure("the study: processor seconds", whole, 1),
        Figure("the study: of bare passes", passes, 1),
        Figure("the study's processor time over its bare passes", whole / passes, 2, "<=", 1.6),
    ]


def main() -> int:
    """Print the costs; returns 1 when the bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--experiment", default="embedded", help="embedded by default")
    parser.add_argument("--cores", type=int, default=2, help="of the run, 2 by default")
    parser.add_argument("--results", type=Path, help="folder of a finished study, not run again")
    parser.add_argument("--table", type=Path, help="CSV file to write as well")
    chosen = parser.parse_args()
    if chosen.results is not None:
        return reported(measured(chosen.results, chosen.experiment, None), chosen.table)
    with tempfile.TemporaryDirectory() as folder:
        command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", folder]
        command += ["--cores", str(chosen.cores), "--config", f"experiment={chosen.experiment}"]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall = time.perf_counter() - started
        results = Path(folder) / "results" / chosen.experiment
        return reported(measured(results, chosen.experiment, wall), chosen.table)


if __name__ == "__main__":
    sys.exit(main())
