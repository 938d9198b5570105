"""What is painted on a head: skin, eyes, brows, nose, mouth, beard and hair.

Every function lays its part over ``albedo``, the light that each pixel returns under white light
(3 x H x W float32), in place.
"""

import cv2
import numpy as np

from glassguard.faces.embedded import palette
from glassguard.faces.embedded.circumstances import Expression, Light, Styling
from glassguard.faces.embedded.geometry import View, bump, ramp
from glassguard.faces.embedded.identity import Identity
from glassguard.faces.embedded.palette import Field, paint

_DARK = palette.light((0.10, 0.06, 0.05))
_SCLERA = palette.light((0.93, 0.90, 0.88))
_TEETH = palette.light((0.93, 0.90, 0.84))
_MARK_CELLS = 160
_SIDES = (-1.0, 1.0)


def _darker(identity: Identity) -> float:
    """Share by which hair and iris are darker than they would be with fair skin."""
    return float(np.clip(1.3 * identity.skin.melanin - 0.3, 0.0, 0.75))


def hair_colour(identity: Identity, darkness: float) -> Field:
    """Light that hair of somebody returns, of a darkness before that of the skin counts."""
    hair = identity.hair
    darker = darkness + (1.0 - darkness) * _darker(identity)
    return palette.hair_colour(darker, hair.redness, hair.grey)


def inside(distance: Field, pixel: float, softness: float = 1.3) -> Field:
    """Share of each pixel within a shape, from the signed distance to it (negative inside)."""
    return np.clip(np.float32(0.5) - distance * np.float32(1.0 / (softness * pixel)), 0.0, 1.0)


def _window(
    view: View, centre: tuple[float, float], across: float, along: float
) -> tuple[slice, slice]:
    """Rows and columns about a face coordinate; lengths in distances between the eyes."""
    size = view.x.shape[0]
    middle = view.eyes.mean(axis=0)
    right = (view.eyes[1] - view.eyes[0]).astype(float)
    down = np.array([-right[1], right[0]])
    column, row = middle + centre[0] * right + centre[1] * down
    reach_x, reach_y = across / view.pixel, along / view.pixel
    return (
        slice(max(0, int(row - reach_y)), min(size, int(row + reach_y) + 1)),
        slice(max(0, int(column - reach_x)), min(size, int(column + reach_x) + 1)),
    )


def _marks(identity: Identity, view: View) -> Field:
    """Freckles and moles: places belong to the person, so they move with the head."""
    generator = np.random.default_rng(identity.texture)
    cells = np.zeros((_MARK_CELLS, _MARK_CELLS), dtype=np.float32)
    places = generator.normal(size=(70, 2)) * (0.42, 0.20) + (0.0, 0.34)
    strengths = generator.uniform(0.3, 1.0, size=70) * identity.skin.freckles
    moles = int(identity.skin.moles)
    mole_places = generator.uniform((-0.75, -0.5), (0.75, 1.15), size=(3, 2))[:moles]
    scale = _MARK_CELLS / 2.4
    for (x, y), strength in zip(places, strengths, strict=True):
        cell = int((y + 0.9) * scale), int((x + 1.2) * scale)
        if min(cell) >= 0 and max(cell) < _MARK_CELLS:
            cells[cell] += 3.0 * strength
    for x, y in mole_places:
        cells[int((y + 0.9) * scale), int((x + 1.2) * scale)] += 12.0
    cells = cv2.GaussianBlur(cells, (0, 0), 1.3)
    column = (view.x + np.float32(1.2)) * np.float32(scale)
    row = (view.y + np.float32(0.9)) * np.float32(scale)
    return np.minimum(cv2.remap(cells, column, row, cv2.INTER_LINEAR), 0.75)


