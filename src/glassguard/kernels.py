"""Which instructions a study computes with.

PyTorch, oneDNN, MKL, OpenBLAS, NumPy and OpenCV choose their instructions by the processor. Another
choice rounds differently, training amplifies the difference, and the same seed ends elsewhere.
Pinned kernels take AVX2 everywhere, so all x86-64 processors of the last decade compute the same
bits. The libraries read the choice once, when they are imported.
"""

import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from glassguard.errors import InputError

Kernels = Literal["pinned", "native"]

PINNED = {
    "ATEN_CPU_CAPABILITY": "avx2",
    # With AVX2, MKL's sums differ between Intel's and AMD's processors.
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENCV_CPU_DISABLE": "AVX512-SKX",
    "OPENCV_IPP": "avx2",
}
"""Environment variables of the libraries."""

READ_ON_IMPORT = ("numpy", "torch", "cv2", "scipy")


def choose(kernels: Kernels = "pinned") -> None:
    """Choose the kernels of this process and of those that it starts.

    Args:
        kernels: ``pinned`` takes AVX2; ``native`` leaves the choice to the libraries.

    Raises:
        InputError: the processor has no AVX2.
        RuntimeError: a library that reads the choice on import has been imported with another one.
    """
    wanted = PINNED if kernels == "pinned" and _is_x86() else {}
    if in_force() == ("pinned" if wanted else "native"):
        return
    imported = [name for name in READ_ON_IMPORT if name in sys.modules]
    if imported:
        raise RuntimeError(
            f"kernels: {', '.join(imported)} is imported already; choose kernels={kernels} before"
        )
    if wanted and "avx2" not in _features():
        raise InputError("kernels=pinned needs a processor with AVX2; say kernels=native")
    for name, value in PINNED.items():
        if wanted:
            os.environ[name] = value
        elif os.environ.get(name) == value:
            del os.environ[name]


def in_force() -> Kernels:
    """The kernels of this process, as its environment has them."""
    return "pinned" if all(os.environ.get(name) == PINNED[name] for name in PINNED) else "native"


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


def _features() -> Iterable[str]:
    described = Path("/proc/cpuinfo")
    if not described.exists():  # macOS: every Intel Mac since 2013 has it
        return ("avx2",)
    flags = (line for line in described.read_text().splitlines() if line.startswith("flags"))
    return next(flags, "flags: avx2").split()
