"""Batch normalisation folded into the convolutions, so that the backbone is plain like VGG-Face."""

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from glassguard.recognizer.layers import CONVOLUTIONS


def fold_batch_normalisation(features: nn.Sequential) -> dict[str, Tensor]:
    """Weights of plain convolutions that compute what convolution and normalisation compute.

    Args:
        features: layers made by ``convolutional_layers(width, batch_normalisation=True)``, in
            evaluation mode.

    Returns:
        ``conv1_1.weight`` to ``conv5_3.bias``, float32.

    Raises:
        ValueError: ``features`` is in training mode, where the statistics are the batch's own.
    """
    if features.training:
        raise ValueError("features must be in evaluation mode to be folded")
    folded: dict[str, Tensor] = {}
    for name in CONVOLUTIONS:
        convolution = getattr(features, name)
        normalisation = getattr(features, name.replace("conv", "norm"))
        plain = fuse_conv_bn_eval(convolution, normalisation)
        for part, tensor in plain.state_dict().items():
            folded[f"{name}.{part}"] = tensor.detach().contiguous()
    return folded
