"""How much the search over masks saves against the loop over everything.

    python benchmarks/grid.py
    python benchmarks/grid.py results/embedded [--table docs/tables/cost-grid-of-embedded.csv]

Eight equal steps of each of μ, n and φ up to the point that Study S found best, 0.98, 8 and 80, on
the same pictures in one process: a naive loop that makes every
mask by itself and classifies every picture under it, against ``glassguard.saliency.grid.search``.
Both are given the same saliency maps, network and size of batches, so they differ in what they do
with the grid alone. Printed are passes, processor seconds and their ratios, whether masks are equal
to the bit and confidences to 1e-5, and the share of the search's time that is no network pass, with
black masks and with inpainted ones. Both sides run in turn, three times, and the shortest counts.

How many masks are distinct depends on the saliency maps, so these must be a trained recognizer's.
With a folder they are the study's, on its attacked validation pictures. Without one, faces are
drawn at the default study's size, every other one behind a frame of random texture, and a
recognizer of its width is trained on them for two or three minutes: a worse one than the study's,
with noisier maps and so more distinct masks, which favours the naive loop.

It also depends on the grid: without dilation (n = 0) and with φ below ten pixels hardly any two
masks are alike; a grid of such values saves half as much. Inpainting costs as much as a third of a
pass of this small network, and is no network pass: OpenCV's time, whatever the engine does.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from bounds import Figure, reported
from torch import nn

from glassguard.attack.accessories import frame_masks
from glassguard.attack.controls import random_texture, wear
from glassguard.configuration.compose import compose_study
from glassguard.faces.embedded.population import render_person
from glassguard.files.formats import read_examples, read_images
from glassguard.recognizer.head import train_dense_layers, untrained_recognizer
from glassguard.recognizer.network import to_pixels
from glassguard.recognizer.pretraining import pretrain
from glassguard.recognizer.trainer import LabelledPictures
from glassguard.recognizer.weights import BackboneFile, read_recognizer
from glassguard.saliency.classification import probabilities
from glassguard.saliency.fill import filled
from glassguard.saliency.grid import (
    NO_TARGET,
    Combination,
    Maps,
    MaskPlan,
    SearchResult,
    combinations,
    search,
)
from glassguard.saliency.mask import saliency_mask
from glassguard.saliency.saliency_map import saliency_maps

ROOT = Path(__file__).resolve().parents[1]
MU = (0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98)
N = (1, 2, 3, 4, 5, 6, 7, 8)
PHI = (10, 20, 30, 40, 50, 60, 70, 80)
BATCH = 64
ROUNDS = 3
PEOPLE = 12
PICTURES_OF_EACH = 24


class TimedNetwork(nn.Module):
    """A network that knows how long its forward passes took."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seconds = 0.0

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """As the network's."""
        started = time.process_time()
        logits = self.network(pixels)
        self.seconds += time.process_time() - started
        return logits


