"""What the stages around the saliency mask read: held-out rows, their maps and their classes."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from glassguard.configuration.schema import Saliency
from glassguard.errors import InputError
from glassguard.recognizer.network import FaceRecognizer
from glassguard.recognizer.weights import read_recognizer
from glassguard.saliency.grid import NO_TARGET, Combination, combinations


def use_threads(threads: int) -> None:
    """Fix the threads of torch, and of OpenCV, whose work here is too small to share."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)


def open_recognizer(
    path: Path, images: np.ndarray, images_path: Path
) -> tuple[FaceRecognizer, list[str]]:
    """The recognizer and its people, checked against the size of the pictures.

    Raises:
        InputError: the pictures have another size than the recognizer takes.
    """
    network, identities = read_recognizer(path)
    size = network.image_size
    if images.shape[1:3] != (size, size):
        raise InputError(
            f"{images_path}: pictures are {images.shape[1]}x{images.shape[2]}, "
            f"{path} takes {size}x{size}"
        )
    return network, identities


def check_rows(table: pd.DataFrame, rows: np.ndarray, table_path: Path, rows_path: Path) -> None:
    """Refuse a table and an array that do not belong together.

    Raises:
        InputError: they have different numbers of rows.
    """
    if len(table) != len(rows):
        raise InputError(f"{rows_path}: has {len(rows)} rows, {table_path} has {len(table)}")


def read_maps(path: Path, ids: list[str]) -> np.ndarray:
    """The saliency maps of some pictures, in the order of ``ids``.

    Returns:
        N x H x W float32 in [0, 1].

    Raises:
        InputError: the file is missing, is none of ``saliency_maps``' or lacks a picture.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            row_of = {name: row for row, name in enumerate(file["ids"].tolist())}
            lacking = [name for name in ids if name not in row_of]
            if lacking:
                raise InputError(
                    f"{path}: has no saliency map of {lacking[0]} ({len(lacking)} missing)"
                )
            return file["maps"][np.array([row_of[name] for name in ids], dtype=np.int64)]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (KeyError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a file of saliency maps: {error}") from None


def read_frames(path: Path) -> np.ndarray:
    """Open the attack's frame masks without loading them: bool N x H x W.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a .npy file of frames: {error}") from None
    if frames.dtype != np.bool_ or frames.ndim != 3:
        raise InputError(f"{path}: must hold one bool array of shape N×H×W")
    return frames


def class_indices(names: pd.Series, identities: list[str], path: Path) -> np.ndarray:
    """Positions of people among the recognizer's classes, N int64.

    Raises:
        InputError: the recognizer does not know somebody.
    """
    position = {name: index for index, name in enumerate(identities)}
    unknown = sorted(set(names) - set(position))
    if unknown:
        raise InputError(f"{path}: the recognizer does not know {unknown[0]!r}")
    return names.map(position).to_numpy(dtype=np.int64)


def attacked_classes(
    examples: pd.DataFrame, identities: list[str], path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Real and target class of adversarial pictures.

    Returns:
        N int64 each; the target is :data:`glassguard.saliency.grid.NO_TARGET` where an attack
        only dodges.

    Raises:
        InputError: a column is missing or the recognizer does not know somebody.
    """
    lacking = [name for name in ("attacker", "target", "goal") if name not in examples.columns]
    if lacking:
        raise InputError(f"{path}: lacks the column(s) {', '.join(lacking)}")
    real = class_indices(examples["attacker"], identities, path)
    target = np.full(len(examples), NO_TARGET, dtype=np.int64)
    impersonates = (examples["goal"] != "dodging").to_numpy()
    target[impersonates] = class_indices(examples["target"][impersonates], identities, path)
    return real, target


def grid_points(saliency: Saliency) -> list[Combination]:
    """The configured grid and, where it is not a point of it, the source's setting."""
    grid = saliency.grid
    return combinations(
        mu=grid.mu,
        mu_as=grid.mu_as,
        n=grid.n,
        phi=grid.phi,
        fill=grid.fill,
        extra=[source_combination(saliency)],
    )


def source_combination(saliency: Saliency) -> Combination:
    """The setting that Study S found, as a point of the grid."""
    return Combination(**saliency.source_setting.model_dump())
