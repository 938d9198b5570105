"""State dicts out of PyTorch files, of which nothing is executed.

PyTorch's own reader of weights calls some functions that take any amount of memory, such as
``bytearray``. A state dict of plain tensors needs few names: only those are let through, before
anything is loaded.
"""

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO

import torch
from torch import Tensor
from torch.serialization import MAGIC_NUMBER

from glassguard.recognizer.weight_arrays import WeightsError, damage_named

DEEPEST = 4
"""Largest number of mappings and lists around the mapping that holds the tensors."""
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


def state_dicts(path: Path, *, at_most: int) -> dict[str, dict[str, Tensor]]:
    """Tensors by name of every mapping in a PyTorch file, by the place of the mapping.

    Reads PyTorch's ZIP format and the one before it.

    Raises:
        WeightsError: the file is damaged, unpacks to more than ``at_most`` bytes, holds more than
            tensors and plain values, or no mapping.
    """
    with damage_named("PyTorch file"):
        _check_packed_size(path, at_most)
    only = "not a PyTorch file of nothing but tensors"
    # A hostile file may make the reader fail in any way.
    try:
        more = _more_than_tensors(path)
        state = {} if more else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        held = "it holds code or objects" if "weights_only" in str(error) else "it is damaged"
        raise WeightsError(f"{only}: {held}") from None
    if more:
        raise WeightsError(f"{only}: {more}; save its state_dict() alone")
    mappings = dict(_mappings(state, (), set()))
    if not mappings:
        raise WeightsError(
            f"not a state dict: must map names to tensors, and is a {type(state).__name__}"
        )
    return mappings


def check_pickle(path: Path) -> None:
    """Refuse (``WeightsError``) a pickle that PyTorch did not write; says what it seems to hold."""
    with damage_named("pickle"), path.open("rb") as file:
        # The protocol's number, and perhaps the length of a frame, come first.
        values = (value for _, value, _ in pickletools.genops(file))
        if MAGIC_NUMBER in islice(values, 3):
            return
        file.seek(0)
        try:
            held = _unneeded(file)
        except ValueError:
            held = None
    raise WeightsError(
        f"is a pickle that PyTorch did not write{f': {held}' if held else ''}; unpickling could "
        "run any code: save its arrays with numpy.savez"
    )


def _mappings(
    value: object, place: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    # A pickle may hold a mapping any number of times, even within itself.
    if not isinstance(value, dict | list | tuple) or id(value) in seen or len(place) > DEEPEST:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        tensors = {key: held for key, held in value.items() if isinstance(held, Tensor)}
        named = {key: held for key, held in tensors.items() if isinstance(key, str)}
        yield "".join(f"{key}: " for key in place), named
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, held in entries:
        yield from _mappings(held, (*place, str(key)), seen)


def _check_packed_size(path: Path, at_most: int) -> None:
    """Refuse a ZIP file that PyTorch did not write: PyTorch compresses nothing."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as packed:
        members = packed.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise WeightsError("not a PyTorch file: its members are compressed")
    if sum(member.file_size for member in members) > at_most:
        raise WeightsError("not a PyTorch file: its members are larger than itself")


def _more_than_tensors(path: Path) -> str | None:
    """What a file in either of PyTorch's formats holds that a state dict does not need."""
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            # PyTorch's own reader: it sees what will be loaded.
            records = torch._C.PyTorchFileReader(str(path))
            if records.get_record_size("data.pkl") > LONGEST_PICKLE:
                raise ValueError(f"its description is longer than {LONGEST_PICKLE} bytes")
            return _unneeded(io.BytesIO(records.get_record("data.pkl")))
        file.seek(0)
        found = (_unneeded(file) for _ in range(_PICKLES_OF_LEGACY_FILE))
        return next(filter(None, found), None)


def _unneeded(file: IO[bytes]) -> str | None:
    """What one pickle holds that a state dict does not need; leaves the file at its end."""
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
