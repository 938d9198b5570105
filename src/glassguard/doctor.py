"""``glassguard doctor``: what a study needs of this machine, what is missing, and how to get it."""

import argparse
import hashlib
import importlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from glassguard import kernels
from glassguard.errors import InputError

if TYPE_CHECKING:  # imports NumPy, which must not be there before the kernels are chosen
    from glassguard.configuration.schema import Study

WELL, MISSING = 0, 3
"""Exit status."""
LEAST_FREE = 2**30
"""Free bytes below which the disk counts as full: a default study leaves two thirds of it."""
MODULES = {"scikit-learn": "sklearn", "opencv-python-headless": "cv2"}
"""Modules of packages that are called otherwise."""

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Attributes:
        topic: what the thing belongs to.
        state: ``missing`` stops a study; ``note`` is worth knowing.
        found: in words.
        remedy: how to get what is missing; empty where nothing is.
    """

    topic: str
    state: State
    found: str
    remedy: str = ""


def main(options: Sequence[str]) -> int:
    """Look at everything and print a line for each.

    Returns:
        0 where nothing is missing, 3 otherwise.
    """
    parser = argparse.ArgumentParser(prog="glassguard doctor", description=(__doc__ or "").strip())
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="folder (%(default)s)")
    parser.add_argument("--experiment", default="embedded", help="the study (%(default)s)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each finding")
    given = parser.parse_args(options)
    findings = list(examined(given.conf, given.experiment, given.results))
    for one in findings:
        if given.json:
            print(json.dumps(asdict(one), ensure_ascii=False))
        else:
            print(f"{one.state:8}{one.topic:10}{one.found}")
            if one.remedy:
                print(f"{'':18}-> {one.remedy}")
    return MISSING if any(one.state == "missing" for one in findings) else WELL


def examined(conf: Path, experiment: str, results: Path) -> Iterator[Finding]:
    """Everything that a study needs, in the order in which it needs it.

    Args:
        conf: folder of the configuration.
        experiment: name of the study.
        results: folder of all results.
    """
    yield _kernels()
    yield from _packages()
    yield from _devices()
    yield from _shipped_weights()
    yield _disk(results)
    if not conf.is_dir():
        remedy = "run it in the project's folder, or give --conf"
        yield Finding("study", "note", f"{conf}: no such folder; no study was looked at", remedy)
        return
    # Imports NumPy.
    from glassguard.configuration.compose import compose_study

    try:
        study = compose_study(conf, experiment)
    except InputError as error:
        yield Finding("study", "missing", f"{experiment}: {error}", "see docs/configuration.md")
        return
    yield Finding("study", "ok", f"{experiment}: the configuration is valid")
    yield from _downloads(study)
    yield _tracking(study)


def _kernels() -> Finding:
    try:
        kernels.choose("pinned")
    except (InputError, RuntimeError) as error:
        remedy = "kernels=native computes, with other digits than the documented ones"
        return Finding("kernels", "missing", str(error), remedy)
    if kernels.in_force() == "native":
        found = "no x86-64 processor: digits differ from the documented ones"
        return Finding("kernels", "note", found)
    return Finding("kernels", "ok", "pinned to AVX2: the same digits on every such machine")


def _packages() -> Iterator[Finding]:
    from glassguard.report.machine import PACKAGES, machine, versions

    described = machine()
    cores, memory = described["cores"], described.get("memory", "unknown")
    found = f"{described['processor']}, {cores} cores, {memory} of memory, {described['system']}"
    yield Finding("machine", "ok", found)
    installed = versions()
    yield Finding("versions", "ok", ", ".join(f"{name} {one}" for name, one in installed.items()))
    remedy = "make, or pip install -c requirements/constraints.txt ."
    for package in PACKAGES:
        module = MODULES.get(package, package.replace("-", "_"))
        if find_spec(module) is None:
            yield Finding("versions", "missing", f"{package} is not installed", remedy)
    if shutil.which("snakemake") is None:
        found = "snakemake is not on PATH: rules cannot be run"
        yield Finding(
            "versions", "missing", found, "activate the environment: . .venv/bin/activate"
        )


def _devices() -> Iterator[Finding]:
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return
    names = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    if names:
        yield Finding("devices", "ok", f"GPU: {', '.join(names)}")
    elif torch.version.cuda is None:
        remedy = "only pretraining gains from one; make TORCH=cuda takes the other build"
        yield Finding("devices", "note", "no GPU: PyTorch is the build for processors", remedy)
    else:
        yield Finding("devices", "note", "no GPU is seen; everything runs on the processor")


def _shipped_weights() -> Iterator[Finding]:
    from glassguard.recognizer.shipped_networks import FOLDER, network_bytes, network_record

    for record in sorted(FOLDER.glob("*.json")):
        name = record.stem
        try:
            network_bytes(name, sha256=network_record(name).sha256)  # type: ignore[arg-type]
        except (InputError, OSError) as error:
            yield Finding("weights", "missing", f"{name}: {error}", "install the package again")
        else:
            yield Finding("weights", "ok", f"{name} comes with the package; its digest is right")


def _downloads(study: "Study") -> Iterator[Finding]:
    """Published files; a study that asks for one downloads it itself."""
    folder = study.downloads.folder
    for name, one in study.downloads.files.items():
        path = folder / one.file
        if not path.exists():
            remedy = f"{one.key}={name} downloads it, or put it there from {one.url}"
            yield Finding("weights", "note", f"{name}: not in {folder}", remedy)
        elif one.sha256 is None:
            found = f"{name}: {path}; no digest of it is published"
            yield Finding("weights", "ok", found)
        elif _digest(path).startswith(one.sha256):
            yield Finding("weights", "ok", f"{name}: {path}; its digest is right")
        else:
            remedy = f"remove it and run with {one.key}={name}"
            yield Finding("weights", "missing", f"{name}: {path} has another digest", remedy)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _disk(results: Path) -> Finding:
    place = results.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    found = f"{free / 2**30:.1f} GiB are free for {results}"
    if free < LEAST_FREE:
        return Finding("disk", "missing", found, "make room, or link results to another disk")
    return Finding("disk", "ok", found)


def _tracking(study: "Study") -> Finding:
    tracking = study.tracking
    if not tracking.enabled:
        return Finding("tracking", "note", "off (tracking.enabled=false)")
    if not tracking.uri.startswith("sqlite:///"):
        found = f"{tracking.uri}: a server, which was not asked"
        return Finding("tracking", "note", found, "see whether its page opens in a browser")
    database = Path(tracking.uri.removeprefix("sqlite:///"))
    if not database.exists():
        return Finding("tracking", "ok", f"{database}: made by the first run")
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as store:
            (runs,) = store.execute("SELECT count(*) FROM runs").fetchone()
    except sqlite3.Error as error:
        remedy = "move it away: the next run builds it again from results/"
        return Finding("tracking", "missing", f"{database}: cannot be read: {error}", remedy)
    return Finding("tracking", "ok", f"{database}: {runs} runs; make mlflow serves them")
