"""Attack one shard of the held-out pictures with adversarial glasses or another accessory."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from glassguard.attack.accessories import accessory_masks
from glassguard.attack.glasses import AdversarialGlasses
from glassguard.attack.pairs import Pair, choose_pairs
from glassguard.attack.settings import AccessoryAttack
from glassguard.configuration.sections import AttackSection
from glassguard.errors import InputError
from glassguard.files.formats import check_rows, read_images, read_manifest
from glassguard.progress import Progress
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.network import to_images, to_pixels
from glassguard.recognizer.weights import read_recognizer
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
    if not 0 <= shard < shards:
        raise InputError(f"--shard must be between 0 and {shards - 1}: {shard}")
    torch.set_num_threads(settings.threads)
    network, identities = read_recognizer(recognizer)
    rows = read_manifest(manifest)
    plan = plan_attacks(rows, identities, settings, seed=config.seed)
    mine = plan.iloc[shard::shards]
    pictures = read_images(images)
    check_rows(rows, pictures, manifest, images)
    originals = np.ascontiguousarray(pictures[mine["row"].to_numpy()])
    eyes = rows.loc[mine["row"], ["left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"]]
    places = eyes.to_numpy(dtype=float).reshape(-1, 2, 2)
    masks = accessory_masks(settings.shape, places, originals.shape[1])
    attacker = np.array([identities.index(name) for name in mine["attacker"]], dtype=np.int64)
    target = np.array([identities.index(name) for name in mine["target"]], dtype=np.int64)
    impersonation = settings.goal == "impersonation"

    attack = AdversarialGlasses(
        network,
        goal=settings.goal,
        initial_colour=settings.initial_colour,
        direction=settings.direction,
        largest_change=None if settings.largest_change is None else settings.largest_change / 255,
        step=settings.step / 255,
        momentum=settings.momentum,
        iterations=settings.iterations,
        confidence=settings.confidence,
        dodging_confidence=settings.dodging_confidence,
        total_variation_weight=settings.total_variation,
        non_printability_weight=settings.non_printability,
        printable_colours=torch.tensor(settings.printable_colours),
        batch_size=settings.batch_size,
    )
    with Progress(description="attacked pictures", total=len(mine)) as progress:
        found = attack(
            to_pixels(torch.from_numpy(originals)),
            torch.from_numpy(masks),
            torch.from_numpy(target if impersonation else attacker),
            on_done=progress.advance,
        )
    adversarial = to_images(found.pixels).numpy()
    probabilities = found.probabilities.numpy()
    after_jpeg = probabilities_of(network, through_jpeg(adversarial, settings.jpeg_quality))
    each = np.arange(len(mine))

    def succeeded(confidences: NDArray[np.float32]) -> NDArray[np.bool_]:
        predicted = confidences.argmax(1)
        return predicted == target if impersonation else predicted != attacker

    np.savez(
        results,
        order=mine.index.to_numpy(),
        images=adversarial,
        frames=masks,
        iterations=found.iterations.numpy(),
        gradients=found.gradients.numpy(),
        initial_prediction=probabilities_of(network, originals).argmax(1),
        prediction=probabilities.argmax(1),
        confidence_true=probabilities[each, attacker],
        confidence_target=probabilities[each, target],
        success=succeeded(probabilities),
        success_jpeg=succeeded(after_jpeg),
        image_id=mine["image_id"].to_numpy(dtype=str),
        split=mine["split"].to_numpy(dtype=str),
        attacker=attacker,
        target=target,
        identities=np.array(identities),
    )
    return {"attacked": len(mine), "gradients": int(found.gradients.sum())}


def plan_attacks(
    rows: pd.DataFrame, identities: list[str], settings: AccessoryAttack, *, seed: int
) -> pd.DataFrame:
    """Which picture is attacked towards whom.

    Args:
        rows: the manifest.
        identities: people the recognizer knows.
        settings: the attack's section of the configuration.
        seed: seed of the choice of pairs and of pictures.

    Returns:
        One row per attack: image_id, row (of the manifest), split, attacker, target; validation
        pictures first, then by pair.

    Raises:
        InputError: somebody who is named is not among the people.
    """
    try:
        pairs = choose_pairs(
            identities,
            targets=settings.targets,
            attackers_per_target=settings.attackers_per_target,
            seed=seed,
            named=[Pair(pair.target, pair.attacker) for pair in settings.named_pairs],
        )
    except ValueError as error:
        raise InputError(f"attacks.named_pairs: {error}") from None
    limits = {"val": settings.validation_images, "test": settings.test_images}
    chosen = []
    for split, limit in limits.items():
        for number, pair in enumerate(pairs):
            generator = np.random.default_rng([seed, number, len(split)])
            chosen += _pictures_of(rows, pair, split, limit, generator)
    return pd.DataFrame(chosen, columns=["image_id", "row", "split", "attacker", "target"])


def _pictures_of(
    rows: pd.DataFrame, pair: Pair, split: str, limit: int, generator: np.random.Generator
) -> list[tuple[str, int, str, str, str]]:
    candidates = rows.index[(rows["identity"] == pair.attacker) & (rows["split"] == split)]
    taken = np.sort(generator.permutation(candidates.to_numpy())[:limit])
    return [
        (str(rows.at[row, "image_id"]), int(row), split, pair.attacker, pair.target)
        for row in taken
    ]


def through_jpeg(images: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """N x H x W x 3 uint8 RGB pictures, written as JPEG and read again."""
    decoded = np.empty_like(images)
    for row, picture in enumerate(images):
        _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        read: NDArray[np.uint8] = cv2.imdecode(encoded, cv2.IMREAD_COLOR)  # type: ignore[assignment]
        decoded[row] = read[..., ::-1]
    return decoded
