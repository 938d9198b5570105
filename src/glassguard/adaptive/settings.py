"""Settings of informed attackers."""

from typing import Annotated

from pydantic import Field

from glassguard.settings import PositiveFraction, Strict, Threads


class GuardAttack(Strict):
    """Gradient attacks on the guard, through both of its recognizers."""

    iterations: int = Field(ge=1, description="of every attempt")
    restarts: int = Field(ge=0, description="attempts from noise, beyond the first")


class Adaptive(Strict):
    """Attackers who know the defences."""

    pictures: int = Field(
        ge=0,
        description="attacked test pictures, the first of each pair in turn; with 0 nobody attacks "
        "the defences",
    )
    shards: int = Field(ge=1, le=10000, description="jobs")
    iterations: int = Field(ge=1, description="of every gradient attack")
    momentum: float = Field(
        ge=0, lt=1, description="share of the steps before that each step keeps"
    )
    steps: tuple[Annotated[float, Field(gt=0, le=255)], ...] = Field(
        min_length=1,
        description="step lengths on the 0-255 scale that the best of K tries; the first is that "
        "of informed attacks",
    )
    confidence: PositiveFraction = Field(description="target confidence at which an image is done")
    weight: float = Field(ge=0, description="of the defence beside the recognizer's loss")
    guard: GuardAttack
    random_textures: int = Field(ge=0, description="a picture")
    queries: int = Field(ge=0, description="of random search, a picture and defence; none with 0")
    batch_size: int = Field(ge=1, description="pictures that are attacked together")
    threads: Threads
