"""Names and sizes of VGG-16's layers (Simonyan and Zisserman 2015); imports no torch."""

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
"""Suffix of slices before the activation; all others lie after it."""
SLICES: tuple[str, ...] = LAYERS + tuple(layer + PRE_RELU for layer in LAYERS)


def paper_index(slice_name: str) -> int | None:
    """Index of a slice in the Keras numbering of VGG-16 that Study I uses; None in other networks.

    The input is 0; every convolution, pooling, flattening and dense layer counts one. So "layer 8,
    vector size 256" is ``conv3_2``.
    """
    layer = slice_name.removesuffix(PRE_RELU)
    if layer in DENSE:
        flatten = len(CONVOLUTIONS) + len(CONVOLUTIONS_PER_BLOCK) + 1
        return flatten + 1 + DENSE.index(layer)
    if layer not in CONVOLUTIONS:
        return None
    return CONVOLUTIONS.index(layer) + int(layer[4])  # one pool per earlier block


def filters(width: float) -> tuple[int, ...]:
    """Filters of the five blocks of a VGG-16 of relative ``width`` (1: the published network)."""
    return tuple(max(1, round(count * width)) for count in FILTERS_PER_BLOCK)
