"""Which files a rule depends on that Snakemake does not see by itself."""

import ast
import hashlib
import os
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# The command line and the configuration only pass values on, and every rule reads its values from a
# section. So a new key or message does not cause anything to be computed again.
NOT_SCIENCE = ("__init__", "cli", "configuration", "datasets.downloads", "errors", "progress")

NOT_COMPUTING = ("fetch", "fetch_pictures", "shipped_backbone", "track")
"""Stages to which the kernels make no difference."""


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
        *([] if stage in NOT_COMPUTING else [PACKAGE / "kernels.py"]),
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


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


_digest = cache(file_digest)


def _templates(path: Path) -> list[Path]:
    """The templates in the folder of a module that loads templates."""
    if "PackageLoader" not in path.read_text():
        return []
    return sorted(file for file in (path.parent / "templates").iterdir() if file.is_file())


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    """The package's own science modules that a module imports, anywhere in its text."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(), filename=str(path))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            # Never run: such imports are for the type checker.
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # A class that is imported late is named as "glassguard.package.module:Class".
            names.update(re.findall(r"^(glassguard\.[\w.]+):\w+$", node.value))
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


def inventory(path: Path | None, known: dict[str, list] | None = None) -> str:
    """A digest of the names and contents of all files below a folder, or of one file.

    It takes the place of thousands of input files. Adding, removing or replacing a picture changes
    it; touching or copying one does not.

    Args:
        path: empty text is returned for None and for what is not there.
        known: digests by path, with the date and size of the file that they are of. A file with
            another date or size is read and entered.
    """
    known = {} if known is None else known
    digest = hashlib.sha256()
    if path is None or not path.exists():
        return ""
    root = path.parent if path.is_file() else path
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    for file in files:
        now, key = file.stat(), os.fsdecode(file)
        state = [now.st_mtime_ns, now.st_size]
        if known.get(key, [])[:2] != state:
            known[key] = [*state, _content(file)]
        # A name may be bytes of any kind.
        digest.update(os.fsencode(file.relative_to(root)))
        digest.update(f"\0{known[key][2]}\n".encode())
    return digest.hexdigest()


def _content(path: Path) -> str:
    # Whoever reads it says why it cannot be read; a plan is no place for that.
    try:
        return file_digest(path)
    except OSError:
        return "unreadable"
