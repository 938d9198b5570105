"""Types that settings of every package share, and the model that refuses unknown keys."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _given(value: Any) -> Any:
    """A path as a shell takes it: the tilde of nobody's home is a sign like any other."""
    if value == "":
        raise ValueError("is empty; give a path")
    # Path.expanduser raises where nobody has that name.
    return os.path.expanduser(value) if isinstance(value, str) else value  # noqa: PTH111


GivenPath = Annotated[Path, BeforeValidator(_given)]


PIXEL_RANGE = 255.0


PixelValue = Annotated[float, Field(ge=0.0, le=PIXEL_RANGE)]


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


PositiveFraction = Annotated[float, Field(gt=0.0, lt=1.0)]


Colour = tuple[Fraction, Fraction, Fraction]


Seed = Annotated[
    int, Field(ge=0, le=2**31 - 1, description="all that is drawn at random follows from it")
]


Threads = Annotated[int, Field(ge=1, le=256, description="PyTorch's threads in a job")]


Percentile = Annotated[float, Field(gt=0, lt=100)]


Place = Annotated[int, Field(ge=1, le=16)]


SetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Strict(BaseModel):
    """A section in which an unknown key is an error and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values in nested mappings, each with its dotted name."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