def paint_skin(
    albedo: Field, identity: Identity, expression: Expression, styling: Styling, view: View
) -> Field:
    """Head and ears, with blush, marks and folds; returns the H x W cover of the skin."""
    head, skin, nose, mouth = identity.head, identity.skin, identity.nose, identity.mouth
    x, y = view.x, view.y
    side = np.abs(x)
    colour = palette.skin_colour(skin.melanin + styling.tan, skin.ruddiness)

    ear_x, ear_y = head.temple + 0.25 * head.ear - 0.03, head.ear_height
    across = (side - np.float32(ear_x)) * np.float32(1.0 / (head.ear + 0.02))
    along = (y - np.float32(ear_y)) * np.float32(1.0 / 0.27)
    ear_distance = (np.sqrt(across * across + along * along) - 1) * np.float32(0.12)
    ear = inside(ear_distance, view.pixel)
    paint(albedo, ear, colour * palette.tint(0.88, 0.74, 0.70))
    inner = bump(side, y, (ear_x + 0.25 * head.ear, ear_y), (0.4 * head.ear, 0.11))
    paint(albedo, ear * inner * np.float32(0.45), colour * np.float32(0.4))

    face = inside((view.radius - 1) * np.float32(0.95), view.pixel, 1.6)
    paint(albedo, face, colour)

    red = np.float32(0.30 + styling.blush) * bump(side, y, (0.60, head.cheek_height), (0.22, 0.16))
    red += np.float32(0.30) * bump(x, y, (0.0, nose.tip), (0.16, 0.12))
    paint(albedo, red * face, colour * palette.tint(1.0, 0.62, 0.58))
    paint(
        albedo,
        _marks(identity, view) * face,
        colour * palette.tint(0.42, 0.28, 0.22),
    )

    # Folds run from the wings of the nose past the corners of the mouth; smiling deepens them.
    share = (y - np.float32(nose.tip - 0.03)) * np.float32(1.0 / (mouth.height + 0.10))
    fold_x = np.float32(nose.wings + 0.06) + share * np.float32(mouth.width - nose.wings + 0.08)
    gap = (side - fold_x) * np.float32(1.0 / 0.032)
    fold = np.exp(-gap * gap) * ramp(share, -0.05, 0.25) * ramp(share, 1.1, 0.6)
    strength = 0.10 + 0.55 * skin.folds * (0.45 + 0.55 * max(expression.smile, 0.0))
    lines = np.float32(min(strength, 0.6)) * fold
    if skin.forehead_lines > 0.0:
        wave = np.sin((y + np.float32(0.06) * x * x) * np.float32(2 * np.pi / 0.13))
        lines += (
            np.float32(skin.forehead_lines * (0.45 + 6.0 * max(expression.brows, 0.0)))
            * np.maximum(wave, 0.0) ** 4
            * bump(x, y, (0.0, -0.58), (0.38, 0.10))
        )
    paint(albedo, np.minimum(lines, 0.8) * face, colour * np.float32(0.33))
    return np.maximum(face, ear)


