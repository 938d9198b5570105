"""PubFig's list, and its photographs from a server on this machine that behaves badly."""

import contextlib
import hashlib
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from datasets.made_collections import run_data
from shipped import section

from glassguard.configuration.sections import FetchPicturesSection
from glassguard.datasets.downloads import alone_in
from glassguard.datasets.sources import pubfig
from glassguard.datasets.sources.pubfig import parse_list
from glassguard.errors import InputError
from glassguard.stages import fetch_pictures

HEAD = (
    "# PubFig Dataset v1.2 - dev_urls.txt - made by a test\n"
    "#\tperson\timagenum\turl\trect\tmd5sum\n"
)
MD5 = "0123456789abcdef0123456789abcdef"


def row(person="Ada", number=1, url="http://x.org/1.jpg", rect="10,20,110,120", md5=MD5) -> str:
    return f"{person}\t{number}\t{url}\t{rect}\t{md5}\n"


def test_a_row_is_read_as_published():
    (picture,), refused = parse_list(HEAD + row(rect="-3,20,110,120", md5=MD5.upper()))
    assert picture.person == "Ada"
    assert picture.source == "Ada/1"
    assert picture.address == "http://x.org/1.jpg"
    assert picture.rectangle == (-3, 20, 110, 120)
    assert picture.md5 == MD5
    assert refused == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Ada\t1\thttp://x.org/1.jpg\t10,20,110", "4 values"),
        (row(person=" "), "no name"),
        (row(person="A\x07da"), "no name"),
        (row(number="one"), "imagenum"),
        (row(url="file:///etc/passwd"), "http address"),
        (row(url="http:///1.jpg"), "http address"),
        (row(url="http://[1.jpg"), "http address"),
        (row(rect="10,20,110"), "rect is not"),
        (row(rect="110,20,10,120"), "rect is empty"),
        (row(rect="-50,20,-10,120"), "rect is empty"),
        (row(md5=MD5[:-1]), "md5sum"),
        (row(url="http://x.org/" + "a" * 5000), "longer than"),
    ],
)
def test_a_malformed_row_is_left_out_with_its_line(line, reason):
    good = row(number=2, url="http://x.org/2.jpg", md5="f" * 32)
    pictures, refused = parse_list(HEAD + line.rstrip("\n") + "\n" + good)
    assert [picture.number for picture in pictures] == [2]
    ((source, said),) = refused
    assert source == "line 3"
    assert said.startswith("malformed row: ")
    assert reason in said


def test_listed_twice_is_used_once_and_under_two_names_never():
    text = HEAD + "".join(
        [
            row(number=1, url="http://x.org/1.jpg", md5="a" * 32),
            row(number=2, url="http://y.org/copy.jpg", md5="a" * 32),
            row(number=3, url="http://x.org/1.jpg", md5="b" * 32),
            row(number=4, url="http://x.org/4.jpg", md5="c" * 32),
            row(person="Bo", number=1, url="http://x.org/5.jpg", md5="c" * 32),
        ]
    )
    pictures, refused = parse_list(text)
    assert [picture.source for picture in pictures] == ["Ada/1"]
    assert dict(refused) == {
        "Ada/2": "the same picture is listed in line 3",
        "Ada/3": "the same picture is listed in line 3",
        "Ada/4": "the same file is listed for Ada and Bo",
        "Bo/1": "the same file is listed for Ada and Bo",
    }


@pytest.mark.parametrize(
    "text", ["", "<html>404</html>", HEAD, "#\tperson\turl\timagenum\trect\tmd5sum\n" + row()]
)
def test_another_file_is_no_list(text):
    with pytest.raises(ValueError, match=r"columns must be|no row of"):
        parse_list(text)


