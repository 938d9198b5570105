"""The state of a training after every epoch, so that one that is killed goes on where it was."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch

BOUND_TO = "glassguard_bound_to"


class EpochCheckpoint(lightning.Callback):
    """Replaces one file after every epoch, in one step: a kill leaves the old one or the new one.

    Args:
        path: the file.
        bound_to: digest of everything that decides what is trained; it goes into the file.
    """

    def __init__(self, path: Path, bound_to: str) -> None:
        self.path = path
        self.bound_to = bound_to

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, model: lightning.LightningModule, checkpoint: dict
    ) -> None:
        """Say in the file what it belongs to."""
        checkpoint[BOUND_TO] = self.bound_to

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, model: lightning.LightningModule
    ) -> None:
        """Write beside the file, then put the new one in its place."""
        written = self.path.with_name(f"{self.path.name}.new")
        trainer.save_checkpoint(written)
        if trainer.is_global_zero:
            with written.open("rb") as file:
                os.fsync(file.fileno())
            written.replace(self.path)


def read_checkpoint(path: Path, bound_to: str) -> dict[str, Any] | None:
    """What a training left that was killed; never unpickles anything but tensors and plain values.

    Args:
        path: the file.
        bound_to: see :class:`EpochCheckpoint`.

    Returns:
        The checkpoint, or None where there is none, it cannot be read, or it was written under
        other settings or for other pictures.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        pickle.UnpicklingError,
    ):
        return None
    if not isinstance(checkpoint, dict) or checkpoint.get(BOUND_TO) != bound_to:
        return None
    return checkpoint
