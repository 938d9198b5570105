"""Five landmarks of the face that a picture is about, by YuNet (Wu et al. 2023)."""

import cv2
import numpy as np

from glassguard.faces.alignment import AlignedFace, align_by_crop, align_by_landmarks, common_pose

LONG_SIDE = 320
"""Pixels to which the longer side is brought: the size that YuNet was trained at. Smaller crops
are enlarged; they lose faces otherwise (below 160 pixels most of them)."""

SCORE = 0.6
"""Score from which a face counts; tight crops hold one face and rarely anything face-like."""


class LandmarkDetector:
    """YuNet, read from the bytes of its ONNX file.

    One object is for one thread: the detector keeps the size of its input.

    Args:
        model: content of ``face_detection_yunet_2023mar.onnx``.

    Raises:
        ValueError: OpenCV cannot read the model.
    """

    def __init__(self, model: bytes) -> None:
        buffer = np.frombuffer(model, dtype=np.uint8)
        try:
            self._detector = cv2.FaceDetectorYN.create(
                "onnx", buffer, np.empty(0, np.uint8), (LONG_SIDE, LONG_SIDE), SCORE
            )
            self.landmarks(np.zeros((LONG_SIDE, LONG_SIDE, 3), np.uint8))
        except cv2.error as error:
            raise ValueError(f"not a YuNet model: {' '.join(str(error).split())[:120]}") from None

    def landmarks(self, picture: np.ndarray) -> np.ndarray | None:
        """Landmarks of the largest and most central face.

        Of several faces the one with the greatest area less twice the squared distance of its
        centre from the picture's is taken, the rule of FaceNet's and SphereFace's alignment.

        Args:
            picture: uint8 RGB, H×W×3.

        Returns:
            float64 5×2 in the order of :data:`glassguard.faces.alignment.COMMON_POSE`, in the
            picture's pixels; None when no face is found.
        """
        height, width = picture.shape[:2]
        scale = LONG_SIDE / max(height, width)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(picture, inner, interpolation=shrinking)
        self._detector.setInputSize(inner)
        _, faces = self._detector.detect(cv2.cvtColor(resized, cv2.COLOR_RGB2BGR))
        if faces is None:
            return None
        centres = faces[:, :2] + faces[:, 2:4] / 2
        offsets = np.square(centres - np.array(inner) / 2).sum(axis=1)
        best = faces[np.argmax(faces[:, 2] * faces[:, 3] - 2 * offsets)]
        points = best[4:14].reshape(5, 2).astype(np.float64)
        # YuNet names the eyes by the person: the right eye, on the left of the picture, is first.
        return (points + 0.5) * np.array([width / inner[0], height / inner[1]]) - 0.5


def align(picture: np.ndarray, detector: LandmarkDetector | None, *, size: int) -> AlignedFace:
    """Bring the face of a picture into the common pose.

    By landmarks where the detector finds a face whose eyes come to lie apart and inside the
    aligned picture (a full profile has none), by the crop otherwise.

    Args:
        picture: uint8 RGB, H×W×3.
        detector: None to align by the crop alone.
        size: side of the aligned picture, pixels.
    """
    landmarks = None if detector is None else detector.landmarks(picture)
    if landmarks is not None and np.isfinite(landmarks).all() and np.ptp(landmarks) > 0:
        face = align_by_landmarks(picture, landmarks, size=size)
        pose = common_pose(size)
        apart = (face.eyes[1, 0] - face.eyes[0, 0]) / (pose[1, 0] - pose[0, 0])
        inside = (face.eyes >= 0).all() and (face.eyes <= size - 1).all()
        if inside and apart > 0.25:
            return face
    return align_by_crop(picture, size=size)
