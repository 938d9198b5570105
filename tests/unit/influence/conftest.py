"""A recognizer and pictures that tests of influence share."""

import pytest
import torch
from torch import Tensor, nn

from glassguard.recognizer.network import FaceRecognizer


@pytest.fixture(scope="module")
def network() -> FaceRecognizer:
    torch.manual_seed(0)
    built = FaceRecognizer(
        identities=5, image_size=32, width=1 / 16, hidden=24, mean=(127.5,) * 3, scale=64.0
    )
    for module in built.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            # Kaiming's gain keeps activations alive through thirteen layers.
            nn.init.kaiming_normal_(module.weight)
    return built.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
