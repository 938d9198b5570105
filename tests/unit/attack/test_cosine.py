"""Attacks on the cosine similarity to enrolled people."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recognizer.onnx_writing import residual_network, write
from scipy.spatial.distance import cosine
from shipped import section

from glassguard.attack.algorithms import configured_attack
from glassguard.attack.cosine import CosineAttack, SimilaritiesAndLogits
from glassguard.attack.losses import LabelLogit
from glassguard.attack.settings import AccessoryAttack
from glassguard.configuration.sections import AttackSection
from glassguard.errors import InputError
from glassguard.faces.manifest import COLUMNS
from glassguard.recognizer.confidences import probabilities_of
from glassguard.recognizer.embedding_recognizer import EmbeddingRecognizer
from glassguard.recognizer.network import FaceRecognizer, to_images
from glassguard.recognizer.onnx_file import read_onnx
from glassguard.recognizer.weights import write_recognizer
from glassguard.stages import attack_shard

SIDE, PEOPLE = 32, ["ann", "bob", "eve", "kim"]
ENROLLED = np.random.default_rng(0).standard_normal((4, 5))
MASK = torch.zeros(SIDE, SIDE, dtype=torch.bool)
MASK[8:20, 4:28] = True


@pytest.fixture
def network(tmp_path: Path) -> EmbeddingRecognizer:
    torch.manual_seed(0)
    graph = read_onnx(write(tmp_path / "network.onnx", residual_network()))
    given = {"mean": (127.5,) * 3, "scale": 127.5, "channels": "rgb", "image_size": SIDE}
    made = EmbeddingRecognizer(graph, identities=4, hidden=8, **given)  # type: ignore[arg-type]
    return made.requires_grad_(False).eval()


def pixels(count: int = 3) -> torch.Tensor:
    drawn = torch.randint(
        0, 256, (count, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1)
    )
    return drawn / 255


def attack(network: EmbeddingRecognizer, **changes: object) -> CosineAttack:
    given = {"loss": LabelLogit(), "iterations": 25, "confidence": 1.0, "enrolled": ENROLLED}
    return CosineAttack(network, **(given | changes))  # type: ignore[arg-type]


def nearest(network: EmbeddingRecognizer, shown: torch.Tensor) -> int:
    """The person whom all pictures are like: no similarity is negative, as a threshold is none."""
    found = [similarity(network, shown, person) for person in range(4)]
    chosen = int(np.argmax([min(one) for one in found]))
    assert min(found[chosen]) > 0
    return chosen


def similarity(network: EmbeddingRecognizer, shown: torch.Tensor, person: int) -> list[float]:
    return [1 - cosine(one.numpy(), ENROLLED[person]) for one in network.embeddings(shown)]


def test_answers_are_similarities_and_the_networks_own_logits(network: EmbeddingRecognizer) -> None:
    shown = pixels()
    enrolled = torch.from_numpy(7 * ENROLLED).float()
    similarities, logits = SimilaritiesAndLogits(network, enrolled)(shown).chunk(2, dim=1)
    for person in range(4):
        np.testing.assert_allclose(
            similarities[:, person], similarity(network, shown, person), rtol=1e-4, atol=1e-6
        )
    torch.testing.assert_close(logits, network(shown))


def test_the_gradient_is_that_of_finite_differences(network: EmbeddingRecognizer) -> None:
    network = network.double()
    enrolled = torch.from_numpy(ENROLLED)
    answering = SimilaritiesAndLogits(network, enrolled)
    shown = pixels(2).double().requires_grad_()
    labels = torch.tensor([1, 3])

    def loss(given: torch.Tensor) -> torch.Tensor:
        return LabelLogit()(answering(given)[:, :4], labels).sum()

    (gradient,) = torch.autograd.grad(loss(shown), shown)
    generator = torch.Generator().manual_seed(2)
    for _ in range(5):
        way = torch.randn(shown.shape, dtype=torch.float64, generator=generator)
        with torch.no_grad():
            difference = (loss(shown + 1e-6 * way) - loss(shown - 1e-6 * way)) / 2e-6
        assert float((gradient * way).sum()) == pytest.approx(float(difference), rel=1e-4)


@pytest.mark.parametrize(("goal", "sign"), [("impersonation", 1), ("dodging", -1)])
def test_the_kept_iterate_has_the_best_similarity(
    network: EmbeddingRecognizer, goal: str, sign: int
) -> None:
    shown, person = pixels(), nearest(network, pixels())
    labels = torch.tensor([person] * 3)
    changes = {"goal": goal, "initial_colour": None, "dodging_confidence": 0.0}
    found = attack(network, **changes)(shown, MASK, labels)
    before, after = (similarity(network, one, person) for one in (shown, found.pixels))
    np.testing.assert_allclose(sign * found.score, after, rtol=1e-4, atol=1e-5)
    assert all(sign * (late - early) > 0.02 for early, late in zip(before, after, strict=True))
    shorter = attack(network, **changes, iterations=5)(shown, MASK, labels)
    assert (found.score >= shorter.score).all()
    np.testing.assert_allclose(
        found.probabilities, probabilities_of(network, to_images(found.pixels).numpy()), atol=1e-5
    )


def test_a_picture_is_done_at_its_similarity(network: EmbeddingRecognizer) -> None:
    shown, person = pixels(), nearest(network, pixels())
    labels = torch.tensor([person] * 3)
    changes = {"initial_colour": None}
    start = attack(network, **changes, iterations=0)(shown, MASK, labels)
    wanted = float(start.score.median())
    found = attack(network, **changes, confidence=wanted)(shown, MASK, labels)
    assert (found.score >= wanted).all()
    assert ((found.gradients == 0) == (start.score >= wanted)).all()


def test_arguments_that_do_not_fit_are_refused(network: EmbeddingRecognizer) -> None:
    for enrolled, message in (
        (ENROLLED[:3], r"people x dimensions, \(4, 5\): \(3, 5\)"),
        (np.zeros((4, 5)), "no row zero"),
        (np.full((4, 5), np.nan), "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            attack(network, enrolled=enrolled)
    vgg16 = FaceRecognizer(
        identities=4, image_size=SIDE, width=0.0625, hidden=8, mean=(0, 0, 0), scale=1.0
    )
    with pytest.raises(ValueError, match="network must have an embedding: FaceRecognizer"):
        attack(vgg16.eval())  # type: ignore[arg-type]


def test_the_shard_enrols_training_pictures(network: EmbeddingRecognizer, tmp_path: Path) -> None:
    rows = [
        [f"{name}{split}{one}", name, split, "", "", SIDE, SIDE, 10, 14, 22, 14, "drawn"]
        for name in PEOPLE
        for split in ("train", "val", "test")
        for one in range(2)
    ]
    manifest = pd.DataFrame(rows, columns=list(COLUMNS))
    images = np.random.default_rng(3).integers(0, 256, (24, SIDE, SIDE, 3), dtype=np.uint8)
    manifest.to_csv(tmp_path / "manifest.csv", index=False)
    np.save(tmp_path / "images.npy", images)
    write_recognizer(tmp_path / "recognizer.safetensors", network, PEOPLE)
    changes = {"targets": 2, "attackers_per_target": 1, "test_images": 2, "iterations": 4}
    changes |= {"algorithm": {"name": "cosine_similarity"}, "loss": "label_logit"}
    settings = AccessoryAttack.model_validate(section("attack/glasses", **changes))
    files = {
        "images": tmp_path / "images.npy",
        "manifest": tmp_path / "manifest.csv",
        "recognizer": tmp_path / "recognizer.safetensors",
    }
    given = AttackSection(seed=0, name="cosine", attack=settings)
    attack_shard.run(given, **files, shard=0, shards=1, results=tmp_path / "shard.npz")
    with np.load(tmp_path / "shard.npz") as found:
        results = dict(found)
    seen = network.embeddings(torch.from_numpy(images).permute(0, 3, 1, 2) / 255).numpy()
    units = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    train = (manifest["split"] == "train").to_numpy()
    people = np.stack(
        [units[train & (manifest["identity"] == name)].mean(axis=0) for name in PEOPLE]
    )
    row_of = {name: row for row, name in enumerate(manifest["image_id"])}
    bare = images[[row_of[name] for name in results["image_id"]]]
    expected = configured_attack(settings, network, seed=0, enrolled=people)(
        torch.from_numpy(bare).permute(0, 3, 1, 2) / 255,
        torch.from_numpy(results["frames"]),
        torch.from_numpy(results["target"]),
    )
    np.testing.assert_allclose(
        results["confidence_target"],
        expected.probabilities.gather(1, torch.from_numpy(results["target"])[:, None])[:, 0],
        atol=2e-3,
    )
    kim = manifest["identity"] == "kim"
    manifest["split"] = manifest["split"].mask(kim & (manifest["split"] == "train"), "val")
    manifest.to_csv(tmp_path / "manifest.csv", index=False)
    with pytest.raises(InputError, match=r"manifest\.csv: 'kim' has no picture of split train"):
        attack_shard.run(given, **files, shard=0, shards=1, results=tmp_path / "shard.npz")
