"""How a person was pictured: everything that differs between two pictures of one person."""

from dataclasses import dataclass

from glassguard.faces.embedded.parameters import around, at_times, between


@dataclass(frozen=True)
class Pose:
    """Angles in radians; shifts in distances between the eyes."""

    yaw: float = around(0.0, 0.22, 0.42)
    pitch: float = around(0.0, 0.13, 0.26)
    roll: float = around(0.0, 0.06, 0.14)
    scale: float = around(1.0, 0.04, 0.09)
    shift_x: float = around(0.0, 0.045, 0.09)
    shift_y: float = around(0.0, 0.045, 0.09)


@dataclass(frozen=True)
class Expression:
    """Movements of the face; 0 is at rest."""

    smile: float = between(-0.2, 1.0)
    open: float = at_times(0.45, 1.0)
    brows: float = around(0.0, 0.022, 0.05)
    frown: float = around(0.0, 0.02, 0.05)
    squint: float = around(0.0, 0.12, 0.28)
    gaze_x: float = around(0.0, 0.022, 0.045)
    gaze_y: float = around(0.0, 0.012, 0.025)


@dataclass(frozen=True)
class Light:
    """One distant lamp, light from everywhere, and the camera's reading of both."""

    azimuth: float = between(-1.3, 1.3)  # radians, positive from the right of the picture
    elevation: float = between(-0.25, 1.0)
    key: float = between(0.35, 1.0)
    ambient: float = between(0.28, 0.62)
    warmth: float = around(0.0, 0.10, 0.22)  # of the lamp
    balance: float = around(0.0, 0.055, 0.13)  # error of the white balance, blue to yellow
    tint: float = around(0.0, 0.03, 0.07)  # and green to magenta
    exposure: float = around(0.0, 0.16, 0.38)  # natural logarithm
    saturation: float = around(0.95, 0.15, 0.35)


@dataclass(frozen=True)
class Styling:
    """Make-up of the day, and how the hair lies."""

    lipstick: float = at_times(0.4, 0.75)
    lipstick_hue: float = between(0.0, 1.0)
    shadow: float = at_times(0.35, 0.5)
    shadow_hue: float = between(0.0, 1.0)
    liner: float = at_times(0.4, 0.6)
    blush: float = at_times(0.5, 0.35)
    tan: float = around(0.0, 0.07, 0.15)  # melanin added
    stubble: float = at_times(0.3, 0.22)
    shave: float = between(0.65, 1.1)  # factor on the beard's density
    volume: float = around(0.0, 0.025, 0.05)
    lift: float = around(0.0, 0.035, 0.08)  # of the hairline's fringe
    shift: float = around(0.0, 0.06, 0.14)  # of the parting
    dye: float = around(0.0, 0.09, 0.18)  # darkness added
    tied: float = at_times(0.3, 1.0)  # above 0: long hair is tied behind the head


@dataclass(frozen=True)
class Camera:
    """What the lens and the file do to the picture."""

    blur: float = between(0.15, 0.65)  # standard deviation, pixels at 96 x 96
    noise: float = between(0.004, 0.014)  # standard deviation on the 0-1 scale
    quality: float = between(62.0, 95.0)  # of the JPEG


@dataclass(frozen=True)
class Circumstances:
    """What is drawn for every picture, apart from the texture of background and hair."""

    pose: Pose
    expression: Expression
    light: Light
    styling: Styling
    camera: Camera
