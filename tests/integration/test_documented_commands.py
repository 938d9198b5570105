"""Every command that README and the pages name is run here, or says why it cannot be."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import ROOT, Checkout
from recognizer.onnx_writing import residual_network

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# The pages on additions (add-….md) are followed by test_add_pages, with the files that they add.
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(set((ROOT / "docs").glob("*.md")) - set((ROOT / "docs").glob("add-*.md"))),
)
PROGRAM = re.compile(
    r"(?:[A-Z_]+=\S+ +)*"
    r"(?:\.venv/bin/)?(?:make|snakemake|glassguard|mlflow|python|pip|conda|docker|apptainer|"
    r"pre-commit|profiles/slurm/run)(?: |$)"
)
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", flags=re.DOTALL | re.MULTILINE)
NO_COMMANDS = {"glassguard", "make", "mlflow", "python", "snakemake", "conda"}
"""Names of programs and packages in running text."""


def documented() -> dict[str, list[str]]:
    """Every command of the pages, and where it stands."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        text = page.read_text()
        blocks = FENCED.findall(text)
        lines = [
            line
            for language, block in blocks
            if not language
            for line in block.replace("\\\n", "").splitlines()
        ]
        prose = FENCED.sub("", text)
        spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
        for given in [*lines, *spans]:
            command = re.sub(r" +", " ", given.split("  #")[0]).strip()
            if PROGRAM.match(command) and command not in NO_COMMANDS:
                found.setdefault(command, []).append(page.name)
    return found


