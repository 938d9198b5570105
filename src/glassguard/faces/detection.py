"""Five landmarks of the main face of a picture, by YuNet (Wu et al. 2023)."""

import cv2
import numpy as np

from glassguard.faces.alignment import (
    AlignedFace,
    Pose,
    align_by_crop,
    align_by_landmarks,
    common_pose,
)
from glassguard.faces.rectangles import Rectangle, clipped, widened

LONG_SIDE = 320
"""Pixels to which the longer side is scaled: the size that YuNet was trained at. Smaller crops are
enlarged, since faces in them are missed otherwise (most of them below 160 pixels)."""

SECOND_LOOK = 4 * LONG_SIDE
"""The same for a second look, if the first finds no face or one smaller than :data:`SMALL` in a
photograph of at least twice :data:`LONG_SIDE`."""

SMALL = LONG_SIDE / 4
"""Longer side of a face that needs a second look, pixels after scaling."""

SCORE = 0.6
"""Score from which a face counts; tight crops rarely hold anything else that looks like a face."""


class LandmarkDetector:
    """YuNet, read from the bytes of its ONNX file.

    One object is for one thread, since the detector keeps the size of its input.

    Args:
        model: content of ``face_detection_yunet_2023mar.onnx``.

    Raises:
        ValueError: OpenCV cannot read the model.
    """

    def __init__(self, model: bytes) -> None:
        buffer = np.frombuffer(model, dtype=np.uint8)
        # OpenCV warns about a setting of its own.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            self._detector = cv2.FaceDetectorYN.create(
                "onnx", buffer, np.empty(0, np.uint8), (LONG_SIDE, LONG_SIDE), SCORE
            )
            self.landmarks(np.zeros((LONG_SIDE, LONG_SIDE, 3), np.uint8))
        except cv2.error:
            # OpenCV's message names a line of its sources, which does not help.
            raise ValueError("not a YuNet model in ONNX that OpenCV can read") from None

    def landmarks(self, picture: np.ndarray) -> np.ndarray | None:
        """Landmarks of the largest and most central face.

        Of several faces, the one with the largest area minus twice the squared distance of its
        centre from the picture's is taken, as in the alignment of FaceNet and SphereFace. If the
        face is a small part of a large photograph, landmarks are read in a crop around it.

        Args:
            picture: uint8 RGB, H×W×3.

        Returns:
            float64 5×2 in the order of :data:`glassguard.faces.alignment.COMMON_POSE`, in the
            picture's pixels; None when no face is found.
        """
        face = self._best_face(picture, LONG_SIDE)
        longer = max(picture.shape[:2])
        if longer < 2 * LONG_SIDE or (face is not None and face[2:4].max() >= SMALL):
            return None if face is None else _points(face, picture, LONG_SIDE)
        face = self._best_face(picture, SECOND_LOOK)
        if face is None:
            return None
        left, top, right, bottom = _around(face, picture, SECOND_LOOK)
        crop = picture[top:bottom, left:right]
        nearer = self._best_face(crop, LONG_SIDE)
        if nearer is None:
            return _points(face, picture, SECOND_LOOK)
        return _points(nearer, crop, LONG_SIDE) + np.array([left, top])

    def _best_face(self, picture: np.ndarray, long_side: int) -> np.ndarray | None:
        """YuNet's row of the face, in pixels of the picture scaled to ``long_side``."""
        inner = _brought_to(picture, long_side)
        shrinking = cv2.INTER_AREA if inner[0] < picture.shape[1] else cv2.INTER_LINEAR
        resized = cv2.resize(picture, inner, interpolation=shrinking)
        self._detector.setInputSize(inner)
        _, faces = self._detector.detect(cv2.cvtColor(resized, cv2.COLOR_RGB2BGR))
        if faces is None:
            return None
        centres = faces[:, :2] + faces[:, 2:4] / 2
        offsets = np.square(centres - np.array(inner) / 2).sum(axis=1)
        return faces[np.argmax(faces[:, 2] * faces[:, 3] - 2 * offsets)]


def _brought_to(picture: np.ndarray, long_side: int) -> tuple[int, int]:
    """Width and height of the picture scaled to ``long_side``."""
    height, width = picture.shape[:2]
    scale = long_side / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _points(face: np.ndarray, picture: np.ndarray, long_side: int) -> np.ndarray:
    """Landmarks of YuNet's row in the picture's own pixels, float64 5×2."""
    height, width = picture.shape[:2]
    inner = _brought_to(picture, long_side)
    # YuNet names the eyes as the person does: the right eye, on the left of the picture, is first.
    points = face[4:14].reshape(5, 2).astype(np.float64)
    return (points + 0.5) * np.array([width / inner[0], height / inner[1]]) - 0.5


def _around(face: np.ndarray, picture: np.ndarray, long_side: int) -> Rectangle:
    """The face with half of its longer side around it, as far as the picture reaches."""
    scale = max(picture.shape[:2]) / long_side
    margin = scale * face[2:4].max() / 2
    left, top, right, bottom = scale * np.concatenate([face[:2], face[:2] + face[2:4]])
    edges = left - margin, top - margin, right + margin, bottom + margin
    return clipped((round(edges[0]), round(edges[1]), round(edges[2]), round(edges[3])), picture)


def align(
    picture: np.ndarray,
    detector: LandmarkDetector | None,
    *,
    size: int,
    rectangle: Rectangle | None = None,
    landmarks: np.ndarray | None = None,
    pose: Pose = "close",
) -> AlignedFace:
    """Bring the face of a picture into the common pose.

    It is aligned by the given landmarks, else by those that the detector finds, else by the crop.
    Landmarks count if both eyes lie inside the aligned picture and apart, unlike in a full
    profile.

    Args:
        picture: uint8 RGB, H×W×3.
        detector: None to look for no landmarks.
        size: side of the aligned picture, pixels.
        rectangle: the face, within the picture; the detector sees a margin around it
            (:data:`glassguard.faces.rectangles.MARGIN`). The whole picture when None.
        landmarks: float64 5×2 in the order of :data:`glassguard.faces.alignment.COMMON_POSE`,
            where the source of the picture has them.
        pose: where eyes, nose and mouth go.
    """
    face = _usable(picture, landmarks, size, "landmarks", pose)
    if face is None and detector is not None:
        height, width = picture.shape[:2]
        region = (0, 0, width, height) if rectangle is None else widened(rectangle, picture)
        left, top, right, bottom = region
        found = detector.landmarks(picture[top:bottom, left:right])
        points = None if found is None else found + np.array([left, top])
        face = _usable(picture, points, size, "detector", pose)
    return face or align_by_crop(picture, size=size, rectangle=rectangle, pose=pose)


def _usable(
    picture: np.ndarray, landmarks: np.ndarray | None, size: int, aligned_by: str, pose: Pose
) -> AlignedFace | None:
    if landmarks is None or not np.isfinite(landmarks).all() or np.ptp(landmarks) == 0:
        return None
    face = align_by_landmarks(picture, landmarks, size=size, aligned_by=aligned_by, pose=pose)
    wanted = common_pose(size, pose)
    apart = (face.eyes[1, 0] - face.eyes[0, 0]) / (wanted[1, 0] - wanted[0, 0])
    inside = (face.eyes >= 0).all() and (face.eyes <= size - 1).all()
    return face if inside and apart > 0.25 else None
