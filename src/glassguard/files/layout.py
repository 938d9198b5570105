"""Where a run keeps its files.

Functions that rules call give patterns with the wildcard ``{study}``. :func:`tables` and the files
of sets are relative to the study's folder ``results/<study>/``.
"""

from collections.abc import Iterable, Sequence

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
    """The table beside the pictures of a set."""
    return f"{_folder_of_set(name)}/{'manifest' if name == BENIGN else 'examples'}.csv"


def images_of_set(name: str) -> str:
    """The pictures of a set."""
    return f"{_folder_of_set(name)}/images.npy"


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


def tables(attacks: Sequence[str]) -> list[str]:
    """What a run leaves behind besides its report and figures.

    Args:
        attacks: names of the study's attacks, the headline's first.
    """
    further = attacks[1:]
    return [
        "data/manifest.csv",
        "data/rejected.csv",
        "backbone/metrics.json",
        "recognizer/metrics.json",
        "recognizer/history.csv",
        *[
            f"attacks/{attack}/{name}"
            for attack in attacks
            for name in ("examples.csv", "images.npy", "frames.npy")
        ],
        *[f"influence/{name}/profiles.npz" for name in sets(attacks)],
        "influence/experts.npz",
        "influence/share_inside.csv",
        *[f"detection/{name}" for name in DETECTION_TABLES],
        *[f"saliency/{name}" for name in SALIENCY_TABLES],
        *(["saliency/generality.csv"] if further else []),
        *[
            f"saliency/tuned_on/{attack}/{name}"
            for attack in further
            for name in ("grid.csv", "best.json")
        ],
    ]


def _folder_of_set(name: str) -> str:
    if name == BENIGN:
        return "data"
    return f"{'controls' if name in CONTROLS else 'attacks'}/{name}"
