"""A small recognizer, 8-bit pictures and frames for tests of the attack."""

import torch
from torch import nn

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
HEIGHT, WIDTH, CLASSES = 6, 9, 4
MASK_FORMS = {
    "N x H x W": lambda masks: masks,
    "N x 1 x H x W": lambda masks: masks[:, None],
    "H x W": lambda masks: masks[0],
    "1 x H x W": lambda masks: masks[:1],
    "1 x 1 x H x W": lambda masks: masks[:1, None],
}


def recognizer() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, CLASSES),
    ).eval()


def levels(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, HEIGHT, WIDTH), generator=generator) / 255


def frames(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, HEIGHT, WIDTH, generator=generator) < 0.4
