"""The command line: one line for bad input."""

import subprocess
import sys
from pathlib import Path

import pytest

from glassguard.cli import STAGES, main
from glassguard.configuration.problems import RENAMED


def test_the_command_line_imports_nothing_heavy() -> None:
    program = (
        "import sys; import glassguard.cli;"
        "print(*({'torch', 'hydra', 'cv2', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file"),
        ("a: [", "not YAML"),
        (
            "experiment: x\ntracking: {enabeld: true}\n",
            "tracking.enabeld: unknown key (did you mean enabled?)",
        ),
    ],
)
def test_a_bad_section_is_one_line(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "track.yaml"
    if text is not None:
        path.write_text(text)
    options = ["--records", str(path), "--results", str(tmp_path), "--done", str(tmp_path / "done")]
    assert main(["track", "--config", str(path), *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(path) in error
    assert said in error
    assert not (tmp_path / "done").exists()


def test_an_unknown_stage_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["trian"])
    assert caught.value.code == 2
    assert "trian" in capsys.readouterr().err


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_the_old_name_of_a_stage_is_refused_with_the_new_one(
    old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([old])
    assert caught.value.code == 2
    assert f"{old} is now called {new}" in capsys.readouterr().err.splitlines()[-1]
    assert new in STAGES or new.startswith("accessory_")
    assert old not in STAGES
