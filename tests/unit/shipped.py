"""Sections of the configuration as ``conf/`` ships them, with changes."""

from pathlib import Path
from typing import Any

import yaml

CONF = Path(__file__).resolve().parents[2] / "conf"


def section(file: str, **changes: Any) -> dict[str, Any]:
    """What ``conf/<file>.yaml`` says; a mapping among the changes is merged, all else replaced."""
    return _merged(yaml.safe_load((CONF / f"{file}.yaml").read_text()), changes)


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, change in changes.items():
        both = isinstance(change, dict) and isinstance(values[key], dict)
        merged[key] = _merged(values[key], change) if both else change
    return merged
