"""Attack one shard of the held-out pictures with adversarial glasses or another accessory."""

from pathlib import Path

import numpy as np
import torch

from glassguard.attack.accessories import accessory_masks
from glassguard.attack.algorithms import configured_attack
from glassguard.attack.plan import Pair, choose_pairs, plan_attacks, shard_of
from glassguard.attack.settings import CosineSimilarity
from glassguard.attack.success import succeeded, through_jpeg
from glassguard.configuration.sections import AttackSection
from glassguard.errors import InputError
from glassguard.faces.manifest import EYES
from glassguard.files.formats import check_rows, read_images, read_manifest
from glassguard.progress import Progress
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.network import to_images, to_pixels
from glassguard.recognizer.weights import read_recognizer
from glassguard.stages.enrolment import enrolled_people
from glassguard.stages.paths import OutputPath


def run(
    config: AttackSection,
    *,
    images: Path,
    manifest: Path,
    recognizer: Path,
    shard: int,
    shards: int,
    results: OutputPath,
) -> dict[str, float | int | str]:
    """Attack every ``shards``-th of the planned pictures, from ``shard`` (counted from 0) on."""
    settings = config.attack
    torch.set_num_threads(settings.threads)
    network, identities = read_recognizer(recognizer)
    rows = read_manifest(manifest)
    limits = {"val": settings.validation_images, "test": settings.test_images}
    try:
        pairs = choose_pairs(
            identities,
            targets=settings.targets,
            attackers_per_target=settings.attackers_per_target,
            seed=config.seed,
            named=[Pair(pair.target, pair.attacker) for pair in settings.named_pairs],
        )
    except ValueError as error:
        raise InputError(f"attacks.{config.name}.named_pairs: {error}") from None
    try:
        mine = shard_of(plan_attacks(rows, pairs, images=limits, seed=config.seed), shard, shards)
    except ValueError as error:
        raise InputError(f"--{error}") from None
    pictures = read_images(images)
    check_rows(rows, pictures, manifest, images)
    originals = np.ascontiguousarray(pictures[mine["row"].to_numpy()])
    eyes = rows.loc[mine["row"], list(EYES)].to_numpy(dtype=float).reshape(-1, 2, 2)
    masks = accessory_masks(settings.shape, eyes, originals.shape[1])
    attacker = np.array([identities.index(name) for name in mine["attacker"]], dtype=np.int64)
    target = np.array([identities.index(name) for name in mine["target"]], dtype=np.int64)

    enrolled = None
    if isinstance(settings.algorithm, CosineSimilarity):
        enrolled = enrolled_people(recognizer, network, identities, rows, pictures, manifest)
    attack = configured_attack(settings, network, seed=config.seed, enrolled=enrolled)
    with Progress(description="attacked pictures", total=len(mine)) as progress:
        found = attack(
            to_pixels(torch.from_numpy(originals)),
            torch.from_numpy(masks),
            torch.from_numpy(target if settings.goal == "impersonation" else attacker),
            numbers=mine.index.tolist(),
            on_done=progress.advance,
        )
    adversarial = to_images(found.pixels).numpy()
    confidences = found.probabilities.numpy()
    after_jpeg = probabilities_of(network, through_jpeg(adversarial, settings.jpeg_quality))
    each = np.arange(len(mine))
    np.savez(
        results,
        order=mine.index.to_numpy(),
        images=adversarial,
        frames=masks,
        iterations=found.iterations.numpy(),
        gradients=found.gradients.numpy(),
        initial_prediction=probabilities_of(network, originals).argmax(1),
        prediction=confidences.argmax(1),
        confidence_true=confidences[each, attacker],
        confidence_target=confidences[each, target],
        success=succeeded(confidences, attacker, target, settings.goal),
        success_jpeg=succeeded(after_jpeg, attacker, target, settings.goal),
        image_id=mine["image_id"].to_numpy(dtype=str),
        split=mine["split"].to_numpy(dtype=str),
        attacker=attacker,
        target=target,
        identities=np.array(identities),
    )
    return {"attacked": len(mine), "gradients": int(found.gradients.sum())}
