"""Declared random parameters: a dataclass says of every field how it is distributed."""

from dataclasses import field, fields
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
    """A field that is 0 but for a ``share`` of the draws, and then uniform on [0, largest]."""
    return field(metadata={"uniform": (largest * (1.0 - 1.0 / share), largest), "floor": 0.0})


def draw(kind: type[Part], generator: np.random.Generator) -> Part:
    """One instance of a dataclass whose fields were declared with the functions above.

    Every field takes exactly one number from the generator, in the order of declaration.
    """
    values: dict[str, float] = {}
    for entry in fields(kind):  # type: ignore[arg-type]
        if "normal" in entry.metadata:
            centre, deviation, limit = entry.metadata["normal"]
            offset = deviation * generator.standard_normal()
            values[entry.name] = centre + float(np.clip(offset, -limit, limit))
        else:
            value = float(generator.uniform(*entry.metadata["uniform"]))
            values[entry.name] = max(value, entry.metadata.get("floor", value))
    return kind(**values)
