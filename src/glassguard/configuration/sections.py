"""The part of the configuration that each stage reads.

A stage runs again when its section changes, and only then. So a section holds what the stage reads
and nothing else.
"""

from pathlib import Path
from typing import Any, TypeGuard, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from glassguard.adaptive.settings import Adaptive
from glassguard.attack.settings import AccessoryAttack, Controls, Robustness
from glassguard.configuration.picture_sources import MODULES, Data
from glassguard.configuration.problems import explain
from glassguard.configuration.schema import Recognizer, Study
from glassguard.datasets.settings import Fetch, PublishedFile
from glassguard.detection.settings import (
    Baselines,
    DetectorFit,
    DetectorJudgement,
    Masking,
    Squeezing,
)
from glassguard.errors import InputError
from glassguard.influence.settings import (
    Experts,
    InfluenceMeasure,
    InfluenceProfile,
    Reduction,
)
from glassguard.kernels import Kernels
from glassguard.recognizer.settings import Backbone, TeacherNetwork
from glassguard.saliency.settings import Explanation, MapKind, MaskJudgement, MaskSearch
from glassguard.settings import Seed, Strict
from glassguard.tracking.settings import Tracking


class Computed(Strict):
    """Read by a stage that computes, and before it, by the command line."""

    kernels: Kernels = "pinned"


class FetchSection(Strict):
    """Read by ``fetch``."""

    download: PublishedFile


class FetchPicturesSection(Strict):
    """Read by ``fetch_pictures``."""

    source: str
    fetch: SerializeAsAny[Fetch]

    @field_validator("fetch", mode="before")
    @classmethod
    def _of_its_source(cls, values: Any, info: ValidationInfo) -> Fetch:
        return MODULES[info.data["source"]].Fetch.model_validate(values)


class DataSection(Computed):
    """Read by ``data``."""

    seed: Seed
    data: Data = Field(discriminator="source")


class PoolPictures(Strict):
    """How much of the pool is taken."""

    identities: int | None
    images_per_identity: int | None
    minimum_images: int


class PoolBackbone(Strict):
    """What ``pool`` reads of the section ``backbone``: nothing of how the pool is trained on."""

    pool: Path | None
    pretraining: PoolPictures


class PoolSection(Computed):
    """Read by ``pool``."""

    seed: Seed
    data: Data = Field(discriminator="source")
    backbone: PoolBackbone


class TeacherSection(Computed):
    """Read by ``teacher``: what the network is, not how much it counts."""

    teacher: TeacherNetwork


class BackboneSection(Computed):
    """Read by ``pretrain`` and ``import_backbone``."""

    seed: Seed
    backbone: Backbone


class RecognizerSection(Computed):
    """Read by ``recognizer``."""

    seed: Seed
    recognizer: Recognizer


class AttackSection(Computed):
    """Read by ``attack_shard`` and ``attack``."""

    seed: Seed
    name: str
    attack: AccessoryAttack


class RobustnessSection(Computed):
    """Read by ``robustness``."""

    seed: Seed
    name: str
    robustness: Robustness


class ControlsSection(Computed):
    """Read by ``controls``."""

    seed: Seed
    controls: Controls


class InfluenceSection(Computed):
    """Read by ``influence``."""

    influence: InfluenceProfile


class ExpertsSection(Computed):
    """Read by ``experts``."""

    influence: InfluenceMeasure
    experts: Experts


class FitDetectorsSection(Computed):
    """Read by ``fit_detectors``: nothing of how detectors are measured."""

    seed: Seed
    detector: DetectorFit


class DetectionSection(Computed):
    """Read by ``detection``: nothing of how detectors are fitted."""

    seed: Seed
    attacks: tuple[str, ...]
    detector: DetectorJudgement


class SaliencyMapsSection(Explanation, Computed):
    """Read by ``saliency_maps``: of the grid only which kinds of map it and masking ask for."""

    maps: tuple[MapKind, ...]
    batch_size: int
    threads: int


class MaskedDecisionsSection(Computed):
    """Read by ``masked_decisions``."""

    masking: Masking
    kernel: int
    batch_size: int
    threads: int


class BaselinesSection(Computed):
    """Read by ``baselines``: activations at the same places as influence."""

    baselines: Baselines
    places: tuple[int, int]
    threads: int


class MaskGridSection(Computed):
    """Read by ``mask_grid_shard`` and ``mask_grid``, which do not judge the best mask."""

    seed: Seed
    saliency: MaskSearch


class MaskEvaluationSection(Computed):
    """Read by ``mask_evaluation`` and ``mask_transfer``, which do not search."""

    seed: Seed
    saliency: MaskJudgement


