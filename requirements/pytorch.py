"""Install PyTorch: its CPU build (1 GB) without an NVIDIA driver, its CUDA build (5 GB) with one.

    python requirements/pytorch.py auto|cpu|cuda [OPTION OF PIP ...]

On Linux, the CPU build is on an index of PyTorch's own. Where that cannot be reached, the default
index decides, which may be a mirror with either build.
"""

import importlib.metadata
import importlib.util
import json
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Build = Literal["cpu", "cuda"]

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CONSTRAINTS = Path(__file__).parent / "constraints.txt"
SECONDS = 5
"""How long an answer of the index may take. pip alone would try for a minute, with warnings."""


def main(arguments: Sequence[str]) -> int:
    """Install the build that is asked for and say in one line which one it is and why."""
    asked, *options = arguments
    reason = f"TORCH={asked}"
    wanted: Build = "cpu" if asked == "cpu" else "cuda"
    if asked == "auto":
        wanted = "cuda" if has_nvidia_driver() else "cpu"
        reason = "an NVIDIA driver is there" if wanted == "cuda" else "no NVIDIA driver is there"
    present = installed_build()
    if present is not None and (present == wanted or asked == "auto"):
        print(f"PyTorch: the {named(present)} build is installed already")
        return 0
    index = []
    if platform.system() == "Linux" and wanted == "cpu":
        if is_reachable(f"{CPU_INDEX}/torch/"):
            index = ["--extra-index-url", CPU_INDEX]
        else:
            reason += ", but download.pytorch.org is out of reach: from the default index"
            if asked == "cpu" and offered_build(options) == "cuda":
                print(
                    "TORCH=cpu: download.pytorch.org is out of reach, and the default index has "
                    "the CUDA build only; TORCH=cuda installs that",
                    file=sys.stderr,
                )
                return 1
    # pip would take one build for the other: their version is the same.
    switched = [] if present is None else ["--force-reinstall"]
    done = pip("install", *options, *index, *switched, "torch")
    if done.returncode:
        return done.returncode
    found = installed_build()
    if found is None:
        print("PyTorch: pip has installed none", file=sys.stderr)
        return 1
    print(f"PyTorch: {named(found)} build ({reason})")
    if found != wanted and asked != "auto" and platform.system() == "Linux":
        print(f"TORCH={asked}: no index that pip knows has that build", file=sys.stderr)
        return 1
    return 0


def named(build: Build) -> str:
    """As PyTorch writes it."""
    return {"cpu": "CPU", "cuda": "CUDA"}[build]


def has_nvidia_driver() -> bool:
    """Whether the driver of an NVIDIA GPU is loaded."""
    if Path("/dev/nvidiactl").exists():
        return True
    program = shutil.which("nvidia-smi")
    return (
        program is not None
        and not subprocess.run([program, "-L"], capture_output=True, check=False).returncode
    )


def is_reachable(address: str) -> bool:
    """Whether a web page answers, through the proxy of the environment if there is one."""
    try:
        with urllib.request.urlopen(address, timeout=SECONDS):
            return True
    except urllib.error.HTTPError:
        return False
    except OSError:
        return False


def installed_build() -> Build | None:
    """The build of the locked version in this environment; None if that is not installed."""
    importlib.invalidate_caches()
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    version = importlib.metadata.version("torch").partition("+")[0]
    if f"torch=={version}" not in CONSTRAINTS.read_text().splitlines():
        return None
    # An import of torch would take seconds.
    says = (Path(found.origin).parent / "version.py").read_text()
    return "cpu" if "cuda: Optional[str] = None" in says else "cuda"


def offered_build(options: Sequence[str]) -> Build | None:
    """The build that the default index has; None where pip cannot tell."""
    told = ["--dry-run", "--no-deps", "--ignore-installed", "--report", "-"]
    done = pip("install", *options, *told, "torch", capture=True)
    if done.returncode:
        return None
    (torch,) = json.loads(done.stdout)["install"]
    needed = torch["metadata"].get("requires_dist", [])
    return "cuda" if any("nvidia" in one or "cuda" in one for one in needed) else "cpu"


def pip(*arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run this environment's pip."""
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, capture_output=capture, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
