"""Which saliency maps find an adversarial frame, and what each costs.

    snakemake --cores 2 --config experiment=embedded
    python benchmarks/frame_recall.py results/embedded

On the attacked validation pictures of a finished study: the mean share of the frame that lies among
each map's strongest 6.7 % (the frame's own area), 12 % and 20 % of the pixels, and seconds for each
in the same process. Then what the quotient rests on: how sensitive the decision is to pixels inside
the frame, over outside: on attacked pictures, the same faces with plain frames, and bare ones.
Nothing is read of the test split.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from glassguard.attack.frames import wear
from glassguard.influence.quantities import Comparative
from glassguard.recognizer.network import FaceRecognizer, to_pixels
from glassguard.recognizer.weights import read_recognizer
from glassguard.saliency.relative_map import relative_maps
from glassguard.saliency.saliency_map import saliency_maps
from glassguard.stages.files import read_examples, read_images, read_manifest
from glassguard.stages.saliency_inputs import read_frames

BATCH = 32
SHARES = (0.067, 0.12, 0.20)
YELLOW = np.array([255, 255, 0], dtype=np.uint8)
NO_DIVISOR = 1e6
"""A floor beside which sensitivity does not count: evidence alone is left."""


def recall(maps: np.ndarray, frames: np.ndarray, share: float) -> float:
    """Mean share of the frames among the strongest ``share`` of N x H x W maps."""
    levels = np.quantile(maps, 1 - share, axis=(1, 2), keepdims=True)
    return float(
        np.mean(
            [
                (one > level)[frame].mean()
                for one, level, frame in zip(maps, levels, frames, strict=True)
            ]
        )
    )


def sensitivity(network: FaceRecognizer, pixels: Tensor) -> Tensor:
    """Largest magnitude of the gradient over the colours, N x H x W."""
    leaf = pixels.requires_grad_(True)
    logits = network(leaf)
    (gradient,) = torch.autograd.grad(Comparative()(logits, logits).sum(), leaf)
    return gradient.abs().amax(dim=1)


def main() -> None:
    """Print shares, seconds and ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a finished study")
    results = parser.parse_args().results
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network, _ = read_recognizer(results / "recognizer" / "recognizer.safetensors")
    folder = sorted((results / "attacks").iterdir())[0]
    examples = read_examples(folder / "examples.csv")
    rows = np.flatnonzero(examples["split"] == "val")
    attacked = np.array(read_images(folder / "images.npy")[rows])
    frames = np.array(read_frames(folder / "frames.npy")[rows])
    place = {
        name: row
        for row, name in enumerate(read_manifest(results / "data/manifest.csv")["image_id"])
    }
    originals = [place[name] for name in examples["image_id"].iloc[rows]]
    bare = np.array(read_images(results / "data" / "images.npy")[originals])

    slices = network.slice_modules()
    relative = partial(relative_maps, network, blur=0.01, floor=0.05)
    alone = partial(relative_maps, network, blur=0.0, floor=NO_DIVISOR)
    kinds = {
        "guided backpropagation": partial(saliency_maps, network, channel_reduction="max"),
        "guided, three likeliest classes": partial(
            saliency_maps, network, channel_reduction="max", top_classes=3
        ),
        **{
            f"evidence at {name} alone": partial(alone, slices[name])
            for name in ("conv3_3", "conv4_1", "conv4_3", "conv5_1")
        },
        **{
            f"relative, evidence at {name}": partial(relative, slices[name])
            for name in ("conv3_3", "conv4_1", "conv4_3", "conv5_1")
        },
    }
    batches = [slice(start, start + BATCH) for start in range(0, len(attacked), BATCH)]
    first = None
    print(f"{len(attacked)} attacked validation pictures; share of the frame found, seconds")
    for name, explain in kinds.items():
        started = time.perf_counter()
        maps = np.concatenate(
            [
                explain(pixels=to_pixels(torch.from_numpy(attacked[part])))[0].numpy()
                for part in batches
            ]
        )
        seconds = time.perf_counter() - started
        first = first or seconds
        found = "  ".join(f"{recall(maps, frames, share):.3f}" for share in SHARES)
        print(f"{name:34s} {found}   {seconds:5.1f} s, {seconds / first:.2f} of guided")

    print("sensitivity inside the frame over that outside, mean over pictures")
    for name, pictures in {
        "adversarial glasses": attacked,
        "plain frames": wear(bare, frames, YELLOW),
        "bare faces": bare,
    }.items():
        found_in = np.concatenate(
            [
                sensitivity(network, to_pixels(torch.from_numpy(pictures[part]))).numpy()
                for part in batches
            ]
        )
        ratios = [
            one[frame].mean() / one[~frame].mean()
            for one, frame in zip(found_in, frames, strict=True)
        ]
        print(f"{name:34s} {np.mean(ratios):.2f}")


if __name__ == "__main__":
    main()
