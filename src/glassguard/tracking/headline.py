"""The headline of a study as MLflow lists it: few metrics under lasting names, and verdicts.

The intervals of rates stay in the tables: a list of runs with every bound is not read by anybody.
"""

from collections.abc import Mapping
from typing import Any

from glassguard.report.tables import decimals, markdown
from glassguard.report.verdicts import FIGURES, at, bounds, verdict


def metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """The figures that a study has.

    Args:
        summary: ``summary.json``.
    """
    found = {name: at(summary, figure.path) for name, figure in FIGURES.items()}
    return {name: value for name, value in found.items() if value is not None}


def description(summary: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """What the page of a study's run says, in Markdown.

    Args:
        summary: ``summary.json``.
        links: address of each stage's run, by the name of the run.
    """
    rows = []
    for figure in FIGURES.values():
        here = at(summary, figure.path)
        if here is None or figure.study is None:
            continue
        interval = bounds(summary, figure.path)
        text = decimals(here)
        if None not in interval:
            text += f" [{'–'.join(decimals(float(one or 0)) for one in interval)}]"
        rows.append([figure.title, text, decimals(figure.study), verdict(summary, figure)])
    faces = "drawn faces, no real people" if summary.get("faces") == "embedded" else "photographs"
    parts = [
        f"**{summary.get('experiment', '')}, seed {summary.get('seed', '')}**: {faces}.",
        markdown(["figure", "here, 95 % interval", "study", "verdict"], rows) if rows else "",
        "The studies used other faces: a verdict compares numbers, not faces. `report.html` among "
        "the artifacts has every table and figure.",
        " · ".join(f"[{name}]({link})" for name, link in links.items()),
    ]
    return "\n\n".join(part for part in parts if part)
