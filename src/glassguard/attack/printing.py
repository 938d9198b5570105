"""Penalties that keep a frame smooth and printable (Sharif et al. 2016, sections 4.2 and 4.3)."""

from torch import Tensor

from glassguard.recognizer.answers import require_tensor


def total_variation(texture: Tensor, masks: Tensor) -> Tensor:
    """Mean difference between neighbouring pixels that both lie in the frame.

    Pairs across the frame's edge do not count: the face beside the frame is not the printer's.

    Args:
        texture: N x 3 x H x W float in [0, 1].
        masks: N x 1 x H x W bool, the frame.

    Returns:
        N floats, the absolute difference per pixel of the frame, summed over channels.
    """
    down = (texture[:, :, 1:] - texture[:, :, :-1]).abs() * (masks[:, :, 1:] & masks[:, :, :-1])
    right = (texture[..., 1:] - texture[..., :-1]).abs() * (masks[..., 1:] & masks[..., :-1])
    area = masks.sum(dim=(1, 2, 3)).clamp(min=1)
    return (down.sum(dim=(1, 2, 3)) + right.sum(dim=(1, 2, 3))) / area


def non_printability(texture: Tensor, masks: Tensor, printable: Tensor) -> Tensor:
    """Mean distance of the frame's pixels to the nearest printable colour.

    Sharif et al. multiply the distances to all printable colours, a product of thirty terms that
    underflows; the distance to the nearest has the same zeros.

    Args:
        texture: N x 3 x H x W float in [0, 1].
        masks: N x 1 x H x W bool, the frame.
        printable: P x 3 float in [0, 1], R, G, B.

    Returns:
        N floats, Euclidean distance in R, G, B.
    """
    differences = texture[:, None] - printable[None, :, :, None, None]
    nearest = differences.square().sum(dim=2).amin(dim=1, keepdim=True).clamp(min=1e-12).sqrt()
    return (nearest * masks).sum(dim=(1, 2, 3)) / masks.sum(dim=(1, 2, 3)).clamp(min=1)


def require_colours(printable: object) -> None:
    """Refuse what :func:`non_printability` cannot measure distances to.

    Raises:
        ValueError: the colours are not P x 3 in [0, 1] with P at least 1.
    """
    colours = require_tensor(printable, "printable_colours")
    if colours.shape[1:] != (3,) or not len(colours):
        raise ValueError(f"printable_colours must be P x 3: {' x '.join(map(str, colours.shape))}")
    if not ((colours >= 0) & (colours <= 1)).all():
        raise ValueError(
            "printable_colours must be in [0, 1]: "
            f"{colours.min().item():g} to {colours.max().item():g}"
        )
