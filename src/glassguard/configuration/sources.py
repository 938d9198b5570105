"""Which files a rule depends on that Snakemake does not see by itself."""

import ast
import hashlib
import os
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# The command line and the configuration hand values over; the values themselves are in the section
# that every rule reads. A new key or a new message is no reason to compute anything again.
NOT_SCIENCE = ("__init__", "cli", "configuration", "datasets.downloads", "errors", "progress")


def sources(stage: str, *chosen: str) -> list[Path]:
    """The source files that decide what a stage computes.

    Args:
        stage: name of a module in ``glassguard.stages``.
        chosen: modules that the configuration chooses, which no import shows.

    Returns:
        The stage's module and those chosen, every module of the package that they import, directly
        or not, and the templates that these load; sorted.
    """
    found: set[Path] = set()
    waiting = [
        PACKAGE / "stages" / f"{stage}.py",
        *(file for one in chosen for file in _files(one)),
    ]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            found.update(_templates(path))
            waiting.extend(_imports(path))
    return sorted(found)


def digests(stage: str, *chosen: str) -> dict[str, str]:
    """SHA-256 of :func:`sources`, by the file's name from the package's folder on."""
    return {
        path.relative_to(PACKAGE.parent).as_posix(): _digest(path)
        for path in sources(stage, *chosen)
    }


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _templates(path: Path) -> list[Path]:
    """Where a module loads templates, those in the folder beside it."""
    if "PackageLoader" not in path.read_text():
        return []
    return sorted(file for file in (path.parent / "templates").iterdir() if file.is_file())


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    """The package's own science modules that a module imports, anywhere in its text."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(
        file for name in sorted(names) if name.startswith("glassguard.") for file in _files(name)
    )


def _files(name: str) -> list[Path]:
    """The module's file and those of the packages around it, where they are science."""
    parts = name.split(".")[1:]
    if any(f"{name}.".startswith(f"glassguard.{room}.") for room in NOT_SCIENCE):
        return []
    around = [PACKAGE.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    module = PACKAGE.joinpath(*parts).with_suffix(".py")
    return [file for file in (*around, module) if file.is_file()]


def inventory(folder: Path | None) -> str:
    """A digest of the names and sizes of all files below a folder, or of one file; empty for None.

    It stands in for thousands of input files: a picture added, removed or replaced by one of
    another size changes it, a touched one does not.
    """
    if folder is None:
        return ""
    digest = hashlib.sha256()
    if folder.is_file():
        digest.update(f"{folder.name}\0{folder.stat().st_size}\n".encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        # A name may be bytes of any kind.
        digest.update(os.fsencode(path.relative_to(folder)))
        digest.update(f"\0{path.stat().st_size}\n".encode())
    return digest.hexdigest()
