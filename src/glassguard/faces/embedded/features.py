"""What is painted on a head: skin, eyes, brows, nose, mouth, beard and hair.

Every function paints its part over ``albedo`` in place: the light that each pixel returns under
white light, 3 x H x W float32.
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
    """Light that somebody's hair returns; darker skin makes it darker."""
    hair = identity.hair
    darker = darkness + (1.0 - darkness) * _darker(identity)
    return palette.hair_colour(darker, hair.redness, hair.grey)


def inside(distance: Field, pixel: float, softness: float = 1.3) -> Field:
    """Share of each pixel within a shape, from the signed distance to it (negative inside)."""
    return np.clip(0.5 - distance * (1.0 / (softness * pixel)), 0.0, 1.0)


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
    column = (view.x + 1.2) * scale
    row = (view.y + 0.9) * scale
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
    across = (side - ear_x) * (1.0 / (head.ear + 0.02))
    along = (y - ear_y) * (1.0 / 0.27)
    ear = inside((np.sqrt(across * across + along * along) - 1) * 0.12, view.pixel)
    paint(albedo, ear, colour * palette.tint(0.88, 0.74, 0.70))
    inner = bump(side, y, (ear_x + 0.25 * head.ear, ear_y), (0.4 * head.ear, 0.11))
    paint(albedo, ear * inner * 0.45, colour * 0.4)

    face = inside((view.radius - 1) * 0.95, view.pixel, 1.6)
    paint(albedo, face, colour)

    red = (0.30 + styling.blush) * bump(side, y, (0.60, head.cheek_height), (0.22, 0.16))
    red += 0.30 * bump(x, y, (0.0, nose.tip), (0.16, 0.12))
    paint(albedo, red * face, colour * palette.tint(1.0, 0.62, 0.58))
    paint(albedo, _marks(identity, view) * face, colour * palette.tint(0.42, 0.28, 0.22))

    # Folds run from the wings of the nose past the corners of the mouth; smiling deepens them.
    share = (y - (nose.tip - 0.03)) * (1.0 / (mouth.height + 0.10))
    fold_x = nose.wings + 0.06 + share * (mouth.width - nose.wings + 0.08)
    gap = (side - fold_x) * (1.0 / 0.032)
    fold = np.exp(-gap * gap) * ramp(share, -0.05, 0.25) * ramp(share, 1.1, 0.6)
    strength = 0.10 + 0.55 * skin.folds * (0.45 + 0.55 * max(expression.smile, 0.0))
    lines = min(strength, 0.6) * fold
    if skin.forehead_lines > 0.0:
        wave = np.sin((y + 0.06 * x * x) * (2 * np.pi / 0.13))
        lines += (
            skin.forehead_lines
            * (0.45 + 6.0 * max(expression.brows, 0.0))
            * np.maximum(wave, 0.0) ** 4
            * bump(x, y, (0.0, -0.58), (0.38, 0.10))
        )
    paint(albedo, np.minimum(lines, 0.8) * face, colour * 0.33)
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
    glint_x, glint_y = 0.4 * eyes.iris * float(np.sin(light.azimuth)), -0.4 * eyes.iris
    shadow_colour = palette.eye_shadow_colour(styling.shadow_hue)
    smile = max(expression.smile, 0.0)
    pixel = view.pixel
    thin = max(0.018, 0.55 * pixel)
    for side in _SIDES:
        window = _window(view, (0.5 * side, 0.0), 0.42, 0.40)
        canvas = albedo[:, *window]
        out = side * view.x[window] - 0.5
        down = view.y[window] + eyes.tilt * out
        ex = out * (1.0 / eyes.width)
        arc = np.maximum(1 - ex * ex, 0.0)
        ends = ramp(np.abs(ex), 1.28, 0.95)
        lift = eyes.width * eyes.opening * (1.0 - expression.squint - 0.10 * smile)
        upper = -lift * np.sqrt(arc) * np.sqrt(np.sqrt(arc)) * (1 + eyes.peak * ex)
        lower = eyes.width * eyes.lower * (1.0 - 0.35 * smile) * arc
        from_lid = down - upper

        # Lid, crease and bag are skin, before the opening is cut into it.
        lid = inside(from_lid, pixel) * ramp(from_lid, -eyes.crease - 0.10, -eyes.crease) * ends
        if styling.shadow > 0.0:
            paint(canvas, lid * styling.shadow, shadow_colour)
        gap = (from_lid + eyes.crease) * (1.0 / (1.15 * thin))
        crease = np.exp(-gap * gap) * ends * (0.85 * eyes.crease_depth)
        gap = (down - lower - 0.085) * (1.0 / 0.05)
        bag = np.exp(-gap * gap) * ends * (eyes.bags * (0.6 + 0.4 * smile))
        paint(canvas, np.maximum(crease, bag * 0.7), skin * 0.28)

        opening = inside(-from_lid, pixel) * inside(down - lower, pixel)
        opening *= inside((np.abs(ex) - 1) * eyes.width, pixel)
        shaded = ramp(from_lid, -0.02, 0.10) * 0.55 + 0.45
        paint(canvas, opening, _SCLERA * shaded)
        corner = bump(ex, down, (-0.95, 0.0), (0.16, 0.05)) * opening
        paint(canvas, corner * 0.7, palette.light((0.80, 0.45, 0.42)))

        sideways = out - side * expression.gaze_x
        upwards = down - (expression.gaze_y - 0.015)
        radius = np.sqrt(sideways * sideways + upwards * upwards)
        share = radius * (1.0 / eyes.iris)
        rays = (0.55 + 0.75 * share) * ramp(share, 1.12, 0.78)
        iris = inside(radius - eyes.iris, pixel) * opening
        paint(canvas, iris, iris_light * (rays * shaded + 0.02))
        pupil = inside(radius - 0.45 * eyes.iris, pixel) * opening
        paint(canvas, pupil, 0.004)
        spread = max(0.022, 0.5 * pixel)
        glint = bump(sideways, upwards, (side * glint_x, glint_y), (spread, spread))
        paint(canvas, glint * iris * 0.85, 1.2)

        # Lashes thicken the upper line towards the temple.
        thick = thin * 1.25 * (1 + 0.35 * ex)
        gap = (from_lid + 0.25 * thin) / np.maximum(thick, 0.5 * thin)
        dark = min(1.0, eyes.lashes + 0.5 * styling.liner)
        paint(canvas, np.exp(-gap * gap) * ends * dark, _DARK)
        gap = (down - lower) * (1.0 / (0.8 * thin))
        rim = 0.22 + 0.22 * eyes.lashes + 0.5 * styling.liner
        paint(canvas, np.exp(-gap * gap) * ends * rim, skin * 0.2)
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
        out, y = side * view.x[window], view.y[window]
        along = (out - brows.inner) * (1.0 / (brows.outer - brows.inner))
        held = np.clip(along, 0.0, 1.0)
        line = -(brows.height + expression.brows) + expression.frown * (1 - held)
        line -= brows.slope * held
        line -= 4.0 * brows.arch * held * np.sqrt(held) * (1 - held * held)
        thickness = brows.thickness * (1 - 0.62 * held * held)
        away = np.abs(y - line) / thickness
        hairs = 0.9 + 0.1 * np.sin(out * 58.0 + y * 16.0 + phase)
        cover = ramp(away, 1.25, 0.35) * ramp(along, -0.10, 0.14) * ramp(along, 1.06, 0.80)
        paint(albedo[:, *window], cover * hairs * brows.density, colour)


