"""The pages of the reference say what the code says."""

import re

import pytest
from shipped import DOCS, script_of

from glassguard.configuration.schema import Study
from glassguard.files import layout

ATTACKS = ["glasses", "sticker"]


@pytest.fixture(scope="module")
def reference():
    return script_of("reference")


@pytest.fixture(scope="module")
def sections(reference):
    return reference.sections()


def test_configuration_and_commands_are_in_step(reference):
    assert reference.out_of_step() == [], "run python docs/reference.py"


def test_a_changed_range_is_noticed(reference, monkeypatch):
    changed = Study.model_json_schema()
    changed["$defs"]["AccessoryAttack"]["properties"]["iterations"]["minimum"] = 7
    monkeypatch.setattr(reference.Study, "model_json_schema", lambda: changed)
    assert reference.out_of_step() == ["docs/configuration.md"]


def test_every_key_has_a_type_and_a_meaning(sections):
    rows = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) \| (.*?) \|$", sections, re.M)
    assert {"seed", "attacks.<name>.step", "data.root", "saliency.grid.mu"} <= {
        key for key, *_ in rows
    }
    assert [key for key, allowed, _, meaning in rows if not (allowed and meaning)] == []


def test_ranges_and_defaults_are_those_of_the_schema(sections):
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*?) \|", sections, re.M))
    assert rows["attacks.<name>.step"] == "number, > 0, ≤ 255"
    assert rows["influence.distribution.steps"] == "whole number, 1 to 1,000"
    assert "| `attacks.<name>.momentum` | number, ≥ 0, < 1 | `0.4` |" in sections


def test_every_result_file_is_described():
    page = (DOCS / "result-files.md").read_text(encoding="utf-8")
    described = [
        re.compile(re.sub(r"<\w+>|\\\*", "[^/]+", re.escape(path)))
        for path in re.findall(r"`([^`\s]+)`", page)
    ]
    left = {
        *layout.tables(ATTACKS, ATTACKS),
        *layout.reported(ATTACKS, embedding=True).values(),
        *layout.tracked(layout.ARTIFACTS, ATTACKS, ["roc"], ATTACKS),
        *[file for name in layout.sets(ATTACKS) for file in [layout.images_of_set(name)]],
    }
    assert [
        path for path in sorted(left) if not any(one.fullmatch(path) for one in described)
    ] == []
