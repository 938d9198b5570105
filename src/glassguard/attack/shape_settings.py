"""Settings of what is worn; apart from those of attacks, for stages that draw honest wearers."""

from typing import Literal

from pydantic import Field

from glassguard.settings import Strict


class WornShape(Strict):
    """Eyeglasses, which sit where eyes are, or the whole picture."""

    kind: Literal["glasses", "whole"]


class PlacedShape(Strict):
    """An accessory at a place of its own, in units of the distance between the eyes."""

    kind: Literal["sticker", "patch", "band"] = Field(
        description="an ellipse, a rectangle, a headband"
    )
    x: float = Field(ge=-3, le=3, description="centre, rightwards from midway between the eyes")
    y: float = Field(ge=-3, le=3, description="centre, downwards from midway between the eyes")
    width: float = Field(gt=0, le=6, description="along the line between the eyes")
    height: float = Field(gt=0, le=6, description="across the line between the eyes")


Shape = WornShape | PlacedShape
"""Which pixels of a face an attack may change, told apart by ``kind``."""
