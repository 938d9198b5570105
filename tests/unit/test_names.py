"""Folders and people may have names that YAML and Hydra take for something else."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassguard.configuration.replicates import studies_from_workflow
from glassguard.configuration.schema import Study
from glassguard.errors import InputError

CONF = Path(__file__).parents[2] / "conf"

ODD = (
    *("2024", "007", "1e3", "123E456", "1_000", "0x1F", "0b1", "0o7", "1.0", "-1", "+1", ".5"),
    *("true", "null", "nan", "inf", "yes", "no", "off", "~", "12:30:45", "2019-04-23"),
    *("~people", "~nobody", "epoch=9-step=100", "a=b", "#1", "{1}", "[1]", "(1)", "a,b", "100%"),
    *("me@home", "it's"),
)


def no_home(name: str) -> bool:
    """Whether the name is no tilde of somebody's."""
    return os.path.expanduser(name) == name  # noqa: PTH111


NAMES = st.one_of(
    st.sampled_from(ODD),
    st.from_regex(r"[+-]?[0-9_]{1,6}(\.[0-9]{0,3})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.text(
        st.characters(codec="utf-8", exclude_characters="/\\\0\"'$", exclude_categories=["C", "Z"]),
        min_size=1,
        max_size=8,
    ),
).filter(lambda name: name not in (".", "..") and no_home(name))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folder(name: str, people: tuple[str, ...] = ("ada", "bob")) -> None:
    shutil.rmtree(name, ignore_errors=True)
    for person in people:
        Path(name, person).mkdir(parents=True)
        Path(name, person, "1.jpg").write_bytes(b"\xff\xd8\xff\xe0")


def study(*overrides: str, conf: Path = CONF) -> Study:
    asked = {"experiment": "folder", "overrides": list(overrides)}
    return next(iter(studies_from_workflow(asked, conf).values()))


@given(NAMES)
@settings(max_examples=40)
def test_a_quoted_name_is_itself_and_a_bare_one_is_itself_or_refused(name: str) -> None:
    folder(name)
    quoted = name.replace("'", "\\'")
    assert str(study(f"data.root='{quoted}'").data.root) == name  # type: ignore[union-attr]
    with suppress(InputError):
        assert str(study(f"data.root={name}").data.root) == name  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["2024", "007", "1e3", "123E456", "true", "nan", "1_000", "0x1F"])
def test_a_bare_name_that_looks_like_a_number_is_the_text_that_was_given(name: str) -> None:
    folder(name)
    assert str(study(f"data.root={name}").data.root) == name  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["epoch=9-step=100", "#1", "a,b", "(1)", 'say "x"', "it's"])
def test_what_hydra_cannot_read_is_answered_by_what_it_can(name: str) -> None:
    folder(name)
    with pytest.raises(InputError, match="cannot be read; a value with signs besides") as caught:
        study(f"data.root={name}")
    advice = str(caught.value).partition("needs quotes: ")[2]
    # As a shell and Snakemake hand it over.
    (shown,) = json.loads(advice.strip("'").replace("'\"'\"'", "'").partition("=")[2])
    assert str(study(shown).data.root) == name  # type: ignore[union-attr]


def test_the_tilde_is_a_home_only_where_somebody_has_that_name(
    monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    folder("~nobody_at_all")
    assert str(study("data.root='~nobody_at_all'").data.root) == "~nobody_at_all"  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"data\.root: ~nobody_at_all/people: no such folder"):
        study("data.root='~nobody_at_all/people'")
    monkeypatch.setenv("HOME", str(here))
    folder("people")
    assert study("data.root='~/people'").data.root == here / "people"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1_000", "1000"),
        ("0000045", "37"),
        ("1e3", "1000.0"),
        ("true", "true"),
        ("12", "12"),
    ],
)
def test_numbers_in_a_file_have_lost_their_text_and_must_be_quoted(
    written: str, read: str, here: Path
) -> None:
    conf = here / "conf"
    shutil.copytree(CONF, conf)
    file = conf / "experiment" / "folder.yaml"
    original = file.read_text()
    folder("people", (written, "bob"))
    for section, key in (
        ("data: {{root: {0}}}", "data.root"),
        (
            "attacks: {{glasses: {{named_pairs: [{{attacker: {0}, target: bob}}]}}}}",
            "attacks.glasses.named_pairs.0.attacker",
        ),
    ):
        file.write_text(f"{original}\n{section.format(written)}\n")
        with pytest.raises(InputError) as caught:
            study("data.root=people", conf=conf) if key != "data.root" else study(conf=conf)
        message = str(caught.value)
        assert f"{key}: is read as {read} and must be text: quote it" in message
        file.write_text(f"{original}\n{section.format(json.dumps(written))}\n")
        if key != "data.root":
            pair = study("data.root=people", conf=conf).attacks["glasses"].named_pairs[0]
            assert pair.attacker == written
