"""People enrolled by their training pictures, which several stages need."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.errors import InputError
from glassguard.recognizer.embedding_recognizer import EmbeddingRecognizer
from glassguard.recognizer.embeddings import embeddings_of
from glassguard.recognizer.network import Recognizer
from glassguard.recognizer.open_set import enrolled


def embedding_network(path: Path, network: Recognizer) -> EmbeddingRecognizer:
    """The network of ``path`` (``InputError`` where it has no embedding)."""
    if not isinstance(network, EmbeddingRecognizer):
        raise InputError(f"{path}: has no embedding; allowed is a network of an ONNX file")
    return network


def enrolled_people(
    path: Path,
    network: Recognizer,
    identities: list[str],
    people: pd.DataFrame,
    images: NDArray[np.uint8],
    manifest: Path,
) -> NDArray[np.float64]:
    """Directions of people in the order of ``identities``, people x D.

    Args:
        path: the recognizer's file.
        network: the recognizer.
        identities: its people.
        people: rows of the manifest.
        images: their pictures, N x H x W x 3 uint8.
        manifest: its file.

    Raises:
        InputError: the network has no embedding, or somebody has no training picture.
    """
    embedding = embedding_network(path, network)
    train = people[people["split"] == "train"]
    if missing := sorted(set(identities) - set(train["identity"])):
        raise InputError(f"{manifest}: {missing[0]!r} has no picture of split train to enrol")
    if unknown := sorted(set(train["identity"]) - set(identities)):
        raise InputError(f"{manifest}: the recognizer does not know {unknown[0]!r}")
    seen = embeddings_of(embedding, np.ascontiguousarray(images[train.index.to_numpy()]))
    labels = np.array([identities.index(name) for name in train["identity"]], dtype=np.int64)
    try:
        return enrolled(seen, labels, len(identities))
    except ValueError as error:
        raise InputError(f"{manifest}, {path}: {error}") from None
