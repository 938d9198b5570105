"""One texture for many pictures: of a person, or of many people (Sharif et al. 2019, section 5.3).

The texture lies in face coordinates, on a canvas around the eyes, and is worn by each picture at
its own eyes. So it is one object that can be printed once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from glassguard.attack.directions import Scaled
from glassguard.attack.inputs import require_classes, require_labels, require_masks
from glassguard.attack.losses import LogitMargin
from glassguard.attack.rounding import rounded_to_8_bit
from glassguard.attack.settings import Goal
from glassguard.recognizer.answers import logits_of, require_evaluation_mode, require_pixels
from glassguard.recognizer.finite import require_finite

HALF_WIDTH, TOP, BOTTOM = 1.3, -0.5, 0.6
"""What the canvas covers, in units of the distance between the eyes; it holds every frame."""


@dataclass(frozen=True)
class Faces:
    """Pictures that shall wear one texture.

    Attributes:
        pixels: N x 3 x H x W float32 in [0, 1].
        masks: N x H x W bool, the frames.
        eyes: N x 2 x 2, see :func:`glassguard.attack.accessories.accessory_mask`.
        labels: N of any integer type: targets, or true classes to dodge.
    """

    pixels: Tensor
    masks: Tensor
    eyes: NDArray[np.floating]
    labels: Tensor

    def at(self, rows: Tensor) -> "Faces":
        """Some of them; ``rows`` are int64."""
        eyes = np.asarray(self.eyes)[rows.numpy()]
        return Faces(self.pixels[rows], self.masks[rows], eyes, self.labels[rows])


@dataclass(frozen=True)
class UniversalResult:
    """A texture and what it does to the pictures that it was made on.

    Attributes:
        texture: 3 x h x w float32 in [0, 1], multiples of 1/255: the canvas.
        pixels: N x 3 x H x W, the pictures that wear it; multiples of 1/255 in the masks.
        success: N bool.
        iterations: number of the best iterate.
    """

    texture: Tensor
    pixels: Tensor
    success: Tensor
    iterations: int


@dataclass(kw_only=True)
class UniversalAttack:
    """Gradient steps on one texture, on a few pictures at a time.

    The best iterate is the one with which most pictures succeed; of those the one with the lowest
    mean loss over all pictures.

    Attributes:
        network: maps pixels in [0, 1] to logits; float32, in evaluation mode.
        goal: ``impersonation`` (labels are targets) or ``dodging`` (labels are true classes).
        loss: see :data:`glassguard.attack.masked_pixels.Loss`.
        worst: share of the pictures of a step, those with the highest losses, that the step
            follows: 1 lowers the mean; less approaches the maximin of Sharif et al. (2019), which
            serves whom it serves least.
        initial_colour: R, G, B in [0, 1].
        step: length of a step, in (0, 1].
        momentum: share of the previous step that is kept, in [0, 1).
        iterations: number of steps.
        pictures: pictures a step.
        check_every: steps from one look at all pictures to the next.
        size: width of the canvas in pixels.
        seed: of the draw of pictures.

    Raises:
        ValueError: an argument is out of its range.
    """

    network: nn.Module
    goal: Goal = "impersonation"
    loss: Callable[[Tensor, Tensor], Tensor] = field(default_factory=LogitMargin)
    worst: float = 1.0
    initial_colour: tuple[float, float, float] = (1.0, 1.0, 0.0)
    step: float = 8 / 255
    momentum: float = 0.8
    iterations: int = 300
    pictures: int = 16
    check_every: int = 20
    size: int = 192
    seed: int = 0

    def __post_init__(self) -> None:
        for name, sound, allowed in (
            ("goal", self.goal in ("impersonation", "dodging"), "impersonation or dodging"),
            ("worst", 0 < self.worst <= 1, "above 0, at most 1"),
            ("step", 0 < self.step <= 1, "above 0, at most 1"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("iterations", self.iterations >= 0, "at least 0"),
            ("pictures", self.pictures >= 1, "at least 1"),
            ("check_every", self.check_every >= 1, "at least 1"),
            ("size", self.size >= 8, "at least 8"),
        ):
            if not sound:
                raise ValueError(f"{name} must be {allowed}: {getattr(self, name)!r}")

    def __call__(self, faces: Faces) -> UniversalResult:
        """Make one texture for at least one picture.

        Raises:
            ValueError: the faces are not as described, or the network's answers cannot be used.
        """
        require_evaluation_mode(self.network)
        given = require_pixels(faces.pixels)
        count, _, height, width = given.shape
        if not count:
            raise ValueError("a universal texture needs at least one picture")
        frames = require_masks(faces.masks, count, height, width)[:, None]
        classes = require_labels(faces.labels, count)
        grids = canvas_places(faces.eyes, (height, width))
        generator = np.random.default_rng([self.seed, 0x0417])
        colour = given.new_tensor(self.initial_colour).view(1, 3, 1, 1)
        rows = round(self.size * (BOTTOM - TOP) / (2 * HALF_WIDTH))
        texture = colour.expand(1, 3, rows, self.size).contiguous()
        velocity = torch.zeros_like(texture)
        best: tuple[tuple[int, float], Tensor, int] | None = None
        order: list[int] = []
        for taken in range(self.iterations + 1):
            levels = texture.mul(255).round().div(255)
            if taken % self.check_every == 0 or taken == self.iterations:
                success, loss = self._judged(levels, given, frames, grids, classes)
                value = int(success.sum()), -float(loss.mean())
                if best is None or value > best[0]:
                    best = value, levels, taken
                if bool(success.all()) and self.worst < 1:
                    break
            if taken == self.iterations:
                break
            if len(order) < min(self.pictures, count):
                order += generator.permutation(count).tolist()
            chosen = torch.tensor(order[: min(self.pictures, count)])
            del order[: len(chosen)]
            leaf = levels.detach().requires_grad_(True)
            seen = wear(leaf, given[chosen], frames[chosen], grids[chosen])
            losses = self._losses(logits_of(self.network, seen, chosen.tolist()), classes[chosen])
            followed = max(1, round(self.worst * len(chosen)))
            (gradient,) = torch.autograd.grad(losses.topk(followed).values.mean(), leaf)
            require_finite("the network's gradients", gradient, pictures=[0])
            velocity = self.momentum * velocity + Scaled()(gradient)
            texture = (texture - self.step * velocity).clamp(0, 1)
        assert best is not None
        _, levels, taken = best
        success, _ = self._judged(levels, given, frames, grids, classes)
        return UniversalResult(levels[0], self._worn(levels, given, frames, grids), success, taken)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        require_classes(labels, logits.shape[1])
        losses = self.loss(logits, labels)
        return -losses if self.goal == "dodging" else losses

    def _worn(self, texture: Tensor, pixels: Tensor, masks: Tensor, grids: Tensor) -> Tensor:
        worn = wear(texture, pixels, masks, grids).clamp(0, 1)
        return rounded_to_8_bit(worn, pixels, masks, None, pixels.dtype)

    @torch.no_grad()
    def _judged(
        self, texture: Tensor, pixels: Tensor, masks: Tensor, grids: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Success and loss of every picture as it would be stored."""
        parts = []
        for start in range(0, len(pixels), 64):
            rows = slice(start, start + 64)
            worn = self._worn(texture, pixels[rows], masks[rows], grids[rows])
            parts.append(logits_of(self.network, worn, range(start, start + len(worn))))
        logits = torch.cat(parts)
        same = logits.argmax(dim=1) == labels
        return same if self.goal == "impersonation" else ~same, self._losses(logits, labels)


