"""What the project ships beside its package: sections of ``conf/``, scripts of ``docs/``."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
DOCS = ROOT / "docs"


def section(file: str, **changes: Any) -> dict[str, Any]:
    """What ``conf/<file>.yaml`` says; a mapping among the changes is merged, all else replaced."""
    return _merged(yaml.safe_load((CONF / f"{file}.yaml").read_text()), changes)


def copy_of_conf(folder: Path) -> Path:
    """A copy of ``conf/`` in the folder, to be edited."""
    return Path(shutil.copytree(CONF, folder / "conf"))


def script_of(name: str, folder: Path = DOCS) -> ModuleType:
    """The script ``<folder>/<name>.py`` as a module."""
    specification = importlib.util.spec_from_file_location(f"{name}_page", folder / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    # Where dataclasses look their module up.
    sys.modules[specification.name] = script
    # Scripts of one folder import each other.
    sys.path.insert(0, str(folder))
    try:
        specification.loader.exec_module(script)
    finally:
        sys.path.remove(str(folder))
    return script


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, change in changes.items():
        both = isinstance(change, dict) and isinstance(values[key], dict)
        merged[key] = _merged(values[key], change) if both else change
    return merged
