"""The shape of a drawn head: outline, depth map, what turning it does, and its normals.

Coordinates are an identity's (see :mod:`glassguard.faces.embedded.identity`). Depth points towards
the camera, in distances between the eyes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

from glassguard.faces.embedded.circumstances import Expression, Pose
from glassguard.faces.embedded.identity import Identity
from glassguard.faces.embedded.palette import Field

EYES_AT = ((30.3 / 96, 41.7 / 96), (65.6 / 96, 41.5 / 96))
"""Nominal x, y of the eyes of an aligned face, in sides of the picture."""

_CENTRE_Y = 0.25
_BEYOND = 1.4
_ANGLES = 1025
_LEFT, _TOP, _SPAN = -1.9, -1.8, 3.9
_CELLS = 72


@dataclass(frozen=True)
class View:
    """The head as the pixels of a picture see it.

    Attributes:
        x: H x W face coordinate of every pixel.
        y: H x W face coordinate of every pixel.
        radius: H x W distance from the head's centre over the outline's; 1 on the outline.
        depth: H x W.
        normals: three H x W components of the unit normal: right, down, towards the camera.
        eyes: 2 x 2 pixel coordinates x, y of the pupils' places, left of the picture first.
        pixel: side of a pixel in face coordinates.
    """

    x: Field
    y: Field
    radius: Field
    depth: Field
    normals: tuple[Field, Field, Field]
    eyes: Field
    pixel: float


def bump(x: Field, y: Field, centre: tuple[float, float], widths: tuple[float, float]) -> Field:
    """A Gaussian hill of height 1 with the given standard deviations along x and y."""
    across = (x - centre[0]) * (1.0 / widths[0])
    along = (y - centre[1]) * (1.0 / widths[1])
    return np.exp(-0.5 * (across * across + along * along))


def ramp(values: Field, start: float, end: float) -> Field:
    """0 up to ``start``, 1 from ``end``, smooth between them; ``end`` may lie below ``start``."""
    share = np.clip((values - start) * (1.0 / (end - start)), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _outline(identity: Identity) -> Field:
    """One over the outline's distance from the head's centre, at even angles from the chin up."""
    head = identity.head
    chin = head.chin - _CENTRE_Y
    angles = (0.0, 0.38, 0.85, 1.40, 1.95, 2.55, np.pi)
    below = 0.55 * chin + 0.45 * head.jaw + head.chin_width
    radii = (chin, below, head.jaw, head.cheek, head.temple, 1.23, 1.42)
    spline = CubicSpline(angles, radii, bc_type="clamped")
    return (1.0 / spline(np.linspace(0.0, np.pi, _ANGLES))).astype(np.float32)


def _radius(identity: Identity, outline: Field, x: Field, y: Field) -> Field:
    """Distance of points from the head's centre over the distance of the outline, H x W.

    Both sides of the head share the ``outline`` that :func:`_outline` gives.
    """
    head = identity.head
    below = y - _CENTRE_Y
    across = x - head.lean * ramp(y, 0.3, head.chin)
    place = np.arctan2(np.abs(across), below) * ((_ANGLES - 1) / np.pi)
    inverse = cv2.remap(outline[None, :], place, np.zeros_like(place), cv2.INTER_LINEAR)
    return np.sqrt(across * across + below * below) * inverse


def depth_map(
    identity: Identity, expression: Expression, x: Field, y: Field, radius: Field
) -> Field:
    """Depth of the head at points: a smooth dome with hills and hollows for the features."""
    head, eyes, nose, mouth = identity.head, identity.eyes, identity.nose, identity.mouth
    side = np.abs(x)
    smile = max(expression.smile, 0.0)
    reach = np.minimum(radius, _BEYOND)
    depth = head.roundness * (1 - reach * reach * np.sqrt(reach))

    depth += head.brow_ridge * bump(side, y, (0.42, -0.24), (0.28, 0.08))
    depth -= eyes.depth * bump(side, y, (0.46, -0.05), (0.22, 0.13))
    depth += 0.07 * bump(side, y, (0.5, 0.0), (0.14, 0.10))
    depth += (head.cheek_relief + 0.05 * smile) * bump(
        side, y, (0.62, head.cheek_height - 0.04 * smile), (0.20, 0.14)
    )
    lips = nose.tip + mouth.height
    depth += head.chin_relief * bump(x, y, (0.0, head.chin - 0.18), (0.22, 0.13))
    depth -= head.chin_cleft * bump(x, y, (0.0, head.chin - 0.15), (0.035, 0.08))
    depth += mouth.relief * bump(x, y, (0.0, lips), (0.8 * mouth.width, 0.11))
    depth -= 0.05 * bump(x, y, (0.0, lips + mouth.lower + 0.07), (0.22, 0.04))
    depth -= 0.05 * smile * bump(side, y, (mouth.width + 0.08, lips), (0.06, 0.10))

    along = np.clip((y + 0.18) * (1.0 / (nose.tip + 0.18)), 0.0, 1.0)
    rising = along * np.sqrt(along)
    width = nose.bridge_width + along * along * (nose.tip_width - nose.bridge_width)
    height = nose.height * (nose.bridge + (1 - nose.bridge) * rising)
    height += nose.hump * bump(y, y, (0.16, 0.16), (0.12, 0.12))
    height *= ramp(y, -0.32, 0.0) * ramp(y, nose.tip + 0.17, nose.tip - 0.01)
    across = (x - nose.bend * along) / width
    depth += height * np.exp(-0.5 * across * across)
    depth += nose.wing_relief * bump(side, y, (nose.wings, nose.tip + 0.03), (0.07, 0.065))
    return depth


def _turned(depth: Field, reference: float, pose: Pose, x: Field, y: Field) -> tuple[Field, Field]:
    """Face coordinates seen at picture coordinates, on a head turned by yaw and pitch.

    A point at depth z moves by (z - reference) times the tangent of the angle, as an orthographic
    camera sees it once the eyes are aligned again. The inverse is a fixed point; the depth's slope
    times the tangent stays well below 1, so a few rounds are enough.
    """
    right, down = np.tan(pose.yaw), np.tan(pose.pitch)
    seen_x, seen_y = x, y
    scale = (_CELLS - 1) / _SPAN
    for _ in range(4):
        column = (seen_x - _LEFT) * scale
        row = (seen_y - _TOP) * scale
        lift = cv2.remap(depth, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        lift = lift - reference
        seen_x = x - lift * np.float32(right)
        seen_y = y - lift * np.float32(down)
    return seen_x, seen_y


def _normals(depth: Field, pixel: float) -> tuple[Field, Field, Field]:
    smooth = cv2.GaussianBlur(depth, (3, 3), 0.7)
    slope_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1.0 / (8.0 * pixel))
    slope_y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1.0 / (8.0 * pixel))
    towards = 1.0 / np.sqrt(1.0 + slope_x * slope_x + slope_y * slope_y)
    return -slope_x * towards, -slope_y * towards, towards


def look_at(identity: Identity, expression: Expression, pose: Pose, size: int) -> View:
    """The head under a pose, for every pixel of a picture of ``size`` x ``size`` pixels."""
    cells = np.linspace(0.0, _SPAN, _CELLS, dtype=np.float32)
    grid_x, grid_y = np.meshgrid(cells + _LEFT, cells + _TOP)
    outline = _outline(identity)
    grid_depth = depth_map(
        identity, expression, grid_x, grid_y, _radius(identity, outline, grid_x, grid_y)
    )
    # The eyes stay where alignment puts them: what turns is everything before and behind them.
    eye_column = round((0.5 - _LEFT) / _SPAN * (_CELLS - 1))
    eye_row = round((0.0 - _TOP) / _SPAN * (_CELLS - 1))
    reference = float(grid_depth[eye_row, eye_column])

    (left_x, left_y), (right_x, right_y) = EYES_AT
    middle = np.array([left_x + right_x, left_y + right_y]) * 0.5 * size
    middle += np.array([pose.shift_x, pose.shift_y]) * (right_x - left_x) * size
    angle = pose.roll + np.arctan2(right_y - left_y, right_x - left_x)
    length = pose.scale * np.hypot(right_x - left_x, right_y - left_y) * size
    cosine, sine = np.cos(angle), np.sin(angle)
    # Pixel centres lie on whole coordinates.
    columns = np.arange(size, dtype=np.float32)[None, :] - np.float32(middle[0])
    rows = np.arange(size, dtype=np.float32)[:, None] - np.float32(middle[1])
    forward, aside = np.float32(cosine / length), np.float32(sine / length)
    flat_x: Field = columns * forward + rows * aside
    flat_y: Field = rows * forward - columns * aside

    x, y = _turned(grid_depth, reference, pose, flat_x, flat_y)
    radius = _radius(identity, outline, x, y)
    depth = depth_map(identity, expression, x, y, radius)
    half = 0.5 * length * np.array([cosine, sine])
    return View(
        x=x,
        y=y,
        radius=radius,
        depth=depth,
        normals=_normals(depth, 1.0 / length),
        eyes=np.stack([middle - half, middle + half]).astype(np.float32),
        pixel=float(1.0 / length),
    )
