"""Composes ``conf/`` into one validated study: the only place that knows Hydra."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from glassguard.configuration.problems import not_text, problems, suggestion
from glassguard.configuration.schema import Study
from glassguard.datasets.archives import ARCHIVES, is_archive
from glassguard.datasets.folders import check_folder
from glassguard.datasets.settings import Downloads, PhotographData
from glassguard.datasets.sources import folder
from glassguard.errors import InputError
from glassguard.recognizer.network_files import READABLE, START, why_no_onnx, why_no_weights
from glassguard.recognizer.onnx_file import OnnxError, read_onnx
from glassguard.recognizer.onnx_preprocessing import check_input

NOT_SHIPPED = {
    "faces_mobilefacenet": "what this experiment reads lies beside the checkout that it was "
    "measured in and is no part of the project (docs/real-faces.md); for a folder and a network of "
    "your own take experiment=folder, data.root, backbone=mobilefacenet and backbone.weights",
    "faces": "what this experiment reads lies beside the checkout that it was measured in and is "
    "no part of the project: people and pool are photographs of Pins Face Recognition, Glint360K "
    "and LFW, which may not be passed on (docs/real-faces.md); for folders of your own take "
    "experiment=folder, data.root, backbone.pool and backbone=faces",
}
"""Where the files come from that an experiment names and that no download brings."""


def compose_study(
    directory: Path,
    experiment: str,
    overrides: Sequence[str] = (),
    *,
    variant: str | None = None,
) -> Study:
    """Compose, resolve and validate a study.

    Args:
        directory: the folder ``conf``.
        experiment: name of a file in ``conf/experiment``.
        overrides: ``key=value`` in Hydra's grammar, applied last.
        variant: name of a file in ``conf/variant``, applied after the experiment.

    Returns:
        The study. Every file and folder that it reads exists, and the folders hold pictures. With
        another source of pictures than its own, the experiment is called ``EXPERIMENT_SOURCE``, so
        that pictures of two sources never share a folder of results.

    Raises:
        InputError: one line that names the file or key, what is wrong and what is allowed.
    """
    _check_there_is(directory, "experiment", experiment)
    for override in overrides:
        if _key(override) == "experiment":
            raise InputError(
                f"override {override!r}: the experiment is chosen by --config experiment=NAME"
            )
    if variant is not None:
        _check_there_is(directory, "variant", variant)
        overrides = [f"+variant={variant}", *overrides]
    study, choices = _validated(directory, experiment, overrides)
    study = _with_downloads(_named_by_source(study, directory, experiment, overrides))
    try:
        _check_inputs(study)
    except InputError as error:
        key = str(error).partition(":")[0]
        origin = _origin(key, directory, overrides, choices)
        if experiment in NOT_SHIPPED and origin.endswith(f"experiment/{experiment}.yaml: "):
            raise InputError(f"{origin}{error}; {NOT_SHIPPED[experiment]}") from None
        raise
    _check_named_people(study)
    return study


def _check_there_is(directory: Path, group: str, name: str) -> None:
    names = sorted(path.stem for path in (directory / group).glob("*.yaml"))
    if name not in names:
        raise InputError(
            f"{group} {name!r}: there is no {directory.name}/{group}/{name}.yaml; allowed are "
            f"{', '.join(names)}"
        )


def _validated(
    directory: Path, experiment: str, overrides: Sequence[str]
) -> tuple[Study, dict[str, str]]:
    """The study as composed, and which file was chosen from each group."""
    values, choices = _compose(directory, experiment, overrides)
    try:
        return Study.model_validate({**values, "experiment": experiment}), choices
    except ValidationError as error:
        quoted = [_quoted(override, not_text(error, Study)) for override in overrides]
        if quoted != list(overrides):
            return _validated(directory, experiment, quoted)
        raise InputError(
            "; ".join(
                f"{_origin(key, directory, overrides, choices)}{key}: {text}" if key else text
                for key, text in problems(error, Study)
            )
        ) from None


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _quoted(override: str, keys: set[str]) -> str:
    """An override whose value was read as a number or the like, as the text that was given."""
    key, _, value = override.partition("=")
    if key.lstrip("+") not in keys or not re.fullmatch(r"[\w.+-]+", value):
        return override
    return f"{key}='{value}'"


def _named_by_source(
    study: Study, directory: Path, experiment: str, overrides: Sequence[str]
) -> Study:
    """The study under its experiment's name, or that of the experiment on another source."""
    if not {"data", "data.source"} & {_key(override) for override in overrides}:
        return study
    own, _ = _compose(directory, experiment, [])
    source = own["data"]["source"]
    if study.data.source == source:
        return study
    for name, attack in study.attacks.items():
        pairs = attack.model_dump()["named_pairs"]
        if pairs and [*pairs] == own["attacks"].get(name, {}).get("named_pairs"):
            raise InputError(
                f"attacks.{name}.named_pairs: {directory.name}/experiment/{experiment}.yaml names "
                f"people of data={source}; with data={study.data.source} give pairs of its people, "
                f'or none: "attacks.{name}.named_pairs=[]"'
            )
    return study.model_copy(update={"experiment": f"{experiment}_{study.data.source}"})


