"""Progress of long work: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Self, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

SECONDS_BETWEEN_LOG_LINES = 10.0


class Progress:
    """Counts finished items and shows the count while used as a context manager.

    Args:
        description: what is being done, shown before the counts.
        total: number of items, where it is known.
    """

    def __init__(self, *, description: str, total: int | None = None) -> None:
        self.description = description
        self.total = total
        self.done = 0
        self._bar: tqdm | None = None

    def __enter__(self) -> Self:
        self._started = self._last_line = time.monotonic()
        if sys.stderr.isatty():
            self._bar = tqdm(desc=self.description, total=self.total, leave=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        else:
            self._line("done" if error is None else "when it stopped")

    def advance(self, count: int = 1) -> None:
        """Tell that ``count`` more items are finished."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LOG_LINES:
            self._line("so far")

    def _line(self, state: str) -> None:
        self._last_line = time.monotonic()
        of_total = f" of {self.total}" if self.total is not None else ""
        seconds = self._last_line - self._started
        print(
            f"{self.description}: {self.done}{of_total} {state}, {seconds:.1f} s", file=sys.stderr
        )


def track(items: Iterable[Item], *, description: str, total: int | None = None) -> Iterator[Item]:
    """Yield ``items`` while showing how far the work is.

    Args:
        items: what is worked on.
        description: what is being done, shown before the counts.
        total: number of items, where ``len(items)`` does not tell.

    Yields:
        The items, unchanged and in order.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(description=description, total=total) as progress:
        for item in items:
            yield item
            progress.advance()
