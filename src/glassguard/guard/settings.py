"""Settings of the guard."""

from typing import Literal

from pydantic import Field

from glassguard.settings import Fraction, Strict

Mode = Literal["accept_or_reject", "correct"]


class Placements(Strict):
    """How people wear a frame: how far it may sit from where it is drawn."""

    shift: float = Field(
        ge=0, le=0.25, description="on either axis, as a share of the picture's side"
    )
    rotation: float = Field(ge=0, le=45, description="degrees, either way")
    scale: float = Field(ge=0, le=0.5, description="relative change of size, either way")


class Band(Strict):
    """The band of the eyes."""

    placements: Placements
    margin: float = Field(
        ge=0,
        le=1,
        description="by how much the band is wider on every side, in units of the distance between "
        "the eyes: landmarks that were found on an attacked picture may be off by as much",
    )


class BandedTraining(Band):
    """The recognizer that does not see the band."""

    occluded_copies: int = Field(
        ge=0, le=20, description="of every banded training picture; all else as in recognizer"
    )


class Decisions(Band):
    """When the guard accepts."""

    mode: Mode = Field(
        description="reject where the recognizers disagree, or answer with the banded one alone"
    )
    largest_rejected: Fraction = Field(
        description="share of the bare validation pictures that a recognizer names right and that "
        "its confidence threshold may reject"
    )


class Guard(BandedTraining, Decisions):
    """The guard: two recognizers, of which one never sees the band of the eyes."""
