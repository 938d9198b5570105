# The validated study, and the names of the files that rules share.

import json
import math
import os
import re
import sys
from pathlib import Path

from glassguard.cli import STAGES
from glassguard.configuration import costs, file_dates
from glassguard.configuration.remarks import remarks
from glassguard.configuration.replicates import (
    replicates_section,
    studies_from_workflow,
)
from glassguard.configuration.sections import sections
from glassguard.configuration.stamps import (
    code_stamps,
    download_stamps,
    downloaded,
    given_stamps,
    section_stamps,
    stage,
)
from glassguard.errors import InputError
from glassguard.report.captions import figures_of

try:
    STUDIES = studies_from_workflow(config, Path(workflow.basedir) / "conf")
except InputError as error:
    # A WorkflowError would bury the one line that matters in Snakemake's own.
    sys.exit(f"glassguard: {error}")

for remark in remarks(next(iter(STUDIES.values()))):
    print(f"glassguard: {remark}", file=sys.stderr)

# Snakemake takes braces in it for wildcards, also those in the name of a folder around the checkout.
ENVIRONMENT = re.sub(
    r"([{}])", r"\1\1", str(Path(workflow.basedir).resolve() / "environment.yml")
)
# Jobs find the command line even where the environment is not activated.
os.environ.update(
    PATH=os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    ),
    # Large blocks go back to the system late: training spends its time on sums, not on page faults.
    MALLOC_MMAP_THRESHOLD_="1073741824",
    MALLOC_TRIM_THRESHOLD_="4294967296",
    # Threads that wait for each other must not burn the core that they wait for.
    OMP_WAIT_POLICY="PASSIVE",
    MLFLOW_DISABLE_TELEMETRY="true",
    MPLBACKEND="agg",
)

# A GPU in this machine is used by one job at a time; those of a cluster are counted there. Only a
# cluster's profile says how many jobs may be queued.
if (
    workflow.is_main_process
    and workflow.resource_settings.nodes is None
    and "gpu" not in workflow.global_resources
):
    workflow.register_resource("gpu", 1)

# Folders below results/ and what is studied there: one, or its replicates and variants side by side.
# They are made of the same jobs, so any of them says which.
STUDY = next(iter(STUDIES.values()))
EXPERIMENT = STUDY.experiment
SECTIONS = {folder: sections(study, name=folder) for folder, study in STUDIES.items()}
SECTIONS.setdefault(EXPERIMENT, {})["replicates"] = replicates_section(STUDIES)
# What files a run depends on besides those that it makes, by where each is kept.
ROOT = Path("results") / EXPERIMENT
STAMPS = {
    str(stamp.file): stamp
    for stamp in [
        *code_stamps(ROOT / "config" / "code", STAGES, STUDY),
        *[
            stamp
            for folder, sections in SECTIONS.items()
            for stamp in section_stamps(Path("results", folder, "config"), sections)
        ],
        *[
            stamp
            for folder, study in STUDIES.items()
            for stamp in given_stamps(Path("results", folder, "config", "given"), study)
        ],
    ]
}
DOWNLOADED = downloaded(STUDY)
DOWNLOADS = download_stamps(STUDY)
if workflow.is_main_process:
    for folder in (ROOT, STUDY.downloads.folder):
        if refused := file_dates.restore(folder):
            print(
                f"glassguard: {refused[0]}: its date cannot be put back ({len(refused)} files)",
                file=sys.stderr,
            )
    stage([*STAMPS.values(), *DOWNLOADS.values()])


def record_dates():
    file_dates.record(ROOT, ROOT.rglob("*"))
    file_dates.record(STUDY.downloads.folder, DOWNLOADED)


onstart:
    file_dates.forget(ROOT)
    file_dates.forget(STUDY.downloads.folder)


onsuccess:
    record_dates()


onerror:
    record_dates()


ATTACKS = list(STUDY.attacks)
# Detection, the grid and its evaluation are made for the first attack. With several, masks tuned on
# each are tried on all.
HEADLINE = ATTACKS[0]
SEVERAL_ATTACKS = len(ATTACKS) > 1
FIGURES = figures_of(len(ATTACKS))
CONTROLS = {"plain_frames": "plain", "random_frames": "random"}


