"""Readers that several stages share: a recognizer, and pictures with their tables and classes."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from glassguard.errors import InputError
from glassguard.files.formats import (
    check_rows,
    read_examples,
    read_images,
    read_manifest,
    require_columns,
)
from glassguard.recognizer.network import Recognizer
from glassguard.recognizer.weights import read_recognizer
from glassguard.saliency.grid import NO_TARGET


@dataclass(frozen=True)
class StudyPictures:
    """The study's and an attack's pictures with their tables, and the network that sees them.

    Attributes:
        clean: uint8 N x H x W x 3, memory-mapped.
        people: the manifest; row = picture.
        attacked: uint8 M x H x W x 3, memory-mapped.
        attacks: the attack's examples; row = picture.
        network: the recognizer.
        identities: its classes.
        tables: the files of ``people`` and ``attacks``.
    """

    clean: np.ndarray
    people: pd.DataFrame
    attacked: np.ndarray
    attacks: pd.DataFrame
    network: Recognizer
    identities: list[str]
    tables: tuple[Path, Path]

    def classes_of(self, people: pd.DataFrame) -> np.ndarray:
        """The recognizer's classes of the people in rows of the manifest, N int64.

        Raises:
            InputError: the recognizer does not know somebody.
        """
        return self._classes(people["identity"], self.tables[0])

    def attacked_classes(self, attacks: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Real and target class of rows of the attack, N int64 each.

        The target is :data:`glassguard.saliency.grid.NO_TARGET` where an attack only dodges.

        Raises:
            InputError: a column is missing or the recognizer does not know somebody.
        """
        require_columns(attacks, ("attacker", "target", "goal"), self.tables[1])
        target = np.full(len(attacks), NO_TARGET, dtype=np.int64)
        impersonates = (attacks["goal"] != "dodging").to_numpy()
        target[impersonates] = self._classes(attacks["target"][impersonates], self.tables[1])
        return self._classes(attacks["attacker"], self.tables[1]), target

    def _classes(self, names: pd.Series, path: Path) -> np.ndarray:
        position = {name: index for index, name in enumerate(self.identities)}
        if unknown := sorted(set(names) - set(position)):
            raise InputError(f"{path}: the recognizer does not know {unknown[0]!r}")
        return names.map(position).to_numpy(dtype=np.int64)


def open_pictures(
    *, manifest: Path, images: Path, examples: Path, adversarial_images: Path, recognizer: Path
) -> StudyPictures:
    """Open pictures, tables and recognizer (``InputError`` where they do not belong together)."""
    clean, attacked = read_images(images), read_images(adversarial_images)
    people, attacks = read_manifest(manifest), read_examples(examples)
    check_rows(people, clean, manifest, images)
    check_rows(attacks, attacked, examples, adversarial_images)
    network, identities = open_recognizer(recognizer, clean, images)
    open_recognizer(recognizer, attacked, adversarial_images)
    tables = manifest, examples
    return StudyPictures(clean, people, attacked, attacks, network, identities, tables)


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
