"""One picture of a drawn person: geometry, paint, light and camera put together."""

import cv2
import numpy as np
from numpy.typing import NDArray

from glassguard.faces.embedded import features, palette
from glassguard.faces.embedded.circumstances import Camera, Circumstances, Light
from glassguard.faces.embedded.geometry import View, look_at
from glassguard.faces.embedded.identity import Identity
from glassguard.faces.embedded.palette import Field
from glassguard.faces.embedded.parameters import draw

_NOMINAL = 96


def _background(generator: np.random.Generator, size: int) -> Field:
    """Blurred patches of colour, as of a room out of focus: 3 x H x W light."""
    patches = generator.random((4, 4, 3), dtype=np.float32)
    base = generator.random(3, dtype=np.float32)
    patches = 0.65 * base + 0.35 * patches
    room = cv2.resize(patches, (size, size), interpolation=cv2.INTER_CUBIC)
    room = np.ascontiguousarray(room.transpose(2, 0, 1))
    grey = room.mean(axis=0)
    return np.square(np.clip(grey + 0.4 * (room - grey), 0.02, 1.0))


def _direction(light: Light) -> NDArray[np.float64]:
    """Unit vector towards the lamp: right, down, towards the camera."""
    level = np.cos(light.elevation)
    right, towards = np.sin(light.azimuth) * level, np.cos(light.azimuth) * level
    return np.array([right, -np.sin(light.elevation), towards])


def _along(direction: NDArray[np.float64], normals: tuple[Field, Field, Field]) -> Field:
    """Cosine of the angle between a direction and the normals, H x W."""
    right, down, towards = direction.astype(np.float32)
    return normals[0] * right + normals[1] * down + normals[2] * towards


def _cast_shadow(view: View, direction: NDArray[np.float64]) -> Field:
    """Share of the lamp that relief between a point and the lamp leaves, H x W."""
    shape = view.depth.shape
    lit = np.ones(shape, dtype=np.float32)
    for distance in (0.10, 0.22):
        step = direction[:2] * (distance / view.pixel)
        shift = np.array([[1.0, 0.0, step[0]], [0.0, 1.0, step[1]]])
        towards = cv2.warpAffine(
            view.depth,
            shift,
            (shape[1], shape[0]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        above = towards - view.depth - np.float32(direction[2] * distance)
        lit = np.minimum(lit, 1 - np.clip(above * 14.0, 0.0, 0.75))
    return cv2.GaussianBlur(lit, (0, 0), 0.035 / view.pixel)


def _illuminate(albedo: Field, view: View, light: Light, gloss: Field, head: Field) -> Field:
    """Light that reaches the camera, 3 x H x W.

    ``gloss`` is the strength of highlights. Outside ``head``, the cover of what the depth map
    models, normals mean nothing and the light is even.
    """
    direction = _direction(light)
    lamp = np.clip((_along(direction, view.normals) + 0.18) * (1.0 / 1.18), 0.0, 1.0)
    lamp *= _cast_shadow(view, direction)
    lamp = 0.55 + head * (lamp - 0.55)

    # Hollows see less of the room.
    hollow = view.depth - cv2.GaussianBlur(view.depth, (0, 0), 0.13 / view.pixel)
    room = 1 + head * np.clip(hollow * 4.5, -0.55, 0.25)
    room = room * (0.9 - 0.14 * view.normals[1] * head)

    warm = palette.tint(1 + light.warmth, 1.0, 1 - light.warmth)
    arriving = light.ambient * room + light.key * lamp * warm
    halfway = direction + np.array([0.0, 0.0, 1.0])
    halfway /= np.linalg.norm(halfway)
    mirror = np.maximum(_along(halfway, view.normals), 0.0)
    for _ in range(4):
        mirror = mirror * mirror
    highlight = mirror * gloss * lamp * (0.8 * light.key)
    return albedo * arriving + highlight * warm


def _photograph(
    scene: Field, light: Light, camera: Camera, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """The picture that the camera stores of a scene: H x W x 3 uint8 RGB."""
    size = scene.shape[1]
    grey = scene.mean(axis=0)
    scene = grey + light.saturation * (scene - grey)
    gain = palette.tint(
        1 + light.balance + 0.5 * light.tint,
        1 - 0.5 * light.tint,
        1 - light.balance + 0.5 * light.tint,
    )
    exposed = np.maximum(scene * (np.float32(np.exp(light.exposure)) * gain), 0.0)
    # A shoulder keeps bright skin from clipping flat.
    exposed = exposed * (1 + 0.18 * exposed) / (1 + 0.55 * exposed)
    shown = np.ascontiguousarray(np.sqrt(exposed).transpose(1, 2, 0))
    shown = cv2.GaussianBlur(shown, (0, 0), camera.blur * size / _NOMINAL)
    noise = generator.standard_normal(shown.shape, dtype=np.float32)
    shown = shown + camera.noise * noise
    stored = np.clip(shown * 255.0 + 0.5, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(camera.quality)]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(stored, cv2.COLOR_RGB2BGR), quality)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def render_face(
    identity: Identity, generator: np.random.Generator, *, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One picture of a person, under circumstances drawn from ``generator``.

    The head is aligned as a face detector's crop would be: the eyes lie near (0.316, 0.434) and
    (0.683, 0.432) sides of the picture, with some error of shift, scale and roll.

    Args:
        identity: whom to draw.
        generator: source of pose, light, expression, make-up, background and camera.
        size: side of the picture in pixels.

    Returns:
        size x size x 3 uint8 RGB picture, and 2 x 2 float32 eye positions: the eye at the left of
        the picture first, x before y, in pixels.
    """
    drawn = draw(Circumstances, generator)
    styling, expression = drawn.styling, drawn.expression
    view = look_at(identity, expression, drawn.pose, size)

    background = _background(generator, size)
    cloth = palette.light(0.15 + 0.7 * generator.random(3))
    grain = features.strands(identity, styling, view, generator)

    albedo = background / light_of_room(drawn.light)
    features.paint_back_hair(albedo, identity, styling, view, grain)
    features.paint_neck(albedo, identity, styling, view, cloth)
    head = features.paint_skin(albedo, identity, expression, styling, view)
    eyes = features.paint_eyes(albedo, identity, expression, styling, drawn.light, view)
    features.paint_nose(albedo, identity, styling, view)
    lips = features.paint_mouth(albedo, identity, expression, styling, view)
    features.paint_beard(albedo, identity, styling, view, lips, grain)
    features.paint_brows(albedo, identity, expression, styling, view)
    hair = features.paint_front_hair(albedo, identity, styling, view, grain)

    gloss = identity.skin.shine * head * (1 - hair)
    gloss = gloss + 0.05 * eyes + 0.10 * lips
    gloss = gloss + 0.10 * hair * grain
    scene = _illuminate(albedo, view, drawn.light, gloss, np.maximum(head, hair))
    return _photograph(scene, drawn.light, drawn.camera, generator), view.eyes


def light_of_room(light: Light) -> float:
    """Light on what lies behind the head, by which a background given as seen is divided."""
    return 0.9 * light.ambient + 0.55 * light.key