wildcard_constraints:
    study="|".join(SECTIONS),
    stamp=r"(code/|given/)?\w+\.(yaml|sha256|txt)",
    attack="|".join(ATTACKS),
    control="|".join(CONTROLS),
    set="|".join(["benign", *ATTACKS, *CONTROLS]),


def largest(cost):
    """The largest cost of all studies side by side: their jobs are as many and ask for the same."""
    return max(map(cost, STUDIES.values()))


ATTACK_SHARDS = largest(costs.attack_shards)
GRID_SHARDS = largest(costs.grid_shards)


scattergather:
    attack=ATTACK_SHARDS,
    grid=GRID_SHARDS,


# Minutes that a shard is expected to take, with the headroom of costs. The other rules have theirs
# from the same study, of 96 pixels and half width: time grows with the passes through the network,
# memory with the pixels. What is smaller is asked for alike.
ATTACK_MINUTES = costs.time_limit(largest(costs.attack_minutes) / ATTACK_SHARDS, STUDY)
GRID_MINUTES = costs.time_limit(largest(costs.grid_minutes) / GRID_SHARDS, STUDY)
PRETRAINING_MINUTES = costs.time_limit(largest(costs.pretraining_minutes), STUDY)
PASSES = max(1.0, largest(costs.relative_work))
PIXELS = max(1.0, largest(costs.relative_pixels))


def result(name):
    return f"results/{{study}}/{name}"


def of_attacks(pattern):
    """A file of every attack, the headline's first."""
    return [result(pattern.replace("{attack}", attack)) for attack in ATTACKS]


def gathered(gather_shards, pattern):
    """All shards of a pattern, whose other wildcards stay."""
    escaped = pattern.replace("{", "{{").replace("}", "}}")
    return gather_shards(escaped.replace("{{scatteritem}}", "{scatteritem}"))


def growing(amount):
    """What a job asks for: more in every attempt after one that may have run out of it."""
    return lambda wildcards, attempt: attempt * math.ceil(amount)


def section_of(name):
    return result(f"config/{name}.yaml")


def code_of(stage_name):
    """What decides what a stage computes: Snakemake does not see the package's sources by itself."""
    return f"{ROOT}/config/code/{stage_name}.sha256"


def given_to(rule_name):
    """The state of the files that the user gave to a rule."""
    return result(f"config/given/{rule_name}.txt")


def download(path):
    """A file that a rule fetches. Of other files that the user names a stamp has the digest."""
    return str(path) if path in DOWNLOADED else []


def record(job):
    return result(f"tracking/outbox/{job}.json")


def log_of(job):
    return result(f"logs/{job}.log")


def benchmark_of(job):
    return result(f"benchmarks/{job}.tsv")


def figures(extension):
    return [result(f"figures/{name}.{extension}") for name in FIGURES]


class Captions:
    """Captions of the figures with their n, by name; read when Snakemake's report asks for one."""

    def __init__(self, path):
        self.path = path

    def __getitem__(self, name):
        return json.loads(Path(self.path).read_text(encoding="utf-8"))[name]

    def __repr__(self):
        return f"Captions({str(self.path)!r})"


def shard(wildcards):
    return int(wildcards.scatteritem.split("-of-")[0]) - 1


def folder_of_set(name):
    """The folder in which a set of pictures lies, and the table beside them."""
    if name == "benign":
        return "data", "manifest.csv"
    return f"{'controls' if name in CONTROLS else 'attacks'}/{name}", "examples.csv"


def images_of_set(wildcards):
    folder, _ = folder_of_set(wildcards.set)
    return expand(result(f"{folder}/images.npy"), study=wildcards.study)


def ids_of_set(wildcards):
    return expand(result("/".join(folder_of_set(wildcards.set))), study=wildcards.study)


# Where the convolutions come from. Photographs without a pool and without weights: from the
# study's own training pictures.
OWN_PICTURES = STUDY.data.source != "embedded" and STUDY.backbone.pool is None
PRETRAINING_PICTURES = {
    part: result(f"data/{part}" if OWN_PICTURES else f"backbone/pool_{part}")
    for part in ("images.npy", "manifest.csv")
}
# A pool of photographs must not show the study's people or pictures; drawn people never do.
STUDY_PICTURES = (
    [result("data/images.npy"), result("data/manifest.csv")]
    if STUDY.backbone.pool is not None
    else []
)
if STUDY.backbone.weights is not None:
    BACKBONE_JOBS = ["import_backbone"]
