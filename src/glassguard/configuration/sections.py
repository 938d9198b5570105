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
from glassguard.files.layout import sets
from glassguard.guard.settings import BandedTraining, Decisions
from glassguard.influence.settings import (
    Experts,
    InfluenceMeasure,
    InfluenceProfile,
    Reduction,
)
from glassguard.kernels import Kernels
from glassguard.recognizer.settings import (
    Backbone,
    DenseLayers,
    ShippedNetwork,
    SliceChoice,
    TeacherNetwork,
)
from glassguard.recognizer.shipped_networks import network_record
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


class ShippedBackboneSection(Strict):
    """Read by ``shipped_backbone``."""

    shipped: ShippedNetwork
    sha256: str


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


class OpenSetThreads(Strict):
    """What ``open_set`` reads of the section ``recognizer``."""

    threads: int


class OpenSetSection(Computed):
    """Read by ``open_set``."""

    attacks: tuple[str, ...]
    recognizer: OpenSetThreads


class ControlsSection(Computed):
    """Read by ``controls``."""

    seed: Seed
    controls: Controls


class MapsAndMasks(Explanation):
    """Of the grid only which kinds of map it and masking ask for."""

    maps: tuple[MapKind, ...]
    masking: Masking
    kernel: int
    batch_size: int


class ResponsesSection(Computed):
    """Read by ``responses``; the threads are those of influence."""

    influence: InfluenceProfile
    baselines: Baselines
    saliency: MapsAndMasks


class ExpertsSection(Computed):
    """Read by ``experts``."""

    influence: InfluenceMeasure
    slices: SliceChoice = "by_rule"
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


class MaskGridSection(Computed):
    """Read by ``mask_grid_shard`` and ``mask_grid``, which do not judge the best mask."""

    seed: Seed
    saliency: MaskSearch


class MaskEvaluationSection(Computed):
    """Read by ``mask_evaluation`` and ``mask_transfer``, which do not search."""

    seed: Seed
    saliency: MaskJudgement


class BandedRecognizerSection(Computed):
    """Read by ``banded_recognizer``: the dense layers are as wide and as long trained as others."""

    seed: Seed
    recognizer: DenseLayers
    guard: BandedTraining


class LandmarksSection(Computed):
    """Read by ``landmarks``."""

    sets: tuple[str, ...]


class GuardMask(Strict):
    """What ``guard`` reads of the section ``saliency``: how masks are made, not how searched."""

    kernel: int
    batch_size: int
    threads: int


class GuardSection(Computed):
    """Read by ``guard``."""

    sets: tuple[str, ...]
    guard: Decisions
    saliency: GuardMask


class CertifyThreads(Strict):
    """What ``certify`` reads of the section ``detector``."""

    threads: int


class CertifySection(Computed):
    """Read by ``certify``."""

    attacks: tuple[str, ...]
    detector: CertifyThreads


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
    "fit_detectors": FitDetectorsSection,
    "mask_grid": MaskGridSection,
    "mask_evaluation": MaskEvaluationSection,
    "banded_recognizer": BandedRecognizerSection,
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
    shipped = study.backbone.shipped
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
        "open_set": _part(OpenSetSection, plain | {"attacks": list(plain["attacks"])}),
        "experts": _part(
            ExpertsSection,
            plain | {key: influence[key] for key in ("slices", "experts")},
        ),
        "detection": _part(DetectionSection, plain | {"attacks": list(plain["attacks"])}),
        "responses": _part(
            ResponsesSection,
            {
                "influence": influence,
                "baselines": detector["baselines"],
                "saliency": {
                    "maps": _maps_asked_for(study),
                    "masking": detector["masking"],
                    **plain["saliency"],
                },
            },
        ),
        "landmarks": {"sets": sets(list(plain["attacks"]))},
        "guard": _part(GuardSection, plain | {"sets": sets(list(plain["attacks"]))}),
        "certify": _part(CertifySection, plain | {"attacks": list(plain["attacks"])}),
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
        **(
            {}
            if shipped is None
            else {
                "shipped_backbone": {"shipped": shipped, "sha256": network_record(shipped).sha256}
            }
        ),
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
