"""What a PyTorch file names, read without loading it.

PyTorch's own reader of weights calls some functions that take any amount of memory, such as
``bytearray``; a state dict of plain tensors needs few names, and only those are let through.
"""

import io
import pickletools
import re
from pathlib import Path
from typing import IO

import torch

LONGEST_PICKLE = 16 << 20
"""Bytes of all that describes the tensors; VGG-16 needs some thousands."""

_NEEDED = re.compile(
    r"collections OrderedDict"
    r"|torch Size"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter)"
    r"|torch(\.cuda)? [A-Z][A-Za-z0-9]*Storage"
)
"""Module and name as a pickle has them. ``_rebuild_tensor`` is what PyTorch before 0.4 wrote."""
_PICKLES_OF_LEGACY_FILE = 5
"""Magic number, version, machine, the state dict, and the keys of the numbers that follow."""
_NAMED_OTHERWISE = frozenset({"INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
"""Other ways to name something, which PyTorch never writes."""


def unneeded_name(path: Path) -> str | None:
    """The first thing that a PyTorch file names and a state dict does not need; None for none.

    Args:
        path: a file in PyTorch's ZIP format or in the one before it.

    Raises:
        ValueError: it is damaged, or describes its tensors in more than :data:`LONGEST_PICKLE`
            bytes.
        RuntimeError: PyTorch's reader of ZIP files cannot read it.
    """
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            # Its own reader, so that what is looked at is what will be loaded.
            records = torch._C.PyTorchFileReader(str(path))
            if records.get_record_size("data.pkl") > LONGEST_PICKLE:
                raise ValueError(f"its description is longer than {LONGEST_PICKLE} bytes")
            return _first_unneeded(io.BytesIO(records.get_record("data.pkl")))
        file.seek(0)
        for _ in range(_PICKLES_OF_LEGACY_FILE):
            found = _first_unneeded(file)
            if found is not None:
                return found
    return None


def _first_unneeded(file: IO[bytes]) -> str | None:
    """The same of one pickle, after which the file is left to stand."""
    for operation, argument, position in pickletools.genops(file):
        if operation.name in _NAMED_OTHERWISE:
            return f"{operation.name} {argument or ''}".strip()
        if operation.name == "GLOBAL" and not _NEEDED.fullmatch(str(argument)):
            return ascii(str(argument).replace(" ", ".", 1))[1:-1][:100]
        if position is not None and position > LONGEST_PICKLE:
            raise ValueError(f"its description is longer than {LONGEST_PICKLE} bytes")
    return None
