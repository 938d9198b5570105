"""Readers that several stages share: a recognizer, and pictures with their tables and classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from glassguard.errors import InputError
from glassguard.files.formats import require_columns
from glassguard.files.picture_set import PictureSet
from glassguard.recognizer.network import Recognizer
from glassguard.recognizer.weights import read_recognizer
from glassguard.saliency.grid import NO_TARGET


@dataclass(frozen=True)
class StudyPictures:
    """The study's and an attack's pictures, and the network that sees them.

    Attributes:
        benign: the study's pictures.
        attack: the attack's.
        network: the recognizer.
        identities: its classes.
    """

    benign: PictureSet
    attack: PictureSet
    network: Recognizer
    identities: list[str]

    def classes_of(self, people: pd.DataFrame) -> np.ndarray:
        """The recognizer's classes of the people in rows of the manifest, N int64.

        Raises:
            InputError: the recognizer does not know somebody.
        """
        return self._classes(people["identity"], self.benign.files[0])

    def attacked_classes(self, attacks: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Real and target class of rows of the attack, N int64 each.

        The target is :data:`glassguard.saliency.grid.NO_TARGET` where an attack only dodges.

        Raises:
            InputError: a column is missing or the recognizer does not know somebody.
        """
        path = self.attack.files[0]
        require_columns(attacks, ("attacker", "target", "goal"), path)
        target = np.full(len(attacks), NO_TARGET, dtype=np.int64)
        impersonates = (attacks["goal"] != "dodging").to_numpy()
        target[impersonates] = self._classes(attacks["target"][impersonates], path)
        return self._classes(attacks["attacker"], path), target

    def _classes(self, names: pd.Series, path: Path) -> np.ndarray:
        position = {name: index for index, name in enumerate(self.identities)}
        if unknown := sorted(set(names) - set(position)):
            raise InputError(f"{path}: the recognizer does not know {unknown[0]!r}")
        return names.map(position).to_numpy(dtype=np.int64)


def open_pictures(
    *, benign: Sequence[Path], attack: Sequence[Path], recognizer: Path
) -> StudyPictures:
    """Open two sets and the recognizer (``InputError`` where they do not belong together)."""
    sets = PictureSet.open(benign), PictureSet.open(attack)
    for one in sets:
        network, identities = open_recognizer(recognizer, one.images, one.files[1])
    return StudyPictures(*sets, network, identities)


def use_threads(threads: int) -> None:
    """Fix the threads of torch, and of OpenCV to one: its work here is too small to share."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)


def open_recognizer(
    path: Path, images: np.ndarray, images_path: Path
) -> tuple[Recognizer, list[str]]:
    """The recognizer and its people, checked against the size of the pictures.

    Raises:
        InputError: the recognizer cannot be read, or takes pictures of another size.
    """
    network, identities = read_recognizer(path)
    size = network.image_size
    if images.shape[1:3] != (size, size):
        raise InputError(
            f"{images_path}: pictures are {images.shape[1]}x{images.shape[2]}, "
            f"{path} takes {size}x{size}"
        )
    return network, identities
