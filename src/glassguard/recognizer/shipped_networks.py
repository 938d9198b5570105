"""Networks that come with the package.

Beside ``networks/NAME.safetensors`` lie its record (``NAME.json``: digest, what it was trained with
and what was measured) and its model card (``NAME.md``).
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from glassguard.errors import InputError
from glassguard.recognizer.settings import ShippedNetwork
from glassguard.settings import Seed, Strict

FOLDER = Path(__file__).parent / "networks"


class NetworkRecord(Strict):
    """Where a network comes from.

    Attributes:
        sha256: of its file, in hexadecimal.
        torch: version of PyTorch.
        seed: of the pool and of the training.
        image_size: side of the pool's pictures, pixels.
        backbone: what the section ``backbone`` said.
        metrics: what the training measured.
    """

    sha256: str
    torch: str
    seed: Seed
    image_size: int
    backbone: dict[str, Any]
    metrics: dict[str, float | int | str]


@cache
def network_record(name: ShippedNetwork) -> NetworkRecord:
    """The record of a network."""
    return NetworkRecord.model_validate_json((FOLDER / f"{name}.json").read_text())


def network_bytes(name: ShippedNetwork, *, sha256: str) -> bytes:
    """The file of a network, in the format of ``glassguard.recognizer.weights.read_backbone``.

    Args:
        name: the network.
        sha256: what the file must have, in hexadecimal.

    Raises:
        InputError: the file has another digest.
    """
    path = FOLDER / f"{name}.safetensors"
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(f"{path}: SHA-256 is {found}, expected is {sha256}; install again")
    return content
