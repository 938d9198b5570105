"""The whole configuration: the settings of all packages together."""

from typing import Annotated

from pydantic import Field, model_validator

from glassguard.attack.settings import AccessoryAttack, Controls
from glassguard.configuration.picture_sources import Data
from glassguard.datasets.settings import Downloads
from glassguard.datasets.sources import embedded
from glassguard.detection.settings import Detector
from glassguard.influence.settings import Influence
from glassguard.kernels import Kernels
from glassguard.recognizer.settings import Backbone, DenseLayers
from glassguard.saliency.settings import CopyMasks, Saliency
from glassguard.settings import Seed, SetName, Strict
from glassguard.tracking.settings import Tracking

RESERVED_SETS = ("benign", "plain_frames", "random_frames")


class Recognizer(DenseLayers):
    """The fully connected layers, and how their masked training pictures are made."""

    copy_masks: CopyMasks


class Costs(Strict):
    """What jobs cost that are split, measured (:mod:`glassguard.configuration.costs`)."""

    seconds_per_mask: float = Field(
        gt=0, description="one point of the mask grid on one picture, at 96 px and half width"
    )
    seconds_per_attacked_picture: float = Field(gt=0, description="at 96 px and half width")
    seconds_per_pretraining_picture: float = Field(
        gt=0, description="one epoch, forwards and backwards, at 96 px and half width"
    )
    pool_pictures: int = Field(ge=1, description="assumed of a pool that is not counted yet")
    shard_minutes: float = Field(gt=0, description="work of a shard, at most")
    least_shards: int = Field(ge=1, le=10000)
    headroom: float = Field(ge=1, description="time asked for, over that expected")
    least_minutes: int = Field(ge=1)


class Study(Strict):
    """The whole resolved configuration."""

    experiment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    seed: Seed
    kernels: Kernels = Field(
        description="pinned: the same bits on every x86-64 processor; native: the processor's own"
    )
    downloads: Downloads
    data: Data = Field(discriminator="source")
    backbone: Backbone
    recognizer: Recognizer
    costs: Costs
    attack_shards: int | None = Field(ge=1, le=10000, description="jobs; by their cost when null")
    attacks: dict[SetName, AccessoryAttack] = Field(min_length=1)
    controls: Controls
    influence: Influence
    detector: Detector
    saliency: Saliency
    tracking: Tracking

    @model_validator(mode="after")
    def _downloads_keep_apart(self) -> "Study":
        names = [download.file for download in self.downloads.files.values()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"downloads.files: two of them are called {name}")
        return self

    @model_validator(mode="after")
    def _drawn_people_are_enough(self) -> "Study":
        if not isinstance(self.data, embedded.Pictures):
            return self
        pretraining = self.backbone.pretraining
        if pretraining.identities is None or pretraining.images_per_identity is None:
            raise ValueError(
                "backbone.pretraining.identities and images_per_identity must be numbers with "
                "data.source=embedded: people are drawn without end"
            )
        for name, attack in self.attacks.items():
            if attack.targets > self.data.identities:
                raise ValueError(
                    f"attacks.{name}.targets: {attack.targets} exceeds data.identities="
                    f"{self.data.identities}"
                )
            if attack.attackers_per_target >= self.data.identities:
                raise ValueError(
                    f"attacks.{name}.attackers_per_target: {attack.attackers_per_target} must be "
                    f"below data.identities={self.data.identities}"
                )
        return self

    @model_validator(mode="after")
    def _classes_are_enough(self) -> "Study":
        people = self.data.identities
        for key, classes in (
            ("saliency.top_classes", self.saliency.top_classes),
            ("recognizer.copy_masks.top_classes", self.recognizer.copy_masks.top_classes),
        ):
            if people is not None and classes > people:
                raise ValueError(f"{key}: {classes} exceeds data.identities={people}")
        return self

    @model_validator(mode="after")
    def _sections_agree(self) -> "Study":
        if self.data.needs_fetching and getattr(self.data, "fetch", None) is None:
            raise ValueError(f"data.fetch is required with data.source={self.data.source}")
        for name in RESERVED_SETS:
            if name in self.attacks:
                raise ValueError(f"attacks.{name}: the name is taken by a set of benign pictures")
        if isinstance(self.data, embedded.Pictures) and self.backbone.pool is not None:
            raise ValueError(
                "backbone.pool needs photographs, for example data.source=folder: for drawn people "
                "the pool is drawn as well"
            )
        if self.backbone.weights is not None and self.backbone.pool is not None:
            raise ValueError("backbone.weights and backbone.pool exclude each other: give one")
        return self
