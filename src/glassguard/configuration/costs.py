"""How many shards a study needs and how long its jobs may take, estimated from its settings."""

import math

from glassguard.configuration.schema import Study
from glassguard.saliency.settings import ONE_JOB

MEASURED_IMAGE_SIZE = 96
MEASURED_WIDTH = 0.5


def relative_pixels(study: Study) -> float:
    """Pixels of a picture, over those of the study that the costs were measured on."""
    return (study.data.image_size / MEASURED_IMAGE_SIZE) ** 2


def relative_work(study: Study) -> float:
    """Time of a pass through the network, over that of the same study.

    Convolutions make nearly all of it, and each costs pixels times the channels on both of its
    sides.
    """
    return relative_pixels(study) * (study.backbone.width / MEASURED_WIDTH) ** 2


def attack_minutes(study: Study) -> float:
    """Processor minutes of the longest attack, over all of its shards."""
    pictures = max(
        (attack.targets * attack.attackers_per_target + len(attack.named_pairs))
        * (attack.validation_images + attack.test_images)
        for attack in study.attacks.values()
    )
    return pictures * study.costs.seconds_per_attacked_picture * relative_work(study) / 60


def grid_minutes(study: Study) -> float:
    """Processor minutes of one search for the best mask, over all of its shards."""
    grid, search = study.saliency.grid, study.saliency.search
    points = math.prod(
        len(values) for values in (grid.map, grid.mu_as, grid.mu, grid.n, grid.phi, grid.fill)
    )
    if search.method not in ("grid", "racing"):
        points = min(points, search.trials)
    attacked = max(
        (attack.targets * attack.attackers_per_target + len(attack.named_pairs))
        * attack.validation_images
        for attack in study.attacks.values()
    )
    if grid.images is not None:
        attacked = min(attacked, grid.images)
    # As many clean pictures as attacked ones.
    masks = points * 2 * attacked
    return masks * study.costs.seconds_per_mask * relative_work(study) / 60


def pretraining_minutes(study: Study) -> float:
    """Minutes that pretraining takes on its threads; of a GPU nothing is known, so at its slowest.

    A pool of photographs is counted when it is read, not before: a size is assumed.
    """
    pretraining = study.backbone.pretraining
    people, each = pretraining.identities, pretraining.images_per_identity
    pictures = study.costs.pool_pictures if people is None or each is None else people * each
    epochs = sum(
        step.epochs * (step.image_size / MEASURED_IMAGE_SIZE) ** 2 for step in pretraining.steps
    )
    width = 1.0 if pretraining.accelerator == "gpu" else study.backbone.width / MEASURED_WIDTH
    seconds = pictures * epochs * width**2 * study.costs.seconds_per_pretraining_picture
    return seconds / pretraining.threads / 60


def attack_shards(study: Study) -> int:
    """How many jobs an attack is split into: those asked for, or by what it costs."""
    return study.attack_shards or _by_cost(attack_minutes(study), study)


def grid_shards(study: Study) -> int:
    """How many jobs the search for the best mask is split into, in the same way."""
    if study.saliency.search.method in ONE_JOB:
        return 1
    return study.saliency.grid.shards or _by_cost(grid_minutes(study), study)


def time_limit(minutes: float, study: Study) -> int:
    """Whole minutes that a cluster is asked for where a job is expected to take ``minutes``."""
    return max(study.costs.least_minutes, math.ceil(minutes * study.costs.headroom))


def _by_cost(minutes: float, study: Study) -> int:
    return max(study.costs.least_shards, math.ceil(minutes / study.costs.shard_minutes))
