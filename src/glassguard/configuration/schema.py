"""The whole configuration: the settings of all packages together."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from glassguard.adaptive.settings import Adaptive
from glassguard.attack.settings import AccessoryAttack, Controls, CosineSimilarity, Robustness
from glassguard.configuration.picture_sources import Data
from glassguard.datasets.settings import Downloads
from glassguard.datasets.sources import embedded
from glassguard.detection.settings import Detector
from glassguard.guard.settings import Guard
from glassguard.influence.settings import Influence
from glassguard.kernels import Kernels
from glassguard.recognizer.layers import CONVOLUTIONS, DOWNSAMPLING, LAYERS
from glassguard.recognizer.settings import Backbone, DenseLayers
from glassguard.recognizer.shipped_networks import network_record
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
    least_minutes: int = Field(ge=1, description="shortest time asked for")


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
    robustness: Robustness
    controls: Controls
    influence: Influence
    detector: Detector
    saliency: Saliency
    guard: Guard
    adaptive: Adaptive
    tracking: Tracking

    @property
    def has_embedding(self) -> bool:
        """Whether the recognizer is a published embedding network."""
        return self.backbone.network == "onnx"

    @property
    def downloaded(self) -> set[Path]:
        """Where downloads are kept, whether the study asks for them or not."""
        return {self.downloads.folder / one.file for one in self.downloads.files.values()}

    @property
    def given(self) -> dict[str, dict[str, Path]]:
        """Files and folders that the user names, by the rule that reads them and their key."""
        inputs, backbone = self.data.inputs, self.backbone
        teacher = backbone.pretraining.teacher
        read: dict[str, dict[str, Path | None]] = {
            "import_backbone": {"backbone.weights": backbone.weights},
            "teacher": {"backbone.pretraining.teacher.file": teacher.file if teacher else None},
            "fetch_pictures": {key: path for key, path in inputs.items() if ".fetch." in key},
            "data": {key: path for key, path in inputs.items() if ".fetch." not in key},
            "pool": {
                "backbone.pool": backbone.pool,
                "data.detector": inputs.get("data.detector"),
            },
        }
        return {
            rule: {key: path for key, path in paths.items() if path is not None}
            for rule, paths in read.items()
        }

    @model_validator(mode="before")
    @classmethod
    def _plain_frames_look_like_the_first_attack(cls, values: dict[str, Any]) -> Any:
        controls, attacks = values.get("controls"), values.get("attacks")
        if not isinstance(controls, dict) or controls.get("colour", ()) is not None or not attacks:
            return values
        colour = next(iter(attacks.values())).get("initial_colour")
        return {**values, "controls": {**controls, "colour": colour}}

    @model_validator(mode="after")
    def _downloads_keep_apart(self) -> "Study":
        names = [download.file for download in self.downloads.files.values()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"downloads.files: two of them are called {name}")
        return self

    @model_validator(mode="after")
    def _first_attack_has_validation_pictures(self) -> "Study":
        name, attack = next(iter(self.attacks.items()))
        if attack.validation_images == 0:
            raise ValueError(
                f"attacks.{name}.validation_images must be at least 1: detectors and masks are "
                "chosen on validation pictures of the first attack"
            )
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
    def _similarities_are_of_embeddings(self) -> "Study":
        for name, attack in self.attacks.items():
            if isinstance(attack.algorithm, CosineSimilarity) and not self.has_embedding:
                raise ValueError(
                    f"attacks.{name}.algorithm.name: {attack.algorithm.name} needs an embedding, "
                    "i.e. backbone.network=onnx"
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
    def _network_has_the_layers(self) -> "Study":
        if self.backbone.network != "vgg16":
            return self
        if self.data.image_size % DOWNSAMPLING:
            raise ValueError(
                f"data.image_size: {self.data.image_size} is no multiple of {DOWNSAMPLING}, which "
                "VGG-16 needs"
            )
        chosen, shown = self.influence.slices, self.influence.experts.layers
        masks = {
            "saliency.relative.slice": self.saliency.relative.slice,
            "recognizer.copy_masks.relative.slice": self.recognizer.copy_masks.relative.slice,
        }
        named = {
            "influence.slices": (LAYERS, () if isinstance(chosen, str) else chosen),
            "influence.experts.layers": (LAYERS, shown or ()),
            **{key: (CONVOLUTIONS, (one,)) for key, one in masks.items() if isinstance(one, str)},
        }
        for key, (allowed, names) in named.items():
            for name in names:
                if name not in allowed:
                    raise ValueError(f"{key}: VGG-16 has no {name}; allowed: {', '.join(allowed)}")
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
        self._shipped_network_is_as_trained()
        if self.backbone.weights is not None and self.backbone.pool is not None:
            raise ValueError("backbone.weights and backbone.pool exclude each other: give one")
        return self

    def _shipped_network_is_as_trained(self) -> None:
        """What a shipped network was trained with cannot be chosen, and must not seem to be."""
        backbone, name = self.backbone, self.backbone.shipped
        if name is None:
            return
        for key in ("weights", "pool"):
            if getattr(backbone, key) is not None:
                raise ValueError(
                    f"backbone.shipped and backbone.{key} exclude each other: add backbone=pretrain"
                )
        if not isinstance(self.data, embedded.Pictures):
            raise ValueError(
                f"backbone.shipped: {name} is for drawn faces; for photographs choose "
                "backbone=pretrain, faces, vggface or imagenet"
            )
        given = backbone.model_dump(mode="json", exclude={"shipped"})
        for key, wanted, found in _differences("backbone", network_record(name).backbone, given):
            raise ValueError(
                f"{key}: {name} was trained with {json.dumps(wanted)}, not with "
                f"{json.dumps(found)}; add backbone=pretrain to train another network"
            )


def _differences(
    where: str, recorded: dict[str, Any], given: dict[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Keys that have another value than the recorded one, and both values."""
    for key, wanted in recorded.items():
        found = given.get(key)
        if isinstance(wanted, dict) and isinstance(found, dict):
            yield from _differences(f"{where}.{key}", wanted, found)
        elif found != wanted:
            yield f"{where}.{key}", wanted, found
