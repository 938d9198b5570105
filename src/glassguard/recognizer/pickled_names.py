"""The names in a PyTorch file, read without loading it.

PyTorch's own reader of weights calls some functions that take any amount of memory, such as
``bytearray``. A state dict of plain tensors needs few names; only those are let through.
"""

import io
import pickletools
import re
from itertools import islice
from pathlib import Path
from typing import IO

import torch
from torch.serialization import MAGIC_NUMBER

LONGEST_PICKLE = 16 << 20
"""Bytes of the description of all tensors; VGG-16 needs some thousands."""

_NEEDED = re.compile(
    r"collections OrderedDict"
    r"|torch (Size|device)"
    r"|torch b?float[0-9]\w*"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|tensor_v3|parameter)"
    r"|torch(\.cuda|\.storage)? [A-Z][A-Za-z0-9]*Storage"
)
"""Module and name as a pickle has them. ``_rebuild_tensor`` is what PyTorch before 0.4 wrote."""
_PICKLES_OF_LEGACY_FILE = 5
"""Magic number, version, machine, the state dict, and the keys of the numbers that follow."""
_NAMED_OTHERWISE = frozenset({"INST", "EXT1", "EXT2", "EXT4"})
"""Other operations that name something; neither PyTorch nor Python writes them today."""
_LAYER = re.compile(r"[\w.]*(conv|features|block|layer|fc|dense)[\w.]*")


def more_than_tensors(path: Path) -> str | None:
    """What a PyTorch file holds that a state dict does not need, as a clause; None for nothing.

    Reads PyTorch's ZIP format and the one before it.

    Raises:
        ValueError: the file is damaged, or its description exceeds :data:`LONGEST_PICKLE` bytes.
        RuntimeError: PyTorch's reader of ZIP files cannot read it.
    """
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            # PyTorch's own reader: it sees what will be loaded.
            records = torch._C.PyTorchFileReader(str(path))
            if records.get_record_size("data.pkl") > LONGEST_PICKLE:
                raise ValueError(f"its description is longer than {LONGEST_PICKLE} bytes")
            return _unneeded(io.BytesIO(records.get_record("data.pkl")))
        file.seek(0)
        for _ in range(_PICKLES_OF_LEGACY_FILE):
            found = _unneeded(file)
            if found is not None:
                return found
    return None


def why_not_pytorch(path: Path) -> str | None:
    """What a pickle holds that PyTorch did not write, as a clause; None for one of PyTorch's."""
    with path.open("rb") as file:
        # The protocol's number, and perhaps the length of a frame, come first.
        values = (value for _, value, _ in pickletools.genops(file))
        if MAGIC_NUMBER in islice(values, 3):
            return None
        file.seek(0)
        try:
            found = _unneeded(file)
        except ValueError:
            found = None
    return f"is a pickle that PyTorch did not write{'' if found is None else f': {found}'}"


def _unneeded(file: IO[bytes]) -> str | None:
    """As :func:`more_than_tensors`, for one pickle; leaves the file at its end."""
    layers: list[str] = []
    # Names may come from the stack: track the last strings on it, and those in the memo.
    strings = ["", ""]
    top: str | None = None
    remembered: list[str | None] = []
    for operation, argument, position in pickletools.genops(file):
        if position is not None and position > LONGEST_PICKLE:
            raise ValueError(f"its description is longer than {LONGEST_PICKLE} bytes")
        if operation.name in _NAMED_OTHERWISE:
            return _objects(f"{operation.name} {argument or ''}".strip(), layers)
        if operation.name == "GLOBAL" and not _NEEDED.fullmatch(str(argument)):
            return _objects(str(argument), layers)
        if operation.name == "STACK_GLOBAL":
            named = " ".join(strings)
            if _NEEDED.fullmatch(named):
                return (
                    "it is pickled by a protocol above 2, which PyTorch reads in files that it "
                    "trusts only: save it without pickle_protocol"
                )
            return _objects(named, layers)
        if operation.name == "MEMOIZE":
            remembered.append(top)
            continue
        top = None
        if "UNICODE" in operation.name:
            top = str(argument)
            if len(layers) < 3 and _LAYER.fullmatch(top[:100]):
                layers.append(top[:100])
        elif operation.name in ("BINGET", "LONG_BINGET") and isinstance(argument, int):
            top = remembered[argument] if argument < len(remembered) else None
        if top is not None:
            strings = [strings[1], top]
    return None


def _objects(named: str, layers: list[str]) -> str:
    name = ascii(named.replace(" ", ".", 1))[1:-1][:100]
    kind = "values of NumPy" if named.startswith("numpy") else "code or objects"
    first = f", its first layers are {', '.join(layers)}" if layers else ""
    return f"it holds {kind} ({name}){first}"