def trained_on_drawn_faces(count: int) -> tuple[nn.Module, np.ndarray]:
    """A quickly trained recognizer and N x H x W x 3 uint8 pictures that it has not seen."""
    study = compose_study(ROOT / "conf", "embedded")
    size = study.data.image_size
    drawn = [
        render_person(0, person, images=PICTURES_OF_EACH, size=size) for person in range(PEOPLE)
    ]
    images = np.concatenate([pictures for pictures, _ in drawn])
    eyes = np.concatenate([places for _, places in drawn])
    labels = np.repeat(np.arange(PEOPLE), PICTURES_OF_EACH)
    held_out = np.arange(len(labels)) % 4 == 0
    settings = study.model_dump()
    settings["backbone"]["pretraining"]["steps"] = [{"image_size": 48, "epochs": 40}]
    settings["backbone"]["pretraining"]["batch_size"] = 16
    settings["recognizer"]["epochs"] = 20
    settings["recognizer"]["occluded_copies"] = 1
    study = study.model_validate(settings)
    seen, unseen = (LabelledPictures.chosen(images, labels, rows) for rows in (~held_out, held_out))
    convolutions, _ = pretrain(seen, unseen, study.backbone, seed=0)
    network = untrained_recognizer(
        BackboneFile(convolutions, study.backbone.width, *study.backbone.normalisation()),
        study.recognizer,
        identities=PEOPLE,
        image_size=size,
        seed=0,
    )
    history = train_dense_layers(network, seen, unseen, study.recognizer, seed=0)
    print(f"recognizer: accuracy {history[-1]['val_accuracy']:.2f} on held-out pictures")
    chosen = np.flatnonzero(held_out)[:: max(1, int(held_out.sum()) // count)][:count]
    texture = random_texture(len(chosen), size, generator=np.random.default_rng(0))
    worn = wear(images[chosen], frame_masks(eyes[chosen], size), texture)
    every_other = (np.arange(len(chosen)) % 2 == 0)[:, None, None, None]
    return network, np.where(every_other, worn, images[chosen])


def of_a_study(results: Path, count: int) -> tuple[nn.Module, np.ndarray]:
    """The recognizer of a study and N x H x W x 3 uint8 of its attacked validation pictures."""
    network, _ = read_recognizer(results / "recognizer" / "recognizer.safetensors")
    folder = sorted((results / "attacks").iterdir())[0]
    rows = np.flatnonzero(read_examples(folder / "examples.csv")["split"] == "val")
    return network, np.array(read_images(folder / "images.npy")[rows[:count]])


def naive(
    network: nn.Module,
    images: np.ndarray,
    maps: Sequence[Maps],
    classes: np.ndarray,
    points: list[Combination],
) -> tuple[np.ndarray, np.ndarray]:
    """Masks, pictures x points x packed bits, and confidences, pictures x points x 2."""
    masks = []

    def pictures() -> Iterator[np.ndarray]:
        for image, of_image in zip(images, maps, strict=True):
            for point in points:
                mask = saliency_mask(
                    of_image[point.map], mu=point.mu, mu_as=point.mu_as, n=point.n, phi=point.phi
                )
                masks.append(np.packbits(mask))
                yield filled(image, mask, point.fill)

    rows = list(probabilities(network, pictures(), batch_size=BATCH))
    scores = np.reshape(rows, (len(images), len(points), -1))
    pairs = np.stack(
        [scores[np.arange(len(images)), :, classes[:, side]] for side in (0, 1)], axis=2
    )
    dodged = classes[:, 1] == NO_TARGET
    pairs[dodged, :, 1] = 1 - pairs[dodged, :, 0]
    return np.reshape(masks, (len(images), len(points), -1)), pairs


def masks_are_equal(masks: np.ndarray, maps: Sequence[Maps], points: list[Combination]) -> bool:
    """Whether the plan's masks are those of the naive loop, to the bit and for every point."""
    plan = MaskPlan(points)
    for expected, of_image in zip(masks, maps, strict=True):
        for distinct in plan.distinct_masks(of_image):
            packed = np.packbits(distinct.mask)
            for positions in distinct.combinations.values():
                if not (expected[positions] == packed).all():
                    return False
    return True


def main() -> int:
    """Print the ratios; returns 1 when a bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", help="folder of a finished study")
    parser.add_argument("--pictures", type=int, default=12, help="how many, 12 by default")
    parser.add_argument("--table", type=Path, help="CSV file to write as well")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    source = trained_on_drawn_faces if chosen.results is None else of_a_study
    given = (chosen.pictures,) if chosen.results is None else (chosen.results, chosen.pictures)
    network, images = source(*given)
    maps, predicted = saliency_maps(
        network, to_pixels(torch.from_numpy(images)), channel_reduction="max"
    )
    saliency: list[Maps] = [{"guided": one} for one in maps.numpy()]
    # Pictures in turn with and without a target, as in a study.
    target = np.where(np.arange(len(images)) % 2 == 0, (predicted.numpy() + 1) % 4, NO_TARGET)
    classes = np.stack([predicted.numpy(), target], axis=1)
    points, inpainted = (
        combinations(map=("guided",), mu=MU, mu_as=("quantile",), n=N, phi=PHI, fill=(fill,))
        for fill in ("zero", "telea")
    )
    timed = TimedNetwork(network)

    def searched(points: list[Combination], count: int) -> tuple[SearchResult, float, float]:
        pictures = zip(images[:count], saliency[:count], strict=True)
        timed.seconds, started = 0.0, time.process_time()
        found = search(timed, pictures, classes[:count], points, batch_size=BATCH)
        return found, time.process_time() - started, timed.seconds

    searched(points, 1)  # warm up
    rounds, rounds_naive = [], []
    for _ in range(ROUNDS):
        found, seconds, in_network = searched(points, len(images))
        rounds.append((seconds, in_network))
        started = time.process_time()
        masks, confidences = naive(timed, images, saliency, classes, points)
        rounds_naive.append(time.process_time() - started)
    seconds, in_network = min(rounds)
    seconds_naive = min(rounds_naive)
    seconds_inpainted, in_network_inpainted = min(
        searched(inpainted, len(images))[1:] for _ in range(ROUNDS)
    )

    passes, passes_naive = found.network_passes, len(images) * len(points)
    difference = float(np.abs(found.confidences - confidences).max())
    print(f"{len(images)} pictures, {len(points)} combinations, black masks")
    print(f"network passes: {passes_naive}, {passes}; seconds: {seconds_naive:.1f}, {seconds:.1f}")
    equal = masks_are_equal(masks, saliency, points)
    figures = [
        Figure("times fewer passes than the naive loop", passes_naive / passes, 2, ">=", 2.2),
        Figure("times less time than the naive loop", seconds_naive / seconds, 2, ">=", 2),
        Figure(
            "share of time that is no pass, black masks",
            (seconds - in_network) / seconds,
            3,
            "<=",
            0.1,
        ),
        Figure(
            "share of time that is no pass, inpainted by Telea",
            (seconds_inpainted - in_network_inpainted) / seconds_inpainted,
            3,
            "<=",
            0.1,
        ),
        Figure("masks equal to the bit (1: all)", float(equal), 0, ">=", 1),
        Figure("largest difference of a confidence", difference, 7, "<=", 1e-5),
    ]
    return reported(figures, chosen.table)


if __name__ == "__main__":
    sys.exit(main())
