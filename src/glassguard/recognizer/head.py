"""Training of the dense layers on features that are computed once.

Both studies freeze the convolutions. Their features are the same in each of the 45 epochs, so they
are computed once for every picture and every augmented copy of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import islice
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from glassguard.progress import track
from glassguard.recognizer.augmentation import occlude
from glassguard.recognizer.dense_products import dense_answer
from glassguard.recognizer.embedding_recognizer import EmbeddingRecognizer
from glassguard.recognizer.network import FaceRecognizer, Recognizer, channels_last, to_pixels
from glassguard.recognizer.settings import DenseLayers
from glassguard.recognizer.trainer import LabelledPictures, deterministic_trainer
from glassguard.recognizer.weights import BackboneFile, EmbeddingBackbone

BATCH = 64
LEAST_ABOVE_CHANCE = 0.2
"""Share of the way from chance to perfection that a recognizer must make to be worth a study."""


def chance_warning(accuracy: float, identities: int) -> str | None:
    """A line for a recognizer whose accuracy on its own training pictures is hardly chance."""
    chance = 1 / identities
    if accuracy - chance >= LEAST_ABOVE_CHANCE * (1 - chance):
        return None
    return (
        f"the recognizer names {accuracy:.3f} of its own training pictures: with {identities} "
        "people that is hardly better than chance, and no measurement on it means anything; it "
        "needs more pictures, a pool of other people or published weights (docs/own-data.md)"
    )


def features_of(network: Recognizer, batches: Iterator[Tensor]) -> Tensor:
    """What the dense layers read, N x features float32.

    Args:
        network: the recognizer, which is put into evaluation mode.
        batches: N x 3 x H x W float32 pixels in [0, 1] each.
    """
    network.eval()
    found = []
    # Making the batches may require gradients.
    for pixels in batches:
        with torch.inference_mode():
            found.append(network.flatten(network.features(network.normalisation(pixels))))
    return torch.cat(found)


def in_batches(images: NDArray[np.uint8]) -> Iterator[Tensor]:
    """Batches of pixels, float32 in [0, 1], of N x H x W x 3 uint8 pictures in their order."""
    for start in range(0, len(images), BATCH):
        yield to_pixels(torch.from_numpy(images[start : start + BATCH]))


def training_copies(
    images: NDArray[np.uint8], settings: DenseLayers, *, seed: int
) -> Iterator[Tensor]:
    """Batches of all pictures, then of their mirrored and of their occluded copies.

    Args:
        images: N x H x W x 3 uint8.
        settings: the ``recognizer`` section of the configuration.
        seed: seed of the occlusions.

    Yields:
        Batches of pixels, float32 in [0, 1]; each copy of all pictures is in their order.
    """
    generator = torch.Generator().manual_seed(seed)
    for copy in range(copies_of_each(settings)):
        occluded = copy >= 1 + settings.flipped_copies
        flipped = settings.flipped_copies and copy % 2 == 1
        for pixels in in_batches(images):
            if flipped:
                pixels = pixels.flip(-1)
            if occluded:
                pixels = occlude(pixels, **settings.occlusion.model_dump(), generator=generator)
            yield pixels.contiguous(memory_format=torch.channels_last)


def copies_to_mask(
    images: NDArray[np.uint8], settings: DenseLayers, *, seed: int
) -> Iterator[Tensor]:
    """The ``settings.masked_copies`` copies of each picture that are yet to be masked.

    The first are plain and mirrored; all others wear something, as attackers do. Arguments and
    batches are those of :func:`training_copies`.
    """
    worn = settings.occlusion.model_copy(update={"covers": ("texture",)})
    occluded = max(0, settings.masked_copies - 1 - settings.flipped_copies)
    unmasked = settings.model_copy(update={"occluded_copies": occluded, "occlusion": worn})
    batches = settings.masked_copies * -(-len(images) // BATCH)
    return islice(training_copies(images, unmasked, seed=seed), batches)


def copies_of_each(settings: DenseLayers) -> int:
    """How many versions of every training picture :func:`training_copies` makes."""
    return 1 + settings.flipped_copies + settings.occluded_copies


Batch = tuple[Tensor, Tensor]
"""N x features float32 and N labels."""


class LabelledFeatures(Dataset[Batch]):
    """Features and labels, read by the batch: row by row, a loader would spend its time copying."""

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.features = features
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, rows: list[int]) -> Batch:
        chosen = torch.tensor(rows)
        return self.features[chosen], self.labels[chosen]

    def batches(self, size: int, generator: torch.Generator | None = None) -> DataLoader[Batch]:
        """A loader of batches, in an order that the generator draws for each epoch, or as it is."""
        return DataLoader(
            self,
            batch_size=size,
            shuffle=generator is not None,
            generator=generator,
            collate_fn=_as_it_is,
        )


def _as_it_is(batch: Any) -> Any:
    return batch


class DenseTraining(lightning.LightningModule):
    """The dense layers under cross-entropy; ``history`` has one row per epoch."""

    def __init__(self, classifier: nn.Sequential, settings: DenseLayers) -> None:
        super().__init__()
        self.classifier = classifier
        self.settings = settings
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Cross-entropy of one batch of features and labels."""
        return self._loss("train", *batch)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Cross-entropy without dropout."""
        self._loss("val", *batch)

    def _loss(self, split: str, features: Tensor, labels: Tensor) -> Tensor:
        logits = dense_answer(self.classifier, features)
        losses = F.cross_entropy(logits, labels, reduction="none")
        correct = (logits.argmax(1) == labels).float()
        sums = torch.stack([losses.sum(), correct.sum(), torch.tensor(float(len(labels)))]).detach()
        self._sums[split] = self._sums.get(split, torch.zeros(3)) + sums
        return losses.mean()

    def on_train_epoch_end(self) -> None:
        """Keep the epoch's means."""
        row: dict[str, float] = {"epoch": self.current_epoch + 1}
        for split, (loss, correct, count) in self._sums.items():
            row[f"{split}_loss"] = float(loss / count)
            row[f"{split}_accuracy"] = float(correct / count)
        self._sums.clear()
        self.history.append(row)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, falling to zero along a cosine over the epochs."""
        optimizer = torch.optim.AdamW(
            self.classifier.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
            fused=True,  # The other implementation takes MKL's square root.
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.settings.epochs)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def untrained_recognizer(
    backbone: BackboneFile | EmbeddingBackbone,
    settings: DenseLayers,
    *,
    identities: int,
    image_size: int,
    seed: int,
) -> Recognizer:
    """A frozen network under new dense layers for pictures of ``image_size`` pixels.

    Raises:
        ValueError: the network does not take such pictures.
    """
    torch.manual_seed(seed)
    if isinstance(backbone, EmbeddingBackbone):
        return channels_last(
            EmbeddingRecognizer(
                backbone.graph,
                identities=identities,
                image_size=image_size,
                hidden=settings.hidden,
                mean=backbone.mean,
                scale=backbone.scale,
                channels=backbone.channels,
                dropout=settings.dropout,
            )
        )
    network = FaceRecognizer(
        identities=identities,
        image_size=image_size,
        width=backbone.width,
        hidden=settings.hidden,
        mean=backbone.mean,
        scale=backbone.scale,
        dropout=settings.dropout,
    )
    network.features.load_state_dict(backbone.tensors)
    return channels_last(network)


def train_dense_layers(
    network: Recognizer,
    pictures: LabelledPictures,
    validation: LabelledPictures,
    settings: DenseLayers,
    *,
    seed: int,
    further_copies: Callable[[Recognizer], Iterator[Tensor]] | None = None,
) -> list[dict[str, float]]:
    """Train the dense layers of a recognizer in place (Study S: 45 epochs on frozen convolutions).

    Further copies need a trained recognizer: one is trained without them first. Then the dense
    layers are trained again from the same start, on all copies.

    Args:
        network: recognizer whose frozen network is loaded.
        pictures: what is trained on.
        validation: for the history only; nothing is stopped by it.
        settings: the ``recognizer`` section of the configuration.
        seed: seed of everything random.
        further_copies: makes ``settings.masked_copies`` and ``settings.framed_copies`` more copies
            of ``pictures``, in the order of :func:`training_copies`; required if there are any,
            and not asked if there are none.

    Returns:
        One row per epoch of the last training: epoch, train_loss, train_accuracy (with dropout, on
        all copies), val_loss, val_accuracy.
    """
    network.features.requires_grad_(False)
    start = deepcopy(network.classifier.state_dict())
    batches = -(-len(pictures.images) // BATCH)
    features = features_of(
        network,
        track(
            training_copies(pictures.images, settings, seed=seed),
            description="features of training copies, batches",
            total=batches * copies_of_each(settings),
        ),
    )
    plain = settings.model_copy(update={"flipped_copies": False, "occluded_copies": 0})
    held_out = LabelledFeatures(
        features_of(network, training_copies(validation.images, plain, seed=seed)),
        torch.from_numpy(validation.labels),
    )
    labels = torch.from_numpy(pictures.labels)
    history = _fit(network, features, labels, held_out, settings, seed)
    more = settings.masked_copies + settings.framed_copies
    if further_copies is not None and more:
        further = track(
            further_copies(network),
            description="features of further copies, batches",
            total=batches * more,
        )
        features = torch.cat([features, features_of(network, further)])
        network.classifier.load_state_dict(start)
        history = _fit(network, features, labels, held_out, settings, seed)
    return history


@contextmanager
def _one_thread() -> Iterator[None]:
    """Whatever the setting: a second thread would mostly wait, at the cost of a core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)


def _fit(
    network: Recognizer,
    features: Tensor,
    labels: Tensor,
    validation: LabelledFeatures,
    settings: DenseLayers,
    seed: int,
) -> list[dict[str, float]]:
    """Train on features of copies, copy after copy, of pictures with these labels."""
    lightning.seed_everything(seed, verbose=False)
    # An earlier training froze them.
    network.classifier.requires_grad_(True)
    # Lightning keeps the mode that it finds, and computing features switched dropout off.
    network.classifier.train()
    model = DenseTraining(network.classifier, settings)
    repeated = LabelledFeatures(features, labels.repeat(len(features) // len(labels)))
    with _one_thread():
        deterministic_trainer(epochs=settings.epochs).fit(
            model,
            repeated.batches(settings.batch_size, torch.Generator().manual_seed(seed)),
            validation.batches(1024),
        )
    network.requires_grad_(False).eval()
    return model.history