class AdaptiveSection(Computed):
    """Read by ``adaptive_shard`` and ``adaptive``: the attackers, and what the defences are."""

    seed: Seed
    adaptive: Adaptive
    squeezing: Squeezing
    reduction: Reduction
    places: tuple[int, int]
    kernel: int
    explanation: Explanation


class ReportSection(Computed):
    """Read by ``figures`` and ``report``: everything, since the report prints it."""

    study: Study


class TrackSection(Strict):
    """Read by ``track``."""

    experiment: str
    tracking: Tracking


class Replicate(Strict):
    """One of several studies of an experiment."""

    variant: str
    seed: Seed


class ReplicatesSection(Strict):
    """Read by ``replicates``: the studies in the order of their summaries."""

    studies: list[Replicate]


Section = TypeVar("Section", bound=BaseModel)


def read_section(path: Path, model: type[Section]) -> Section:
    """Read and validate a section.

    Args:
        path: YAML file that the ``config`` rule wrote.
        model: the model of the section.

    Returns:
        The section.

    Raises:
        InputError: the file is missing, is no YAML, or does not fit the model.
    """
    try:
        values = yaml.safe_load(path.read_text())
        return model.model_validate(values)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, model)}") from None


OF_STUDY: dict[str, type[BaseModel]] = {
    "data": DataSection,
    "pool": PoolSection,
    "backbone": BackboneSection,
    "recognizer": RecognizerSection,
    "controls": ControlsSection,
    "influence": InfluenceSection,
    "fit_detectors": FitDetectorsSection,
    "mask_grid": MaskGridSection,
    "mask_evaluation": MaskEvaluationSection,
}
"""Sections whose keys are those of the study."""


def sections(study: Study, *, name: str | None = None) -> dict[str, dict]:
    """The plain, ordered section of every stage, by the name of its file in ``config/``.

    Args:
        study: the study.
        name: what it is tracked as; its experiment by default.
    """
    plain = study.model_dump(mode="json")
    seed, influence, detector = plain["seed"], plain["influence"], plain["detector"]
    fetch = plain["data"].pop("fetch", {})
    teacher = plain["backbone"]["pretraining"]["teacher"]
    computed = {
        **({} if teacher is None else {"teacher": _part(TeacherSection, {"teacher": teacher})}),
        **{file: _part(model, plain) for file, model in OF_STUDY.items()},
        **{
            f"attack_{name}": {"seed": seed, "name": name, "attack": attack}
            for name, attack in plain["attacks"].items()
        },
        **{
            f"robustness_{name}": {"seed": seed, "name": name, "robustness": plain["robustness"]}
            for name in plain["attacks"]
        },
        "experts": _part(ExpertsSection, plain | {"experts": influence["experts"]}),
        "detection": _part(DetectionSection, plain | {"attacks": list(plain["attacks"])}),
        "saliency_maps": {
            "maps": _maps_asked_for(study),
            **_part(SaliencyMapsSection, plain["saliency"]),
        },
        "masked_decisions": _part(
            MaskedDecisionsSection, plain["saliency"] | {"masking": detector["masking"]}
        ),
        "baselines": _part(BaselinesSection, detector | {"places": influence["places"]}),
        "adaptive": {
            "seed": seed,
            "adaptive": plain["adaptive"],
            "squeezing": detector["baselines"]["squeezing"],
            "reduction": influence["reduction"],
            "places": influence["places"],
            "kernel": plain["saliency"]["kernel"],
            "explanation": _part(Explanation, plain["saliency"]),
        },
        "report": {"study": study.model_dump(mode="json")},
    }
    return {
        **{
            f"fetch_{name}": {"download": _part(PublishedFile, download)}
            for name, download in plain["downloads"]["files"].items()
        },
        "fetch_pictures": {"source": study.data.source, "fetch": fetch},
        **{stage: {"kernels": plain["kernels"], **section} for stage, section in computed.items()},
        "track": {"experiment": name or plain["experiment"], "tracking": plain["tracking"]},
    }


def _part(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """The values for which a model has keys, at every depth."""
    return {
        key: _part(field.annotation, values[key]) if _is_section(field.annotation) else values[key]
        for key, field in model.model_fields.items()
        if key in values
    }


def _is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _maps_asked_for(study: Study) -> list[str]:
    """The kinds of saliency map that any stage reads, in the order of their definition."""
    read = {
        *study.saliency.grid.map,
        study.saliency.source_setting.map,
        study.detector.masking.map,
    }
    return [kind for kind in get_args(MapKind) if kind in read]
