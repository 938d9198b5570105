"""Random parameters: a dataclass declares how each of its fields is distributed."""

from dataclasses import field, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

Part = TypeVar("Part")


def between(low: float, high: float) -> Any:
    """A field that is uniform on [low, high]."""
    return field(metadata={"uniform": (low, high)})


def around(centre: float, deviation: float, limit: float) -> Any:
    """A field that is normal about ``centre``, held within ``limit`` of it."""
    return field(metadata={"normal": (centre, deviation, limit)})


def at_times(share: float, largest: float) -> Any:
    """A field that is uniform on [0, largest] in a ``share`` of the draws, and else 0."""
    return field(metadata={"uniform": (largest * (1.0 - 1.0 / share), largest), "floor": 0.0})


def below(limit: int) -> Any:
    """A field that is a whole number from 0 to before ``limit``."""
    return field(metadata={"below": limit})


def draw(kind: type[Part], generator: np.random.Generator) -> Part:
    """One instance of a dataclass whose fields are declared above or are such dataclasses.

    Every declared field takes exactly one number from the generator, in the order of declaration.
    """
    values: dict[str, Any] = {}
    for entry in fields(kind):  # type: ignore[arg-type]
        if isinstance(entry.type, type) and is_dataclass(entry.type):
            values[entry.name] = draw(entry.type, generator)
        elif "below" in entry.metadata:
            values[entry.name] = int(generator.integers(entry.metadata["below"]))
        elif "normal" in entry.metadata:
            centre, deviation, limit = entry.metadata["normal"]
            offset = deviation * generator.standard_normal()
            values[entry.name] = centre + float(np.clip(offset, -limit, limit))
        else:
            value = float(generator.uniform(*entry.metadata["uniform"]))
            values[entry.name] = max(value, entry.metadata.get("floor", value))
    return kind(**values)