elif OWN_PICTURES:
    BACKBONE_JOBS = ["pretrain"]
else:
    BACKBONE_JOBS = ["pool", "pretrain"]
TEACHER = STUDY.backbone.pretraining.teacher
if TEACHER is not None and STUDY.backbone.weights is None:
    BACKBONE_JOBS.insert(-1, "teacher")

# What has to be downloaded first, by the stage that does it: one job for all studies that would
# ask for the same, so that no server is asked by each of them for what is gone.
FETCHES = STUDY.data.needs_fetching
FETCHED_ALIKE = (
    len({json.dumps(SECTIONS[study].get("fetch_pictures")) for study in STUDIES}) == 1
)


def fetched(name):
    """A file of a fetching job, of the first study where it fetches for all of them."""
    return expand(
        result(name), study=next(iter(STUDIES)) if FETCHED_ALIKE else "{study}"
    )


LISTING = fetched(f"data/{STUDY.data.source}.csv") if FETCHES else []
FETCHING_RECORDS = (
    fetched(f"tracking/outbox/fetch_{STUDY.data.source}.json") if FETCHES else []
)

SCIENCE_RECORDS = [
    *FETCHING_RECORDS,
    record("data"),
    *map(record, BACKBONE_JOBS),
    record("recognizer"),
    *[
        item
        for a in ATTACKS
        for item in gathered(gather.attack, record(f"attack_{a}_{{scatteritem}}"))
    ],
    *[record(f"attack_{attack}") for attack in ATTACKS],
    *[record(f"controls_{control}") for control in CONTROLS],
    *[record(f"influence_{name}") for name in ("benign", *ATTACKS, *CONTROLS)],
    record("experts"),
    record("detection"),
    *[
        record(f"{stage}_{name}")
        for stage in ("saliency_maps", "masked_decisions", "baselines")
        for name in ("benign", *ATTACKS, *CONTROLS)
    ],
    *gathered(gather.grid, record("grid_{scatteritem}")),
    record("grid"),
    record("evaluation"),
    *[
        item
        for attack in ATTACKS[1:]
        for item in gathered(gather.grid, record(f"grid_{attack}_{{scatteritem}}"))
    ],
    *[record(f"grid_{attack}") for attack in ATTACKS[1:]],
    *([record("generality")] if SEVERAL_ATTACKS else []),
]
# What a run leaves behind beside the report; a file that is lost is made again.
TABLES = [
    *[result(f"data/{name}") for name in ("manifest.csv", "rejected.csv")],
    *[result(f"recognizer/{name}") for name in ("metrics.json", "history.csv")],
    *[
        result(f"attacks/{attack}/{name}")
        for attack in ATTACKS
        for name in ("examples.csv", "images.npy", "frames.npy")
    ],
    *[
        result(f"influence/{name}/profiles.npz")
        for name in ("benign", *ATTACKS, *CONTROLS)
    ],
    *[result(f"influence/{name}") for name in ("experts.npz", "share_inside.csv")],
    *[
        result(f"detection/{name}")
        for name in (
            "layers.csv",
            "activation_layers.csv",
            "sweep.csv",
            "best_layer.json",
            "choices.csv",
            "table1.csv",
            "roc.csv",
            "attacks.csv",
            "gain.csv",
            "controls.csv",
            "distances.csv",
            "histograms.csv",
            "distance_matrix.csv",
            "summary.json",
        )
    ],
    *[
        result(f"saliency/{name}")
        for name in (
            "grid.csv",
            "best.json",
            "evaluation.csv",
            "threshold_curve.csv",
            "working_point.json",
            "masks.npz",
            *(["generality.csv"] if SEVERAL_ATTACKS else []),
            *[
                f"tuned_on/{attack}/{name}"
                for attack in ATTACKS[1:]
                for name in ("grid.csv", "best.json")
            ],
        )
    ],
]
REPORT_RECORDS = [record("figures"), record("report")]
