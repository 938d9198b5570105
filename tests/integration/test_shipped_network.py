"""The command of the model card makes the shipped network, to the byte."""

import json
import re
import shlex
import subprocess

import pytest
from checkouts import SNAKEMAKE, Checkout

from glassguard.recognizer.shipped_networks import FOLDER, network_record

pytestmark = [pytest.mark.integration, pytest.mark.training]


def test_the_command_of_the_model_card_makes_the_same_bytes(fresh: Checkout) -> None:
    (command,) = re.findall(r"^snakemake .*", (FOLDER / "drawn_faces.md").read_text(), re.MULTILINE)
    arguments = shlex.split(command)[1:]
    done = subprocess.run(
        [SNAKEMAKE, *arguments],
        cwd=fresh.folder,
        env=fresh._environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    made = fresh.folder / arguments[arguments.index("--directory") + 1] / arguments[-1]
    assert made.read_bytes() == (FOLDER / "drawn_faces.safetensors").read_bytes()
    record = (made.parent / "metrics.json").read_text()
    assert network_record("drawn_faces").metrics == json.loads(record)
