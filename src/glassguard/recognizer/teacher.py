"""Embeddings by a published network, which may guide pretraining."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from glassguard.faces.alignment import WINDOW, warp
from glassguard.recognizer.settings import TeacherNetwork

FRAME = 112
"""Side of the pictures of which :data:`glassguard.faces.alignment.WINDOW` is a part."""

EXTERNAL = 1
"""ONNX's ``TensorProto.DataLocation.EXTERNAL``: the numbers lie in another file."""


class EmbeddingNetwork:
    """A face embedding network, read from the bytes of its ONNX file.

    It gets one picture at a time: exported networks often have that number built in.

    Raises:
        ValueError: the weights lie in another file, or OpenCV cannot read or run the network.
    """

    def __init__(self, model: bytes, settings: TeacherNetwork) -> None:
        self._settings = settings
        self._mean = np.array(settings.mean, dtype=np.float32)
        self._scale = np.array(settings.scale, dtype=np.float32)
        if _points_to_other_files(model):
            raise ValueError(
                "its weights lie in another file (external data), which is not read; allowed is "
                "one ONNX file that holds them"
            )
        try:
            self._network = cv2.dnn.readNetFromONNX(np.frombuffer(model, dtype=np.uint8))
            side = settings.image_size
            embedding = self(np.zeros((side, side, 3), np.uint8))
        except cv2.error as error:
            raise ValueError(
                f"not a network that OpenCV runs on {settings.image_size}×{settings.image_size} "
                f"pixels: {' '.join(str(error).split())[:120]}"
            ) from None
        self.dimensions = len(embedding)

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embedding, float32 D of length one, of an aligned face.

        The face is uint8 RGB, size×size×3, as :mod:`glassguard.faces.alignment` makes it. It goes
        back into the 112×112 pose that published networks expect, with its mean colour around it.
        """
        settings = self._settings
        pixels = in_frame(picture, settings.image_size).astype(np.float32)
        pixels = (pixels - self._mean) / self._scale
        if settings.channels == "bgr":
            pixels = pixels[..., ::-1]
        self._network.setInput(np.ascontiguousarray(pixels.transpose(2, 0, 1))[None])
        embedding = self._network.forward().ravel()
        return embedding / max(float(np.linalg.norm(embedding)), 1e-12)


def in_frame(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """An aligned face (uint8 RGB, S×S×3) in the whole pose of which it is the inner part.

    The result is uint8 RGB, size×size×3.
    """
    left, top, side = WINDOW
    whole = size / FRAME
    factor = side / picture.shape[0] * whole
    shift = 0.5 * factor - 0.5
    matrix = np.array([[factor, 0, shift + left * whole], [0, factor, shift + top * whole]])
    return warp(picture, matrix, size)


def _points_to_other_files(model: bytes) -> bool:
    """Whether an ONNX file keeps an initializer elsewhere; false for other files.

    onnx.proto: ``ModelProto.graph`` is field 7, ``GraphProto.initializer`` 5,
    ``TensorProto.data_location`` 14.
    """
    try:
        return any(
            value == EXTERNAL
            for graph in _fields(memoryview(model), 7)
            for tensor in _fields(graph, 5)
            for value in _fields(tensor, 14)
        )
    except (IndexError, TypeError):
        return False


def _fields(message: memoryview, wanted: int) -> Iterator:
    """Values of a field of a Protocol Buffers message: numbers or bytes."""
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        value: int | memoryview
        kind = tag & 7
        if kind == 0:
            value, at = _number(message, at)
        else:
            if kind == 2:
                length, at = _number(message, at)
            else:
                length = {1: 8, 5: 4}.get(kind, len(message))
            value, at = message[at : at + length], at + length
        if tag >> 3 == wanted:
            yield value


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """A variable-length integer and its end."""
    value = shift = 0
    while message[at] & 128:
        value |= (message[at] & 127) << shift
        shift, at = shift + 7, at + 1
    return value | message[at] << shift, at + 1
