"""Keep the lock and the conda environment in step with ``pyproject.toml``.

``pyproject.toml`` names what the project needs. From it this script writes

* ``requirements/constraints.txt``: the version of every package that this leads to;
* ``environment.yml``: the same set for conda users.

Without an option it only looks, changes nothing and needs no network. ``--fix`` resolves in a
clean virtual environment and keeps every version that still fits; ``--upgrade`` keeps none.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
# The CUDA packages differ by platform, and the torch wheel names their exact versions itself.
PINNED_BY_TORCH = ("cuda-", "nvidia-", "triton")
CONDA_EXTRAS = ("slurm", "test")


def read_project(root: Path) -> tuple[str, list[Requirement], dict[str, list[Requirement]]]:
    """Read what ``pyproject.toml`` asks for.

    Args:
        root: folder that holds ``pyproject.toml``.

    Returns:
        The specifier of the Python version, the dependencies, and the dependencies of each extra.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = {
        name: [Requirement(text) for text in texts]
        for name, texts in sorted(project["optional-dependencies"].items())
    }
    return (
        project["requires-python"],
        [Requirement(text) for text in project["dependencies"]],
        extras,
    )


def read_pins(root: Path) -> dict[str, Version]:
    """Read ``requirements/constraints.txt``.

    Args:
        root: folder of the project.

    Returns:
        The version of each package, by canonical name; empty where there is no lock yet.

    Raises:
        ValueError: a line is not of the form ``name==version`` or names a local version.
    """
    path = root / "requirements" / "constraints.txt"
    pins: dict[str, Version] = {}
    if not path.exists():
        return pins
    for line in path.read_text().splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        name, equals, number = text.partition("==")
        version = Version(number) if equals else None
        if version is None or version.local is not None:
            raise ValueError(f"requirements/constraints.txt: {line!r} is not name==version")
        pins[canonicalize_name(name)] = version
    return pins


def oldest_python(specifier: str) -> str:
    """Read the oldest supported Python out of a specifier, as ``major.minor``."""
    lower_bounds = [part.version for part in SpecifierSet(specifier) if part.operator == ">="]
    return min(lower_bounds, key=Version)


def differences(root: Path) -> list[str]:
    """Say where the lock or the conda environment does not fit ``pyproject.toml``.

    Args:
        root: folder of the project.

    Returns:
        One line for each difference; empty when everything is in step.
    """
    _, dependencies, extras = read_project(root)
    pins = read_pins(root)
    lines = []
    for requirement in [*dependencies, *(item for extra in extras.values() for item in extra)]:
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            lines.append(f"requirements/constraints.txt: {requirement.name} is not locked")
        elif version not in requirement.specifier:
            lines.append(
                f"requirements/constraints.txt: {requirement.name}=={version} does not fit "
                f"{requirement} in pyproject.toml"
            )
    environment = root / "environment.yml"
    if not lines and (
        not environment.exists() or environment.read_text() != conda_environment(root)
    ):
        lines.append("environment.yml: differs from what pyproject.toml and the lock give")
    return lines


def conda_environment(root: Path) -> str:
    """Write out ``environment.yml``.

    Conda brings Python, pip and make. All other packages come from the package index at the
    locked versions, so that conda users compute with the very same builds.

    Args:
        root: folder of the project; its lock must cover ``pyproject.toml``.
    """
    python, dependencies, extras = read_project(root)
    pins = read_pins(root)
    wanted = [*dependencies, *(item for name in CONDA_EXTRAS for item in extras[name])]
    names = sorted(canonicalize_name(requirement.name) for requirement in wanted)
    lines = [
        "# Written by requirements/lock.py from pyproject.toml and requirements/constraints.txt:",
        "# change those and run `make lock`.",
        "name: glassguard",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - python={oldest_python(python)}",
        "  - make",
        "  - pip",
        "  - pip:",
        "      - --constraint requirements/constraints.txt",
        *(f"      - {name}=={pins[name]}" for name in names),
        f"      - --editable .[{','.join(CONDA_EXTRAS)}]",
    ]
    return "\n".join(lines) + "\n"


def resolve(root: Path, *, upgrade: bool) -> dict[str, Version]:
    """Find a version for every package that the project and its extras lead to.

    Args:
        root: folder of the project.
        upgrade: forget the present lock instead of keeping the versions that still fit.

    Returns:
        The version of each package, by canonical name.

    Raises:
        RuntimeError: this is not the oldest supported Python, or pip finds no solution.
    """
    python, dependencies, extras = read_project(root)
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running != oldest_python(python):
        raise RuntimeError(
            f"lock with Python {oldest_python(python)}, the oldest that is supported: newer ones "
            f"choose versions that it cannot install (this is Python {running})"
        )
    wanted = [*dependencies, *(item for extra in extras.values() for item in extra)]
    kept = {} if upgrade else read_pins(root)
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        if name in kept and kept[name] not in requirement.specifier:
            del kept[name]
    with tempfile.TemporaryDirectory() as folder:
        clean = Path(folder)
        venv.create(clean / "environment", with_pip=True)
        (clean / "kept.txt").write_text("".join(f"{k}=={v}\n" for k, v in kept.items()))
        command: list[str | Path] = [
            clean / "environment" / "bin" / "python",
            *("-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
            *("--constraint", clean / "kept.txt", "--report", clean / "report.json"),
            *(str(requirement) for requirement in wanted),
        ]
        if subprocess.run(command, check=False).returncode != 0:
            raise RuntimeError("pip finds no set of versions that fits pyproject.toml")
        report = json.loads((clean / "report.json").read_text())
    found: dict[str, Version] = {}
    for item in report["install"]:
        name = canonicalize_name(item["metadata"]["name"])
        if not name.startswith(PINNED_BY_TORCH):
            # 2.13.0+cpu and 2.13.0 are the same release: the lock leaves the build open.
            found[name] = Version(Version(item["metadata"]["version"]).public)
    return dict(sorted(found.items()))


def write(root: Path, pins: dict[str, Version]) -> None:
    """Write the lock and the conda environment that follows from it.

    Args:
        root: folder of the project.
        pins: the version of each package, by canonical name.
    """
    header = (
        "# Every version of every package, as resolved in a clean environment. Written by\n"
        "# requirements/lock.py from pyproject.toml: change that and run `make lock`.\n"
    )
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    (root / "requirements" / "constraints.txt").write_text(header + lines)
    (root / "environment.yml").write_text(conda_environment(root))


def main() -> int:
    """Run from the command line; 1 when something is out of step or cannot be resolved."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fix", action="store_true", help="resolve what changed, and write")
    parser.add_argument("--upgrade", action="store_true", help="resolve everything, and write")
    chosen = parser.parse_args()
    try:
        if chosen.fix or chosen.upgrade:
            write(ROOT, resolve(ROOT, upgrade=chosen.upgrade))
        problems = differences(ROOT)
    except (RuntimeError, ValueError) as error:
        problems = [str(error)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
