"""Faces into one common pose by a similarity transform.

A similarity (rotation, one scale, shift) keeps the proportions of the face, which tell people
apart. Points are (x, y) in pixels, with the centre of the top left pixel at (0, 0).
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from glassguard.faces.rectangles import Rectangle

COMMON_POSE = np.array(
    [(38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20)]
)
"""Left eye, right eye, nose, left and right corner of the mouth, as seen in a picture of 112×112:
the pose of ArcFace (Deng et al. 2019), which published networks expect."""

WHOLE = 112.0
WINDOW = (8.0, 10.0, 96.0)
"""x, y and side of the part of the 112×112 picture that is kept: the face with less background."""

CROP_EYES = np.array([(0.330, 0.412), (0.617, 0.412)])
"""Usual places of the eyes in a tight crop, as shares of the side of its largest centred square.

They are the medians of what YuNet found in 2,310 web photographs of 30 public figures, cropped by
a face detector (5th to 95th percentile: x 0.27-0.40 and 0.54-0.68, y 0.34-0.49). With the square, a
crop that is higher than wide keeps its proportions."""


@dataclass(frozen=True)
class AlignedFace:
    """A face in the common pose.

    Attributes:
        image: uint8 RGB, size×size×3.
        eyes: float64 2×2; the eye on the left of the picture, then the one on the right.
        aligned_by: ``landmarks``, ``detector`` or ``crop``.
    """

    image: np.ndarray
    eyes: np.ndarray
    aligned_by: str


Pose = Literal["close", "arcface"] | tuple[tuple[float, float], ...]
"""``close``: the pose of ArcFace with less background (:data:`WINDOW`). ``arcface``: all of it. Or
five points in the order of :data:`COMMON_POSE`, as shares of the side."""


def common_pose(size: int, pose: Pose = "close") -> np.ndarray:
    """The five points of the common pose in an aligned picture.

    Args:
        size: side of the aligned picture, pixels.
        pose: which one.

    Returns:
        float64 5×2.
    """
    if not isinstance(pose, str):
        return np.array(pose, dtype=np.float64) * size - 0.5
    left, top, side = WINDOW if pose == "close" else (0.0, 0.0, WHOLE)
    return (COMMON_POSE - (left, top) + 0.5) * (size / side) - 0.5


def similarity_transform(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Least-squares similarity transform without reflection (Umeyama 1991, section III).

    Args:
        points: K×2 with K ≥ 2, not all in one place.
        wanted: K×2, their new places.

    Returns:
        float64 2×3 matrix that maps (x, y, 1) to the new place.

    Raises:
        ValueError: all points coincide.
    """
    # As complex numbers a similarity is z -> factor * z + shift: plain linear regression.
    start = points[:, 0] + 1j * points[:, 1]
    end = wanted[:, 0] + 1j * wanted[:, 1]
    centred = start - start.mean()
    spread = np.vdot(centred, centred).real
    if not spread > 0:
        raise ValueError("the points coincide or are not finite: no transform is determined")
    factor = np.vdot(centred, end - end.mean()) / spread
    shift = end.mean() - factor * start.mean()
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a 2×3 matrix to K×2 points; returns float64 K×2."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def warp(picture: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Draw a picture under a similarity transform.

    Args:
        picture: uint8 RGB, H×W×3.
        matrix: float64 2×3, from the picture's pixels to the new ones.
        size: side of the new picture.

    Returns:
        uint8 RGB, size×size×3. Pixels from outside the picture have its mean colour, since black
        would add edges that a network could take for features.
    """
    mean = picture.mean(axis=(0, 1))
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:
        # Below half size, bilinear sampling skips pixels: average them first.
        height, width = picture.shape[:2]
        smaller = (max(1, round(width * scale * 2)), max(1, round(height * scale * 2)))
        picture = cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)
        stretch = np.array([width / smaller[0], height / smaller[1]])
        matrix = np.column_stack(
            [matrix[:, :2] * stretch, matrix[:, 2] + matrix[:, :2] @ (stretch / 2 - 0.5)]
        )
    return cv2.warpAffine(
        picture,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=mean.tolist(),
    )


def align_by_landmarks(
    picture: np.ndarray,
    landmarks: np.ndarray,
    *,
    size: int,
    aligned_by: str = "detector",
    pose: Pose = "close",
) -> AlignedFace:
    """Bring a face into the common pose by its eyes, or by its eyes, nose and mouth.

    Args:
        picture: uint8 RGB, H×W×3.
        landmarks: 2×2 (eyes) or 5×2 points in the order of :data:`COMMON_POSE`.
        size: side of the aligned picture, pixels.
        aligned_by: who found the landmarks.
        pose: where the landmarks go.

    Raises:
        ValueError: the landmarks coincide.
    """
    matrix = similarity_transform(landmarks, common_pose(size, pose)[: len(landmarks)])
    eyes = transform_points(matrix, landmarks[:2])
    return AlignedFace(warp(picture, matrix, size), eyes, aligned_by)


def align_by_crop(
    picture: np.ndarray,
    *,
    size: int,
    rectangle: Rectangle | None = None,
    pose: Pose = "close",
) -> AlignedFace:
    """Bring a tight crop into the common pose as if its eyes were at :data:`CROP_EYES`.

    Args:
        picture: uint8 RGB, H×W×3.
        size: side of the aligned picture, pixels.
        rectangle: the crop, within the picture; the whole picture when None.
        pose: where the eyes go.
    """
    height, width = picture.shape[:2]
    left, top, right, bottom = rectangle or (0, 0, width, height)
    side = min(right - left, bottom - top)
    corner = np.array([(left + right - side) / 2, (top + bottom - side) / 2])
    eyes = corner + CROP_EYES * side - 0.5
    return align_by_landmarks(picture, eyes, size=size, aligned_by="crop", pose=pose)
