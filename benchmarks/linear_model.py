"""How far a linear model on raw pixels gets with the study's people.

    python benchmarks/linear_model.py results/embedded/data

Logistic regression on pictures shrunk to 48 px, for a range of regularisation strengths. The one
that docs/embedded-faces.md speaks of is chosen on the validation split.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression

from glassguard.faces.manifest import SPLITS
from glassguard.files.formats import read_images, read_manifest

SIDE = 48
INVERSE_REGULARISATION = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


def main() -> None:
    """Print the accuracy on every split."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with images.npy and manifest.csv")
    folder = parser.parse_args().data
    manifest = read_manifest(folder / "manifest.csv")
    shrunk = [
        cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for image in read_images(folder / "images.npy")
    ]
    pixels = np.reshape(shrunk, (len(shrunk), -1)).astype(np.float64) / 255
    train = (manifest.split == "train").to_numpy()
    # A model with an L2 penalty lies in the span of its training pictures: nothing is lost.
    centred = pixels - pixels[train].mean(axis=0)
    coordinates = centred @ np.linalg.svd(centred[train], full_matrices=False)[2].T
    print("C", *SPLITS, sep="\t")
    for strength in INVERSE_REGULARISATION:
        model = LogisticRegression(C=strength, max_iter=3000)
        model.fit(coordinates[train], manifest.identity[train])
        accuracies = [
            model.score(coordinates[rows], manifest.identity[rows])
            for rows in ((manifest.split == split).to_numpy() for split in SPLITS)
        ]
        print(f"{strength:g}", *(f"{accuracy:.3f}" for accuracy in accuracies), sep="\t")


if __name__ == "__main__":
    main()
