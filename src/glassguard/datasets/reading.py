"""Files to aligned faces, several at a time."""

import math
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL

from glassguard.datasets.pictures import GivenPicture
from glassguard.datasets.scratch import AlignedPicture, Scratch, key_of
from glassguard.datasets.settings import PhotographData
from glassguard.errors import InputError
from glassguard.faces import duplicates
from glassguard.faces.alignment import Pose
from glassguard.faces.decoding import (
    MINIMUM_SIDE,
    PictureError,
    decode,
    maximum_bytes,
    stored_size,
)
from glassguard.faces.detection import LandmarkDetector, align
from glassguard.faces.rectangles import Rectangle, clipped

LARGE = 8_000_000
"""Pixels from which pictures are decoded one at a time. Decoding takes up to sixteen bytes a pixel,
and memory must not grow with the number of threads."""


@dataclass(frozen=True)
class Reading:
    """How a file becomes an aligned picture.

    Attributes:
        detector: content of the YuNet model; None aligns by the crop.
        size: side of an aligned picture, pixels.
        maximum_pixels: larger pictures are rejected before decoding.
        pose: where eyes, nose and mouth are in an aligned picture.
    """

    detector: bytes | None
    size: int
    maximum_pixels: int
    pose: Pose = "close"

    @classmethod
    def of(cls, data: PhotographData) -> "Reading":
        """As the configuration says.

        Raises:
            InputError: ``data.detector`` cannot be read or is no YuNet model.
        """
        model = None
        if data.detector is not None:
            try:
                model = data.detector.read_bytes()
                LandmarkDetector(model)
            except OSError as error:
                reason = f"cannot be read: {error.strerror}"
                raise InputError(f"data.detector: {data.detector}: {reason}") from None
            except ValueError as error:
                raise InputError(f"data.detector: {data.detector}: {error}") from None
        return cls(model, data.image_size, data.maximum_pixels, data.pose)

    def open_scratch(self, images: Path, *, code: Mapping[str, str]) -> Scratch:
        """Where aligned pictures are kept, those of an interrupted call among them.

        Args:
            images: file of pictures that is made in the end.
            code: digests of the code that makes them; what other code left is not used.
        """
        settings = {
            "maximum_pixels": self.maximum_pixels,
            "pose": self.pose,
            "detector": self.detector and duplicates.digest(self.detector),
            "code": dict(code),
            "libraries": [cv2.__version__, PIL.__version__, np.__version__],
        }
        return Scratch(images, self.size, settings)


class Reader:
    """Reads, decodes and aligns one file at a time, on any thread.

    Args:
        reading: how.
        scratch: keeps what was made.
    """

    def __init__(self, reading: Reading, scratch: Scratch) -> None:
        self._reading = reading
        self._scratch = scratch
        self._of_thread = threading.local()
        self._one_large_picture = threading.Lock()

    def read(self, given: GivenPicture) -> AlignedPicture | str:
        """The aligned picture, or the reason why there is none; from the scratch where known."""
        try:
            points = None if given.landmarks is None else given.landmarks.tolist()
            key = key_of([given.source, given.file.version(), given.rectangle, points])
            known = self._scratch.recall(key)
            if known is not None:
                return known
            image, facts = self._align(self._content(given), given)
        except OSError as error:
            # Not kept: another time it may be readable.
            return f"cannot be read: {error.strerror}"
        except PictureError as rejected:
            return self._scratch.refuse(key, str(rejected))
        return self._scratch.keep(key, image, **facts)

    def digest(self, given: GivenPicture) -> str | None:
        """SHA-256 of a file, which is not decoded; None where it cannot be read."""
        try:
            return duplicates.digest(self._content(given))
        except (OSError, PictureError):
            return None

    def _content(self, given: GivenPicture) -> bytes:
        return given.file.read(maximum_bytes(self._reading.maximum_pixels))

    def _align(self, content: bytes, given: GivenPicture) -> tuple[np.ndarray, dict[str, Any]]:
        limit = self._reading.maximum_pixels
        large = math.prod(stored_size(content, maximum_pixels=limit)) > LARGE
        with self._one_large_picture if large else nullcontext():
            # Coordinates that came with the picture count stored pixels.
            rotate = given.rectangle is None and given.landmarks is None
            picture = decode(content, maximum_pixels=limit, rotate=rotate)
            height, width = picture.shape[:2]
            face = align(
                picture,
                self._detector(),
                size=self._reading.size,
                rectangle=given.rectangle and _face_of(picture, given.rectangle),
                landmarks=None if given.landmarks is None else given.landmarks.astype(np.float64),
                pose=self._reading.pose,
            )
            return face.image, {
                "width": width,
                "height": height,
                "eyes": tuple(face.eyes.ravel().tolist()),
                "aligned_by": face.aligned_by,
                "sha256": duplicates.digest(content),
                "hash": int(duplicates.perceptual_hash(face.image)),
            }

    def _detector(self) -> LandmarkDetector | None:
        if self._reading.detector is None:
            return None
        if not hasattr(self._of_thread, "detector"):
            self._of_thread.detector = LandmarkDetector(self._reading.detector)
        return self._of_thread.detector


def _face_of(picture: np.ndarray, rectangle: Rectangle) -> Rectangle:
    """The part of a published rectangle that lies inside the picture."""
    left, top, right, bottom = clipped(rectangle, picture)
    if min(right - left, bottom - top) < MINIMUM_SIDE:
        raise PictureError(
            f"{right - left}×{bottom - top} pixels of the face's rectangle lie in the picture: "
            f"a side is shorter than {MINIMUM_SIDE} pixels"
        )
    return left, top, right, bottom
