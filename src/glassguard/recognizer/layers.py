"""Names and sizes of VGG-16's layers (Simonyan and Zisserman 2015).

Apart from the network itself: tables and figures name layers and need no torch, whose import takes
longer than they do.
"""

CONVOLUTIONS_PER_BLOCK = (2, 2, 3, 3, 3)
FILTERS_PER_BLOCK = (64, 128, 256, 512, 512)
DOWNSAMPLING = 2 ** len(CONVOLUTIONS_PER_BLOCK)

CONVOLUTIONS: tuple[str, ...] = tuple(
    f"conv{block}_{index}"
    for block, count in enumerate(CONVOLUTIONS_PER_BLOCK, start=1)
    for index in range(1, count + 1)
)
DENSE: tuple[str, ...] = ("fc6", "fc7")
LAYERS: tuple[str, ...] = CONVOLUTIONS + DENSE
PRE_RELU = "_pre_relu"
"""Ends the name of a slice before the activation; without it, a slice lies behind it."""
SLICES: tuple[str, ...] = LAYERS + tuple(layer + PRE_RELU for layer in LAYERS)


def paper_index(slice_name: str) -> int:
    """Index of a slice in the Keras numbering of VGG-16 that Study I uses.

    Input is 0 and every convolution, pooling, flattening and dense layer counts one, so that
    "layer 8, vector size 256" is ``conv3_2``.

    Args:
        slice_name: one of :data:`SLICES`.

    Raises:
        ValueError: there is no such slice.
    """
    layer = slice_name.removesuffix(PRE_RELU)
    if layer in DENSE:
        flatten = sum(CONVOLUTIONS_PER_BLOCK) + len(CONVOLUTIONS_PER_BLOCK) + 1
        return flatten + 1 + DENSE.index(layer)
    if layer not in CONVOLUTIONS:
        raise ValueError(f"no slice {slice_name!r}; there are {', '.join(SLICES)}")
    pools_before = int(layer[4]) - 1
    return CONVOLUTIONS.index(layer) + 1 + pools_before


def filters(width: float) -> tuple[int, ...]:
    """Filters of the five blocks of a VGG-16 of relative ``width`` (1 is the published network)."""
    return tuple(max(1, round(count * width)) for count in FILTERS_PER_BLOCK)
