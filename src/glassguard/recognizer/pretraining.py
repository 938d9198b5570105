"""Pretraining of the convolutions on people outside the study."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.data import DataLoader, TensorDataset

from glassguard.errors import InputError
from glassguard.progress import Progress
from glassguard.recognizer.augmentation import mirror, occlude, vary
from glassguard.recognizer.layers import CONVOLUTIONS, DOWNSAMPLING, filters
from glassguard.recognizer.margins import MarginClassifier
from glassguard.recognizer.network import Normalisation, convolutional_layers, to_pixels
from glassguard.recognizer.settings import Backbone
from glassguard.recognizer.trainer import (
    EpochCheckpoint,
    LabelledPictures,
    deterministic_trainer,
    read_checkpoint,
)

EMBEDDING_DIMENSIONS = 256
WARM_UP = 0.1
STATES = "glassguard_random_states"


class _Batches(TensorDataset):
    """Hands out whole batches."""

    def __getitems__(self, rows: list[int]) -> tuple[Tensor, ...]:
        return self[rows]


def _unchanged(batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return batch


class BackbonePretraining(lightning.LightningModule):
    """VGG-16's convolutions with batch normalisation under a classifier with a margin.

    Pictures grow from step to step (``pretraining.steps``); at every size, the embedding sees the
    same places of a face. The learning rate rises over the first tenth of all updates and then
    falls linearly to zero. A teacher also draws the embedding towards its own of the same picture,
    up to a linear map.

    Args:
        settings: the ``backbone`` section of the configuration.
        identities: people in the pool.
        image_size: side of the study's pictures, pixels.
        teacher_dimensions: of a teacher's embedding; 0 without a teacher.
        seed: seed of everything that is done to pictures.
        order: generator of the order of the pictures, for checkpoints; None with several devices.
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
            # Replaces the last pooling, which would reduce small pictures to one place where the
            # dense layers of the study see many.
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
        self.to_teacher = None
        if teacher_dimensions:
            self.to_teacher = nn.Linear(EMBEDDING_DIMENSIONS, teacher_dimensions, bias=False)
        self.to(memory_format=torch.channels_last)
        self.epoch_sizes = [one.image_size for one in pretraining.steps for _ in range(one.epochs)]
        self._seed = seed
        self._order = order
        self._states: dict[str, Tensor] = {}
        self._losses: list[Tensor] = []

    def embed(self, pixels: Tensor) -> Tensor:
        """N x 3 x H x W float32 in [0, 1] to N x 256 float32."""
        return self.embedding(self.features[:-1](self.normalisation(pixels)).float())

    def on_train_start(self) -> None:
        """Seed a generator on the training device; count the updates in which the margin rises."""
        self._generator: torch.Generator = torch.Generator(self.device).manual_seed(self._seed)
        self._rising_updates = (
            self.settings.pretraining.margin_rise * self.trainer.estimated_stepping_batches
        )

    def on_train_epoch_start(self) -> None:
        """Restore random states from a checkpoint; start the progress bar."""
        trainer = self.trainer
        if self._order is None:
            # Each process draws numbers of its own, even after one of them wrote a checkpoint.
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
                description=f"pretraining: {self._epoch}, batches",
                total=int(trainer.num_training_batches),
            )
            self._progress.__enter__()

    @property
    def _epoch(self) -> str:
        sizes, epoch = self.epoch_sizes, self.current_epoch
        return f"epoch {epoch + 1} of {len(sizes)} at {sizes[epoch]} px"

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
        """Advance the progress bar."""
        if self.trainer.is_global_zero:
            self._progress.advance()

    def on_train_epoch_end(self) -> None:
        """Log one plain line per epoch."""
        if self.trainer.is_global_zero:
            self._progress.__exit__(None, None, None)
            loss = torch.stack(self._losses).mean()
            print(f"pretraining: {self._epoch}, loss {loss:.3f}", file=sys.stderr)
        self._losses.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the states of all random generators."""
        checkpoint[STATES] = {}
        if self._order is not None:
            checkpoint[STATES] = {
                "torch": torch.get_rng_state(),
                "augmentation": self._generator.get_state(),
                "order": self._order.get_state(),
            }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the states until the first epoch starts: others draw random numbers before that."""
        self._states = checkpoint[STATES]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer of the settings on a one-cycle schedule."""
        pretraining = self.settings.pretraining
        rate, decay = pretraining.learning_rate, pretraining.weight_decay
        optimizer: torch.optim.Optimizer
        if pretraining.optimizer == "adamw":
            groups: list[dict[str, Any]] = [
                {"params": [one for one in self.parameters() if one.ndim > 1]},
                {"params": [one for one in self.parameters() if one.ndim == 1], "weight_decay": 0},
            ]
            optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)
        else:
            optimizer = torch.optim.SGD(
                self.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=decay
            )
        schedule = one_cycle(optimizer, rate, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def one_cycle(
    optimizer: torch.optim.Optimizer, peak: float, updates: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    """A learning rate that rises to ``peak`` and falls to zero, for any number of updates."""
    # With a warm-up of exactly one update, PyTorch would divide by zero.
    alone = updates * WARM_UP == 1
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=peak,
        total_steps=updates,
        pct_start=WARM_UP + 1e-9 if alone else WARM_UP,
        # A cosine would leave almost nothing for the largest pictures, which come last.
        anneal_strategy="linear",
        cycle_momentum=False,
    )


def pretrain(
    pictures: LabelledPictures,
    validation: LabelledPictures,
    settings: Backbone,
    *,
    seed: int,
    taught: NDArray[np.float32] | None = None,
    checkpoint: Path | None = None,
    bound_to: str = "",
) -> tuple[dict[str, Tensor], dict[str, float | int | str]]:
    """Train the convolutions to tell the people of a pool apart.

    Args:
        pictures: what is trained on.
        validation: other pictures of the same people.
        settings: the ``backbone`` section of the configuration.
        seed: seed of everything random.
        taught: a teacher's embeddings of ``pictures``, N x D float32; required with
            ``pretraining.teacher``.
        checkpoint: file that stores the state after every epoch, and from which a killed training
            of the same settings and pictures resumes; None stores nothing. On one CPU the weights
            are those of an unbroken training to the bit.
        bound_to: digest of settings and pictures that ``checkpoint`` belongs to.

    Returns:
        The folded convolutions (``conv1_1.weight`` ...), and ``pool_val_accuracy``, the sizes of
        the pool, and the devices.

    Raises:
        InputError: this machine lacks the accelerator.
    """
    lightning.seed_everything(seed, verbose=False)
    pretraining = settings.pretraining
    identities, count = int(pictures.labels.max()) + 1, len(pictures.images)
    # A generator cannot be handed to the processes of several devices, which shuffle on their own.
    order = torch.Generator().manual_seed(seed) if pretraining.devices == 1 else None
    model = BackbonePretraining(
        settings,
        identities=identities,
        image_size=pictures.images.shape[1],
        teacher_dimensions=0 if taught is None else taught.shape[1],
        seed=seed,
        order=order,
    )
    resumed = None if checkpoint is None else read_checkpoint(checkpoint, bound_to)
    if resumed is not None:
        print(f"pretraining: resumes after epoch {resumed['epoch'] + 1}", file=sys.stderr)
        if order is not None:
            order.set_state(resumed[STATES]["order"])
    try:
        trainer = deterministic_trainer(
            epochs=len(model.epoch_sizes),
            **pretraining.model_dump(include={"precision", "accelerator", "devices", "strategy"}),
            callbacks=[] if checkpoint is None else [EpochCheckpoint(checkpoint, bound_to)],
        )
    except ValueError as error:
        raise InputError(
            f"backbone.pretraining: accelerator={pretraining.accelerator}, "
            f"devices={pretraining.devices}: {error}"
        ) from None
    arrays = (pictures.images, pictures.labels, taught)
    batches = DataLoader(
        _Batches(*(torch.from_numpy(array) for array in arrays if array is not None)),
        batch_size=min(pretraining.batch_size, count),
        shuffle=True,
        drop_last=True,
        collate_fn=_unchanged,  # type: ignore[arg-type]
        generator=order,
    )
    trainer.fit(model, batches, ckpt_path=checkpoint if resumed else None, weights_only=True)
    model.cpu().eval()
    return fold_batch_normalisation(model.features), {
        "pool_identities": identities,
        "pool_images": count,
        "pool_val_accuracy": _accuracy(model, validation),
        "accelerator": trainer.accelerator.name(),
        "devices": trainer.num_devices,
    }


@torch.inference_mode()
def _accuracy(model: BackbonePretraining, pictures: LabelledPictures) -> float:
    correct = 0
    for start in range(0, len(pictures.images), 64):
        rows = slice(start, start + 64)
        logits = model.classifier(model.embed(to_pixels(torch.from_numpy(pictures.images[rows]))))
        correct += int((logits.argmax(1).numpy() == pictures.labels[rows]).sum())
    return correct / len(pictures.images)


def fold_batch_normalisation(features: nn.Sequential) -> dict[str, Tensor]:
    """Weights of plain convolutions that compute what convolution and normalisation compute.

    Args:
        features: ``convolutional_layers(width, batch_normalisation=True)`` in evaluation mode;
            in training mode (``ValueError``), they use the statistics of the batch.

    Returns:
        ``conv1_1.weight`` to ``conv5_3.bias``, float32.
    """
    if features.training:
        raise ValueError("features must be in evaluation mode to be folded")
    plain = nn.ModuleDict()
    for name in CONVOLUTIONS:
        normalisation = getattr(features, name.replace("conv", "norm"))
        plain[name] = fuse_conv_bn_eval(getattr(features, name), normalisation)
    return {name: tensor.detach().contiguous() for name, tensor in plain.state_dict().items()}
