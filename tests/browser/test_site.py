"""The documentation site: no dead link, and what a browser shows of it."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

pytestmark = pytest.mark.slow


class Links(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.places |= {str(named[name]) for name in ("id", "name") if named.get(name)}
        if tag in ("a", "img", "script", "link"):
            self.targets |= {str(named[name]) for name in ("href", "src") if named.get(name)}


def test_no_link_is_dead(site: Path) -> None:
    pages = {
        path: Links(path.read_text(encoding="utf-8"))
        for path in site.rglob("*.html")
        if path.name != "404.html"  # which a server shows at any depth
    }
    assert len(pages) > 100
    dead = []
    for path, page in pages.items():
        for link in page.targets:
            address, place = urldefrag(link)
            if urlsplit(address).scheme or address.startswith("//"):
                continue
            target = (path.parent / unquote(address)).resolve() if address else path
            missing = place and target in pages and unquote(place) not in pages[target].places
            if not target.is_file() or missing:
                dead.append(f"{path.relative_to(site)}: {link}")
    assert dead == [], dead[:20]


def test_every_page_can_be_reached_from_the_start(site: Path) -> None:
    start = (site / "index.html").resolve()
    reached, waiting = {start}, [start]
    while waiting:
        path = waiting.pop()
        for link in Links(path.read_text(encoding="utf-8")).targets:
            target = (path.parent / unquote(urldefrag(link)[0])).resolve()
            if target.suffix == ".html" and target.is_file() and target not in reached:
                reached.add(target)
                waiting.append(target)
    every = {path.resolve() for path in site.rglob("*.html") if path.name != "404.html"}
    assert every - reached == set()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_ask_nobody_else_and_report_no_error(browser, served, width, scheme) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-GB"
    )
    page = context.new_page()
    errors: list[str] = []
    foreign: list[str] = []
    page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: errors.append(str(one)))
    page.on(
        "request",
        lambda one: (
            None if one.url.startswith((served, "data:", "blob:")) else foreign.append(one.url)
        ),
    )
    for name in ("index", "arrays", "configuration", "detection", "api/glassguard.influence"):
        page.goto(f"{served}/{name}.html")
        page.wait_for_load_state("networkidle")
        assert page.locator("h1").first.is_visible()
        beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(beyond) == 0, name
    assert (errors, foreign) == ([], [])
    shown = page.evaluate("document.body.dataset.mdColorScheme")
    assert shown == {"light": "default", "dark": "slate"}[scheme]
    context.close()


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("largest_clean_loss", "configuration.html"),
        ("InternalInfluence", "api/glassguard.influence"),
        ("Keras", "weights.html"),
        ("examples.csv", "result-files.html"),
    ],
)
def test_the_search_finds_keys_classes_and_files(browser, served, asked, answer) -> None:
    page = browser.new_page()
    page.goto(f"{served}/index.html")
    page.wait_for_load_state("networkidle")
    page.locator("input.md-search__input").click()
    # Key by key: a value put in at once is lost where the search has not listened yet.
    page.locator("input.md-search__input").press_sequentially(asked, delay=20)
    page.locator(".md-search-result__link").first.wait_for(timeout=60_000)
    found = page.locator(".md-search-result__link").evaluate_all("all => all.map(a => a.href)")
    pages = list(dict.fromkeys(urlsplit(address).path for address in found))
    assert any(answer in page for page in pages[:3]), pages
    page.close()


def test_a_reader_gets_from_the_start_to_a_key_in_two_clicks(browser, served) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{served}/index.html")
    page.get_by_role("link", name="Configuration", exact=True).first.click()
    page.get_by_role("link", name="saliency", exact=True).first.click()
    assert page.url.endswith("configuration.html#saliency")
    assert page.get_by_text("saliency.largest_clean_loss").is_visible()
    page.close()
