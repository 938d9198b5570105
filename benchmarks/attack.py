"""What a gradient of the attack costs, and what it saves that finished pictures leave.

    python benchmarks/attack.py [--pictures 20] [--width 0.25] [--size 96] [--rounds 5]

VGG-16 with random weights: the time of a pass does not depend on what was learned. Times are
seconds of the processor, medians of interleaved rounds on one thread.

- ``bare``: forward and backward passes down to the pixels, as many as the attack makes;
- ``attack``: ``MaskedPixelAttack``, of which no picture is done early;
- ``leaving``: the same, where after each step another tenth of the pictures is done and leaves.

The last line says whether the bounds hold: at most 1.10 times the bare passes; at least 1.5 times
faster where finished pictures leave.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from bounds import Figure, reported
from torch import Tensor, nn

from glassguard.attack.looks import Batch, Look
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.recognizer.network import FaceRecognizer, channels_last

STEPS = 10
IDENTITIES = 30


class DoneInTurn(MaskedPixelAttack):
    """Picture n of a batch is done when it has made n + 1 steps; confidence decides nothing."""

    def look(self, iterates: Tensor, batch: Batch) -> Look:
        """See :meth:`MaskedPixelAttack.look`."""
        turns = zip(batch.taken, batch.numbers, strict=True)
        done = torch.tensor([taken > number % STEPS for taken, number in turns])
        return replace(super().look(iterates, batch), done=done)


def recognizer(width: float, size: int) -> FaceRecognizer:
    """A network with random weights."""
    torch.manual_seed(0)
    network = FaceRecognizer(
        identities=IDENTITIES,
        image_size=size,
        width=width,
        hidden=256,
        mean=(127.5, 127.5, 127.5),
        scale=127.5,
    )
    return channels_last(network).requires_grad_(False).eval()


def bare(network: nn.Module, pixels: Tensor, labels: Tensor) -> None:
    """As many passes as the attack makes, and nothing more."""
    for _ in range(STEPS + 1):
        leaf = pixels.clone().requires_grad_(True)
        loss = nn.functional.cross_entropy(network(leaf), labels, reduction="sum")
        torch.autograd.grad(loss, leaf)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of some work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> int:
    """Measure, print, and say whether the bounds hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    network = recognizer(given.width, given.size)
    shape = (given.pictures, 3, given.size, given.size)
    levels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0))
    pixels = (levels / 255).contiguous(memory_format=torch.channels_last)
    masks = torch.zeros(given.size, given.size, dtype=torch.bool)
    masks[given.size // 4 : given.size // 2] = True
    labels = torch.arange(given.pictures) % IDENTITIES
    arguments: dict[str, Any] = {
        "iterations": STEPS,
        "confidence": 1.0,
        "batch_size": given.pictures,
    }
    sides: dict[str, Callable[[], object]] = {
        "bare": lambda: bare(network, pixels, labels),
        "attack": lambda: MaskedPixelAttack(network, **arguments)(pixels, masks, labels),
        "leaving": lambda: DoneInTurn(network, **arguments)(pixels, masks, labels),
    }
    for work in sides.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(given.rounds):
        for name, work in sides.items():
            times[name].append(seconds(work))
    median = {name: statistics.median(values) for name, values in times.items()}
    figures = [Figure(f"{name}, processor seconds", value) for name, value in median.items()]
    figures += [
        Figure("attack / bare", median["attack"] / median["bare"], 2, "<=", 1.10),
        Figure("attack / leaving", median["attack"] / median["leaving"], 2, ">=", 1.5),
    ]
    return reported(figures, given.table)


if __name__ == "__main__":
    sys.exit(main())
