"""What an attack shows a network, and what it hears."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What is known of N pictures that are attacked together.

    Attributes:
        pixels: N x 3 x H x W, without a change.
        masks: N x 1 x H x W bool.
        labels: N int64.
        rows: N numbers, the pictures' places among all that are attacked.
        numbers: N numbers by which random draws tell pictures apart.
        generators: N, each picture's own source of random draws.
        taken: N numbers of steps of this attempt.
        last: N bool, whether no step follows.
    """

    pixels: Tensor
    masks: Tensor
    labels: Tensor
    rows: list[int]
    numbers: list[int]
    generators: list[np.random.Generator]
    taken: list[int]
    last: Tensor

    def at(self, rows: Tensor) -> "Batch":
        """Some of the pictures, or some several times; ``rows`` are int64, counted in the batch."""
        chosen = rows.tolist()
        return Batch(
            pixels=self.pixels[rows],
            masks=self.masks[rows],
            labels=self.labels[rows],
            rows=[self.rows[row] for row in chosen],
            numbers=[self.numbers[row] for row in chosen],
            generators=[self.generators[row] for row in chosen],
            taken=[self.taken[row] for row in chosen],
            last=self.last[rows],
        )

    def repeated(self, times: int) -> "Batch":
        """Every picture several times in a row; copies draw from one generator in turn."""
        rows = torch.arange(len(self.rows), device=self.pixels.device)
        return self.at(rows.repeat_interleave(times))


@dataclass(frozen=True)
class Look:
    """What the network says of N iterates.

    Attributes:
        logits: M x classes, from which ``objective`` was computed.
        objective: N values that the next step lowers.
        score: N float32: the iterate with the highest is kept; ``-inf`` for one that was not
            judged.
        probabilities: N x classes float32, confidences on the iterate as it is.
        done: N bool, whether nothing more is wanted.
    """

    logits: Tensor
    objective: Tensor
    score: Tensor
    probabilities: Tensor
    done: Tensor
