"""Several studies of one experiment side by side: over seeds, and over variants of ``conf/``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassguard.configuration.compose import compose_study
from glassguard.configuration.schema import Study
from glassguard.errors import InputError
from glassguard.settings import leaves

DEFAULT_EXPERIMENT = "embedded"
WORKFLOW_KEYS = ("experiment", "overrides", "replicates", "variants")
LARGEST_SEED = 2**31 - 1

VARIANT = "variant_"
SEED = "seed_"

# Jobs, threads and pictures are asked for once, for all studies together.
SAME_IN_ALL = (
    "data.source",
    "data.root",
    "data.detector",
    "backbone.shipped",
    "backbone.weights",
    "backbone.pool",
    "backbone.pretraining.accelerator",
    "backbone.pretraining.devices",
    # A Bayesian search is one job.
    "saliency.search.method",
)
TEACHER = "backbone.pretraining.teacher"
"""None, or a group of settings: whether there is one decides about a job."""

SAME_ENDINGS = ("attack_shards", "threads", "shards")


def studies_from_workflow(settings: Mapping[str, Any], directory: Path) -> dict[str, Study]:
    """The studies that Snakemake's own configuration asks for.

    Args:
        settings: at most the keys ``experiment`` (a name), ``overrides`` (a list of
            ``key=value``), ``replicates`` (a list of seeds) and ``variants`` (a list of names of
            files in ``conf/variant``).
        directory: the folder ``conf``.

    Returns:
        By the folder below ``results/``: ``EXPERIMENT`` (``EXPERIMENT_SOURCE`` with another source
        of pictures than its own) alone without replicates and variants, otherwise the experiment
        and each of its variants (``EXPERIMENT/variant_NAME``), each of them with every seed
        (``.../seed_N``) where there are replicates.

    Raises:
        InputError: another key, a variant that changes which jobs there are, or anything that
            :func:`glassguard.configuration.compose.compose_study` refuses.
    """
    for key in settings:
        if key not in WORKFLOW_KEYS:
            raise InputError(
                f"--config {key}: unknown key; allowed are experiment=NAME, "
                "'overrides=[\"key=value\"]', 'replicates=[0,1,2]' and 'variants=[\"name\"]'"
            )
    experiment = str(settings.get("experiment", DEFAULT_EXPERIMENT) or "")
    if not experiment:
        raise InputError("--config experiment: is empty; allowed is experiment=NAME")
    overrides = _texts(settings, "overrides", "key=value", "attacks.glasses.step=10")
    variants = _texts(settings, "variants", "names", "absolute_saliency")
    seeds = _seeds(settings.get("replicates"))
    if seeds and any(override.lstrip("+").startswith("seed=") for override in overrides):
        raise InputError(
            "override seed: --config replicates says which seeds are run; give one of both"
        )
    study = compose_study(directory, experiment, overrides)
    found = {study.experiment: study}
    for name in dict.fromkeys(variants):
        variant = compose_study(directory, experiment, overrides, variant=name)
        _check_same_jobs(name, study, variant)
        found[f"{study.experiment}/{VARIANT}{name}"] = variant
    if not seeds:
        return found
    return {
        f"{folder}/{SEED}{seed}": one.model_copy(update={"seed": seed})
        for folder, one in found.items()
        for seed in seeds
    }


def replicates_section(studies: Mapping[str, Study]) -> dict[str, Any]:
    """The plain section of the stage ``replicates``.

    Args:
        studies: by folder, as :func:`studies_from_workflow` names them.
    """
    return {
        "studies": [
            {"variant": _variant_of(folder), "seed": study.seed}
            for folder, study in studies.items()
        ]
    }


def _variant_of(folder: str) -> str:
    names = [part for part in folder.split("/")[1:] if part.startswith(VARIANT)]
    return names[0].removeprefix(VARIANT) if names else ""


def _texts(settings: Mapping[str, Any], key: str, kind: str, example: str) -> list[str]:
    given = settings.get(key) or []
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise InputError(
            f"--config {key}: {given!r} is no list of {kind}; allowed is for example "
            f"'{key}=[\"{example}\"]'"
        )
    return given


def _seeds(given: Any) -> list[int]:
    # Snakemake hands the items of a list over as text.
    texts = [str(seed) for seed in (given if isinstance(given, list) else [given])]
    if given is None:
        return []
    if not all(text.isdecimal() and int(text) <= LARGEST_SEED for text in texts):
        raise InputError(
            f"--config replicates: {given!r} is no list of seeds (0 to {LARGEST_SEED}); allowed "
            "is for example 'replicates=[0,1,2]'"
        )
    return list(dict.fromkeys(int(text) for text in texts))


def _check_same_jobs(name: str, study: Study, variant: Study) -> None:
    jobs, changed = _jobs(study), _jobs(variant)
    for key in sorted(jobs.keys() | changed.keys()):
        if jobs.get(key) != changed.get(key):
            raise InputError(
                f"conf/variant/{name}.yaml: {key}: a variant must not change what jobs a study is "
                "made of; give it to the whole experiment in overrides"
            )


def _jobs(study: Study) -> dict[str, Any]:
    return {
        key: value
        for key, value in leaves(study.model_dump(mode="json"))
        if key in SAME_IN_ALL or key.startswith(TEACHER) or key.rpartition(".")[2] in SAME_ENDINGS
    }
