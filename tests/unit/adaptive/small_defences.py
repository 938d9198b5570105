"""A small face recognizer, its pictures and frames, for tests of informed attackers."""

import numpy as np
import torch

from glassguard.recognizer.network import FaceRecognizer, to_pixels

PEOPLE, SIZE = 4, 32


def network() -> FaceRecognizer:
    torch.manual_seed(0)
    found = FaceRecognizer(
        identities=PEOPLE,
        image_size=SIZE,
        width=1 / 16,
        hidden=16,
        mean=(127.5, 127.5, 127.5),
        scale=32.0,
    )
    for parameter in found.parameters():
        # Untrained weights hardly tell pictures apart.
        torch.nn.init.normal_(parameter, std=0.25 if parameter.ndim > 1 else 0.1)
    return found.requires_grad_(False).eval()


def images(count: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def pixels(count: int, seed: int = 0) -> torch.Tensor:
    return to_pixels(torch.from_numpy(images(count, seed)))


def masks(count: int) -> torch.Tensor:
    found = torch.zeros(count, SIZE, SIZE, dtype=torch.bool)
    found[:, 8:16] = True
    return found


def targets(count: int) -> torch.Tensor:
    return (network()(pixels(count)).argmax(1) + 1) % PEOPLE
