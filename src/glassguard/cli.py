"""``glassguard <stage> --config FILE --...``: runs one stage by hand or from a rule.

The options of a stage are the parameters of its ``run`` function: a ``Path`` is required, a
``Path | None`` may be left out, a ``list[Path]`` takes several, an ``int`` or ``str`` is itself.
"""

import argparse
import importlib
import inspect
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel

from glassguard import kernels, memory
from glassguard.configuration.problems import refuse_renamed
from glassguard.errors import InputError
from glassguard.stages.paths import WRITTEN

STAGES = (
    "fetch",
    "fetch_pictures",
    "data",
    "pool",
    "teacher",
    "pretrain",
    "import_backbone",
    "shipped_backbone",
    "recognizer",
    "attack_shard",
    "attack",
    "robustness",
    "open_set",
    "controls",
    "responses",
    "experts",
    "fit_detectors",
    "detection",
    "mask_grid_shard",
    "mask_grid",
    "mask_evaluation",
    "mask_transfer",
    "banded_recognizer",
    "landmarks",
    "guard",
    "certify",
    "adaptive_shard",
    "adaptive",
    "figures",
    "report",
    "track",
    "replicates",
)
COMMANDS = {
    "inspect": "glassguard.inspection.command",
    "doctor": "glassguard.doctor",
    "faces": "glassguard.preview.command",
}
"""What is no stage of a study: the module of each, whose ``main`` takes the rest of the line."""

INTERRUPTED = 130
"""Exit status of a program that the user stopped (128 + SIGINT), as shells give it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage, or a command that has an exit status of its own.

    Returns:
        0 when the stage finished, 2 for bad input (one line on standard error, no traceback
        unless ``--traceback`` is given), 130 when it was interrupted.
    """
    summary = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="glassguard", description=summary)
    parser.add_argument("--traceback", action="store_true", help="show where bad input was found")
    parser.add_argument(
        "stage",
        type=_stage_name,
        choices=(*STAGES, *COMMANDS),
        metavar="stage",
        help=", ".join((*STAGES, *COMMANDS)),
    )
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see glassguard <stage> --help")
    chosen = parser.parse_args(arguments)
    started = time.time()
    try:
        if chosen.stage in COMMANDS:
            return int(importlib.import_module(COMMANDS[chosen.stage]).main(chosen.options))
        kernels.choose(_kernels_asked_for(chosen.options))
        memory.keep_freed()
        stage = importlib.import_module(f"glassguard.stages.{chosen.stage}")
        options = vars(_stage_parser(chosen.stage, stage).parse_args(chosen.options))
        _run(chosen.stage, stage, options, started=started)
    except InputError as error:
        if chosen.traceback:
            traceback.print_exc()
        print(f"glassguard {chosen.stage}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"glassguard {chosen.stage}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _stage_name(name: str) -> str:
    try:
        refuse_renamed([name])
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def _kernels_asked_for(options: Sequence[str]) -> kernels.Kernels:
    """Read before the stage, which imports the libraries that read the choice on import.

    A section that cannot be read is refused later, with its reason.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--config", type=Path)
    try:
        config = parser.parse_known_args(options)[0].config
        section = yaml.safe_load(config.read_text()) if config else {}
    except (argparse.ArgumentError, OSError, ValueError, yaml.YAMLError):
        return "pinned"
    asked = section.get("kernels") if isinstance(section, dict) else None
    return "native" if asked == "native" else "pinned"


def _run(name: str, stage: ModuleType, options: dict[str, Any], *, started: float) -> None:
    record_path: Path | None = options.pop("record")
    config_path: Path = options.pop("config")
    # Imports NumPy, which must not be there before the kernels are chosen.
    from glassguard.configuration.sections import read_section

    config = read_section(config_path, _config_model(stage.run))
    for option, hint in get_type_hints(stage.run, include_extras=True).items():
        if WRITTEN in get_args(hint):
            options[option].parent.mkdir(parents=True, exist_ok=True)
    metrics = stage.run(config, **options)
    if record_path is not None:
        record = {
            "stage": name,
            "started": started,
            "ended": time.time(),
            "params": config.model_dump(mode="json"),
            "metrics": metrics,
        }
        record_path.parent.mkdir(parents=True, exist_ok=True)
        record_path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


def _config_model(run: Callable[..., Any]) -> type[BaseModel]:
    return get_type_hints(run)["config"]


def _stage_parser(name: str, stage: ModuleType) -> argparse.ArgumentParser:
    summary = (stage.__doc__ or "").strip().splitlines()[0]
    parser = argparse.ArgumentParser(prog=f"glassguard {name}", description=summary)
    parser.add_argument(
        "--config", type=Path, required=True, help="the stage's section of the configuration (YAML)"
    )
    parser.add_argument("--record", type=Path, help="where to write the record for tracking (JSON)")
    hints = get_type_hints(stage.run)
    for parameter in list(inspect.signature(stage.run).parameters.values())[1:]:
        hint = hints[parameter.name]
        option = "--" + parameter.name.replace("_", "-")
        if get_origin(hint) is list:
            parser.add_argument(option, type=get_args(hint)[0], nargs="+", required=True)
        elif type(None) in get_args(hint):
            parser.add_argument(option, type=get_args(hint)[0])
        else:
            parser.add_argument(option, type=hint, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
