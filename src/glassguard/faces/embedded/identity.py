"""Who somebody is: the parameters that all pictures of one drawn person share.

Lengths are in distances between the eyes, measured from the point midway between them, x to the
right of the picture and y downwards. Shares and strengths have no unit.
"""

from dataclasses import dataclass

import numpy as np

from glassguard.faces.embedded.parameters import around, at_times, below, between, draw


@dataclass(frozen=True)
class Head:
    """Outline and relief of the head."""

    chin: float = between(1.27, 1.46)  # y of the chin's lowest point
    chin_width: float = between(-0.07, 0.07)  # outward push of the outline beside the chin
    chin_relief: float = between(0.02, 0.13)
    chin_cleft: float = at_times(0.3, 0.05)
    jaw: float = between(0.93, 1.09)  # radius of the outline at the corner of the jaw
    cheek: float = between(0.87, 1.03)  # radius at the cheekbone
    cheek_relief: float = between(0.02, 0.13)
    cheek_height: float = between(0.30, 0.50)  # y of the cheekbone
    temple: float = between(0.91, 1.04)  # radius at the temple
    roundness: float = between(0.58, 0.78)  # depth of the face from eye plane to ear
    brow_ridge: float = between(0.0, 0.09)
    ear: float = between(0.06, 0.15)  # how far the ears stand out
    ear_height: float = between(0.10, 0.24)
    lean: float = around(0.0, 0.015, 0.03)  # sideways drift of the chin: no face is symmetric


@dataclass(frozen=True)
class Skin:
    """Pigment and marks of the skin."""

    melanin: float = between(0.10, 0.62)  # 0 palest, 1 darkest
    ruddiness: float = between(-0.03, 0.05)
    freckles: float = at_times(0.4, 1.0)
    moles: float = between(0.0, 3.99)  # whole part: how many
    shine: float = between(0.05, 0.30)
    folds: float = between(0.0, 0.75)  # depth of the folds from nose to mouth
    forehead_lines: float = at_times(0.4, 0.5)


@dataclass(frozen=True)
class Eyes:
    """One eye; the other mirrors it."""

    width: float = between(0.20, 0.26)  # half of the opening's width
    opening: float = between(0.36, 0.62)  # height of the upper lid's arc over the half width
    lower: float = between(0.18, 0.36)
    tilt: float = between(-0.10, 0.20)  # outer corner above the inner one, radians
    peak: float = between(-0.25, 0.25)  # where the upper lid is highest, towards the temple
    iris: float = between(0.105, 0.132)  # radius
    colour: float = between(0.0, 1.0)  # brown over hazel and green to blue and grey
    crease: float = between(0.03, 0.13)  # distance of the lid's crease from its edge
    crease_depth: float = between(0.1, 0.7)
    lashes: float = between(0.25, 0.8)
    bags: float = between(0.0, 0.4)
    depth: float = between(0.05, 0.17)  # of the sockets


@dataclass(frozen=True)
class Brows:
    """One brow; the other mirrors it."""

    height: float = between(0.25, 0.40)  # above the eye
    inner: float = between(0.14, 0.26)  # x of the inner end
    outer: float = between(0.76, 0.90)  # x of the outer end
    arch: float = between(-0.01, 0.10)
    slope: float = between(-0.06, 0.10)  # outer end above the inner one
    thickness: float = between(0.028, 0.078)
    density: float = between(0.45, 0.95)
    darkness: float = between(0.45, 0.95)


@dataclass(frozen=True)
class Nose:
    """The nose."""

    tip: float = between(0.46, 0.66)  # y of the tip
    height: float = between(0.20, 0.40)  # of the tip above the face
    bridge: float = between(0.10, 0.55)  # height of the bridge over the tip's
    bridge_width: float = between(0.075, 0.135)
    tip_width: float = between(0.115, 0.20)
    hump: float = at_times(0.5, 0.10)
    wings: float = between(0.155, 0.25)  # x of the nostrils' wings
    wing_relief: float = between(0.04, 0.12)
    nostrils: float = between(0.2, 0.8)
    bend: float = around(0.0, 0.018, 0.04)  # sideways drift of the tip


@dataclass(frozen=True)
class Mouth:
    """The mouth at rest."""

    height: float = between(0.30, 0.42)  # from the tip of the nose to the line of the lips
    width: float = between(0.30, 0.47)  # half
    upper: float = between(0.05, 0.115)
    lower: float = between(0.075, 0.15)
    bow: float = between(0.0, 0.5)  # how deep the upper lip dips in the middle
    corners: float = between(-0.05, 0.05)  # how far the corners are raised
    redness: float = between(0.4, 1.0)
    relief: float = between(0.04, 0.11)
    philtrum: float = between(0.0, 0.5)


@dataclass(frozen=True)
class Hair:
    """Cut and colour of the hair."""

    line: float = between(-0.95, -0.64)  # y of the hairline above the nose
    temples: float = between(0.0, 0.5)  # how far it recedes over the temples
    fringe: float = at_times(0.4, 0.36)  # how far a fringe hangs below the hairline
    parting: float = between(-0.6, 0.6)  # x
    sweep: float = between(-0.25, 0.25)  # slope of the hairline away from the parting
    volume: float = between(0.04, 0.22)
    length: float = between(-0.3, 2.2)  # y at which the hair at the sides ends
    curtain: float = between(0.84, 1.10)  # x from which long hair covers the cheek
    curl: float = between(0.0, 1.0)
    strands: float = between(8.0, 20.0)  # per radian about the crown
    darkness: float = between(0.2, 1.0)  # what fair skin would go with
    redness: float = between(0.0, 1.0)
    grey: float = at_times(0.2, 0.8)


@dataclass(frozen=True)
class Beard:
    """Cut of the beard: shares of full density."""

    density: float = at_times(0.42, 1.0)
    moustache: float = between(0.3, 1.0)
    chin: float = between(0.3, 1.0)
    jaw: float = between(-0.3, 1.0)
    reach: float = between(0.45, 0.85)  # y at which the beard on the jaw begins


@dataclass(frozen=True)
class Identity:
    """A drawn person.

    Attributes:
        texture: seed of the places of freckles, moles and brow hairs.
    """

    head: Head
    skin: Skin
    eyes: Eyes
    brows: Brows
    nose: Nose
    mouth: Mouth
    hair: Hair
    beard: Beard
    texture: int = below(2**31)


def draw_identity(seed: int, identity: int) -> Identity:
    """The person number ``identity`` of the population ``seed``.

    Args:
        seed: non-negative seed of the population.
        identity: non-negative number of the person; no other person's draw matters.
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, identity]))
    return draw(Identity, generator)
