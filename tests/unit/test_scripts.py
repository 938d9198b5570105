"""Scripts beside the package end in one line where they are given too little."""

import sys

import pytest
from shipped import DOCS, script_of

SCRIPTS = ("figures",)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_of_a_page_has_help(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        script_of(name).main()
    assert ended.value.code == 0
    assert "folder" in capsys.readouterr().out


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_of_a_page_names_what_a_run_lacks_and_writes_nothing(name, monkeypatch, tmp_path):
    before = {path: path.read_bytes() for path in DOCS.rglob("*") if path.suffix in (".md", ".csv")}
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path)])
    with pytest.raises(SystemExit, match=rf"{tmp_path}/.*: No such file .*; give the folder of a"):
        script_of(name).main()
    after = {path: path.read_bytes() for path in DOCS.rglob("*") if path.suffix in (".md", ".csv")}
    assert after == before


def test_too_few_pictures_to_measure_are_refused_before_they_are_made(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["data_memory", "--pictures", "300"])
    with pytest.raises(SystemExit) as ended:
        script_of("data_memory", DOCS.parent / "benchmarks").main()
    assert ended.value.code == 2
    assert "300 are 3 of each of 100 people; at least 1000 are needed" in capsys.readouterr().err
