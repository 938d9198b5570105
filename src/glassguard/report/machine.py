"""What a study runs on."""

import os
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from glassguard import kernels

PACKAGES = (
    *("glassguard", "torch", "numpy", "scipy", "scikit-learn", "pandas", "opencv-python-headless"),
    *("pytorch-lightning", "matplotlib", "optuna", "snakemake", "mlflow"),
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, where they are installed."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def machine() -> dict[str, str]:
    """Kernels, system, processor, cores and, where it can be found out, memory."""
    described = {
        "kernels": kernels.in_force(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
    }
    with suppress(ValueError, OSError, AttributeError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        described["memory"] = f"{memory / 2**30:.0f} GiB"
    return described


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown")
