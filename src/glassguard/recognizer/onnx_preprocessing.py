"""Whether an ONNX network and the configuration agree on how pixels enter it; imports no torch."""

from collections.abc import Sequence

from glassguard.recognizer.onnx_file import Graph, Node, OnnxError

WITHOUT_EFFECT = ("Dropout", "Identity")
_NORMALISING = ("Sub", "Add", "Mul", "Div", "BatchNormalization")


def normalising(graph: Graph) -> Node | None:
    """The node before the first convolution that moves or scales the pixels; None without any.

    Published networks differ in whether their preprocessing is part of the file.
    """
    tensor = graph.input
    for node in graph.nodes:
        if tensor not in node.inputs:
            continue
        if node.operator in _NORMALISING:
            return node
        if node.operator not in WITHOUT_EFFECT:
            return None
        tensor = node.outputs[0]
    return None


def check_input(
    graph: Graph, *, image_size: int, mean: Sequence[float], scale: float | Sequence[float]
) -> None:
    """Refuse pictures of another size, and a mean and scale where the network has its own.

    Args:
        graph: the network.
        image_size: side of the pictures, pixels.
        mean: R, G, B means on the 0-255 scale.
        scale: divisor after subtraction of the mean, or one each of R, G and B.

    Raises:
        OnnxError: the network takes pictures of another size, or would normalise twice.
    """
    if graph.image_size not in (None, image_size):
        raise OnnxError(
            f"it takes pictures of {graph.image_size} pixels a side, and data.image_size is "
            f"{image_size}; allowed is data.image_size={graph.image_size}"
        )
    node = normalising(graph)
    scales = scale if isinstance(scale, Sequence) else [scale]
    if node is not None and (any(mean) or any(one != 1 for one in scales)):
        raise OnnxError(
            f"it normalises its input itself ({node}): backbone.mean and backbone.scale would do "
            "it again; allowed are backbone.mean=[0,0,0] and backbone.scale=1"
        )
