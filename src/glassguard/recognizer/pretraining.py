"""Pretraining of the convolutions on people outside the study."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from glassguard.errors import InputError
from glassguard.progress import Progress
from glassguard.recognizer.augmentation import mirror, occlude, vary
from glassguard.recognizer.checkpoints import EpochCheckpoint, read_checkpoint
from glassguard.recognizer.folding import fold_batch_normalisation
from glassguard.recognizer.layers import DOWNSAMPLING, filters
from glassguard.recognizer.margins import MarginClassifier
from glassguard.recognizer.network import Normalisation, convolutional_layers, to_pixels
from glassguard.recognizer.settings import Backbone
from glassguard.recognizer.trainer import deterministic_trainer

EMBEDDING_DIMENSIONS = 256
WARM_UP = 0.1
STATES = "glassguard_random_states"


class PoolPictures(Dataset[tuple[Tensor, ...]]):
    """Pictures of the pool, handed out in whole batches.

    Args:
        images: N x H x W x 3 uint8.
        labels: N int64.
        taught: N x D float32, a teacher's embeddings, or None.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        taught: NDArray[np.float32] | None,
    ) -> None:
        self._parts = (images, labels) if taught is None else (images, labels, taught)

    def __len__(self) -> int:
        return len(self._parts[0])

    def __getitem__(self, row: int) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(part[row : row + 1]) for part in self._parts)

    def __getitems__(self, rows: Sequence[int]) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(part[rows]) for part in self._parts)


