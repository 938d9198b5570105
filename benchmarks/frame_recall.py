"""Which saliency maps find an adversarial frame, and what each costs.

    snakemake --cores 2 --config experiment=embedded
    python benchmarks/frame_recall.py results/embedded

On the attacked validation pictures of a finished study: the mean share of the frame that lies among
each map's strongest 6.7 % (the frame's own area), 12 % and 20 % of the pixels, and seconds for each
in the same process. Then what the quotient rests on: how sensitive the decision is to pixels inside
the frame, over outside: on attacked pictures, the same faces with plain frames, and bare ones.
Nothing is read of the test split. Slices and blurs are varied here; what the study itself uses is
read from its configuration.
"""

import argparse
import csv
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml
from torch import Tensor

from glassguard.attack.controls import wear
from glassguard.files.formats import read_examples, read_frames, read_images, read_manifest
from glassguard.influence.quantities import Comparative
from glassguard.recognizer.network import Recognizer, to_pixels
from glassguard.recognizer.weights import read_recognizer
from glassguard.saliency.relative_map import relative_maps
from glassguard.saliency.saliency_map import saliency_maps

BATCH = 32
SHARES = (0.067, 0.12, 0.20)
SLICES = ("conv3_3", "conv4_1", "conv4_3", "conv5_1")
COLUMNS = ("pictures", "figure", "of", *(f"at_{share:g}" for share in SHARES), "over_guided_time")
COPIES, NOISE = 8, 0.1
"""Of SmoothGrad; the noise is a standard deviation on pixels in [0, 1]."""
BLURS = 2
"""Guided maps are sharper than the sensitivity, which is blurred half as far."""
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


def smoothed(
    explain: Callable[..., tuple[Tensor, Tensor]], blur: float, *, pixels: Tensor
) -> tuple[Tensor, Tensor]:
    """Maps under a Gaussian."""
    maps, predicted = explain(pixels=pixels)
    side = pixels.shape[-1]
    soft = [cv2.GaussianBlur(one, (0, 0), BLURS * blur * side) for one in maps.numpy()]
    return torch.from_numpy(np.stack(soft)), predicted


def noisy(
    explain: Callable[..., tuple[Tensor, Tensor]], *, pixels: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean of the maps of noisy copies (SmoothGrad, Smilkov et al. 2017)."""
    generator = torch.Generator().manual_seed(0)
    copies = []
    for _ in range(COPIES):
        noise = NOISE * torch.randn(pixels.shape, generator=generator)
        copies.append(explain(pixels=(pixels + noise).clamp(0, 1)))
    return torch.stack([maps for maps, _ in copies]).mean(0), copies[0][1]


def sensitivity(network: Recognizer, pixels: Tensor) -> Tensor:
    """Largest magnitude of the gradient over the colours, N x H x W."""
    leaf = pixels.requires_grad_(True)
    logits = network(leaf)
    (gradient,) = torch.autograd.grad(Comparative()(logits, logits).sum(), leaf)
    return gradient.abs().amax(dim=1)


def main() -> None:
    """Print shares, seconds and ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of a finished study")
    parser.add_argument("--attack", default="glasses", help="name of the attack")
    parser.add_argument("--table", type=Path, help="CSV file to write as well")
    given = parser.parse_args()
    results = given.results
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network, _ = read_recognizer(results / "recognizer" / "recognizer.safetensors")
    settings = yaml.safe_load((results / "config/responses.yaml").read_text())["saliency"]
    controls = yaml.safe_load((results / "config/controls.yaml").read_text())
    plain = np.rint(255 * np.array(controls["controls"]["colour"])).astype(np.uint8)
    folder = results / "attacks" / given.attack
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
    at = network.slice_at(settings["relative"]["slice"])
    chosen = next(name for name, module in slices.items() if module is at)
    blur, floor = settings["relative"]["blur"], settings["relative"]["floor"]
    guided = partial(saliency_maps, network, channel_reduction=settings["channel_reduction"])
    relative = partial(relative_maps, network, floor=floor)
    alone = partial(relative_maps, network, blur=0.0, floor=NO_DIVISOR)
    kinds = {
        "guided backpropagation": guided,
        "guided, blurred": partial(smoothed, guided, blur),
        "guided, mean over eight noisy copies": partial(noisy, guided),
        "guided, three likeliest classes": partial(guided, top_classes=3),
        **{f"evidence at {name} alone": partial(alone, slices[name]) for name in SLICES},
        **{
            f"relative, evidence at {name}": partial(relative, slices[name], blur=blur)
            for name in SLICES
        },
        f"relative, {chosen}, no blur": partial(relative, slices[chosen], blur=0.0),
    }
    batches = [slice(start, start + BATCH) for start in range(0, len(attacked), BATCH)]
    first = None
    rows_written: list[dict[str, object]] = []
    guided(pixels=to_pixels(torch.from_numpy(attacked[batches[0]])))
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
        shares = {f"at_{share:g}": f"{recall(maps, frames, share):.3f}" for share in SHARES}
        found = "  ".join(shares.values())
        print(f"{name:36s} {found}   {seconds:5.1f} s, {seconds / first:.2f} of guided")
        row = {"pictures": len(attacked), "figure": "recall", "of": name, **shares}
        rows_written.append({**row, "over_guided_time": f"{seconds / first:.2f}"})

    print("sensitivity inside the frame over that outside, mean over pictures")
    for name, pictures in {
        "adversarial glasses": attacked,
        "plain frames": wear(bare, frames, plain),
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
        print(f"{name:36s} {np.mean(ratios):.2f}")
        row = {"pictures": len(attacked), "figure": "sensitivity inside over outside", "of": name}
        rows_written.append({**row, f"at_{SHARES[0]:g}": f"{np.mean(ratios):.2f}"})
    if given.table is not None:
        with given.table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows_written)


if __name__ == "__main__":
    main()
