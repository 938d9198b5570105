"""What MkDocs needs to know about this repository: pages that are made, and links out of docs/.

``mkdocs.yml`` names this file as a hook. It adds a page for every module of the package, the pages
of the repository's root, and the files that pages link to outside ``docs/``.
"""

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "glassguard"
ROOT_PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(\]\()(?!https?://|#|mailto:)([^)#\s]+)")
NAMED = re.compile(r"\[(?:docs/)?([\w-]+\.md)\]\(\1")
"""A link that shows the name of a file: the site shows the page's title."""

OUTSIDE = "repository"
"""Folder of the site for linked files that lie outside ``docs/``."""

WITHOUT_API = {"stages", "cli"}
"""Described by the page on commands."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the packages and modules into the navigation."""
    for section in config.nav or []:
        for entry in section.get("Reference", []) if isinstance(section, dict) else []:
            if "API" in entry:
                entry["API"] = ["api/index.md", *navigation()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and the files outside ``docs/`` that pages link to."""
    made = dict(api_pages())
    for source, page in ROOT_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        for other, its_page in ROOT_PAGES.items():
            text = text.replace(f"]({other}", f"]({its_page}")
        made[page] = text
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    for file in [*files.documentation_pages()]:
        if file.src_uri.endswith(".md"):
            for _, link in LINK.findall(file.content_string):
                if (path := outside(link)) and files.get_file_from_path(target(path)) is None:
                    content = (ROOT / path).read_bytes()
                    files.append(File.generated(config, target(path), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links out of ``docs/`` lead to the copies, and pages of the root to pages.

    The search ranks a page about a word above the many interfaces that mention it.
    """
    page.meta.setdefault("search", {"boost": 1 if page.file.src_uri.startswith("api/") else 8})

    def replaced(found: re.Match[str]) -> str:
        path = outside(found[2])
        return f"{found[1]}{target(path)}" if path else found[0]

    def titled(found: re.Match[str]) -> str:
        file = files.get_file_from_path(found[1])
        title = re.match(r"# (.+)", file.content_string) if file else None
        return f"[{title[1]}]({found[1]}" if title else found[0]

    if not page.file.src_uri.endswith(".md"):
        return markdown
    return NAMED.sub(titled, LINK.sub(replaced, markdown))


def outside(link: str) -> str | None:
    """The path from the root of what a link of a page names outside ``docs/``."""
    path = posixpath.normpath(posixpath.join("docs", link))
    if path.startswith(("docs/", "..")) or not (ROOT / path).is_file():
        return None
    return path


def target(path: str) -> str:
    """Where the site has a file of the root; as text, which a browser shows."""
    return ROOT_PAGES.get(path, f"{OUTSIDE}/{path}.txt")


def modules(folder: Path) -> list[Path]:
    """The modules of a package that have public names."""
    return sorted(
        path for path in folder.rglob("*.py") if not path.stem.startswith("_") and public(path)
    )


def public(path: Path) -> bool:
    """Whether a module defines something that others may use."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    names += [
        one.id
        for node in body
        if isinstance(node, ast.Assign)
        for one in node.targets
        if isinstance(one, ast.Name)
    ]
    return any(not name.startswith("_") for name in names)


def rooms() -> Iterator[tuple[str, Path, list[Path]]]:
    """Every package with its modules; single modules under the package's own name."""
    alone = [path for path in sorted(PACKAGE.glob("*.py")) if path.stem not in WITHOUT_API]
    yield (
        "glassguard",
        PACKAGE / "__init__.py",
        [path for path in alone if path.stem != "__init__" and public(path)],
    )
    for init in sorted(PACKAGE.glob("*/__init__.py")):
        if init.parent.name not in WITHOUT_API:
            yield f"glassguard.{init.parent.name}", init, modules(init.parent)


def dotted(path: Path) -> str:
    """The name of a module."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def summary(path: Path) -> str:
    """The first sentence of a module's docstring, in Markdown."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return in_markdown(" ".join(text.split("\n\n")[0].split()))


def in_markdown(text: str) -> str:
    """A docstring's roles and literals as Markdown knows them."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")


class MarkdownDocstrings(griffe.Extension):
    """Docstrings are read by Python's help as well, where roles name what is meant."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object that was found."""
        if obj.docstring:
            obj.docstring.value = in_markdown(obj.docstring.value)


def navigation() -> list[dict[str, Any]]:
    """The part of the navigation below API."""
    return [
        {
            name: [
                f"api/{name}.md",
                *(
                    {dotted(path).removeprefix(f"{name}."): f"api/{dotted(path)}.md"}
                    for path in mine
                ),
            ]
        }
        for name, _, mine in rooms()
    ]


def api_pages() -> Iterator[tuple[str, str]]:
    """Path and text of every page of the API."""
    listed = []
    for name, init, mine in rooms():
        listed.append(f"| [`{name}`]({name}.md) | {summary(init)} |")
        rows = [f"| [`{dotted(path)}`]({dotted(path)}.md) | {summary(path)} |" for path in mine]
        table = "\n".join(["| module | |", "|---|---|", *rows])
        yield f"api/{name}.md", f"# {name}\n\n{summary(init)}\n\n{table}\n"
        for path in mine:
            yield f"api/{dotted(path)}.md", f"# {dotted(path)}\n\n::: {dotted(path)}\n"
    table = "\n".join(["| package | |", "|---|---|", *listed])
    start = (
        "The science takes and returns arrays and tensors and needs no workflow. Each page below "
        "is made from the docstrings, which give shapes, types, ranges, errors and the paper."
    )
    yield "api/index.md", f"# API\n\n{start}\n\n{table}\n"
