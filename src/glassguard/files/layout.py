"""Where a run keeps its files.

Functions that rules call give patterns with the wildcard ``{study}``. :func:`tables` and the files
of sets are relative to the study's folder ``results/<study>/``.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

CONTROLS = {"plain_frames": "plain", "random_frames": "random"}
"""Sets of honest wearers, and the kind of frame that they wear."""

BENIGN = "benign"

DETECTION_TABLES = (
    "detectors.safetensors",
    "detectors.json",
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
SALIENCY_TABLES = (
    "grid.csv",
    "best.json",
    "evaluation.csv",
    "threshold_curve.csv",
    "working_point.json",
    "masks.npz",
)
GUARD_TABLES = (
    "banded_metrics.json",
    "banded_history.csv",
    "band.json",
    "thresholds.json",
    "decisions.csv",
    "certificate.csv",
    "targets.csv",
    "operating_curve.csv",
    "summary.json",
)

OPEN_SET = "recognizer/open_set.csv"
"""Verification by embeddings, where the recognizer has them."""

ARTIFACTS = {
    "data": ("data/manifest.csv", "data/rejected.csv"),
    "pool": ("backbone/pool_manifest.csv", "backbone/pool_rejected.csv"),
    "pretrain": ("backbone/metrics.json",),
    "import_backbone": ("backbone/metrics.json",),
    "shipped_backbone": ("backbone/metrics.json",),
    "recognizer": (
        "recognizer/metrics.json",
        "recognizer/history.csv",
        "recognizer/predictions.csv",
    ),
    "attack": ("attacks/{attack}/examples.csv",),
    "robustness": ("attacks/{attack}/robustness.csv",),
    "open_set": (OPEN_SET,),
    "fit_detectors": ("detection/detectors.json",),
    "detection": tuple(f"detection/{name}" for name in DETECTION_TABLES[2:]),
    "mask_grid": ("{searched}/grid.csv", "{searched}/best.json"),
    "mask_evaluation": (
        "saliency/evaluation.csv",
        "saliency/threshold_curve.csv",
        "saliency/working_point.json",
    ),
    "mask_transfer": ("saliency/generality.csv",),
    "banded_recognizer": tuple(f"guard/{name}" for name in GUARD_TABLES[:2]),
    "landmarks": ("guard/landmarks.csv",),
    "guard": tuple(f"guard/{name}" for name in GUARD_TABLES[2:5]),
    "certify": tuple(f"guard/{name}" for name in GUARD_TABLES[5:]),
    "adaptive": ("adaptive/table.csv", "adaptive/guard.csv"),
    "figures": ("figures/captions.json", "figures/{figure}.png", "figures/{figure}.svg"),
    "report": ("summary.json", "report.html", "timings.csv"),
}
"""Files that tracking keeps with the run of a stage."""


def result(name: str) -> str:
    """A file of a study, as a pattern of the workflow."""
    return f"results/{{study}}/{name}"


def section_of(name: str) -> str:
    """A section of the configuration."""
    return result(f"config/{name}.yaml")


def given_to(rule: str) -> str:
    """The state of the files that the user gave to a rule."""
    return result(f"config/given/{rule}.txt")


def record(job: str) -> str:
    """What a job leaves for tracking."""
    return result(f"tracking/outbox/{job}.json")


def log_of(job: str) -> str:
    """What a job prints."""
    return result(f"logs/{job}.log")


def benchmark_of(job: str) -> str:
    """Time and memory of a job."""
    return result(f"benchmarks/{job}.tsv")


def figures(names: Iterable[str], extension: str) -> list[str]:
    """Figures of the report."""
    return [result(f"figures/{name}.{extension}") for name in names]


def sets(attacks: Sequence[str]) -> list[str]:
    """Every set of pictures: benign ones, those of each attack, and the controls."""
    return [BENIGN, *attacks, *CONTROLS]


def table_of_set(name: str) -> str:
    """The table of the pictures of a set."""
    return f"{_folder_of_set(name)}/{'manifest' if name == BENIGN else 'examples'}.csv"


def images_of_set(name: str) -> str:
    """The pictures of a set."""
    return f"{_folder_of_set(name)}/images.npy"


def guard_files(attacks: Sequence[str]) -> dict[str, list[str]]:
    """What the guard reads of every set of pictures: tables, pictures and saliency maps."""
    names = sets(attacks)
    return {
        "tables": [result(table_of_set(name)) for name in names],
        "images": [result(images_of_set(name)) for name in names],
        "maps": [result(f"saliency/maps/{name}.npz") for name in names],
    }


def picture_set(wildcards: Any) -> dict[str, str]:
    """Pictures and table of the set that a job is about."""
    folder = f"results/{wildcards.study}"
    return {
        "images": f"{folder}/{images_of_set(wildcards.set)}",
        "ids": f"{folder}/{table_of_set(wildcards.set)}",
    }


def files_of_set(name: str, *further: str) -> list[str]:
    """Table and pictures of a set, and its ``frames`` and saliency ``maps`` where asked for."""
    files = {"frames": f"{_folder_of_set(name)}/frames.npy", "maps": f"saliency/maps/{name}.npz"}
    wanted = [table_of_set(name), images_of_set(name), *(files[one] for one in further)]
    return [result(file) for file in wanted]


def detector_files(*names: str) -> list[str]:
    """What detectors read of sets of pictures: table, profiles, masked decisions and baselines."""
    return [
        result(file)
        for name in names
        for file in (
            table_of_set(name),
            f"influence/{name}/profiles.npz",
            f"saliency/masked_decisions/{name}.npz",
            f"baselines/{name}.npz",
        )
    ]


def tables(attacks: Sequence[str], tuned: Sequence[str]) -> list[str]:
    """What a run leaves apart from its report and figures.

    Args:
        attacks: names of the study's attacks, the headline's first.
        tuned: those that masks are tuned on, the headline's first.
    """
    return [
        "data/manifest.csv",
        "data/rejected.csv",
        "backbone/metrics.json",
        "recognizer/metrics.json",
        "recognizer/history.csv",
        *[
            f"attacks/{attack}/{name}"
            for attack in attacks
            for name in ("examples.csv", "images.npy", "frames.npy", "robustness.csv")
        ],
        *[f"influence/{name}/profiles.npz" for name in sets(attacks)],
        "influence/experts.npz",
        "influence/share_inside.csv",
        *[f"detection/{name}" for name in DETECTION_TABLES],
        *[f"saliency/{name}" for name in SALIENCY_TABLES],
        *(["saliency/generality.csv"] if len(attacks) > 1 else []),
        *[
            f"saliency/tuned_on/{attack}/{name}"
            for attack in tuned[1:]
            for name in ("grid.csv", "best.json")
        ],
        *[f"guard/{name}" for name in GUARD_TABLES],
    ]


def reported(attacks: Collection[str], *, embedding: bool) -> dict[str, str]:
    """Tables, JSON and pictures that the headline and the page are made from, by name.

    Args:
        attacks: names of the study's attacks.
        embedding: whether the recognizer has an embedding.
    """
    found = {
        "manifest": "data/manifest.csv",
        "images": "data/images.npy",
        "backbone": "backbone/metrics.json",
        "recognizer": "recognizer/metrics.json",
        "layers": "detection/layers.csv",
        "best_layer": "detection/best_layer.json",
        "detection": "detection/summary.json",
        "pairs": "detection/table1.csv",
        "controls": "detection/controls.csv",
        "points": "detection/attacks.csv",
        "choices": "detection/choices.csv",
        "best_masks": "saliency/best.json",
        "masks": "saliency/masks.npz",
        "evaluation": "saliency/evaluation.csv",
        "working_point": "saliency/working_point.json",
        "band": "guard/band.json",
        "certificate": "guard/certificate.csv",
        "decisions": "guard/decisions.csv",
        "operating_curve": "guard/operating_curve.csv",
        "guard": "guard/summary.json",
        "guard_thresholds": "guard/thresholds.json",
    }
    found |= {f"robustness_{name}": f"attacks/{name}/robustness.csv" for name in attacks}
    if embedding:
        found["open_set"] = OPEN_SET
    return found | ({"generality": "saliency/generality.csv"} if len(attacks) > 1 else {})


def searched(tuned: Sequence[str]) -> list[str]:
    """Folders of the searches for the best mask, the headline attack's first."""
    return ["saliency", *[f"saliency/tuned_on/{attack}" for attack in tuned[1:]]]


def tracked(
    stages: Collection[str],
    attacks: Sequence[str],
    figures: Sequence[str],
    tuned: Sequence[str],
) -> list[str]:
    """All files of :data:`ARTIFACTS` that a study with these stages leaves."""
    files = {
        pattern.format(attack=attack, figure=figure, searched=folder)
        for stage in stages
        for pattern in ARTIFACTS.get(stage, ())
        for attack in attacks
        for figure in figures
        for folder in searched(tuned)
    }
    return sorted(files)


def _folder_of_set(name: str) -> str:
    if name == BENIGN:
        return "data"
    return f"{'controls' if name in CONTROLS else 'attacks'}/{name}"