def paint_eyes(
    albedo: Field,
    identity: Identity,
    expression: Expression,
    styling: Styling,
    light: Light,
    view: View,
) -> Field:
    """Both eyes with their lids; returns the H x W cover of the openings, which are moist.

    The lamp is mirrored in the iris.
    """
    eyes = identity.eyes
    openings = np.zeros(view.x.shape, dtype=np.float32)
    skin = palette.skin_colour(identity.skin.melanin + styling.tan, identity.skin.ruddiness)
    iris_light = palette.iris_colour(eyes.colour * (1.0 - _darker(identity)))
    glint_x, glint_y = 0.4 * eyes.iris * np.sin(light.azimuth), -0.4 * eyes.iris
    shadow_colour = palette.eye_shadow_colour(styling.shadow_hue)
    smile = max(expression.smile, 0.0)
    pixel = view.pixel
    thin = max(0.018, 0.55 * pixel)
    for side in _SIDES:
        window = _window(view, (0.5 * side, 0.0), 0.42, 0.40)
        canvas = albedo[:, *window]
        out = np.float32(side) * view.x[window] - np.float32(0.5)
        down = view.y[window] + np.float32(eyes.tilt) * out
        ex = out * np.float32(1.0 / eyes.width)
        arc = np.maximum(1 - ex * ex, 0.0)
        ends = ramp(np.abs(ex), 1.28, 0.95)
        lift = np.float32(eyes.width * eyes.opening * (1.0 - expression.squint - 0.10 * smile))
        upper = -lift * np.sqrt(arc) * np.sqrt(np.sqrt(arc)) * (1 + np.float32(eyes.peak) * ex)
        lower = np.float32(eyes.width * eyes.lower * (1.0 - 0.35 * smile)) * arc
        from_lid = down - upper

        # Lid, crease and bag are skin, before the opening is cut into it.
        lid = inside(from_lid, pixel) * ramp(from_lid, -eyes.crease - 0.10, -eyes.crease) * ends
        if styling.shadow > 0.0:
            paint(canvas, lid * np.float32(styling.shadow), shadow_colour)
        gap = (from_lid + np.float32(eyes.crease)) * np.float32(1.0 / (1.15 * thin))
        crease = np.exp(-gap * gap) * ends * np.float32(0.85 * eyes.crease_depth)
        gap = (down - lower - np.float32(0.085)) * np.float32(1.0 / 0.05)
        bag = np.exp(-gap * gap) * ends * np.float32(eyes.bags * (0.6 + 0.4 * smile))
        paint(canvas, np.maximum(crease, bag * np.float32(0.7)), skin * np.float32(0.28))

        opening = inside(-from_lid, pixel) * inside(down - lower, pixel)
        opening *= inside((np.abs(ex) - 1) * np.float32(eyes.width), pixel)
        shaded = ramp(from_lid, -0.02, 0.10) * np.float32(0.55) + np.float32(0.45)
        paint(canvas, opening, _SCLERA * shaded)
        corner = bump(ex, down, (-0.95, 0.0), (0.16, 0.05)) * opening
        paint(canvas, corner * np.float32(0.7), palette.light((0.80, 0.45, 0.42)))

        sideways = out - np.float32(side * expression.gaze_x)
        upwards = down - np.float32(expression.gaze_y - 0.015)
        radius = np.sqrt(sideways * sideways + upwards * upwards)
        share = radius * np.float32(1.0 / eyes.iris)
        rays = (np.float32(0.55) + np.float32(0.75) * share) * ramp(share, 1.12, 0.78)
        iris = inside(radius - np.float32(eyes.iris), pixel) * opening
        paint(canvas, iris, iris_light * (rays * shaded + np.float32(0.02)))
        pupil = inside(radius - np.float32(0.45 * eyes.iris), pixel) * opening
        paint(canvas, pupil, np.float32(0.004))
        glint = bump(
            sideways,
            upwards,
            (side * glint_x, glint_y),
            (max(0.022, 0.5 * pixel), max(0.022, 0.5 * pixel)),
        )
        paint(canvas, glint * iris * np.float32(0.85), np.float32(1.2))

        # Lashes thicken the upper line towards the temple.
        thick = np.float32(thin * 1.25) * (1 + np.float32(0.35) * ex)
        gap = (from_lid + np.float32(0.25 * thin)) / np.maximum(thick, np.float32(0.5 * thin))
        dark = min(1.0, eyes.lashes + 0.5 * styling.liner)
        paint(canvas, np.exp(-gap * gap) * ends * np.float32(dark), _DARK)
        gap = (down - lower) * np.float32(1.0 / (0.8 * thin))
        rim = np.float32(0.22 + 0.22 * eyes.lashes + 0.5 * styling.liner)
        paint(canvas, np.exp(-gap * gap) * ends * rim, skin * np.float32(0.2))
        openings[window] = np.maximum(openings[window], opening)
    return openings


def paint_brows(
    albedo: Field, identity: Identity, expression: Expression, styling: Styling, view: View
) -> None:
    """Both brows."""
    brows, hair = identity.brows, identity.hair
    colour = hair_colour(identity, 0.35 * hair.darkness + 0.65 * brows.darkness)
    phase = float(identity.texture % 628) / 100.0
    for side in _SIDES:
        window = _window(view, (0.5 * side, -0.32), 0.58, 0.42)
        out, y = np.float32(side) * view.x[window], view.y[window]
        along = (out - np.float32(brows.inner)) * np.float32(1.0 / (brows.outer - brows.inner))
        held = np.clip(along, 0.0, 1.0)
        line = -np.float32(brows.height + expression.brows) + np.float32(expression.frown) * (
            1 - held
        )
        line -= np.float32(brows.slope) * held
        line -= np.float32(4.0 * brows.arch) * held * np.sqrt(held) * (1 - held * held)
        thickness = np.float32(brows.thickness) * (1 - np.float32(0.62) * held * held)
        away = np.abs(y - line) / thickness
        hairs = np.float32(0.9) + np.float32(0.1) * np.sin(
            out * np.float32(58.0) + y * np.float32(16.0) + np.float32(phase)
        )
        cover = ramp(away, 1.25, 0.35) * ramp(along, -0.10, 0.14) * ramp(along, 1.06, 0.80)
        paint(albedo[:, *window], cover * hairs * np.float32(brows.density), colour)