def _as_it_is(batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return batch


class BackbonePretraining(lightning.LightningModule):
    """VGG-16's convolutions with batch normalisation under a classifier with a margin.

    Pictures grow from step to step (``pretraining.steps``), and the embedding is made from the same
    places of a face at every size. The learning rate rises over the first tenth of all updates and
    falls to zero along a line. With a teacher, the embedding is also drawn towards the teacher's of
    the same picture, as far as a linear map can take it there.

    Args:
        settings: the ``backbone`` section of the configuration.
        identities: people in the pool.
        image_size: side of the study's pictures, pixels.
        teacher_dimensions: of a teacher's embedding; 0 without a teacher.
        seed: seed of everything that is done to pictures.
        order: source of the order of the pictures, to be kept in checkpoints; None with several
            devices.
    """

    def __init__(
        self,
        settings: Backbone,
        *,
        identities: int,
        image_size: int,
        teacher_dimensions: int,
        seed: int,
        order: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.settings = settings
        side = image_size // DOWNSAMPLING
        self.normalisation = Normalisation(*settings.normalisation())
        self.features = nn.Sequential(
            convolutional_layers(settings.width, batch_normalisation=True)
        )
        self.embedding = nn.Sequential(
            # In place of the last pooling, which leaves small pictures one place where the dense
            # layers of the study see many.
            nn.AdaptiveMaxPool2d(side),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(filters(settings.width)[-1] * side * side, EMBEDDING_DIMENSIONS),
            nn.BatchNorm1d(EMBEDDING_DIMENSIONS),
        )
        pretraining = settings.pretraining
        self.classifier = MarginClassifier(
            EMBEDDING_DIMENSIONS,
            identities,
            kind=pretraining.margin_kind,
            margin=pretraining.margin,
            scale=pretraining.scale,
        )
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.to_teacher = (
            nn.Linear(EMBEDDING_DIMENSIONS, teacher_dimensions, bias=False)
            if teacher_dimensions
            else None
        )
        self.to(memory_format=torch.channels_last)
        self.epoch_sizes = [
            step.image_size for step in pretraining.steps for _ in range(step.epochs)
        ]
        self._seed = seed
        self._order = order
        self._states: dict[str, Tensor] = {}
        self._losses: list[Tensor] = []

    def embed(self, pixels: Tensor) -> Tensor:
        """N x 3 x H x W float32 in [0, 1] to N x 256 float32."""
        return self.embedding(self.features[:-1](self.normalisation(pixels)).float())

    def on_train_start(self) -> None:
        """Draw on the device that trains; know for how long the margin rises."""
        self._generator: torch.Generator = torch.Generator(self.device).manual_seed(self._seed)
        self._rising_updates = (
            self.settings.pretraining.margin_rise * self.trainer.estimated_stepping_batches
        )

    def on_train_epoch_start(self) -> None:
        """Take up random numbers where a killed training was; show how far the epoch is."""
        trainer = self.trainer
        if self._order is None:
            # Each process has numbers of its own, also after one of them wrote a checkpoint.
            seed = [self._seed, self.current_epoch, trainer.global_rank]
            drawn = np.random.SeedSequence(seed).generate_state(2)
            torch.manual_seed(int(drawn[0]))
            self._generator.manual_seed(int(drawn[1]))
        elif self._states:
            torch.set_rng_state(self._states["torch"])
            self._generator.set_state(self._states["augmentation"])
        self._states = {}
        if trainer.is_global_zero:
            self._progress = Progress(
                description=f"pretraining: epoch {self.current_epoch + 1} of "
                f"{len(self.epoch_sizes)} at {self.epoch_sizes[self.current_epoch]} px, batches",
                total=int(trainer.num_training_batches),
            )
            self._progress.__enter__()

    def training_step(self, batch: tuple[Tensor, ...], _: int) -> Tensor:
        """Loss of one batch: uint8 N x H x W x 3 pictures, int64 labels, teacher's embeddings."""
        images, labels, *taught = batch
        pretraining = self.settings.pretraining
        pixels = mirror(to_pixels(images), self._generator)
        size = self.epoch_sizes[self.current_epoch]
        if size != pixels.shape[-1]:
            pixels = F.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)
        if pretraining.variation is not None:
            pixels = vary(pixels, **pretraining.variation.model_dump(), generator=self._generator)
        pixels = occlude(
            pixels, **pretraining.occlusion.model_dump(), generator=self._generator
        ).contiguous(memory_format=torch.channels_last)
        embeddings = self.embed(pixels).float()
        risen = min(1.0, self.global_step / self._rising_updates) if self._rising_updates else 1.0
        self.classifier.margin = pretraining.margin * risen
        logits = self.classifier(embeddings, labels)
        loss = F.cross_entropy(logits, labels, label_smoothing=pretraining.label_smoothing)
        if self.to_teacher is not None and pretraining.teacher is not None:
            alike = F.cosine_similarity(self.to_teacher(embeddings).float(), taught[0])
            loss = loss + pretraining.teacher.weight * (1 - alike).mean()
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        """One batch more."""
        if self.trainer.is_global_zero:
            self._progress.advance()

    def on_train_epoch_end(self) -> None:
        """One plain line an epoch for the log."""
        if self.trainer.is_global_zero:
            self._progress.__exit__(None, None, None)
            print(
                f"pretraining: epoch {self.current_epoch + 1} of {len(self.epoch_sizes)} at "
                f"{self.epoch_sizes[self.current_epoch]} px, "
                f"loss {torch.stack(self._losses).mean():.3f}",
                file=sys.stderr,
            )
        self._losses.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Where the random numbers are."""
        checkpoint[STATES] = {}
        if self._order is not None:
            checkpoint[STATES] = {
                "torch": torch.get_rng_state(),
                "augmentation": self._generator.get_state(),
                "order": self._order.get_state(),
            }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Kept until the first epoch starts: until then others draw as well."""
        self._states = checkpoint[STATES]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer of the settings on a one-cycle schedule."""
        pretraining = self.settings.pretraining
        rate, decay = pretraining.learning_rate, pretraining.weight_decay
        optimizer: torch.optim.Optimizer
        if pretraining.optimizer == "adamw":
            decayed = [parameter for parameter in self.parameters() if parameter.ndim > 1]
            spared = [parameter for parameter in self.parameters() if parameter.ndim == 1]
            groups: list[dict[str, Any]] = [
                {"params": decayed},
                {"params": spared, "weight_decay": 0.0},
            ]
            optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)
        else:
            optimizer = torch.optim.SGD(
                self.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=decay
            )
        updates = int(self.trainer.estimated_stepping_batches)
        schedule = one_cycle(optimizer, pretraining.learning_rate, updates)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def one_cycle(
    optimizer: torch.optim.Optimizer, peak: float, updates: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    """The rate of learning up to its peak and down to nothing, for any number of updates."""
    # PyTorch divides by the length of the warm-up beyond its first update, here nothing.
    alone = updates * WARM_UP == 1
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=peak,
        total_steps=updates,
        pct_start=WARM_UP + 1e-9 if alone else WARM_UP,
        # A cosine would leave nothing for the largest pictures, which come last.
        anneal_strategy="linear",
        cycle_momentum=False,
    )


def pretrain(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    validation_images: NDArray[np.uint8],
    validation_labels: NDArray[np.int64],
    settings: Backbone,
    seed: int,
    taught: NDArray[np.float32] | None = None,
    checkpoint: Path | None = None,
    bound_to: str = "",
) -> tuple[dict[str, Tensor], dict[str, float | int | str]]:
    """Train the convolutions to tell the people of a pool apart.

    Args:
        images: N x H x W x 3 uint8 RGB.
        labels: N class indices, 0 to people - 1.
        validation_images: other pictures of the same people, M x H x W x 3 uint8.
        validation_labels: their class indices.
        settings: the ``backbone`` section of the configuration.
        seed: seed of everything random.
        taught: a teacher's embeddings of ``images``, N x D float32; needed with
            ``pretraining.teacher``.
        checkpoint: file that the state is kept in after every epoch, and taken from where a
            training of the same settings and pictures was killed; none is kept without it. On one
            CPU the weights are those of an unbroken training to the bit.
        bound_to: digest of settings and pictures that ``checkpoint`` belongs to.

    Returns:
        The folded convolutions (``conv1_1.weight`` ...), and ``pool_val_accuracy``, the sizes of
        the pool, and what it was trained on.

    Raises:
        InputError: the accelerator is not here.
    """
    lightning.seed_everything(seed, verbose=False)
    pretraining = settings.pretraining
    identities = int(labels.max()) + 1
    # Generators do not survive the way into the processes of several devices, which shuffle anew.
    order = torch.Generator().manual_seed(seed) if pretraining.devices == 1 else None
    model = BackbonePretraining(
        settings,
        identities=identities,
        image_size=images.shape[1],
        teacher_dimensions=0 if taught is None else taught.shape[1],
        seed=seed,
        order=order,
    )
    resumed = None if checkpoint is None else read_checkpoint(checkpoint, bound_to)
    if resumed is not None:
        print(f"pretraining: goes on after epoch {resumed['epoch'] + 1}", file=sys.stderr)
        if order is not None:
            order.set_state(resumed[STATES]["order"])
    try:
        trainer = deterministic_trainer(
            epochs=len(model.epoch_sizes),
            precision=pretraining.precision,
            accelerator=pretraining.accelerator,
            devices=pretraining.devices,
            strategy=pretraining.strategy,
            callbacks=[] if checkpoint is None else [EpochCheckpoint(checkpoint, bound_to)],
        )
    except ValueError as error:
        raise InputError(
            f"backbone.pretraining: accelerator={pretraining.accelerator}, "
            f"devices={pretraining.devices}: {error}"
        ) from None
    batch_size = min(pretraining.batch_size, len(images))
    batches = DataLoader(
        PoolPictures(images, labels, taught),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        collate_fn=_as_it_is,  # type: ignore[arg-type]
        generator=order,
    )
    trainer.fit(model, batches, ckpt_path=checkpoint if resumed else None, weights_only=True)
    model.cpu().eval()
    accuracy = _accuracy(model, validation_images, validation_labels)
    return fold_batch_normalisation(model.features), {
        "pool_identities": identities,
        "pool_images": len(images),
        "pool_val_accuracy": accuracy,
        "accelerator": trainer.accelerator.name(),
        "devices": trainer.num_devices,
    }


@torch.inference_mode()
def _accuracy(
    model: BackbonePretraining, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> float:
    correct = 0
    for start in range(0, len(images), 64):
        pixels = to_pixels(torch.from_numpy(images[start : start + 64]))
        predictions = model.classifier(model.embed(pixels)).argmax(1).numpy()
        correct += int((predictions == labels[start : start + 64]).sum())
    return correct / len(images)
