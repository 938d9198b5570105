"""What a study runs on."""

import os
import platform
from importlib import metadata
from pathlib import Path

from glassguard import kernels

PACKAGES = (
    "glassguard",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "opencv-python-headless",
    "pytorch-lightning",
    "matplotlib",
    "optuna",
    "snakemake",
    "mlflow",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """Kernels, system, processor, cores and, where it can be found out, memory."""
    described = {
        "kernels": kernels.in_force(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
    }
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return described
    return {**described, "memory": f"{memory / 2**30:.0f} GiB"}


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
