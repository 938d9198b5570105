"""Files that one process at a time works with."""

import fcntl
import sys
from typing import IO


def lock_or_wait(file: IO, announcement: str) -> None:
    """Lock an open file until it is closed, or its process ends in whatever way.

    Args:
        file: the open file.
        announcement: said once on standard error where another process has the lock.

    Raises:
        OSError: it lies on a file system without locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(announcement, file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