def worst_served(attack: UniversalAttack, faces: Faces, *, textures: int) -> list[UniversalResult]:
    """A few textures for many people, each made on the pictures that none before it serves.

    Sharif et al. (2019, section 5.3) and FaceSec report that five pairs of glasses let about nine
    in ten people dodge.

    Args:
        attack: how one texture is made.
        faces: of many people.
        textures: how many, at most; fewer where all pictures succeed before.
    """
    left = torch.arange(len(faces.pixels))
    found: list[UniversalResult] = []
    while len(left) and len(found) < textures:
        one = attack(faces.at(left))
        found.append(one)
        left = left[~one.success]
    return found


def canvas_places(eyes: NDArray[np.floating], size: tuple[int, int]) -> Tensor:
    """Where on the canvas each pixel of a picture lies.

    Args:
        eyes: N x 2 x 2; rows are the left and the right eye, columns x and y in pixels.
        size: height and width of the pictures.

    Returns:
        N x H x W x 2 float32, x and y on the canvas from -1 to 1.
    """
    left, right = np.asarray(eyes, dtype=np.float64).transpose(1, 0, 2)
    axis = right - left
    square = (axis**2).sum(axis=1)
    if not np.isfinite(square).all() or (square == 0).any():
        raise ValueError("the two eyes are at the same place, or not finite")
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float64)
    middle = (left + right) / 2
    dx, dy = (one[None] - at[:, None, None] for one, at in zip((x, y), middle.T, strict=True))
    across = axis[:, :, None, None]
    along = (dx * across[:, 0] + dy * across[:, 1]) / square[:, None, None]
    down = (-dx * across[:, 1] + dy * across[:, 0]) / square[:, None, None]
    places = np.stack(
        [along / HALF_WIDTH, (down - (TOP + BOTTOM) / 2) / ((BOTTOM - TOP) / 2)], axis=-1
    )
    return torch.from_numpy(places.astype(np.float32))


def wear(texture: Tensor, pixels: Tensor, masks: Tensor, places: Tensor) -> Tensor:
    """Pictures that wear a texture.

    Args:
        texture: 1 x 3 x h x w canvas.
        pixels: N x 3 x H x W.
        masks: N x 1 x H x W bool.
        places: of :func:`canvas_places`.
    """
    canvas = texture.expand(len(pixels), -1, -1, -1)
    worn = F.grid_sample(
        canvas, places.to(texture), mode="bilinear", padding_mode="border", align_corners=False
    )
    return torch.where(masks, worn, pixels)


def success_of(
    network: nn.Module, textures: Sequence[Tensor], faces: Faces, *, goal: Goal
) -> Tensor:
    """Whether held-out pictures succeed with each texture, textures x N bool.

    An attacker who owns several pairs of glasses succeeds where any of them does.

    Args:
        network: see :class:`UniversalAttack`.
        textures: K canvases, 3 x h x w.
        faces: N pictures.
        goal: see :class:`UniversalAttack`.
    """
    attack = UniversalAttack(network=network, goal=goal)
    pixels, frames = faces.pixels, faces.masks[:, None]
    grids = canvas_places(faces.eyes, (pixels.shape[2], pixels.shape[3]))
    judged = [attack._judged(one[None], pixels, frames, grids, faces.labels)[0] for one in textures]
    return torch.stack(judged)
