"""Write docs/configuration.md and docs/commands.md from the schema, conf/ and the command line.

``python docs/reference.py`` puts what the code says between the markers of both pages; everything
outside the markers is written by hand. A test fails while a page and the code differ.
"""

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import published
import yaml

from glassguard.cli import STAGES
from glassguard.configuration.compose import compose_study
from glassguard.configuration.schema import Study
from glassguard.report.tables import markdown

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
HEADER = ("key", "allowed", "default", "meaning")
GROUPS = {"attacks": "attack"}
"""Folders of ``conf/`` that are not called like the section that they fill."""

LONGEST_DEFAULT = 90
BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
}
Schema = Mapping[str, Any]
Row = tuple[str, str, str, str]


PAGES = ("configuration", "commands")


def main() -> None:
    """Write both pages anew, or say which is out of step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if that is wrong")
    if not parser.parse_args().check:
        published.rewrite(render, *PAGES)
    elif stale := out_of_step():
        sys.exit(f"{', '.join(stale)}: not what the code says; run python docs/reference.py")


def out_of_step() -> list[str]:
    """The pages that differ from what the code says."""
    texts = {f"docs/{page}.md": (ROOT / f"docs/{page}.md").read_text() for page in PAGES}
    return [path for path, text in texts.items() if published.filled(text, render) != text]


def render(place: str) -> str | None:
    """What belongs into a marked place of a page."""
    writers = {
        "sections": sections,
        "experiments": lambda: listed("experiment"),
        "variants": lambda: listed("variant"),
        "stages": stages,
        "targets": targets,
    }
    return writers[place]() if place in writers else None


def sections() -> str:
    """Every key of the configuration, a table for each section."""
    schema = Study.model_json_schema()
    defaults = compose_study(CONF, "embedded").model_dump(mode="json")
    parts, single = [], []
    for name, field in schema["properties"].items():
        if name == "experiment":
            continue
        if "$ref" not in field and not {"oneOf", "patternProperties"} & field.keys():
            comments = comments_of(CONF / "config.yaml")
            single += rows(schema, field, (name,), defaults[name], comments)
            continue
        parts.append(f"### `{name}`\n\n{files_of(GROUPS.get(name, name))}")
        if "oneOf" in field:
            parts += sources(schema, field)
            continue
        folder = CONF / GROUPS.get(name, name)
        comments = comments_of(next(iter(first_files(folder))))
        parts.append(table(rows(schema, field, (name,), defaults[name], comments)))
    return "\n\n".join([f"### Top level\n\n{table(single)}", *parts])


def sources(schema: Schema, field: Schema) -> Iterator[str]:
    """The keys of the sources of pictures: what they share once, then what each adds."""
    of_source: dict[str, list[Row]] = {}
    for source, reference in sorted(field["discriminator"]["mapping"].items()):
        path = CONF / "data" / f"{source}.yaml"
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = rows(schema, {"$ref": reference}, ("data",), values, comments_of(path))
        of_source[source] = [row for row in found if row[0] != "`data.source`"]
    photographs = {name: mine for name, mine in of_source.items() if name != "embedded"}
    shown: set[tuple[str, str]] = set()
    for title, group in (("every source", of_source), ("photographs", photographs)):
        places: dict[tuple[str, str], list[Row]] = {}
        for row in chain.from_iterable(group.values()):
            places.setdefault(row[:2], []).append(row)
        common = [
            (*key, " or ".join(sorted({row[2] for row in found})), found[0][3])
            for key, found in places.items()
            if len(found) == len(group) and key not in shown
        ]
        shown |= {row[:2] for row in common}
        yield f"#### Keys of {title}\n\n{table(common)}"
    for source, mine in of_source.items():
        if own := [row for row in mine if row[:2] not in shown]:
            yield f"#### `data={source}`\n\n{table(own)}"


def table(found: Iterator[Row] | list[Row]) -> str:
    """Rows as a table in Markdown."""
    return markdown(HEADER, [[cell.replace("|", "\\|") for cell in row] for row in found])


def rows(
    schema: Schema, field: Schema, path: tuple[str, ...], default: Any, comments: Mapping[str, str]
) -> Iterator[Row]:
    """A row for a key, or for each key below it."""
    below = resolved(schema, field)
    if "patternProperties" in below:
        (value,) = below["patternProperties"].values()
        # Names of attacks are free, and so are those of downloads; attacks start from one file.
        first = next(iter(default.values())) if path == ("attacks",) else None
        yield from rows(schema, value, (*path, "<name>"), first, comments)
        return
    if "oneOf" in below:
        options = [resolved(schema, one) for one in below["oneOf"]]
        tag = below["discriminator"]["propertyName"]
        kinds = list(below["discriminator"]["mapping"])
        given = default.get(tag) if isinstance(default, dict) else None
        key = ".".join((*path, tag))
        meaning = "; ".join(
            f"{', '.join(f'`{kind}`' for kind in values_of(one, tag))}: {clause(one)}"
            for one in options
        )
        yield f"`{key}`", one_of(kinds), text_of(given), meaning
        for one in options:
            for name, value in one["properties"].items():
                if name != tag:
                    at = default.get(name) if isinstance(default, dict) else None
                    yield from rows(schema, value, (*path, name), at, comments)
        return
    if "properties" in below:
        for name, value in below["properties"].items():
            at = default.get(name) if isinstance(default, dict) else None
            yield from rows(schema, value, (*path, name), at, comments)
        return
    key = ".".join(path)
    inside = ".".join(path[1:]).removeprefix("<name>.") if len(path) > 1 else key
    said = field.get("description") or below.get("description") or comments.get(inside)
    meaning = sentence(said) if said else ""
    yield f"`{key}`", allowed(schema, field), text_of(default, "<name>" in path), meaning


def resolved(schema: Schema, field: Schema) -> Schema:
    """What a reference stands for; of a section that may be null, the section."""
    if "$ref" in field:
        return schema["$defs"][field["$ref"].rpartition("/")[2]]
    options = [one for one in field.get("anyOf", ()) if one.get("type") != "null"]
    return resolved(schema, options[0]) if len(options) == 1 and "$ref" in options[0] else field


def allowed(schema: Schema, field: Schema) -> str:
    """Type and range of a value, in words."""
    if "anyOf" in field:
        options = [allowed(schema, one) for one in field["anyOf"]]
        return ("; or " if any("," in one for one in options) else " or ").join(options)
    if "$ref" in field:
        keys = resolved(schema, field)["properties"]
        return "{" + ", ".join(f"`{name}`" for name in keys) + "}"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return one_of(field["enum"])
    kind = field.get("type")
    if kind == "array":
        if "prefixItems" in field:
            return (
                f"list of {len(field['prefixItems'])}: {allowed(schema, field['prefixItems'][0])}"
            )
        return f"list of {allowed(schema, field['items'])}"
    if kind == "string":
        return "a path" if field.get("format") == "path" else "text"
    names = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    given = {name: f"{field[name]:,.10g}" for name in BOUNDS if name in field}
    if {"minimum", "maximum"} <= given.keys():
        given = {"range": f"{given.pop('minimum')} to {given.pop('maximum')}", **given}
    bounds = [BOUNDS.get(name, "{}").format(bound) for name, bound in given.items()]
    return ", ".join([names.get(str(kind), "null" if kind == "null" else "any"), *bounds])


def values_of(field: Schema, tag: str) -> list[str]:
    """The values of the key that tells sections apart."""
    found = field["properties"][tag]
    return [found["const"]] if "const" in found else list(found["enum"])


def one_of(values: list[Any]) -> str:
    """A choice."""
    return ", ".join(f"`{value}`" for value in values)


def clause(field: Schema) -> str:
    """The first sentence of a section's docstring, to go on with."""
    first = field.get("description", "").split("\n")[0].rstrip(".")
    return first[:1].lower() + first[1:]


