"""Arrays out of foreign weight files, within bounds; damage is named in one line."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassguard.recognizer.layers import FILTERS_PER_BLOCK

LARGEST_KERNEL = 3 * 3 * FILTERS_PER_BLOCK[-1] ** 2
"""Numbers in VGG-16's largest convolution."""
DESCRIPTION = 16 << 20
"""Largest number of bytes of a text that describes a network."""


def shown(names: Iterable[str]) -> str:
    """The first names in a file, fit for one line of a message."""
    return ", ".join(ascii(name)[1:-1][:80] for name in islice(names, 3))


class WeightsError(Exception):
    """A weight file cannot be used; the message does not name the file."""


@contextmanager
def damage_named(kind: str) -> Iterator[None]:
    """Turn any error of a reader into one line; a hostile file may make it fail in any way."""
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        detail = " ".join(str(error).split())[:120] or type(error).__name__
        raise WeightsError(f"not a readable {kind}: {detail}") from None


def filters_first(kernel: Tensor) -> Tensor:
    """Height × width × inputs × filters to filters × inputs × height × width."""
    return kernel.permute(3, 2, 0, 1).contiguous()


def float_tensor(array: NDArray[Any]) -> Tensor:
    """A float array (else ``ValueError``) as float32; numbers beyond its range become infinite."""
    if array.dtype.kind != "f":
        raise ValueError(f"{array.dtype} where floating-point numbers are wanted")
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
