"""The structure of the package: imports run one way, and settings need no heavy library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import glassguard

PACKAGE = Path(glassguard.__file__).parent

ORDER = (
    ("errors", "settings", "statistics", "progress", "locks"),
    ("kernels", "memory"),
    ("faces",),
    ("files",),
    ("datasets", "recognizer"),
    ("attack", "influence"),
    ("saliency",),
    ("detection",),
    ("guard",),
    ("adaptive",),
    ("report",),
    ("tracking",),
    ("configuration",),
    ("stages", "inspection", "doctor", "preview"),
    ("cli",),
)
"""Rooms from the ground up; those side by side do not know each other."""

LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
SETTINGS = sorted(
    f"glassguard.{path.relative_to(PACKAGE).with_suffix('').as_posix().replace('/', '.')}"
    for path in PACKAGE.rglob("settings.py")
)


def room(module: str) -> str:
    return module.split(".")[1]


def imports() -> list[tuple[str, str]]:
    """Module and imported module of every import of the package in it, anywhere in the text."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("glassguard."):
                found += [(module, _imported(str(node.module), one.name)) for one in node.names]
            elif isinstance(node, ast.Import):
                found += [
                    (module, one.name) for one in node.names if one.name.startswith("glassguard.")
                ]
    return found


def _imported(package: str, name: str) -> str:
    """A module that is imported from its package, or the module that has the name."""
    path = PACKAGE.parent.joinpath(*package.split("."), f"{name}.py")
    return f"{package}.{name}" if path.exists() else package


def test_every_room_has_its_level() -> None:
    rooms = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - {"__init__"} == LEVEL.keys()


def test_imports_run_one_way() -> None:
    up = [
        f"{module} -> {imported}"
        for module, imported in imports()
        if module != "glassguard"
        and room(module) != room(imported)
        and LEVEL[room(imported)] >= LEVEL[room(module)]
    ]
    assert up == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = {}
    for module, imported in imports():
        edges.setdefault(module, set()).add(imported)
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in done:
            for further in sorted(edges.get(module, ())):
                visit(further, (*way, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())


@pytest.mark.parametrize("module", [*SETTINGS, "glassguard.configuration.schema"])
def test_settings_import_nothing_heavy(module: str) -> None:
    program = (
        f"import sys, {module};"
        "print(*({'torch', 'cv2', 'sklearn', 'pandas', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
