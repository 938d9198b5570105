"""Progress of long work: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

SECONDS_BETWEEN_LOG_LINES = 10.0


def track(items: Iterable[Item], *, description: str, total: int | None = None) -> Iterator[Item]:
    """Yield ``items`` while showing how far the work is.

    Args:
        items: what is worked on.
        description: what is being done, shown before the counts.
        total: number of items, where ``len(items)`` does not tell.

    Yields:
        The items, unchanged and in order.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, desc=description, total=total, leave=False)
        return
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    started = last_line = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last_line >= SECONDS_BETWEEN_LOG_LINES:
            last_line = now
            of_total = f" of {total}" if total is not None else ""
            print(f"{description}: {done}{of_total} after {now - started:.0f} s", file=sys.stderr)
    elapsed = time.monotonic() - started
    print(f"{description}: {done} done in {elapsed:.1f} s", file=sys.stderr)
