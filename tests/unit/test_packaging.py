"""The lock, the conda environment, the Makefile and the metadata agree with pyproject.toml."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lock() -> ModuleType:
    specification = importlib.util.spec_from_file_location("lock", ROOT / "requirements/lock.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that the lock is about, to be spoilt."""
    (tmp_path / "requirements").mkdir()
    for name in ("pyproject.toml", "environment.yml", "requirements/constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_lock_and_conda_environment_are_in_step(lock: ModuleType) -> None:
    assert lock.differences(ROOT) == [], "run `make lock`"


def test_a_new_dependency_is_noticed(lock: ModuleType, copy: Path) -> None:
    path = copy / "pyproject.toml"
    path.write_text(path.read_text().replace('"numpy>=2",', '"numpy>=2",\n    "left-pad>=1",'))
    assert lock.differences(copy) == ["requirements/constraints.txt: left-pad is not locked"]


def test_a_raised_bound_is_noticed(lock: ModuleType, copy: Path) -> None:
    path = copy / "pyproject.toml"
    path.write_text(path.read_text().replace('"numpy>=2"', '"numpy>=99"'))
    (line,) = lock.differences(copy)
    assert "numpy" in line
    assert "does not fit" in line


def test_a_changed_lock_leaves_the_conda_environment_behind(lock: ModuleType, copy: Path) -> None:
    path = copy / "requirements/constraints.txt"
    path.write_text(re.sub(r"^tqdm==.*$", "tqdm==4.99.0", path.read_text(), flags=re.M))
    (line,) = lock.differences(copy)
    assert line.startswith("environment.yml")
    lock.write(copy, lock.read_pins(copy))
    assert lock.differences(copy) == []
    assert "tqdm==4.99.0" in (copy / "environment.yml").read_text()


@pytest.mark.parametrize("line", ["torch==2.13.0+cpu", "torch>=2.13", "torch"])
def test_the_lock_takes_plain_versions_only(lock: ModuleType, copy: Path, line: str) -> None:
    (copy / "requirements/constraints.txt").write_text(line + "\n")
    with pytest.raises(ValueError, match=re.escape(line)):
        lock.read_pins(copy)


def test_everything_that_is_installed_for_the_project_is_locked(lock: ModuleType) -> None:
    """Follow the dependencies as installed: each must be in the lock, at that version."""
    pins = lock.read_pins(ROOT)
    _, dependencies, extras = lock.read_project(ROOT)
    waiting = [*dependencies, *extras["test"]]
    seen: set[tuple[str, frozenset[str]]] = set()
    wrong = []
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen or name.startswith(lock.PINNED_BY_TORCH):
            continue
        seen.add((name, frozenset(requirement.extras)))
        distribution = importlib.metadata.distribution(name)
        installed = Version(Version(distribution.version).public)
        if pins.get(name) != installed:
            wrong.append(f"{name}: installed {installed}, locked {pins.get(name)}")
        for text in distribution.requires or []:
            child = Requirement(text)
            if child.marker is None or any(
                child.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
            ):
                waiting.append(child)
    assert len(seen) > 50
    assert wrong == []


def test_conda_environment_is_one_that_conda_reads(lock: ModuleType) -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == "glassguard"
    conda = [item for item in environment["dependencies"] if isinstance(item, str)]
    (pip,) = (item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert "pip" in conda
    assert "--constraint requirements/constraints.txt" in pip
    assert any(item.startswith("torch==") for item in pip)
    assert not any("+" in item for item in pip)


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    inherited = {name: value for name, value in os.environ.items() if name != "HOME"}
    return subprocess.run(
        ["make", "-C", str(ROOT), *arguments],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_setting_of_make_reaches_what_the_tests_run() -> None:
    settings = re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "VENV" in settings
    assert not {*settings, "MAKEFLAGS"} & set(os.environ)


def test_make_names_a_python_that_is_too_old(tmp_path: Path) -> None:
    python = tmp_path / "python3.9"
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    python.chmod(0o755)
    done = make("reproduce", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}", HOME=str(tmp_path))
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert "3.9.2" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_make_says_that_venv_is_missing(tmp_path: Path) -> None:
    python = tmp_path / "python3.12"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    python.chmod(0o755)
    done = make("test", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}", HOME=str(tmp_path))
    assert done.returncode != 0
    assert "lacks the venv module" in done.stderr


@pytest.mark.parametrize(
    ("given", "asked"),
    [("", "auto"), ("TORCH=", "auto"), ("TORCH=cpu", "cpu"), ("TORCH=cuda", "cuda")],
)
@pytest.mark.parametrize("target", ["reproduce", "test"])
def test_the_build_of_pytorch_is_chosen_before_anything_is_installed(
    tmp_path: Path, target: str, given: str, asked: str
) -> None:
    done = make("--dry-run", target, *given.split(), f"VENV={tmp_path}", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    installs = [line for line in done.stdout.splitlines() if "--constraint" in line]
    assert f"requirements/pytorch.py {asked} " in installs[0]
    assert all("--constraint requirements/constraints.txt" in line for line in installs)
    assert "--editable" in installs[1]


def test_another_choice_of_pytorch_is_looked_at_again(tmp_path: Path) -> None:
    for stamp in (".created", ".torch", ".torch-cpu", ".installed"):
        (tmp_path / stamp).touch()
    for given, again in (("", False), ("TORCH=cpu", False), ("TORCH=cuda", True)):
        done = make("--dry-run", "reproduce", *given.split(), f"VENV={tmp_path}")
        assert ("requirements/pytorch.py" in done.stdout) is again


def test_an_unknown_torch_is_refused(tmp_path: Path) -> None:
    done = make("reproduce", "TORCH=gpu", f"VENV={tmp_path}", HOME=str(tmp_path))
    assert done.returncode != 0
    assert "TORCH=gpu is unknown" in done.stderr


@pytest.mark.parametrize("home", [None, "/nonexistent"])
def test_caches_go_into_the_environment_without_a_usable_home(
    tmp_path: Path, home: str | None
) -> None:
    environment = {} if home is None else {"HOME": home}
    done = make("--dry-run", "--print-data-base", "help", f"VENV={tmp_path}", **environment)
    assert f"HOME := {tmp_path}/home" in done.stdout


def test_help_lists_the_two_commands_of_the_readme(tmp_path: Path) -> None:
    done = make("help", HOME=str(tmp_path))
    readme = (ROOT / "README.md").read_text()
    for command in ("make reproduce", "make test"):
        assert command in done.stdout
        assert f"\n{command}\n" in readme


def test_citation_names_both_sources() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    titles = " ".join(reference["title"] for reference in citation["references"])
    assert "Influence based explanations for detecting adversarial attacks" in titles
    assert "Defense Against the Dark Arts" in titles
    assert citation["version"] == importlib.metadata.version("glassguard")


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/method.md",
        "docs/own-data.md",
        "docs/weights.md",
        "docs/cluster.md",
        "docs/data-sources.md",
    ],
)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
