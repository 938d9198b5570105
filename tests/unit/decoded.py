"""Files of pictures, decoded or refused."""

import numpy as np
import pytest

from glassguard.faces.decoding import PictureError, decode

LIMIT = 1_000_000


def read(content: bytes, **options) -> np.ndarray:
    return decode(content, maximum_pixels=LIMIT, **options)


def refusal(content: bytes) -> str:
    with pytest.raises(PictureError) as caught:
        read(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)