def _check_named_people(study: Study) -> None:
    """Refuse pairs of people who are not there, as far as that is known before any job."""
    data = study.data
    if not isinstance(data, folder.Pictures):
        return
    for name, attack in study.attacks.items():
        for pair in attack.named_pairs:
            for person in (pair.attacker, pair.target):
                if not (data.root / person).is_dir():
                    raise InputError(
                        f"attacks.{name}.named_pairs: {data.root} has no folder {person}; allowed "
                        "are the names of its folders"
                    )


def _with_downloads(study: Study) -> Study:
    """The study with the names of downloads replaced by the paths that they are kept at."""
    data, backbone = study.data, study.backbone
    if isinstance(data, PhotographData):
        detector = _kept_at("data.detector", data.detector, study.downloads)
        data = data.model_copy(update={"detector": detector})
    weights = _kept_at("backbone.weights", backbone.weights, study.downloads)
    backbone = backbone.model_copy(update={"weights": weights})
    return study.model_copy(update={"data": data, "backbone": backbone})


def _kept_at(key: str, given: Path | None, downloads: Downloads) -> Path | None:
    """Where a download is kept that is asked for by its name; any other path as it is."""
    download = downloads.files.get(str(given))
    if download is None:
        return given
    if download.key != key:
        raise InputError(
            f"{key}: {given} is a download for {download.key}; allowed is "
            f"{_allowed_file(key, downloads)}"
        )
    return downloads.folder / download.file


def _allowed_file(key: str, downloads: Downloads) -> str:
    names = sorted(name for name, download in downloads.files.items() if download.key == key)
    if not names:
        return "a file that exists"
    return f"a file that exists or the name of a download ({', '.join(names)})"


