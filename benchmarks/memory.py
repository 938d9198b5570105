"""What kept memory saves of the passes of an attack, beside glibc's own way.

    python benchmarks/memory.py [--table docs/tables/cost-memory.csv]

Logits and gradients of 64 pictures of 96 x 96 pixels by the drawn faces' network, as an attack asks
for them step after step: first with glibc's defaults, then with freed blocks kept
(``glassguard.memory.keep_freed``, which cannot be undone, so rounds are not interleaved). Times are
medians, in milliseconds of the processor per picture, on one thread and with pinned kernels. The
last line says whether the bound holds: kept memory takes less time.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

from glassguard import kernels

kernels.choose()

import torch  # noqa: E402
from bounds import Figure, reported  # noqa: E402
from torch import nn  # noqa: E402

from glassguard.memory import keep_freed  # noqa: E402
from glassguard.recognizer.network import FaceRecognizer, channels_last  # noqa: E402

PICTURES, SIDE = 64, 96


def per_picture(network: nn.Module, pixels: torch.Tensor, rounds: int) -> float:
    """Median milliseconds per picture of a pass forward and back."""
    times = []
    for _ in range(rounds + 1):
        asked = pixels.clone().requires_grad_()
        started = time.process_time()
        network(asked).sum().backward()
        times.append((time.process_time() - started) / len(pixels) * 1e3)
    return statistics.median(times[1:])


def main() -> int:
    """Print milliseconds and the ratio; returns 1 when the bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="of which medians are taken")
    parser.add_argument("--table", type=Path, help="CSV file to write as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = FaceRecognizer(
        identities=30, image_size=SIDE, width=0.25, hidden=512, mean=(127.5,) * 3, scale=127.5
    )
    channels_last(network).requires_grad_(False).eval()
    pixels = torch.rand(PICTURES, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    default = per_picture(network, pixels, options.rounds)
    if not keep_freed():
        raise SystemExit("this C library is not glibc, which alone is told to keep freed blocks")
    kept = per_picture(network, pixels, options.rounds)
    figures = [
        Figure("ms per picture, glibc's defaults", default),
        Figure("ms per picture, freed memory kept", kept),
        Figure("times faster with freed memory kept", default / kept, 2, ">=", 1),
    ]
    return reported(figures, options.table)


if __name__ == "__main__":
    sys.exit(main())
