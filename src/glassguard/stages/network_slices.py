"""The slices of a recognizer that settings ask for."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from glassguard.errors import InputError
from glassguard.recognizer.network import Recognizer
from glassguard.recognizer.settings import Position, SliceChoice


def chosen_slices(
    network: Recognizer,
    chosen: SliceChoice,
    positions: Sequence[Position] = ("post_relu",),
    *,
    key: str = "influence.slices",
) -> OrderedDict[str, nn.Module]:
    """The slices that the setting ``key`` asks for (``InputError``: the network has no such)."""
    try:
        return network.slice_modules(positions, chosen)
    except ValueError as error:
        raise InputError(f"{key}: {error}") from None