def _compose(
    directory: Path, experiment: str, overrides: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The resolved values, and which file was chosen from each group."""
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(directory.resolve())):
            chosen = [f"experiment={experiment}", *overrides]
            composed = compose("config", overrides=chosen, return_hydra_config=True)
            choices = dict(composed.hydra.runtime.choices)
            return _resolved(composed), {str(group): str(file) for group, file in choices.items()}
    except HydraException as error:
        raise InputError(_hydra_message(error, directory, experiment)) from None
    except OmegaConfBaseException as error:
        first_line = str(error).strip().splitlines()[0]
        raise InputError(f"{directory.name}: {first_line}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{directory.name}: not YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:
        # Hydra's own for a group that is set to no name; OmegaConf's errors, some of which are
        # of this kind too, were caught above.
        raise InputError(f"{directory.name}: {' '.join(str(error).split())}") from None


def _resolved(composed: DictConfig) -> dict[str, Any]:
    values = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    plain = OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
    return {str(key): value for key, value in dict(plain).items()}  # type: ignore[arg-type]


def _hydra_message(error: HydraException, directory: Path, experiment: str) -> str:
    """Hydra's message on one line; for an unknown key, with the keys that are allowed there."""
    unknown = re.search(r"full_key: (\S+)", str(error.__cause__))
    if unknown is None:
        lines = str(error).split("\nConfig search path")[0].split("\nSee https")[0]
        if isinstance(error, OverrideParseException):
            return _unreadable(error.override)
        ambiguous = re.search(r"Ambiguous value for argument '(.*)'\n", str(error))
        if ambiguous:
            return _unreadable(ambiguous.group(1))
        return f"{directory.name}: {' '.join(lines.split())}"
    key = unknown.group(1)
    parent, _, name = key.rpartition(".")
    allowed: Any = _compose(directory, experiment, [])[0]
    for part in parent.split(".") if parent else []:
        allowed = allowed.get(part, {}) if isinstance(allowed, dict) else {}
    if not isinstance(allowed, dict):
        return f"override {key}: {parent} is not set; give all of it, {parent}={{…}}"
    return f"override {key}: unknown key{suggestion(name, allowed)}"


def _unreadable(override: str) -> str:
    """Says how an override is given whose value Hydra takes for grammar."""
    key, equals, value = override.partition("=")
    if not equals:
        return f"override '{override}': NAME=VALUE is expected"
    text = value.replace('"', '\\"')
    quoted = json.dumps([f'{key}="{text}"'], ensure_ascii=False)
    return (
        f"override {override}: cannot be read; a value with signs besides A-Z, a-z, 0-9 and "
        f"_-./ needs quotes: {shlex.quote(f'overrides={quoted}')}"
    )


def _origin(key: str, directory: Path, overrides: Sequence[str], choices: Mapping[str, str]) -> str:
    """Where ``key`` was given: an override, else the last file that sets it; empty if nowhere."""
    for override in reversed(overrides):
        name = _key(override)
        # A problem of a whole section may be due to one key in it.
        if key == name or key.startswith(f"{name}.") or name.startswith(f"{key}."):
            return f"override {override}: "
    for group, choice in choices.items():
        group, _, package = group.partition("@")
        path = directory / group / f"{choice}.yaml"
        if not path.is_file():
            continue
        inside = "" if group in ("experiment", "variant") else f"{package or group}."
        if key.startswith(inside) and _sets(path, key.removeprefix(inside).split(".")):
            return f"{path.relative_to(directory.parent)}: "
    path = directory / "config.yaml"
    return f"{path.relative_to(directory.parent)}: " if _sets(path, key.split(".")) else ""


def _sets(path: Path, parts: Sequence[str]) -> bool:
    """Whether the file gives a value to the key or to the list that holds it."""
    values = yaml.safe_load(path.read_text())
    for part in parts:
        if isinstance(values, list):
            return True
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def _refuse_common_folder(root: Path, pool: Path) -> None:
    one, other = root.resolve(), pool.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise InputError(
            f"backbone.pool: {pool}: lies in data.root or holds it; the pool is of other people"
        )


def _check_inputs(study: Study) -> None:
    """Refuse folders without pictures and files that are not there, before any job starts."""
    given = {key: path for paths in study.given.values() for key, path in paths.items()}
    root, pool = given.get("data.root"), given.pop("backbone.pool", None)
    if pool is not None:
        check_folder(pool, key="backbone.pool")
    if root is not None and isinstance(study.data, folder.Pictures):
        check_folder(given.pop("data.root"), key="data.root")
        if pool is not None:
            _refuse_common_folder(root, pool)
    elif root is not None and root.is_dir():
        # Of a folder in a published layout a job says what is wrong.
        del given["data.root"]
    for key, file in given.items():
        if file.is_file() and key == "backbone.weights" and study.backbone.network == "onnx":
            _check_onnx(file, study)
        elif file.is_file():
            _check_kind(key, file)
        elif file not in study.downloaded:
            found = "is a folder" if file.is_dir() else "no such file"
            or_folder = " or a folder" if key == "data.root" else ""
            allowed = _allowed_file(key, study.downloads) + or_folder
            raise InputError(f"{key}: {file}: {found}; allowed is {allowed}")


def _check_onnx(file: Path, study: Study) -> None:
    """Refuse a network that is damaged, or that takes other pictures than the study's."""
    mean, scale = study.backbone.mean, study.backbone.scale
    if mean is None or scale is None:
        raise ValueError("with backbone.network=onnx, mean and scale are given")
    try:
        graph = read_onnx(file)
        check_input(graph, image_size=study.data.image_size, mean=mean, scale=scale)
    except OnnxError as error:
        raise InputError(f"backbone.weights: {file}: {error}") from None


def _check_kind(key: str, file: Path) -> None:
    """Refuse a file that is there and is of another kind than its key wants."""
    if key == "data.root" and not is_archive(file):
        raise InputError(
            f"{key}: {file}: neither a folder nor an archive; allowed: {', '.join(ARCHIVES)}"
        )
    weights = key == "backbone.weights"
    if not weights and key not in ("data.detector", "backbone.pretraining.teacher.file"):
        return
    try:
        with file.open("rb") as content:
            start = content.read(START)
    except OSError as error:
        raise InputError(f"{key}: {file}: cannot be read: {error.strerror}") from None
    reason = why_no_weights(start) if weights else why_no_onnx(start)
    if reason is not None:
        wanted = (
            f"{READABLE}; backbone=onnx reads ONNX networks"
            if weights
            else "an ONNX model is wanted"
        )
        raise InputError(f"{key}: {file}: {reason}; {wanted}")
