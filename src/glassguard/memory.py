"""Memory that a process keeps for its next batch instead of handing it back after every one."""

import ctypes
import sys

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGEST_KEPT = 1 << 30
"""In bytes; activations of a batch are a few hundred MB at most."""


def keep_freed() -> bool:
    """Have the C library keep freed blocks of up to 1 GiB for later use.

    By default, glibc maps every large block anew. Each batch then pays for pages that the last one
    gave back: a tenth of the time of a network pass (``benchmarks/memory.py``). No result depends
    on it.

    Returns:
        Whether it does so now; another C library than glibc is left as it is.
    """
    if not sys.platform.startswith("linux"):
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    options = {M_MMAP_THRESHOLD: LARGEST_KEPT, M_TRIM_THRESHOLD: 2**31 - 1}
    # Both are set, whatever the first one answers.
    answers = [set_option(option, value) == 1 for option, value in options.items()]
    return all(answers)
