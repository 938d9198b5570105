"""Which build of PyTorch the Makefile installs, and what it says of that."""

import json
import subprocess
from types import ModuleType

import pytest
from shipped import ROOT, script_of

CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class Machine:
    """A machine without PyTorch, and what its pip is asked for."""

    def __init__(self) -> None:
        self.driver = False
        self.reachable = True
        self.installed: str | None = None
        self.offers = "cuda"
        self.asked: list[tuple[str, ...]] = []

    def pip(self, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        if "--dry-run" in arguments:
            needed = ["filelock", "nvidia-cublas==1; x"] if self.offers == "cuda" else ["filelock"]
            report = {"install": [{"metadata": {"requires_dist": needed}}]}
            return subprocess.CompletedProcess(arguments, 0, json.dumps(report))
        self.asked.append(arguments)
        self.installed = "cpu" if CPU_INDEX in arguments else self.offers
        return subprocess.CompletedProcess(arguments, 0)


@pytest.fixture
def script() -> ModuleType:
    return script_of("pytorch", ROOT / "requirements")


@pytest.fixture
def machine(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(script, "pip", machine.pip)
    monkeypatch.setattr(script, "has_nvidia_driver", lambda: machine.driver)
    monkeypatch.setattr(script, "is_reachable", lambda address: machine.reachable)
    monkeypatch.setattr(script, "installed_build", lambda: machine.installed)
    monkeypatch.setattr(script.platform, "system", lambda: "Linux")
    return machine


@pytest.mark.parametrize(
    ("asked", "driver", "reachable", "offers", "installed", "said"),
    [
        ("auto", False, True, "cuda", "cpu", "PyTorch: CPU build (no NVIDIA driver is there)"),
        ("auto", True, True, "cuda", "cuda", "PyTorch: CUDA build (an NVIDIA driver is there)"),
        ("auto", False, False, "cpu", "cpu", "from the default index)"),
        ("auto", False, False, "cuda", "cuda", "PyTorch: CUDA build (no NVIDIA driver is there, "),
        ("cpu", True, True, "cuda", "cpu", "PyTorch: CPU build (TORCH=cpu)"),
        ("cpu", False, False, "cpu", "cpu", "out of reach: from the default index)"),
        ("cuda", False, False, "cuda", "cuda", "PyTorch: CUDA build (TORCH=cuda)"),
    ],
)
def test_the_build_fits_the_machine_and_one_line_says_why(
    asked: str,
    driver: bool,
    reachable: bool,
    offers: str,
    installed: str,
    said: str,
    script: ModuleType,
    machine: Machine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine.driver, machine.reachable, machine.offers = driver, reachable, offers
    assert script.main([asked, "--quiet"]) == 0
    assert machine.installed == installed
    (line,) = capsys.readouterr().out.splitlines()
    assert said in line
    # An index that is out of reach costs pip a minute.
    (arguments,) = machine.asked
    assert (CPU_INDEX in arguments) == (reachable and installed == "cpu")
    assert arguments[:2] == ("install", "--quiet")


def test_a_build_that_nobody_has_is_one_line(
    script: ModuleType, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.reachable = False
    assert script.main(["cpu"]) == 1
    assert machine.asked == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "out of reach" in line
    machine.offers = "cpu"
    assert script.main(["cuda"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "TORCH=cuda: no index that pip knows has that build"


@pytest.mark.parametrize("asked", ["auto", "cpu"])
def test_an_installed_build_is_left_alone(
    asked: str, script: ModuleType, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.installed = "cpu"
    assert script.main([asked]) == 0
    assert machine.asked == []
    assert capsys.readouterr().out == "PyTorch: the CPU build is installed already\n"


def test_another_build_takes_the_place_of_the_installed_one(
    script: ModuleType, machine: Machine
) -> None:
    machine.installed = "cpu"
    assert script.main(["cuda"]) == 0
    (arguments,) = machine.asked
    assert "--force-reinstall" in arguments


def test_the_build_of_this_environment_is_found_without_an_import(script: ModuleType) -> None:
    import torch

    assert script.installed_build() == ("cpu" if torch.version.cuda is None else "cuda")


def test_an_index_that_answers_nothing_is_out_of_reach(script: ModuleType) -> None:
    assert not script.is_reachable("http://127.0.0.1:9/torch/")