def sentence(text: str) -> str:
    """A description as a sentence."""
    text = " ".join(text.split())
    start = text[:1].upper() if re.match(r"[a-z]+[ ,;]", text) else text[:1]
    return f"{start}{text[1:]}{'' if text.endswith('.') else '.'}"


def text_of(value: Any, inside: bool = False) -> str:
    """A default as it stands in YAML; long lists by their length."""
    if value is None:
        return "" if inside else "null"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return ""
    if len(text) > LONGEST_DEFAULT:
        return f"{len(value)} values"
    return f"`{text.strip(chr(34))}`"


def first_files(folder: Path) -> Iterator[Path]:
    """The files of a group, those that build on no other first."""
    paths = sorted(folder.glob("*.yaml"))
    yield from sorted(paths, key=lambda path: "\ndefaults:" in path.read_text(encoding="utf-8"))


def files_of(group: str) -> str:
    """The files of a group, with what each is about."""
    lines = [f"`{group}={path.stem}`: {about(path)}" for path in first_files(CONF / group)]
    return lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines)


def listed(group: str) -> str:
    """A table of the files of a group that is no section."""
    found = [[f"`{path.stem}`", about(path)] for path in sorted((CONF / group).glob("*.yaml"))]
    return markdown([group, "what it is"], found)


