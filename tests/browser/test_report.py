"""The report of a study as a browser shows it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up_study import configuration, with_interval, write_report, write_results

from glassguard.stages import figures

pytestmark = pytest.mark.slow
BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in a folder of its own, with a long table of pairs."""
    root = tmp_path_factory.mktemp("results") / "made_up"
    write_results(root)
    pairs = []
    for number in range(20):
        row = {"target": "ann", "attacker": f"p{number:02d}", "slice": "conv4_3", "variant": "raw"}
        row |= {"target": "bob"} if number % 2 else {}
        for name in ("benign_target", "benign_other", "impersonation"):
            row = with_interval(row, name, (7 * number) % 20, 20)
        pairs.append(row)
    # The pair of the face whose story is told.
    pairs[0] |= {"attacker": "007"}
    pd.DataFrame(pairs).to_csv(root / "detection/table1.csv", index=False)
    figures.run(configuration(), results=root, figures=root / "figures")
    write_report(root, configuration())
    alone = tmp_path_factory.mktemp("alone") / "report.html"
    shutil.copy(root / "report.html", alone)
    return alone


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def page(request: Any, browser: Any, report: Path) -> Iterator[Any]:
    """The report as opened; it must ask nobody for anything and report no error."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = context.new_page()
    errors: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    opened.on("pageerror", lambda one: errors.append(str(one)))
    opened.on("request", lambda one: asked.append(one.url.partition(",")[0]))
    opened.goto(report.as_uri())
    yield opened
    assert errors == []
    assert {one for one in asked if not one.startswith("data:image/")} == {report.as_uri()}
    context.close()


def test_the_page_fits_folded_and_unfolded(page: Any) -> None:
    assert page.evaluate(BEYOND) == 0
    for part in page.locator("details.part > summary").all():
        part.click()
    assert page.locator("details.part:not([open])").count() == 0
    for button in page.locator("button.all:visible").all():
        button.click()
    assert page.evaluate(BEYOND) == 0
    drawn = "all => all.every(one => one.complete && one.naturalWidth > 0)"
    page.wait_for_load_state("networkidle")
    assert page.locator("img").evaluate_all(drawn)


def test_the_colours_follow_the_readers_setting(page: Any) -> None:
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert ground == ("rgb(23, 24, 26)" if dark else "rgb(255, 255, 255)")


def test_the_first_screen_has_five_numbers_and_a_verdict(page: Any) -> None:
    assert page.locator(".numbers b").count() == 5
    assert page.get_by_text("Are the two studies reproduced?").is_visible()
    assert page.locator("#operating_curves img").is_visible()
    assert page.locator(".story img").count() == 7
    if page.viewport_size["width"] == 1280:
        assert page.locator("#operating_curves").bounding_box()["y"] < 500
        assert page.locator(".verdicts tbody tr:visible").first.bounding_box()["y"] < 700


@pytest.fixture
def pairs(browser: Any, report: Path) -> Iterator[Any]:
    """The long table, in its unfolded part."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.goto(report.as_uri())
    opened.locator("details.part", has_text="Study I: detection").locator("summary").first.click()
    yield opened.locator("figure.table", has_text="Study I, Table 1")
    opened.close()


def names(table: Any) -> list[str]:
    return table.locator("tbody tr:visible > th").all_inner_texts()


def test_a_long_table_shows_what_matters_and_then_all(pairs: Any) -> None:
    assert len(names(pairs)) == 6
    assert names(pairs)[0] == "mean over pairs"
    assert "Lujo → Milla Jovovich" in names(pairs)
    pairs.get_by_role("button", name="Show all 24 rows").click()
    assert len(names(pairs)) == 24
    pairs.get_by_role("button", name="Show fewer rows").click()
    assert len(names(pairs)) == 6


def test_a_heading_sorts_by_number_and_back(pairs: Any) -> None:
    pairs.locator("button.all").click()
    heading = pairs.get_by_role("button", name="impersonations rejected")
    cells = pairs.locator("tbody tr > td:last-child")

    def measured() -> list[float]:
        return [float(text.partition(" ")[0]) for text in cells.all_inner_texts()]

    heading.click()
    assert measured() == sorted(measured(), reverse=True)
    assert measured()[0] == 100.0
    heading.click()
    assert measured() == sorted(measured())
    assert heading.locator("xpath=..").get_attribute("aria-sort") == "ascending"
    pairs.get_by_role("button", name="pair", exact=True).click()
    assert names(pairs)[:5] == [
        *("007 → ann", "Lujo → Milla Jovovich", "Mahmood → Ariel", "mean over pairs"),
        "p01 → bob",
    ]


def test_a_filter_keeps_the_rows_with_all_words(pairs: Any) -> None:
    pairs.get_by_role("searchbox").fill("BOB p1")
    assert names(pairs) == [f"p{number} → bob" for number in (11, 13, 15, 17, 19)]
    assert pairs.get_by_text("5 of 24 rows").is_visible()
    pairs.get_by_role("searchbox").fill("")
    assert len(names(pairs)) == 6


def test_a_link_into_a_folded_part_opens_it(browser: Any, report: Path) -> None:
    opened = browser.new_page()
    opened.goto(f"{report.as_uri()}#layers")
    assert opened.locator("#layers img").is_visible()
    opened.close()


def test_on_paper_everything_is_unfolded(browser: Any, report: Path) -> None:
    opened = browser.new_page()
    opened.goto(report.as_uri())
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    opened.emulate_media(media="print")
    assert opened.locator("details.part:not([open])").count() == 0
    table = opened.locator("figure.table", has_text="Study I, Table 1")
    assert len(names(table)) == 24
    assert not table.get_by_role("searchbox").is_visible()
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.locator("details.part[open]").count() == 0
    opened.close()


def test_without_scripts_every_row_is_there(browser: Any, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(report.as_uri())
    opened.locator("details.part", has_text="Study I: detection").locator("summary").first.click()
    table = opened.locator("figure.table", has_text="Study I, Table 1")
    assert len(names(table)) == 24
    assert not table.locator("button.all").is_visible()
    context.close()