def paint_nose(albedo: Field, identity: Identity, styling: Styling, view: View) -> None:
    """Nostrils and the creases of the wings; the rest of the nose is relief."""
    nose = identity.nose
    skin = palette.skin_colour(identity.skin.melanin + styling.tan, identity.skin.ruddiness)
    window = _window(view, (0.0, nose.tip), 0.62, 0.42)
    x, y = view.x[window] - np.float32(nose.bend), view.y[window]
    side = np.abs(x)
    canvas = albedo[:, *window]
    crease = bump(side, y, (nose.wings + 0.055, nose.tip + 0.03), (0.026, 0.075))
    under = bump(x, y, (0.0, nose.tip + 0.115), (0.72 * nose.wings, 0.03))
    marks = np.maximum(crease * np.float32(0.42), under * np.float32(0.45))
    paint(canvas, marks, skin * np.float32(0.25))
    nostril = bump(side, y, (0.58 * nose.wings, nose.tip + 0.085), (0.27 * nose.wings, 0.027))
    paint(canvas, np.minimum(nostril * np.float32(0.35 + 0.75 * nose.nostrils), 0.95), _DARK)
    groove = bump(x, y, (0.0, nose.tip + 0.5 * identity.mouth.height), (0.025, 0.06))
    paint(canvas, groove * np.float32(0.5 * identity.mouth.philtrum), skin * np.float32(0.45))


def paint_mouth(
    albedo: Field, identity: Identity, expression: Expression, styling: Styling, view: View
) -> Field:
    """Lips, teeth and the line between the lips; returns the H x W cover of the lips."""
    mouth = identity.mouth
    skin = palette.skin_colour(identity.skin.melanin + styling.tan, identity.skin.ruddiness)
    centre = identity.nose.tip + mouth.height
    window = _window(view, (0.0, centre), 0.85, 0.45)
    x, y = view.x[window], view.y[window]
    canvas = albedo[:, *window]
    pixel = view.pixel
    half = mouth.width * (1.0 + 0.17 * expression.smile)
    share = x * np.float32(1.0 / half)
    arc = np.maximum(1 - share * share, 0.0)
    raised = mouth.corners + 0.075 * expression.smile
    line = np.float32(centre) + np.float32(raised) * (np.float32(0.35) - share * share)
    parted = expression.open * (0.10 + 0.07 * max(expression.smile, 0.0))
    gap = np.float32(parted) * arc
    stretch = 1.0 - 0.22 * max(expression.smile, 0.0)
    dip = share * np.float32(1.0 / 0.17)
    upper_lip = np.float32(mouth.upper * stretch) * arc * np.sqrt(arc + np.float32(1e-6))
    upper_lip *= 1 - np.float32(mouth.bow) * np.exp(-dip * dip)
    lower_lip = np.float32(mouth.lower * stretch) * arc
    top, bottom = line - gap * np.float32(0.4), line + gap * np.float32(0.6)

    ends = inside((np.abs(share) - 1) * np.float32(half), pixel)
    lips = inside(top - upper_lip - y, pixel, 1.8) * inside(y - bottom - lower_lip, pixel, 1.8)
    lips *= ends
    natural = skin * palette.tint(0.86, 0.36, 0.38)
    natural = skin * np.float32(0.75) + np.float32(mouth.redness) * (natural - skin * 0.75)
    painted = natural + np.float32(styling.lipstick) * (
        palette.lipstick_colour(styling.lipstick_hue) - natural
    )
    # The upper lip faces down and lies darker; the lower lip's middle catches light.
    tone = np.float32(0.72) + np.float32(0.40) * ramp(y - bottom, -0.02, 0.06)
    paint(canvas, lips * np.float32(0.9), painted * tone)
    if parted > 0.0:
        interior = inside(top - y, pixel) * inside(y - bottom, pixel) * ends
        paint(canvas, interior, palette.light((0.24, 0.08, 0.08)))
        teeth = interior * ramp(y - top, 0.11, 0.06) * ramp(np.abs(share), 0.85, 0.6)
        paint(canvas, teeth * np.float32(0.85), _TEETH)
    closed = max(0.018, 0.5 * pixel)
    away = (y - top) * np.float32(1.0 / closed)
    seam = np.exp(-away * away) * inside((np.abs(share) - 1.05) * np.float32(half), pixel, 3.0)
    paint(canvas, seam * np.float32(0.8 - 0.3 * expression.open), skin * np.float32(0.10))

    cover = np.zeros(view.x.shape, dtype=np.float32)
    cover[window] = lips
    return cover


