"""The page on one's own recognizer: its code runs, and its lists are those of the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from recognizer.onnx_writing import residual_network, write
from torch import nn

from glassguard.recognizer.onnx_file import read_onnx
from glassguard.recognizer.onnx_network import OnnxNetwork
from glassguard.recognizer.onnx_operators import OPERATORS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "your-own-recognizer.md").read_text()
EXPORT, FROM_PYTHON = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_operators_are_those_that_are_read() -> None:
    listed = re.search(r"only these operators: (.*?)\. The number", PAGE, flags=re.DOTALL)
    assert listed is not None
    assert set(listed[1].replace("\n", " ").split(", ")) == {*OPERATORS, "Constant"}


@pytest.mark.parametrize("name", ["mobilefacenet", "arcface", "sface"])
def test_presets_are_those_of_the_configuration(name: str) -> None:
    row = re.search(rf"^\| `backbone={name}` \| (.*?) \| (.*?) \| (.*?) \|", PAGE, re.MULTILINE)
    assert row is not None
    backbone = yaml.safe_load((ROOT / "conf" / "backbone" / f"{name}.yaml").read_text())["backbone"]
    mean, scale = ([float(one) for one in cell.split(", ")] for cell in row.groups()[:2])
    assert mean == backbone["mean"]
    assert scale == (
        backbone["scale"] if isinstance(backbone["scale"], list) else [backbone["scale"]]
    )
    assert row[3] == backbone["channels"]


def test_the_code_runs_on_a_network(tmp_path: Path) -> None:
    write(tmp_path / "recognizer.onnx", residual_network(side=112))
    program = f"{FROM_PYTHON}\nprint({{name: tuple(one.shape) for name, one in profiles.items()}})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'fc2': (2, 64)" in done.stdout


def test_an_exported_network_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4),
        nn.BatchNorm2d(4),
        nn.PReLU(4),
        nn.Flatten(),
        nn.Linear(3136, 5),
    )
    monkeypatch.chdir(tmp_path)
    exec(EXPORT, {"network": network})
    read = OnnxNetwork(read_onnx(tmp_path / "recognizer.onnx"))
    pixels = torch.rand(2, 3, 112, 112)
    torch.testing.assert_close(read(pixels), network(pixels).detach(), rtol=1e-4, atol=1e-5)
