"""The Lightning trainer that both trainings use."""

import logging
import sys
import warnings

import pytorch_lightning as lightning

# Lightning advertises products at this level, and a log is read by people who look for problems.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*LeafSpec.*")


def deterministic_trainer(*, epochs: int, precision: str = "float32") -> lightning.Trainer:
    """A trainer on the CPU that leaves nothing on disk and repeats itself to the bit.

    Args:
        epochs: passes over the training set.
        precision: ``float32`` or ``bfloat16`` (autocast of the forward pass).
    """
    return lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        precision="bf16-mixed" if precision == "bfloat16" else "32-true",
        deterministic=True,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        num_sanity_val_steps=0,
    )