def paint_nose(albedo: Field, identity: Identity, styling: Styling, view: View) -> None:
    """Nostrils and the creases of the wings; the rest of the nose is relief."""
    nose = identity.nose
    skin = palette.skin_colour(identity.skin.melanin + styling.tan, identity.skin.ruddiness)
    window = _window(view, (0.0, nose.tip), 0.62, 0.42)
    x, y = view.x[window] - nose.bend, view.y[window]
    side = np.abs(x)
    canvas = albedo[:, *window]
    crease = bump(side, y, (nose.wings + 0.055, nose.tip + 0.03), (0.026, 0.075))
    under = bump(x, y, (0.0, nose.tip + 0.115), (0.72 * nose.wings, 0.03))
    marks = np.maximum(crease * 0.42, under * 0.45)
    paint(canvas, marks, skin * 0.25)
    nostril = bump(side, y, (0.58 * nose.wings, nose.tip + 0.085), (0.27 * nose.wings, 0.027))
    paint(canvas, np.minimum(nostril * (0.35 + 0.75 * nose.nostrils), 0.95), _DARK)
    groove = bump(x, y, (0.0, nose.tip + 0.5 * identity.mouth.height), (0.025, 0.06))
    paint(canvas, groove * (0.5 * identity.mouth.philtrum), skin * 0.45)


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
    share = x * (1.0 / half)
    arc = np.maximum(1 - share * share, 0.0)
    raised = mouth.corners + 0.075 * expression.smile
    line = centre + raised * (0.35 - share * share)
    parted = expression.open * (0.10 + 0.07 * max(expression.smile, 0.0))
    gap = parted * arc
    stretch = 1.0 - 0.22 * max(expression.smile, 0.0)
    dip = share * (1.0 / 0.17)
    upper_lip = mouth.upper * stretch * arc * np.sqrt(arc + 1e-6)
    upper_lip *= 1 - mouth.bow * np.exp(-dip * dip)
    lower_lip = mouth.lower * stretch * arc
    top, bottom = line - gap * 0.4, line + gap * 0.6

    ends = inside((np.abs(share) - 1) * half, pixel)
    lips = inside(top - upper_lip - y, pixel, 1.8) * inside(y - bottom - lower_lip, pixel, 1.8)
    lips *= ends
    natural = skin * palette.tint(0.86, 0.36, 0.38)
    natural = skin * 0.75 + mouth.redness * (natural - skin * 0.75)
    painted = natural + styling.lipstick * (palette.lipstick_colour(styling.lipstick_hue) - natural)
    # The upper lip faces down and lies darker; the lower lip's middle catches light.
    tone = 0.72 + 0.40 * ramp(y - bottom, -0.02, 0.06)
    paint(canvas, lips * 0.9, painted * tone)
    if parted > 0.0:
        interior = inside(top - y, pixel) * inside(y - bottom, pixel) * ends
        paint(canvas, interior, palette.light((0.24, 0.08, 0.08)))
        teeth = interior * ramp(y - top, 0.11, 0.06) * ramp(np.abs(share), 0.85, 0.6)
        paint(canvas, teeth * 0.85, _TEETH)
    closed = max(0.018, 0.5 * pixel)
    away = (y - top) * (1.0 / closed)
    seam = np.exp(-away * away) * inside((np.abs(share) - 1.05) * half, pixel, 3.0)
    paint(canvas, seam * (0.8 - 0.3 * expression.open), skin * 0.10)

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
    cover = np.maximum(beard.chin * chin, max(beard.jaw, 0.0) * jaw)
    cover = np.maximum(beard.moustache * moustache, cover)
    cover *= 0.95 * min(density, 1.0) * (1 - lips) * ramp(view.radius, 1.06, 0.99)
    colour = hair_colour(identity, identity.hair.darkness)
    paint(albedo, cover * (0.65 + 0.35 * grain), colour)


