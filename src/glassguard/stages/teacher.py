"""Embed the pool's pictures by a published network, once, as a guide of pretraining."""

from pathlib import Path

import cv2
import numpy as np

from glassguard.configuration.sections import TeacherSection
from glassguard.errors import InputError
from glassguard.files.formats import read_images
from glassguard.progress import track
from glassguard.recognizer.teacher import EmbeddingNetwork
from glassguard.stages.paths import OutputPath


def run(
    config: TeacherSection, *, teacher: Path, images: Path, embeddings: OutputPath
) -> dict[str, float | int | str]:
    """Write embeddings, float32 N×D with rows of length one, by the network in an ONNX file."""
    cv2.setNumThreads(1)
    key = f"backbone.pretraining.teacher.file: {teacher}"
    try:
        network = EmbeddingNetwork(teacher.read_bytes(), config.teacher)
    except OSError as error:
        raise InputError(f"{key}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{key}: {error}") from None
    pictures = read_images(images)
    rows = [network(picture) for picture in track(pictures, description="asking the teacher")]
    with embeddings.open("wb") as file:
        np.save(file, np.array(rows, dtype=np.float32), allow_pickle=False)
    return {"pictures": len(rows), "dimensions": network.dimensions}