def paint_beard(
    albedo: Field, identity: Identity, styling: Styling, view: View, lips: Field, grain: Field
) -> None:
    """Moustache, chin and jaw, from stubble to a full beard.

    ``lips`` is the cover of the lips, which stay bare, and ``grain`` the texture of hair in [0, 1].
    """
    beard = identity.beard
    density = max(beard.density * styling.shave, styling.stubble if beard.density > 0.0 else 0.0)
    if density == 0.0:
        return
    x, y = view.x, view.y
    side = np.abs(x)
    lips_y = identity.nose.tip + identity.mouth.height
    half = identity.mouth.width
    moustache = ramp(y, identity.nose.tip + 0.11, identity.nose.tip + 0.19)
    moustache *= ramp(y, lips_y + 0.04, lips_y - 0.02) * ramp(side, half + 0.12, 0.7 * half)
    chin = ramp(y, lips_y + 0.12, lips_y + 0.20) * ramp(side, 0.52, 0.34)
    jaw = ramp(view.radius, 0.70, 0.88) * ramp(y, beard.reach - 0.2, beard.reach + 0.15)
    cover = np.maximum(
        np.float32(beard.moustache) * moustache,
        np.maximum(np.float32(beard.chin) * chin, np.float32(max(beard.jaw, 0.0)) * jaw),
    )
    cover *= np.float32(0.95 * min(density, 1.0)) * (1 - lips) * ramp(view.radius, 1.06, 0.99)
    colour = hair_colour(identity, identity.hair.darkness)
    paint(albedo, cover * (np.float32(0.65) + np.float32(0.35) * grain), colour)