def about(path: Path) -> str:
    """The comment at the top of a file, without the commands in it."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line == "# @package _global_":
            continue
        if not line.startswith("#"):
            break
        if line.startswith("#   "):
            continue
        lines.append(line[1:].strip())
    return sentence(" ".join(lines).rstrip(":")) if lines else ""


def comments_of(path: Path) -> dict[str, str]:
    """The comment above each key of a YAML file, by the dotted key.

    What stands above the first key is about the file.
    """
    found: dict[str, str] = {}
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    first = True
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("#"):
            above.append(text[1:].strip())
            continue
        key = re.match(r"( *)([a-z][a-z0-9_]*):", line)
        if key:
            indent = len(key[1])
            parents = [*[one for one in parents if one[0] < indent], (indent, key[2])]
            if above and not first:
                found[".".join(name for _, name in parents)] = " ".join(above)
            first = False
        above = []
    return found


def stages() -> str:
    """Every stage with its options."""
    return "\n\n".join(stage_text(name) for name in STAGES)


def stage_text(name: str) -> str:
    """A stage: what it does, and its options; read, not imported, since some take seconds."""
    module = ast.parse((ROOT / f"src/glassguard/stages/{name}.py").read_text(encoding="utf-8"))
    (run,) = (
        node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "run"
    )
    said = {**files_of_stage(name), **arguments_of(ast.get_docstring(run) or "")}
    cells = [
        ["`--config`", "file to read", f"The section of the configuration, `config/{name}.yaml`."]
    ]
    for parameter in [*run.args.args[1:], *run.args.kwonlyargs]:
        option, annotation = parameter.arg, ast.unparse(parameter.annotation or ast.Name("Path"))
        meaning = sentence(said[option]) if option in said else ""
        cells.append([f"`--{option.replace('_', '-')}`", kind_of(annotation), meaning])
    title = (ast.get_docstring(module) or "").splitlines()[0]
    return f"### `{name}`\n\n{title}\n\n{markdown(['option', 'value', 'meaning'], cells)}"


def files_of_stage(name: str) -> dict[str, str]:
    """The file below the results that the workflow hands to each option of a stage."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    found: dict[str, str] = {}
    for rule in re.split(r"^rule ", text, flags=re.MULTILINE):
        if not re.search(rf'"glassguard {name} ', rule):
            continue
        inputs, _, outputs = rule.partition("    output:")
        for kind, block in (("input", inputs), ("output", outputs)):
            given = dict(re.findall(r'^ +(\w+)=.*?result\(f?"([^"]+)"\)', block, re.MULTILINE))
            for option, file in re.findall(rf"--([\w-]+) \{{{kind}\.(\w+)", rule):
                if file in given:
                    found[option.replace("-", "_")] = f"`{pattern(given[file])}`"
    return found


def pattern(path: str) -> str:
    """A path of a rule with its wildcards as a reader knows them."""
    named = path.replace("{HEADLINE}", "<attack>").replace("{STUDY.data.source}", "<source>")
    return re.sub(r"\{+(\w+)\}+", r"<\1>", named.replace("scatteritem", "shard"))


def kind_of(annotation: str) -> str:
    """What an option takes."""
    kinds = {
        "int": "whole number",
        "str": "text",
        "OutputPath": "file to write",
        "list[Path]": "files to read",
        "Path": "file to read",
        "Path | None": "file to read, optional",
    }
    return kinds[annotation]


def arguments_of(docstring: str) -> dict[str, str]:
    """The arguments that a docstring describes, in reStructuredText turned into Markdown."""
    block = re.search(r"^Args:\n((?:    .*\n?|\n)+)", docstring, flags=re.MULTILINE)
    found: dict[str, str] = {}
    if block is None:
        return found
    for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", block[1], flags=re.MULTILINE):
        plain = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(text.split()))
        found[name] = plain.replace("``", "`")
    return found


def targets() -> str:
    """The targets of the Makefile."""
    lines = re.findall(r"^([a-z]+):.*## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return markdown(["target", "what it does"], [[f"`make {name}`", text] for name, text in lines])


if __name__ == "__main__":
    main()
