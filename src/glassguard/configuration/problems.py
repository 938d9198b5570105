"""Says in one line what is wrong with a configuration and what is allowed."""

import difflib
import json
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from glassguard.errors import InputError

RENAMED = {
    "fetch_lfw": "fetch_pictures",
    "fetch_pubfig": "fetch_pictures",
    "grid_shard": "mask_grid_shard",
    "grid": "mask_grid",
    "accessory_grid_shard": "accessory_mask_grid_shard",
    "accessory_grid": "accessory_mask_grid",
    "evaluation": "mask_evaluation",
    "generality": "mask_transfer",
    "influence": "responses",
    "baselines": "responses",
    "saliency_maps": "responses",
    "masked_decisions": "responses",
}
"""New names of rules and stages by their old ones."""

TEXT_WANTED = ("string_type", "path_type")
"""Types of problem of a value that is no text: YAML and Hydra read 007, 1e3 and true as others."""


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One line that names each offending key and what is allowed.

    Args:
        error: what ``model`` raised.
        model: the model that the values were validated against.
    """
    return "; ".join(f"{key}: {text}" if key else text for key, text in problems(error, model))


def problems(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield each offending key, dotted as in the configuration, and what is wrong with it.

    The key is empty where the text is about several keys and names them itself.
    """
    found = error.errors()
    for problem in found:
        place = problem["loc"]
        if problem["type"] == "too_short" and any(
            len(other["loc"]) > len(place) and other["loc"][: len(place)] == place
            for other in found
        ):
            # Of what was given, only the elements that are right are counted.
            continue
        parts, known = _locate(model, problem["loc"])
        key = ".".join(parts)
        if problem["type"] == "extra_forbidden":
            yield key, f"unknown key{suggestion(parts[-1], known)}"
        elif problem["type"] in TEXT_WANTED:
            read = json.dumps(problem["input"], default=str)
            yield key, f"is read as {read} and must be text: quote it, as in '007'"
        elif problem["type"] in ("missing", "value_error"):
            yield key, problem["msg"].removeprefix("Value error, ")
        else:
            text = problem["msg"].replace("tuple", "list").replace("Tuple", "List")
            yield key, f"{text} (given: {problem['input']!r})"


def not_text(error: ValidationError, model: type[BaseModel]) -> set[str]:
    """The keys, dotted as in the configuration, whose values must be text and are not."""
    return {
        ".".join(_locate(model, problem["loc"])[0])
        for problem in error.errors()
        if problem["type"] in TEXT_WANTED
    }


def refuse_renamed(names: Iterable[str]) -> None:
    """Refuse the old name of a rule or stage (``InputError`` with the new one)."""
    for name in names:
        if name in RENAMED:
            raise InputError(f"{name} is now called {RENAMED[name]}")


def suggestion(given: str, known: Iterable[str]) -> str:
    """`` (did you mean ...?)`` for the nearest of ``known``, or the whole choice, or nothing."""
    choice = sorted(known)
    near = difflib.get_close_matches(given, choice, n=1)
    if near:
        return f" (did you mean {near[0]}?)"
    return f" (allowed: {', '.join(choice)})" if choice else ""


def _locate(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], list[str]]:
    """The dotted parts of a pydantic location, and the keys that may stand in its last place.

    Pydantic puts the tag of a tagged union into the location; a user knows no such key.
    """
    parts: list[str] = []
    allowed: list[str] = []
    current: Any = model
    for part in location:
        members = [member for member in get_args(current) if _is_model(member)]
        if isinstance(part, str) and len(members) > 1:
            current = next((m for m in members if part in _tags(m)), None)
            continue
        if members and type(None) in get_args(current):
            current = members[0]
        parts.append(str(part))
        allowed = list(current.model_fields) if _is_model(current) else []
        current = _below(current, part)
    return parts, allowed


def _below(annotation: Any, part: int | str) -> Any:
    if _is_model(annotation):
        field = annotation.model_fields.get(part)
        return field.annotation if field is not None else None
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0]
    return None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _tags(model: type[BaseModel]) -> set[str]:
    """Every literal value that a field of ``model`` is fixed to."""
    return {
        value
        for field in model.model_fields.values()
        for value in get_args(field.annotation)
        if isinstance(value, str)
    }
