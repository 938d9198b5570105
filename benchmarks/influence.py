"""What influence profiles of all layers of VGG-16 cost, beside a bare gradient and beside Captum.

    python benchmarks/influence.py [--table docs/tables/cost-influence.csv]

VGG-16 at 224 px and full width, with dense layers of 4,096 neurons and random weights: time and
memory do not depend on what was learned. All fifteen slices behind the activation are asked for:

- ``bare``: the forward pass and the backward pass down to the pixels, nothing more;
- ``ours``: ``glassguard.influence.internal.InternalInfluence``, one number a filter;
- ``captum list``: Captum's ``LayerGradientXActivation(multiply_by_inputs=False)`` on the list of
  all layers, then the maximum over space: one backward pass as well, which keeps all gradients;
- ``captum layers``: the same, one layer after another.

Times are medians of interleaved rounds in one process, on one thread: seconds of the processor, so
that a busy machine spoils them less; Captum is told the classes, we look for them. Peak memory is
that of a process of its own for each side, over what it held with the network and the pictures in
place, and altogether. The last line says whether the bounds hold: at most 1.15 times the bare
passes, at least 8 times faster than layer by layer, not slower than the list at no more than 0.6
times its memory, and the whole process below 2 GB at 16 pictures.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bounds import Figure, reported
from torch import Tensor, nn

from glassguard.influence.internal import InternalInfluence
from glassguard.recognizer.network import FaceRecognizer, channels_last

SIZE = 224
HIDDEN = 4096
IDENTITIES = 30
MEMORY_PICTURES = 16
LIMIT_MB = 2000

Profiles = dict[str, Tensor]
Side = Callable[[FaceRecognizer, Tensor, Tensor], Profiles]


def bare(network: FaceRecognizer, pixels: Tensor, classes: Tensor) -> Profiles:
    """The gradient of the predicted logit with respect to the pixels."""
    leaf = pixels.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(leaf).amax(dim=1).sum(), leaf)
    return {"pixels": gradient}


def ours(network: FaceRecognizer, pixels: Tensor, classes: Tensor) -> Profiles:
    """All slices in one pass, reduced on arrival."""
    return InternalInfluence(network, network.slice_modules()).profiles(pixels).profiles


def captum_list(network: FaceRecognizer, pixels: Tensor, classes: Tensor) -> Profiles:
    """All slices in one pass, gradients kept."""
    # Here, so that our side's memory is measured without Captum.
    from captum.attr import LayerGradientXActivation

    modules = network.slice_modules()
    peer = LayerGradientXActivation(network, list(modules.values()), multiply_by_inputs=False)
    gradients = peer.attribute(pixels.detach().requires_grad_(True), target=classes)
    return {name: _maximum(one) for name, one in zip(modules, gradients, strict=True)}


def captum_layers(network: FaceRecognizer, pixels: Tensor, classes: Tensor) -> Profiles:
    """A pass for each slice."""
    from captum.attr import LayerGradientXActivation

    found: Profiles = {}
    for name, module in network.slice_modules().items():
        peer = LayerGradientXActivation(network, module, multiply_by_inputs=False)
        leaf = pixels.detach().requires_grad_(True)
        found[name] = _maximum(peer.attribute(leaf, target=classes))
    return found


def _maximum(gradient: Tensor) -> Tensor:
    return gradient.amax(dim=(2, 3)) if gradient.ndim == 4 else gradient


SIDES: dict[str, Side] = {
    "bare": bare,
    "ours": ours,
    "captum list": captum_list,
    "captum layers": captum_layers,
}


def prepared(pictures: int) -> tuple[FaceRecognizer, Tensor]:
    """The network in evaluation mode and some noise."""
    torch.manual_seed(0)
    network = FaceRecognizer(
        identities=IDENTITIES,
        image_size=SIZE,
        width=1.0,
        hidden=HIDDEN,
        mean=(127.5,) * 3,
        scale=127.5,
    )
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
    pixels = torch.rand(pictures, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    return channels_last(network.requires_grad_(False).eval()), pixels


def classes_of(network: FaceRecognizer, pixels: Tensor) -> Tensor:
    """What the network says, N int64."""
    with torch.no_grad():
        return network(pixels).argmax(dim=1)


def seconds(pictures: int, rounds: int) -> dict[str, float]:
    """Median processor time of each side, one round behind the other."""
    network, pixels = prepared(pictures)
    classes = classes_of(network, pixels)
    times: dict[str, list[float]] = {name: [] for name in SIDES}
    found: dict[str, Profiles] = {}
    for _ in range(rounds):
        for name, side in SIDES.items():
            started = time.process_time()
            found[name] = side(network, pixels, classes)
            times[name].append(time.process_time() - started)
    for peer in ("captum list", "captum layers"):
        error = max(
            float((found["ours"][name] - wanted).norm() / wanted.norm())
            for name, wanted in found[peer].items()
        )
        print(f"relative error against {peer}: {error:.1g}")
    return {name: statistics.median(own) for name, own in times.items()}


def memory(name: str, pictures: int) -> tuple[float, float]:
    """Peak of this process over what it holds before, and altogether, megabytes."""
    torch.set_num_threads(1)
    network, pixels = prepared(pictures)
    classes = classes_of(network, pixels[:1]).expand(pictures)
    held = resident_megabytes()
    SIDES[name](network, pixels, classes)
    peak = peak_megabytes()
    return peak - held, peak


def resident_megabytes() -> float:
    """Resident memory of this process now; its peak where the system does not say."""
    statistics_file = Path("/proc/self/statm")
    if not statistics_file.exists():
        return peak_megabytes()
    return int(statistics_file.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_megabytes() -> float:
    """Peak resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def main() -> int:
    """Print seconds, megabytes and ratios; returns 1 when a bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=4, help="timed together, 4 by default")
    parser.add_argument("--rounds", type=int, default=5, help="of which medians are taken")
    parser.add_argument("--table", type=Path, help="CSV file to write as well")
    options = parser.parse_args()
    torch.set_num_threads(1)

    megabytes: dict[str, tuple[float, float]] = {}
    for name in ("bare", "ours", "captum list"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            megabytes[name] = pool.apply(memory, (name, MEMORY_PICTURES))
        over, altogether = megabytes[name]
        print(
            f"{name}: peak {over:.0f} MB for {MEMORY_PICTURES} pictures, {altogether:.0f} MB in all"
        )
    times = seconds(options.pictures, options.rounds)
    for name, own in times.items():
        print(f"{name}: {own:.2f} s for {options.pictures} pictures")

    own_time, own_megabytes = times["ours"], megabytes["ours"]
    figures = [
        Figure(
            "time over the bare passes, forwards and down to the pixels",
            own_time / times["bare"],
            3,
            "<=",
            1.15,
        ),
        Figure(
            "times faster than Captum layer by layer",
            times["captum layers"] / own_time,
            1,
            ">=",
            8,
        ),
        Figure(
            "time over Captum on the list of layers", own_time / times["captum list"], 3, "<=", 1
        ),
        Figure(
            f"peak memory at {MEMORY_PICTURES} pictures over Captum's on the list",
            own_megabytes[0] / megabytes["captum list"][0],
            3,
            "<=",
            0.6,
        ),
        Figure(
            f"MB of the whole process at {MEMORY_PICTURES} pictures",
            own_megabytes[1],
            0,
            "<=",
            LIMIT_MB,
        ),
    ]
    return reported(figures, options.table)


if __name__ == "__main__":
    sys.exit(main())
