"""Pretraining of the convolutions on people outside the study (cosine margin, Wang et al. 2018)."""

import sys
from collections.abc import Sequence

import numpy as np
import pytorch_lightning as lightning
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from glassguard.configuration.schema import Backbone
from glassguard.recognizer.augmentation import mirror, occlude
from glassguard.recognizer.folding import fold_batch_normalisation
from glassguard.recognizer.network import (
    DOWNSAMPLING,
    Normalisation,
    convolutional_layers,
    filters,
    to_pixels,
)
from glassguard.recognizer.trainer import deterministic_trainer

EMBEDDING_DIMENSIONS = 256
WARM_UP = 0.1


class CosineMarginClassifier(nn.Module):
    """Logits ``scale * (cosine - margin at the true class)`` (CosFace, Wang et al. 2018, eq. 4)."""

    def __init__(self, dimensions: int, identities: int, *, margin: float, scale: float) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.empty(identities, dimensions))
        nn.init.normal_(self.centres, std=0.01)
        self.margin = margin
        self.scale = scale

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        """N x dimensions float32 and N int64 (none: no margin) to N x identities logits."""
        cosines = F.linear(F.normalize(embeddings), F.normalize(self.centres))
        if labels is not None:
            cosines = cosines - self.margin * F.one_hot(labels, cosines.shape[1])
        return self.scale * cosines


class BackbonePretraining(lightning.LightningModule):
    """VGG-16's convolutions with batch normalisation under a cosine margin classifier.

    Pictures grow from step to step (``pretraining.steps``); the learning rate rises over the first
    tenth of all updates and falls to zero along a line.

    Args:
        settings: the ``backbone`` section of the configuration.
        identities: people in the pool.
        image_size: side of the study's pictures, pixels.
        seed: seed of occlusion and mirroring.
    """

    def __init__(self, settings: Backbone, *, identities: int, image_size: int, seed: int) -> None:
        super().__init__()
        self.settings = settings
        side = image_size // DOWNSAMPLING
        self.normalisation = Normalisation(*settings.normalisation())
        self.features = nn.Sequential(
            convolutional_layers(settings.width, batch_normalisation=True)
        )
        self.embedding = nn.Sequential(
            nn.AdaptiveAvgPool2d(side),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(filters(settings.width)[-1] * side * side, EMBEDDING_DIMENSIONS),
            nn.BatchNorm1d(EMBEDDING_DIMENSIONS),
        )
        pretraining = settings.pretraining
        self.classifier = CosineMarginClassifier(
            EMBEDDING_DIMENSIONS, identities, margin=pretraining.margin, scale=pretraining.scale
        )
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.to(memory_format=torch.channels_last)
        self._generator = torch.Generator().manual_seed(seed)
        self.epoch_sizes = [
            step.image_size for step in pretraining.steps for _ in range(step.epochs)
        ]
        self._losses: list[float] = []

    def embed(self, pixels: Tensor) -> Tensor:
        """N x 3 x H x W float32 in [0, 1] to N x 256 float32."""
        return self.embedding(self.features(self.normalisation(pixels)).float())

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Loss of one batch of uint8 N x H x W x 3 pictures and int64 labels."""
        images, labels = batch
        pretraining = self.settings.pretraining
        pixels = mirror(to_pixels(images), self._generator)
        size = self.epoch_sizes[self.current_epoch]
        if size != pixels.shape[-1]:
            pixels = F.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)
        pixels = occlude(
            pixels, **pretraining.occlusion.model_dump(), generator=self._generator
        ).contiguous(memory_format=torch.channels_last)
        logits = self.classifier(self.embed(pixels).float(), labels)
        loss = F.cross_entropy(logits, labels, label_smoothing=pretraining.label_smoothing)
        self._losses.append(loss.item())
        return loss

    def on_train_epoch_end(self) -> None:
        """One plain line an epoch for the log."""
        print(
            f"pretraining: epoch {self.current_epoch + 1} of {len(self.epoch_sizes)} at "
            f"{self.epoch_sizes[self.current_epoch]} px, loss {np.mean(self._losses):.3f}",
            file=sys.stderr,
        )
        self._losses.clear()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Stochastic gradient descent with Nesterov momentum on a one-cycle schedule."""
        pretraining = self.settings.pretraining
        optimizer = torch.optim.SGD(
            self.parameters(),
            lr=pretraining.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=pretraining.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=pretraining.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=WARM_UP,
            # A cosine would leave nothing for the largest pictures, which come last.
            anneal_strategy="linear",
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def pretrain(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    validation_images: NDArray[np.uint8],
    validation_labels: NDArray[np.int64],
    settings: Backbone,
    seed: int,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Train the convolutions to tell the people of a pool apart.

    Args:
        images: N x H x W x 3 uint8 RGB.
        labels: N class indices, 0 to people - 1.
        validation_images: other pictures of the same people, M x H x W x 3 uint8.
        validation_labels: their class indices.
        settings: the ``backbone`` section of the configuration.
        seed: seed of everything random.

    Returns:
        The folded convolutions (``conv1_1.weight`` ...), and ``pool_train_loss``,
        ``pool_val_accuracy`` and the sizes of the pool.
    """
    lightning.seed_everything(seed, verbose=False)
    identities = int(labels.max()) + 1
    model = BackbonePretraining(
        settings, identities=identities, image_size=images.shape[1], seed=seed
    )
    trainer = deterministic_trainer(
        epochs=len(model.epoch_sizes), precision=settings.pretraining.precision
    )
    trainer.fit(model, _batches(images, labels, settings.pretraining.batch_size, seed))
    model.eval()
    accuracy = _accuracy(model, validation_images, validation_labels)
    return fold_batch_normalisation(model.features), {
        "pool_identities": identities,
        "pool_images": len(images),
        "pool_val_accuracy": accuracy,
    }


def _batches(
    images: NDArray[np.uint8], labels: NDArray[np.int64], batch_size: int, seed: int
) -> DataLoader:
    def collate(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(images[rows]), torch.from_numpy(labels[rows])

    return DataLoader(
        range(len(images)),  # type: ignore[arg-type]
        batch_size=batch_size,
        shuffle=True,
        drop_last=len(images) > batch_size,
        collate_fn=collate,
        generator=torch.Generator().manual_seed(seed),
    )


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
