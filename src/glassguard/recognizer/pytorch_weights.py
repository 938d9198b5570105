"""State dicts out of PyTorch files, of which nothing is executed."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from glassguard.recognizer.pickled_names import more_than_tensors, why_not_pytorch
from glassguard.recognizer.weight_arrays import WeightsError, damage_named

DEEPEST = 4
"""Largest number of mappings and lists around the mapping that holds the tensors."""


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
        more = more_than_tensors(path)
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
    with damage_named("pickle"):
        why = why_not_pytorch(path)
    if why is not None:
        raise WeightsError(
            f"{why}; unpickling could run any code: save its arrays with numpy.savez"
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