def shell(command: str, copy: Checkout, timeout: int = 300) -> str:
    """What a command prints in a checkout with the environment active, once it has ended well."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=copy.folder,
        env={
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(copy.folder / "src"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout + done.stderr


Run = Callable[[str, Checkout], None]


def literally(command: str, copy: Checkout) -> None:
    shell(command, copy)


def planned(command: str, copy: Checkout) -> None:
    """What a study of hours would do. Files and folders that the page makes up are there."""
    output = shell(f"{command.replace('--cores N', '--cores 2')} --dry-run", copy)
    assert "Job stats:" in output


def on_smoke(command: str, copy: Checkout) -> None:
    """As it stands, but for the study: of a handful of pictures in place of thousands."""
    shell(re.sub(r"results/(\w+/variant_\w+|\w+)(?=[ /]|$)", "results/smoke", command), copy)


def of_smoke(command: str, copy: Checkout) -> None:
    shell(f"{command.replace(' --config …', '')} --config experiment=smoke", copy)


def made(command: str, copy: Checkout) -> None:
    """A target of the Makefile, in the environment that the tests have."""
    folder = copy.folder / "environment"
    if not folder.exists():
        (folder / "bin").mkdir(parents=True)
        for program in Path(sys.executable).parent.iterdir():
            (folder / "bin" / program.name).symlink_to(program)
    for stamp in (".created", ".torch", ".installed", ".installed-test", ".installed-dev"):
        (folder / stamp).touch()
    shell(f"{command} VENV=environment EXPERIMENT=smoke", copy)


def served(command: str, copy: Checkout) -> None:
    """A server that answers, and ends when it is told to."""
    port = 5873
    if command.startswith("make"):
        made("make --dry-run", copy)
        command = f"{command} VENV=environment PORT={port}"
    server = subprocess.Popen(
        ["bash", "-c", command.replace("5000", str(port))],
        cwd=copy.folder,
        env={
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert _answers(f"http://127.0.0.1:{port}/health", server)
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def _answers(address: str, server: subprocess.Popen[bytes]) -> bool:
    for _ in range(240):
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, "the server ended"
            time.sleep(0.5)
    return False


def every_stage(command: str, copy: Checkout) -> None:
    from glassguard.cli import STAGES

    for stage in STAGES:
        assert "--config CONFIG" in shell(command.replace("<stage>", stage), copy)


def options_exist(command: str, copy: Checkout) -> None:
    """A measurement of minutes on a quiet machine: here only its options are looked at."""
    script = command.split(" results/")[0].split(" --")[0]
    described = shell(f"{script} --help", copy)
    for option in re.findall(r"--[a-z-]+", command):
        assert option in described


def form(command: str, copy: Checkout) -> None:
    """A command with names in capitals for what the reader gives."""
    assert "usage: " in shell(f"{re.split(' [A-Z]{2,}', command)[0]} --help", copy)


def without_detector(command: str, copy: Checkout) -> None:
    """The detector would have to be downloaded."""
    shell(re.sub(r" --detector \S+", "", command), copy)
    assert (copy.folder / "people.png").exists()


INSTALLS = "needs network: installs packages"
DOWNLOADS_IMAGE = "needs network and Docker or Apptainer"
CLUSTER = "needs a cluster: tests/slurm runs it on one of its own"

COMMANDS: dict[str, Run | str] = {
    # README
    "make reproduce": INSTALLS,
    "make test": INSTALLS,
    "make help": literally,
    "make clean": literally,
    "make unlock": made,
    "make mlflow": served,
    "conda env create -f environment.yml && conda activate glassguard && snakemake --cores 2": (
        INSTALLS
    ),
    "snakemake --cores N": planned,
    "snakemake --unlock --config …": of_smoke,
    "snakemake --report report.zip": of_smoke,
    "snakemake --unlock --config experiment=folder "
    """'overrides=["data.root=people","data.detector=yunet"]'""": literally,
    "snakemake --cores 2 --config experiment=faces "
    """'overrides=["backbone=faces_gpu","data.image_size=128"]'""": (
        "needs photographs that may not be passed on, and a GPU"
    ),
    "glassguard <stage> --help": every_stage,
    # docs/commands.md, docs/own-data.md
    "glassguard doctor": literally,
    "glassguard faces preview FOLDER": form,
    "glassguard inspect PICTURE… --study results/NAME": form,
    "glassguard faces preview people --detector downloads/face_detection_yunet_2023mar.onnx "
    "--sheet people.png": without_detector,
    "profiles/slurm/run": CLUSTER,
    # CONTRIBUTING
    # docs/configuration.md
    "snakemake --cores 2 --config experiment=smoke": literally,
    # docs/guard.md
    "glassguard inspect photo.jpg holiday/ --study results/faces": (
        "needs photographs that may not be passed on"
    ),
    "python benchmarks/digests.py results/smoke": options_exist,  # test_digests runs it
    "python benchmarks/eye_band.py": options_exist,
    "make lint": INSTALLS,
    "make format": INSTALLS,
    "make docs": INSTALLS,
    "make pictures": "needs graphviz and a run of the default study",
    "make screenshots": "needs Chromium and a run of the default study",
    "python docs/reference.py": literally,
    "make lock": INSTALLS,
    "make lock UPGRADE=1": INSTALLS,
    ".venv/bin/pre-commit install": INSTALLS,
    # docs/cluster.md
    "pip install --constraint requirements/constraints.txt --editable '.[slurm]'": INSTALLS,
    "profiles/slurm/run --config experiment=embedded 'replicates=[0,1,2,3,4,5,6,7,8,9]'": CLUSTER,
    "snakemake --profile profiles/slurm": CLUSTER,
    "snakemake --profile profiles/generic": CLUSTER,
    "python tests/slurm/cluster.py": CLUSTER,
    "docker build -t glassguard .": DOWNLOADS_IMAGE,
    "apptainer build glassguard.sif docker-daemon://glassguard:latest": DOWNLOADS_IMAGE,
    "apptainer run glassguard.sif --cores 16 --config experiment=embedded": DOWNLOADS_IMAGE,
    # docs/tracking.md
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true mlflow server "
    "--workers 1 --backend-store-uri sqlite:///results/mlflow/mlflow.db --host 127.0.0.1 "
    "--port 5000": served,
    "mlflow gc --backend-store-uri sqlite:///results/mlflow/mlflow.db --tracking-uri "
    "sqlite:///results/mlflow/mlflow.db": literally,
    # Tables of the pages
    "python docs/figures.py": literally,
    "python docs/figures.py results/embedded": on_smoke,
    "python docs/figures.py results/accessories": on_smoke,
    "python docs/figures.py results/faces": on_smoke,
    "python docs/figures.py results/embedded results/faces results/accessories "
    "results/embedded/variant_all_fills": on_smoke,
    "python benchmarks/linear_model.py results/embedded/data": on_smoke,
    "python benchmarks/frame_recall.py results/faces --table docs/tables/frame-recall.csv": (
        on_smoke
    ),
    "python benchmarks/backbones.py results/faces NAME=OTHER.safetensors … --table "
    "docs/tables/backbones.csv": options_exist,
    "python benchmarks/influence.py --table docs/tables/cost-influence.csv": options_exist,
    "python benchmarks/grid.py": options_exist,
    "python benchmarks/grid.py results/embedded": options_exist,
    "python benchmarks/grid_shards.py results/embedded --images 4": options_exist,
    "python benchmarks/race.py results/embedded": options_exist,
    "python benchmarks/data_memory.py --pictures 20000 --detector "
    "face_detection_yunet_2023mar.onnx": options_exist,
}


def how(command: str) -> Run | str | None:
    """Studies are planned; every other command is listed."""
    if command in COMMANDS:
        return COMMANDS[command]
    return planned if command.startswith("snakemake ") else None


@pytest.fixture(scope="module")
def workplace(
    finished: Checkout, photographs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Checkout:
    """A copy of the finished checkout with pages, scripts and the files that commands name."""
    copy = Checkout(tmp_path_factory.mktemp("documented") / "checkout")
    shutil.copytree(finished.folder, copy.folder, symlinks=True)
    for part in (
        "Makefile",
        "pyproject.toml",
        "README.md",
        "requirements",
        "docs",
        "benchmarks",
        "tests",
    ):
        source, target = ROOT / part, copy.folder / part
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    shutil.copytree(photographs / "study", copy.folder / "people")
    (copy.folder / "backbone.safetensors").write_bytes(
        (copy.results / "backbone" / "backbone.safetensors").read_bytes()
    )
    (copy.folder / "recognizer.onnx").write_bytes(residual_network(side=112))
    (copy.folder / "lfw-deepfunneled.tgz").write_bytes(b"\x1f\x8b as far as a plan can tell")
    return copy


def test_every_documented_command_is_known_and_none_is_left_over() -> None:
    found = documented()
    assert {command: pages for command, pages in found.items() if how(command) is None} == {}
    assert COMMANDS.keys() - found.keys() == set()


@pytest.mark.parametrize(
    "command", sorted(command for command in documented() if callable(how(command)))
)
def test_a_documented_command_does_what_it_says(
    command: str, workplace: Checkout, photographs: Path
) -> None:
    run = how(command)
    assert callable(run)
    given = {"/path/to/people": "people", "/path/to/others": str(photographs / "others")}
    replaced = command
    for name, path in given.items():
        replaced = replaced.replace(name, path)
    run(replaced, workplace)