def photograph(*seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(30, 220, (16, 16, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (200, 160), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", picture)[1].tobytes()


@dataclass
class Site:
    """A server whose pages misbehave as they are told to.

    Attributes:
        pages: content by path; what else there is decides :meth:`answer` by the path's first part.
        asked: how often each path was asked for.
        agents: what clients called themselves.
    """

    pages: dict[str, bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    agents: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        with self.lock:
            self.asked[path] += 1
            self.agents.add(request.headers.get("User-Agent", ""))
            times = self.asked[path]
        self._answer(request, path, times)

    def _answer(self, request: BaseHTTPRequestHandler, path: str, times: int) -> None:
        content = self.pages.get(path)
        kind = path.split("/")[1]
        if content is None or kind == "dead":
            request.send_error(404)
            return
        if kind == "busy" and times == 1:
            request.send_error(503)
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if kind == "cut" or (kind == "once_cut" and times == 1):
            request.wfile.write(content[: len(content) // 2])
        elif kind == "slow":
            for at in range(0, len(content), 64):
                request.wfile.write(content[at : at + 64])
                request.wfile.flush()
                time.sleep(0.1)
        elif kind == "silent":
            time.sleep(2)
        else:
            request.wfile.write(content)


@contextlib.contextmanager
def _serving(port: int, answers: Site) -> Iterator[int]:
    """The answers at a port, or at a free one where it is 0."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                answers.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    answers = Site()
    with _serving(0, answers) as answers.port:
        yield answers


def fetch(list_file: Path | None, out: Path, **keys) -> tuple[dict, pd.DataFrame, pd.Series]:
    out.mkdir(exist_ok=True)
    quick = {
        "list_file": list_file, "list_sha256": None, "pause": 0.0, "attempts": 2, "silence": 0.5,
        "deadline": 1.0, "maximum_bytes": 60_000, "give_up": 10,
    }  # fmt: skip
    values = section("data/pubfig")["fetch"] | quick | keys
    metrics = fetch_pictures.run(
        FetchPicturesSection.model_validate({"source": "pubfig", "fetch": values}),
        listing=out / "pubfig.csv",
        gone=out / "gone.csv",
    )
    gone = pd.read_csv(out / "gone.csv", keep_default_na=False).set_index("source").reason
    return metrics, pd.read_csv(out / "pubfig.csv"), gone


def fetch_until_killed(list_file: Path, out: Path, monkeypatch, **keys) -> None:
    """A fetch that is killed before it asks for ``4.jpg``."""
    download = pubfig.download

    def killed(address, *arguments, **keywords):
        if "/4.jpg" in address:
            raise KeyboardInterrupt
        return download(address, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(pubfig, "download", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(list_file, out, **keys)


def photographs(site, *kinds: str) -> list[tuple[str, int, str, bytes]]:
    """A row of a list for each photograph of one person, which the site has below its kind."""
    rows = []
    for number, kind in enumerate(kinds):
        content = photograph(number)
        site.pages[f"/{kind}/{number}.jpg"] = content
        rows.append(("Ada", number, site.address(f"/{kind}/{number}.jpg"), content))
    return rows


def listed(rows: list[tuple[str, int, str, bytes]], path: Path) -> Path:
    """A list of (person, number, address, content that was there in 2010)."""
    lines = [
        row(person, number, address, md5=hashlib.md5(content).hexdigest())
        for person, number, address, content in rows
    ]
    path.write_text(HEAD + "".join(lines))
    return path


KINDS = (
    "good", "busy", "once_cut", "dead", "cut", "slow", "silent", "other", "page", "large", "empty",
)  # fmt: skip


@pytest.fixture
def mixed(site, tmp_path) -> Path:
    """One photograph of each kind."""
    rows = []
    for number, kind in enumerate(KINDS):
        path, content = f"/{kind}/1.jpg", photograph(number)
        site.pages[path] = {
            "other": photograph(99),
            "page": b"\n<!DOCTYPE html><html>This photo is no longer available</html>",
            "large": bytes(60_001),
            "empty": b"",
        }.get(kind, content)
        rows.append(("Ada", number, site.address(path), content))
    return listed(rows, tmp_path / "dev_urls.txt")


def test_what_is_there_is_kept_and_what_is_gone_has_its_reason(site, mixed, tmp_path):
    metrics, listing, gone = fetch(mixed, tmp_path / "out")
    kinds = {f"Ada/{number}": kind for number, kind in enumerate(KINDS)}
    assert [kinds[source] for source in listing.source] == ["good", "busy", "once_cut"]
    for path in listing.path:
        content = Path(path).read_bytes()
        assert hashlib.md5(content).hexdigest() == Path(path).stem
    assert (listing[["left", "top", "right", "bottom"]] == [10, 20, 110, 120]).all(axis=None)
    reasons = {kinds[source]: reason for source, reason in gone.items()}
    assert "404" in reasons["dead"]
    assert "broke off" in reasons["cut"]
    assert "took longer than 1 s" in reasons["slow"]
    assert "silent" in reasons["silent"] or "in time" in reasons["silent"]
    assert reasons["other"] == "another file than the one listed (MD5)"
    assert "web page" in reasons["page"]
    assert "at most 60000" in reasons["large"]
    assert "empty" in reasons["empty"]
    assert metrics == {"listed": 11, "pictures": 3, "people": 1, "gone": 8}
    assert site.asked["/dead/1.jpg"] == 1
    assert site.asked["/cut/1.jpg"] == 2
    assert all("glassguard" in agent for agent in site.agents)
    assert not list((tmp_path / "out" / "originals").glob("*.unchecked"))
    assert not (tmp_path / "out" / "pubfig.csv.journal").exists()


def test_what_is_there_with_the_right_digest_is_not_fetched_again(site, tmp_path):
    rows = photographs(site, *["good"] * 4)
    path = listed(rows, tmp_path / "dev_urls.txt")
    store = tmp_path / "store"
    _, listing, _ = fetch(path, tmp_path / "one", downloads=store)
    Path(listing.path[2]).write_bytes(b"spoilt since")
    fetch(path, tmp_path / "two", downloads=store)
    assert site.asked == {
        "/good/0.jpg": 1, "/good/1.jpg": 1, "/good/2.jpg": 2, "/good/3.jpg": 1,
    }  # fmt: skip
    assert Path(listing.path[2]).read_bytes() == photograph(2)


def test_two_fetches_into_one_folder_take_turns(site, tmp_path):
    rows = photographs(site, *["good"] * 6)
    keys = {
        "list_file": None, "list_sha256": None, "downloads": str(tmp_path / "shared"),
        "list_address": site.address("/good/dev_urls.txt"), "pause": 0.0,
    }  # fmt: skip
    site.pages["/good/dev_urls.txt"] = listed(rows, tmp_path / "list.txt").read_bytes()
    keys["list_sha256"] = hashlib.sha256(site.pages["/good/dev_urls.txt"]).hexdigest()
    config = tmp_path / "fetch.yaml"
    config.write_text(
        yaml.safe_dump({"source": "pubfig", "fetch": section("data/pubfig")["fetch"] | keys})
    )
    command = [sys.executable, "-m", "glassguard.cli", "fetch_pictures", "--config", str(config)]
    processes = []
    # Both have come before either of them may begin.
    with alone_in(tmp_path / "shared"):
        for name in ("one", "two"):
            files = {"listing": "pubfig.csv", "gone": "gone.csv", "record": "record.json"}
            options = [f"--{key}={tmp_path / name / file}" for key, file in files.items()]
            process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
            assert process.stderr is not None
            assert "shared: waiting for another download into it" in process.stderr.readline()
            processes.append(process)
        assert not site.asked
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert set(site.asked.values()) == {1}
    assert len(site.asked) == 7
    for name in ("one", "two"):
        listing = pd.read_csv(tmp_path / name / "pubfig.csv")
        found = [Path(path).read_bytes() for path in listing.path]
        assert found == [content for *_, content in rows]


def test_an_interrupted_fetch_goes_on_where_it_stopped(site, tmp_path, monkeypatch):
    rows = photographs(site, *["good", "dead"] * 3)
    path = listed(rows, tmp_path / "dev_urls.txt")
    fetch_until_killed(path, tmp_path / "out", monkeypatch)
    with (tmp_path / "out" / "pubfig.csv.journal").open("a") as journal:
        journal.write('["cut of')
    metrics, _, gone = fetch(path, tmp_path / "out")
    assert set(site.asked.values()) == {1}
    assert metrics["pictures"] == 3
    assert sorted(gone.index) == ["Ada/1", "Ada/3", "Ada/5"]
    # A call of its own asks again for what is gone.
    fetch(path, tmp_path / "out")
    assert site.asked["/dead/1.jpg"] == 2
    assert site.asked["/good/0.jpg"] == 1


def test_a_server_is_asked_for_one_file_at_a_time_and_servers_side_by_side(tmp_path, monkeypatch):
    rows = [
        ("Ada", number, f"http://{number % 3}.org/{number}.jpg", photograph(number))
        for number in range(18)
    ]
    content = {address: body for _, _, address, body in rows}
    lock, under_way, most = threading.Lock(), Counter(), Counter()

    def download(address, destination, **_):
        host = address.split("/")[2]
        with lock:
            under_way.update([host, "all"])
            for name in (host, "all"):
                most[name] = max(most[name], under_way[name])
        time.sleep(0.03)
        destination.write_bytes(content[address])
        with lock:
            under_way.subtract([host, "all"])

    monkeypatch.setattr(pubfig, "download", download)
    started = time.monotonic()
    path = listed(rows, tmp_path / "list.txt")
    metrics, *_ = fetch(path, tmp_path / "out", hosts=2, pause=0.05)
    assert metrics["pictures"] == 18
    assert most == {"0.org": 1, "1.org": 1, "2.org": 1, "all": 2}
    assert time.monotonic() - started > 2 * 5 * 0.05


def test_a_server_that_does_not_answer_is_given_up(tmp_path, site):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_address[1]
    rows = [("Ada", n, f"http://127.0.0.1:{port}/{n}.jpg", photograph(n)) for n in range(6)]
    site.pages["/good/1.jpg"] = photograph(9)
    rows.append(("Ada", 9, site.address("/good/1.jpg"), photograph(9)))
    _, _, gone = fetch(listed(rows, tmp_path / "list.txt"), tmp_path / "out", attempts=1, give_up=2)
    assert sorted(Counter(gone).values()) == [2, 4]
    assert "failed 2 times in a row and was not asked again; last: no connection" in gone["Ada/5"]


def test_a_network_that_was_down_is_asked_again_by_the_same_call(tmp_path, site):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        dead = closed.server_address[1]
    site.port = dead
    rows = photographs(site, *["good"] * 6)
    path = listed(rows, tmp_path / "list.txt")
    with pytest.raises(InputError, match="no photograph is left; 6 times: no connection"):
        fetch(path, tmp_path / "out", attempts=1, give_up=2)
    assert not (tmp_path / "out" / "pubfig.csv.journal").exists()
    # The addresses stay as they were, and now somebody listens.
    with _serving(dead, site):
        metrics, *_ = fetch(path, tmp_path / "out", attempts=1, give_up=2)
    assert metrics["pictures"] == 6


def test_what_a_network_lost_before_a_kill_is_asked_for_after_it(site, tmp_path, monkeypatch):
    rows = photographs(site, "good", "dead", "busy", "busy", "good")
    path = listed(rows, tmp_path / "dev_urls.txt")
    fetch_until_killed(path, tmp_path / "out", monkeypatch, attempts=1)
    metrics, _, gone = fetch(path, tmp_path / "out", attempts=1)
    assert list(gone.index) == ["Ada/1"]
    assert metrics["pictures"] == 4
    assert site.asked["/dead/1.jpg"] == 1
    assert site.asked["/busy/2.jpg"] == 2


def test_nothing_left_is_one_line(tmp_path, site):
    path = listed([("Ada", 1, site.address("/dead/1.jpg"), b"x")], tmp_path / "list.txt")
    with pytest.raises(InputError, match=r"data\.source=pubfig: no photograph is left; .*404"):
        fetch(path, tmp_path / "out")


def test_the_list_is_downloaded_and_must_be_the_published_one(site, tmp_path):
    site.pages["/good/1.jpg"] = photograph(1)
    path = listed([("Ada", 1, site.address("/good/1.jpg"), photograph(1))], tmp_path / "list.txt")
    site.pages["/lists/dev_urls.txt"] = path.read_bytes()
    address = site.address("/lists/dev_urls.txt")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for _ in range(2):
        fetch(None, tmp_path / "out", list_address=address, list_sha256=digest)
    assert site.asked["/lists/dev_urls.txt"] == 1
    with pytest.raises(InputError, match=r"dev_urls\.txt: has SHA-256"):
        fetch(None, tmp_path / "other", list_address=address, list_sha256="0" * 64)
    with pytest.raises(InputError, match=r"data\.fetch\.list_file: .*is not the published list"):
        fetch(path, tmp_path / "out", list_sha256="0" * 64)
    with pytest.raises(InputError, match=r"data\.fetch\.list_file: .*cannot be read"):
        fetch(tmp_path / "nowhere", tmp_path / "out")


def test_fetched_photographs_are_cut_to_their_rectangles(site, tmp_path):
    rows = []
    for person, name in enumerate(("Ada", "Bo", "Cid", "Dora", "Eve")):
        for number in range(6 + (name != "Eve")):
            path = f"/good/{name}{number}.jpg"
            site.pages[path] = photograph(person, number)
            rows.append((name, number, site.address(path), photograph(person, number)))
    path = listed(rows, tmp_path / "list.txt")
    lines = path.read_text().splitlines(keepends=True)
    at = next(at for at, line in enumerate(lines) if line.startswith("Bo\t0\t"))
    lines[at] = lines[at].replace("10,20,110,120", "190,150,400,400")
    path.write_text("".join(lines))
    fetch(path, tmp_path / "out")
    listing = tmp_path / "out" / "pubfig.csv"
    _, manifest, reasons = run_data("pubfig", None, tmp_path / "data", listing, identities=4)
    assert manifest.groupby("identity").size().to_dict() == {"Ada": 7, "Bo": 6, "Cid": 7, "Dora": 7}
    assert reasons["Bo/0"].startswith("10×10 pixels of the face's rectangle")
    assert (reasons[[f"Eve/{n}" for n in range(6)]] == "person beyond data.identities=4").all()
    assert (manifest.width == 200).all()
