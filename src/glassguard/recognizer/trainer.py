"""The Lightning trainer that both trainings use."""

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Literal

import pytorch_lightning as lightning
from lightning_fabric.utilities.exceptions import MisconfigurationException

from glassguard.recognizer.settings import Accelerator, Strategy

# Lightning advertises products at this level, and a log is read by people who look for problems.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*LeafSpec.*")
# Jobs of the study are single processes; where SLURM runs them, srun has started them already.
warnings.filterwarnings("ignore", message=".*srun.*")


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

    Args:
        epochs: passes over the training set.
        precision: ``float32`` or ``bfloat16`` (autocast of the forward pass).
        accelerator: kind of device. Some operations have no deterministic form elsewhere than on
            the CPU; they then run as they are.
        devices: how many, or all of them (``auto``).
        strategy: how several devices share the work: ``ddp_spawn`` starts a process for each and
            comes back in this one.
        callbacks: what else is done while training; with any, they show the progress.

    Raises:
        ValueError: there is no such device here.
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