def strands(
    identity: Identity, styling: Styling, view: View, generator: np.random.Generator
) -> Field:
    """Texture of hair in [0, 1], H x W: noise that is long along the strands from the parting."""
    hair = identity.hair
    tile = generator.random((32, 256), dtype=np.float32)
    tile = cv2.GaussianBlur(tile, (0, 0), 0.9, borderType=cv2.BORDER_REFLECT)
    tile = np.clip(0.5 + 1.9 * (tile - 0.5), 0.0, 1.0)
    x = view.x - (hair.parting + styling.shift)
    y = view.y + 1.5
    distance = np.sqrt(x * x + y * y)
    angle = np.arctan2(x, y)
    wave = 0.10 * hair.curl * np.sin(distance * (5.0 + 9.0 * hair.curl) + angle * 3.0)
    column = (angle + wave + np.pi) * (1.6 * hair.strands)
    row = distance * (2.5 + 5.0 * hair.curl)
    return cv2.remap(tile, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _hair_light(identity: Identity, styling: Styling, grain: Field) -> Field:
    colour = hair_colour(identity, identity.hair.darkness + styling.dye)
    return colour * (0.45 + 0.95 * grain)


def _length(identity: Identity, styling: Styling) -> float:
    """The y at which hair at the sides ends, in this picture."""
    return -0.3 if styling.tied > 0.0 else identity.hair.length


def _hair_outside(identity: Identity, styling: Styling, view: View, grain: Field) -> Field:
    """Signed distance to the outer edge of the hair."""
    hair = identity.hair
    volume = max(hair.volume + styling.volume, 0.02)
    # Over the ears short hair lies close to the head.
    close = volume * ramp(view.y, 0.12, -0.35)
    cap = np.maximum(view.radius - 1 - close, view.y - 0.10)
    length = _length(identity, styling)
    if length < 0.3:
        return cap
    loose = ramp(view.y, -0.35, 0.7)
    wave = np.sin(view.y * 7.0) * (0.07 * hair.curl)
    edge = identity.head.temple * (1.0 + volume) + (0.06 + wave) * loose
    end = length + 0.25 * (grain - 0.5)
    sides = np.maximum(np.abs(view.x) - edge, view.y - end)
    return np.minimum(
        np.maximum(view.radius - (1.0 + volume), view.y + 0.05),
        np.maximum(sides, -0.15 - view.y),
    )


def paint_back_hair(
    albedo: Field, identity: Identity, styling: Styling, view: View, grain: Field
) -> Field:
    """Hair behind the head; returns its H x W cover."""
    cover = inside(_hair_outside(identity, styling, view, grain), view.pixel, 2.0)
    paint(albedo, cover, _hair_light(identity, styling, grain) * 0.5)
    return cover


def paint_front_hair(
    albedo: Field, identity: Identity, styling: Styling, view: View, grain: Field
) -> Field:
    """Hair above the hairline, its fringe, and long hair before the cheeks; returns its cover."""
    hair = identity.hair
    x, y = view.x, view.y
    side = np.abs(x)
    parting = hair.parting + styling.shift
    hang = hair.fringe + (styling.lift if hair.fringe > 0.0 else 0.4 * styling.lift)
    line = hair.line + max(hang, -0.05) + hair.sweep * np.abs(x - parting)
    corner = (side - 0.55) * (1.0 / 0.2)
    line = line - 0.45 * hair.temples * np.exp(-corner * corner)
    squared = side * side
    line = line + 0.72 * squared * squared
    line = line + (0.10 + 0.25 * hair.fringe) * (grain - 0.5)
    front = y - line
    if _length(identity, styling) > 0.7:
        edge = hair.curtain + 0.06 * (grain - 0.5)
        curtain = np.maximum(edge - side, -0.25 - y)
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
    neck = inside(side - width, view.pixel, 2.0) * ramp(view.y, 0.55, 0.7)
    shadow = 0.42 + 0.3 * ramp(view.y, 1.35, 1.9)
    paint(albedo, neck, skin * shadow)
    collar = 1.62 - 0.30 * ramp(side, 0.0, 0.75)
    collar += 0.22 * ramp(side, 0.75, 1.7)
    clothes = inside(collar - view.y, view.pixel, 2.0)
    paint(albedo, clothes, cloth * 0.8)
    return np.maximum(neck, clothes)