def strands(
    identity: Identity, styling: Styling, view: View, generator: np.random.Generator
) -> Field:
    """Texture of hair in [0, 1], H x W: noise that is long along the strands from the parting."""
    hair = identity.hair
    tile = generator.random((32, 256), dtype=np.float32)
    tile = cv2.GaussianBlur(tile, (0, 0), 0.9, borderType=cv2.BORDER_REFLECT)
    tile = np.clip(np.float32(0.5) + np.float32(1.9) * (tile - np.float32(0.5)), 0.0, 1.0)
    x = view.x - np.float32(hair.parting + styling.shift)
    y = view.y + np.float32(1.5)
    distance = np.sqrt(x * x + y * y)
    angle = np.arctan2(x, y)
    wave = np.float32(0.10 * hair.curl) * np.sin(
        distance * np.float32(5.0 + 9.0 * hair.curl) + angle * np.float32(3.0)
    )
    column = (angle + wave + np.float32(np.pi)) * np.float32(1.6 * hair.strands)
    row = distance * np.float32(2.5 + 5.0 * hair.curl)
    return cv2.remap(tile, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _hair_light(identity: Identity, styling: Styling, grain: Field) -> Field:
    colour = hair_colour(identity, identity.hair.darkness + styling.dye)
    return colour * (np.float32(0.45) + np.float32(0.95) * grain)


def _length(identity: Identity, styling: Styling) -> float:
    """The y at which hair at the sides ends, in this picture."""
    return -0.3 if styling.tied > 0.0 else identity.hair.length


def _hair_outside(identity: Identity, styling: Styling, view: View, grain: Field) -> Field:
    """Signed distance to the outer edge of the hair."""
    hair = identity.hair
    volume = max(hair.volume + styling.volume, 0.02)
    # Over the ears short hair lies close to the head.
    close = np.float32(volume) * ramp(view.y, 0.12, -0.35)
    cap = np.maximum(view.radius - 1 - close, view.y - np.float32(0.10))
    length = _length(identity, styling)
    if length < 0.3:
        return cap
    loose = ramp(view.y, -0.35, 0.7)
    wave = np.sin(view.y * np.float32(7.0)) * np.float32(0.07 * hair.curl)
    edge = np.float32(identity.head.temple * (1.0 + volume)) + (np.float32(0.06) + wave) * loose
    end = np.float32(length) + np.float32(0.25) * (grain - np.float32(0.5))
    sides = np.maximum(np.abs(view.x) - edge, view.y - end)
    return np.minimum(
        np.maximum(view.radius - np.float32(1.0 + volume), view.y + np.float32(0.05)),
        np.maximum(sides, np.float32(-0.15) - view.y),
    )


def paint_back_hair(
    albedo: Field, identity: Identity, styling: Styling, view: View, grain: Field
) -> Field:
    """Hair behind the head; returns its H x W cover."""
    cover = inside(_hair_outside(identity, styling, view, grain), view.pixel, 2.0)
    paint(albedo, cover, _hair_light(identity, styling, grain) * np.float32(0.5))
    return cover


def paint_front_hair(
    albedo: Field, identity: Identity, styling: Styling, view: View, grain: Field
) -> Field:
    """Hair above the hairline, its fringe, and long hair before the cheeks; returns its cover."""
    hair = identity.hair
    x, y = view.x, view.y
    side = np.abs(x)
    parting = np.float32(hair.parting + styling.shift)
    hang = hair.fringe + (styling.lift if hair.fringe > 0.0 else 0.4 * styling.lift)
    line = np.float32(hair.line + max(hang, -0.05)) + np.float32(hair.sweep) * np.abs(x - parting)
    corner = (side - np.float32(0.55)) * np.float32(1.0 / 0.2)
    line = line - np.float32(0.45 * hair.temples) * np.exp(-corner * corner)
    squared = side * side
    line = line + np.float32(0.72) * squared * squared
    line = line + np.float32(0.10 + 0.25 * hair.fringe) * (grain - np.float32(0.5))
    front = y - line
    if _length(identity, styling) > 0.7:
        edge = np.float32(hair.curtain) + np.float32(0.06) * (grain - np.float32(0.5))
        curtain = np.maximum(edge - side, np.float32(-0.25) - y)
        front = np.minimum(front, curtain)
    cover = inside(front, view.pixel, 2.2) * inside(
        _hair_outside(identity, styling, view, grain), view.pixel, 2.0
    )
    paint(albedo, cover, _hair_light(identity, styling, grain))
    return cover


def paint_neck(
    albedo: Field, identity: Identity, styling: Styling, view: View, cloth: Field
) -> Field:
    """Neck and shoulders, in clothes that return the light ``cloth``; returns their H x W cover."""
    skin = palette.skin_colour(identity.skin.melanin + styling.tan, identity.skin.ruddiness)
    side = np.abs(view.x)
    width = 0.62 * identity.head.jaw
    neck = inside(side - np.float32(width), view.pixel, 2.0) * ramp(view.y, 0.55, 0.7)
    shadow = np.float32(0.42) + np.float32(0.3) * ramp(view.y, 1.35, 1.9)
    paint(albedo, neck, skin * shadow)
    collar = np.float32(1.62) - np.float32(0.30) * ramp(side, 0.0, 0.75)
    collar += np.float32(0.22) * ramp(side, 0.75, 1.7)
    clothes = inside(collar - view.y, view.pixel, 2.0)
    paint(albedo, clothes, cloth * np.float32(0.8))
    return np.maximum(neck, clothes)
