"""What an epoch of the dense layers' training costs, beside PyTorch's own layers and loader.

    python benchmarks/dense_layers.py [--table docs/tables/cost-dense-layers.csv]

Features of 2,048 pictures, as the default study's recognizer has them (1,152 features, 512
neurons, 30 people, batches of 128), with AdamW and dropout. ``ours`` multiplies by NumPy's
OpenBLAS and reads features by the batch; ``PyTorch's`` runs the layers as they are, on pictures
that a loader reads one by one. Times are medians of interleaved rounds in one process, in seconds
of the processor, on one thread and with pinned kernels. The last line says whether the bound holds:
ours takes less time.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from glassguard import kernels

kernels.choose()

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from bounds import Figure, reported  # noqa: E402
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from glassguard.recognizer.dense_products import dense_answer  # noqa: E402
from glassguard.recognizer.head import LabelledFeatures  # noqa: E402

PICTURES, FEATURES, HIDDEN, PEOPLE, BATCH = 2048, 1152, 512, 30, 128
Answer = Callable[[nn.Sequential, Tensor], Tensor]


def layers() -> nn.Sequential:
    """The dense layers of the default study, in training mode."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(FEATURES, HIDDEN),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(HIDDEN, PEOPLE),
    )


def epoch(answer: Answer, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Processor seconds of one epoch from the start."""
    network = layers()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    started = time.process_time()
    for features, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(answer(network, features), labels).backward()
        optimizer.step()
    return time.process_time() - started


def main() -> int:
    """Print seconds and the ratio; returns 1 when the bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of which medians are taken")
    parser.add_argument("--table", type=Path, help="CSV file to write as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(PICTURES, FEATURES, generator=generator)
    labels = torch.randint(PEOPLE, (PICTURES,), generator=generator)
    ours = LabelledFeatures(features, labels).batches(BATCH, torch.Generator())
    theirs = DataLoader(
        TensorDataset(features, labels),
        batch_size=BATCH,
        shuffle=True,
        generator=torch.Generator(),
    )
    times: dict[str, list[float]] = {"ours": [], "PyTorch's": []}
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(options.rounds):
            times["ours"].append(epoch(dense_answer, ours))
            times["PyTorch's"].append(epoch(nn.Sequential.__call__, theirs))
    own, peer = (statistics.median(one) for one in times.values())
    figures = [
        Figure("s for an epoch, ours", own),
        Figure("s for an epoch, PyTorch's", peer),
        Figure("times faster than PyTorch's", peer / own, 2, ">=", 1),
    ]
    return reported(figures, options.table)


if __name__ == "__main__":
    sys.exit(main())
