"""Whether an attack succeeded, as stored and after a JPEG round trip."""

import cv2
import numpy as np
from numpy.typing import NDArray

from glassguard.attack.settings import Goal


def succeeded(
    confidences: NDArray[np.float32],
    attacker: NDArray[np.int64],
    target: NDArray[np.int64],
    goal: Goal,
) -> NDArray[np.bool_]:
    """Whether the network takes a picture for the target, or for anybody but the attacker.

    Args:
        confidences: N x identities, of the attacked pictures.
        attacker: N numbers of identities.
        target: N numbers of identities; not read when dodging.
        goal: what the attack was for.

    Returns:
        N bool.
    """
    predicted = confidences.argmax(1)
    return predicted == target if goal == "impersonation" else predicted != attacker


def through_jpeg(images: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Encode pictures as JPEG and decode them again.

    Args:
        images: N x H x W x 3 uint8 RGB; N may be 0.
        quality: JPEG quality, 1 to 100.

    Returns:
        Pictures of the same shape and type.
    """
    decoded = np.empty_like(images)
    for row, picture in enumerate(images):
        _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        read: NDArray[np.uint8] = cv2.imdecode(encoded, cv2.IMREAD_COLOR)  # type: ignore[assignment]
        decoded[row] = read[..., ::-1]
    return decoded
