"""What both trainings share: labelled pictures, a Lightning trainer, and its checkpoints."""

import logging
import os
import pickle
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as lightning
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from numpy.typing import NDArray

from glassguard.recognizer.settings import Accelerator, Strategy

BOUND_TO = "glassguard_bound_to"

# Lightning advertises products at this level; people read a log to find problems.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*LeafSpec.*")
# Jobs of the study are single processes; on SLURM, srun has already started them.
warnings.filterwarnings("ignore", message=".*srun.*")


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures of people.

    Attributes:
        images: N x H x W x 3 uint8 RGB.
        labels: N int64 class indices, from 0 on.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @classmethod
    def chosen(
        cls, images: NDArray[np.uint8], labels: NDArray[np.int64], rows: NDArray[np.bool_]
    ) -> "LabelledPictures":
        """A copy in memory of the rows that a boolean mask selects."""
        return cls(np.ascontiguousarray(images[rows]), labels[rows].astype(np.int64))


def deterministic_trainer(
    *,
    epochs: int,
    precision: str = "float32",
    accelerator: Accelerator = "cpu",
    devices: int | Literal["auto"] = 1,
    strategy: Strategy = "auto",
    callbacks: Sequence[lightning.Callback] = (),
) -> lightning.Trainer:
    """A trainer that leaves nothing on disk and, on one CPU, repeats itself to the bit.

    Operations that are deterministic on the CPU only run as they are on another ``accelerator``.
    ``bfloat16`` is autocast of the forward pass; the strategy ``ddp_spawn`` starts a process for
    each device and returns to this one; if there are ``callbacks``, they show the progress.

    Raises:
        ValueError: this machine has no such device.
    """
    try:
        return lightning.Trainer(
            accelerator=accelerator,
            devices=devices,
            strategy=strategy,
            max_epochs=epochs,
            precision="bf16-mixed" if precision == "bfloat16" else "32-true",
            deterministic=True if accelerator == "cpu" else "warn",
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty() and not callbacks,
            num_sanity_val_steps=0,
            callbacks=list(callbacks),
        )
    except (MisconfigurationException, ValueError) as error:
        raise ValueError(str(error).splitlines()[0]) from None


class EpochCheckpoint(lightning.Callback):
    """Replaces one file after every epoch, in one step: a kill leaves the old one or the new one.

    The file stores ``bound_to``, a digest of everything that decides what is trained.
    """

    def __init__(self, path: Path, bound_to: str) -> None:
        self.path = path
        self.bound_to = bound_to

    def on_save_checkpoint(self, trainer: Any, model: Any, checkpoint: dict[str, Any]) -> None:
        """Store the digest."""
        checkpoint[BOUND_TO] = self.bound_to

    def on_train_epoch_end(self, trainer: lightning.Trainer, model: Any) -> None:
        """Write a new file, then move it into place."""
        written = self.path.with_name(f"{self.path.name}.new")
        trainer.save_checkpoint(written)
        if trainer.is_global_zero:
            with written.open("rb") as file:
                os.fsync(file.fileno())
            written.replace(self.path)


def read_checkpoint(path: Path, bound_to: str) -> dict[str, Any] | None:
    """The checkpoint of a killed training; unpickles nothing but tensors and plain values.

    None if the file is missing, unreadable, or bound to something else (:class:`EpochCheckpoint`).
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
        return None
    bound = isinstance(checkpoint, dict) and checkpoint.get(BOUND_TO) == bound_to
    return checkpoint if bound else None
