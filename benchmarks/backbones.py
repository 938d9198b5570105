"""Which of several backbones tells a study's people apart best, without looking at its test split.

    python benchmarks/backbones.py results/faces [NAME=BACKBONE.safetensors ...] [--table FILE.csv]

Compares the backbone of a finished study with others for pictures of the same size: features of all
training and validation pictures and of their mirror images, a logistic regression on them in five
folds, and the effective dimension of the features (the exponential of the entropy of their
covariance's spectrum). With five folds the comparison rests on several times as many pictures as
the validation split has.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn

from glassguard.files.formats import read_images, read_manifest
from glassguard.recognizer.network import (
    Normalisation,
    channels_last,
    convolutional_layers,
    to_pixels,
)
from glassguard.recognizer.weights import BackboneFile, read_backbone
from glassguard.statistics import wilson_interval

BATCH = 64
COLUMNS = ("backbone", "right", "low", "high", "n", "effective_dimension")
FOLDS = 5
REGULARISATIONS = (1e-3, 1e-2)
"""Of the logistic regression (scikit-learn's C); the best is printed."""


def features(network: nn.Module, images: NDArray[np.uint8], *, mirrored: bool) -> Tensor:
    """Flattened features of N x H x W x 3 pictures, N x F float32."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            pixels = to_pixels(torch.from_numpy(images[start : start + BATCH]))
            found.append(network(pixels.flip(-1) if mirrored else pixels).flatten(1))
    return torch.cat(found)


def effective_dimension(values: Tensor) -> float:
    """Exponential of the entropy of the normalised spectrum of the covariance."""
    spectrum = torch.linalg.eigvalsh(torch.cov(values.T)).clamp_min(0)
    share = spectrum / spectrum.sum()
    return float(torch.exp(-(share * share.clamp_min(1e-12).log()).sum()))


def right_in_folds(plain: NDArray, mirrored: NDArray, people: NDArray[np.int64], c: float) -> int:
    """How many pictures are named right by a model that has not seen them or their mirror image."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    right = 0
    for seen, asked in folds.split(plain, people):
        model = LogisticRegression(C=c, max_iter=200)
        model.fit(np.concatenate([plain[seen], mirrored[seen]]), np.tile(people[seen], 2))
        right += int((model.predict(plain[asked]) == people[asked]).sum())
    return right


def named_backbone(argument: str) -> tuple[str, Path]:
    """``NAME=FILE`` as a pair."""
    name, equals, path = argument.rpartition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{argument}: NAME=BACKBONE.safetensors is expected")
    return name, Path(path)


def main() -> None:
    """Print a line for each backbone and write the table where one is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("backbones", type=named_backbone, nargs="*", metavar="NAME=FILE")
    parser.add_argument("--table", type=Path, help="CSV file to write as well")
    arguments = parser.parse_args()
    data = arguments.results / "data"
    manifest = read_manifest(data / "manifest.csv")
    kept = np.flatnonzero((manifest["split"] != "test").to_numpy())
    images = np.ascontiguousarray(read_images(data / "images.npy")[kept])
    people = np.unique(manifest["identity"].to_numpy(dtype=str)[kept], return_inverse=True)[1]
    own = ("the study's own", arguments.results / "backbone" / "backbone.safetensors")
    rows = []
    for name, path in (own, *arguments.backbones):
        backbone = read_backbone(path)
        if not isinstance(backbone, BackboneFile):
            raise SystemExit(f"{path}: no VGG-16")
        convolutions = nn.Sequential(convolutional_layers(backbone.width))
        convolutions.load_state_dict(backbone.tensors)
        normalisation = Normalisation(backbone.mean, backbone.scale)
        network = channels_last(nn.Sequential(normalisation, convolutions).eval())
        plain, mirrored = (features(network, images, mirrored=flip) for flip in (False, True))
        centre, unit = plain.mean(0), plain.std(0).mean()
        plain, mirrored = (plain - centre) / unit, (mirrored - centre) / unit
        right = max(
            right_in_folds(plain.numpy(), mirrored.numpy(), people, c) for c in REGULARISATIONS
        )
        low, high = wilson_interval(right, len(people))
        shown = [f"{value:.3f}" for value in (right / len(people), low, high)]
        dimension = f"{effective_dimension(plain):.0f}"
        rows.append(dict(zip(COLUMNS, (name, *shown, len(people), dimension), strict=True)))
        print(
            f"{name}: {shown[0]} [{shown[1]}-{shown[2]}] of {len(people)} right, "
            f"dimension {dimension}",
            flush=True,
        )
    if arguments.table is not None:
        with arguments.table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
