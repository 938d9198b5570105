"""The download of LFW, from a server on this machine in place of scikit-learn's address."""

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from datasets.made_collections import lfw_files, run_data, write_archive, write_folder
from sklearn import datasets
from sklearn.datasets import _lfw

from glassguard.configuration.sections import FetchPicturesSection
from glassguard.datasets.downloads import download
from glassguard.datasets.sources import lfw
from glassguard.errors import InputError
from glassguard.stages import fetch_pictures


@dataclass
class Figshare:
    """A server of both archives of LFW that knows ranges and misbehaves as it is told to.

    Attributes:
        archives: content by path.
        broken_off: answers that end in the middle, from now on.
        pause: seconds before every answer.
        asked: path and first byte of each request.
    """

    archives: dict[str, bytes] = field(default_factory=dict)
    broken_off: int = 0
    pause: float = 0.0
    asked: list[tuple[str, int]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        time.sleep(self.pause)
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=")[:-1])
        self.asked.append((request.path, start))
        content = self.archives[request.path]
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(content) - start))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        rest = content[start:]
        if self.broken_off:
            self.broken_off -= 1
            rest = rest[: len(rest) // 2]
        request.wfile.write(rest)


@pytest.fixture
def figshare(tmp_path, monkeypatch) -> Iterator[Figshare]:
    served = Figshare()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        for name, variant in (("ORIGINAL", lfw.ORIGINAL), ("FUNNELED", lfw.FUNNELED)):
            packed = write_archive(lfw_files(variant.folder), tmp_path / variant.file).read_bytes()
            served.archives[f"/{variant.file}"] = packed
            url = f"http://127.0.0.1:{server.server_address[1]}/{variant.file}"
            digest = hashlib.sha256(packed).hexdigest()
            monkeypatch.setattr(lfw, name, replace(variant, url=url, sha256=digest))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def fetch(config: FetchPicturesSection, listing: Path) -> dict:
    return fetch_pictures.run(
        config, listing=listing, gone=listing.with_name(f"gone_{listing.name}")
    )


def fetch_config(home: Path, *, funneled: bool = True) -> FetchPicturesSection:
    return FetchPicturesSection.model_validate(
        {"source": "lfw", "fetch": {"data_home": home, "funneled": funneled}}
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(lfw.ORIGINAL, _lfw.ARCHIVE), (lfw.FUNNELED, _lfw.FUNNELED_ARCHIVE)],
)
def test_the_archives_are_those_of_scikit_learn(ours, theirs):
    assert (ours.file, ours.url, ours.sha256) == (theirs.filename, theirs.url, theirs.checksum)


@pytest.mark.parametrize("funneled", [True, False])
def test_lfw_is_fetched_once_and_gives_what_a_copy_gives(funneled, figshare, tmp_path):
    listing, home = tmp_path / "lfw.csv", tmp_path / "home"
    config = fetch_config(home, funneled=funneled)
    assert fetch(config, listing) == {
        "people": 4,
        "pictures": 32,
    }
    fetch(config, listing)
    name = "lfw-funneled.tgz" if funneled else "lfw.tgz"
    assert figshare.asked == [(f"/{name}", 0)]
    run_data("lfw", None, tmp_path / "fetched", listing)
    folder = home / "lfw_home" / ("lfw_funneled" if funneled else "lfw")
    assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", folder.name]
    run_data("lfw", folder, tmp_path / "copy")
    for file in ("images.npy", "manifest.csv"):
        fetched, copy = ((tmp_path / out / file).read_bytes() for out in ("fetched", "copy"))
        assert fetched == copy


def test_scikit_learn_finds_what_is_fetched_here(figshare, tmp_path):
    home = tmp_path / "home"
    fetch(fetch_config(home), tmp_path / "lfw.csv")
    for target in _lfw.TARGETS:  # small lists that only its own evaluation reads
        (home / "lfw_home" / target.filename).touch()
    people = datasets.fetch_lfw_people(
        data_home=home, download_if_missing=False, min_faces_per_person=8, resize=0.2
    )
    assert len(people.images) == 32


def test_an_interrupted_download_of_lfw_goes_on_where_it_stopped(figshare, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setattr(
        lfw, "download", lambda *given, **keys: download(*given, attempts=1, **keys)
    )
    figshare.broken_off = 1
    with pytest.raises(InputError, match="the same command goes on with what has arrived"):
        fetch(fetch_config(home), tmp_path / "lfw.csv")
    arrived = (home / "lfw_home" / "lfw-funneled.tgz.part").stat().st_size
    assert arrived > 1000
    counts = fetch(fetch_config(home), tmp_path / "lfw.csv")
    assert counts == {"people": 4, "pictures": 32}
    assert figshare.asked[1:] == [("/lfw-funneled.tgz", arrived)]


def test_a_fetch_without_network_says_what_to_do(tmp_path, monkeypatch):
    nowhere = replace(lfw.FUNNELED, url="http://127.0.0.1:9/lfw-funneled.tgz")
    monkeypatch.setattr(lfw, "FUNNELED", nowhere)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(InputError, match=r"lfw.*127.*no connection.*data\.root=FOLDER"):
        fetch(fetch_config(tmp_path / "home"), tmp_path / "lfw.csv")


def test_a_data_home_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"data\.fetch\.data_home: .*file/home: cannot be made"):
        fetch(fetch_config(tmp_path / "file" / "home"), tmp_path / "lfw.csv")


def test_two_fetches_of_lfw_take_turns(figshare, tmp_path, capsys):
    config = fetch_config(tmp_path / "home")
    figshare.pause = 0.5
    with ThreadPoolExecutor(2) as workers:
        both = [workers.submit(fetch, config, tmp_path / name) for name in ("one.csv", "two.csv")]
        assert [one.result() for one in both] == [{"people": 4, "pictures": 32}] * 2
    assert len(figshare.asked) == 1
    assert "lfw_home: waiting for another download into it" in capsys.readouterr().err


def half_unpacked(home: Path, packed: bytes) -> Path:
    """An archive, and the folder beside it as a killed process of scikit-learn leaves it."""
    files = lfw_files("lfw_funneled")
    folder = write_folder(dict(list(files.items())[:3]), home / "lfw_home")
    archive = folder / "lfw-funneled.tgz"
    archive.write_bytes(packed)
    return archive


def test_another_archive_in_the_place_of_lfws_is_not_unpacked(figshare, tmp_path):
    archive = half_unpacked(tmp_path / "home", b"somebody else's")
    with pytest.raises(InputError, match=r"lfw-funneled\.tgz: has the SHA-256 .*delete it to dow"):
        fetch(fetch_config(tmp_path / "home"), tmp_path / "lfw.csv")
    assert archive.read_bytes() == b"somebody else's"


def test_a_half_unpacked_lfw_is_unpacked_again(figshare, tmp_path):
    archive = half_unpacked(tmp_path / "home", figshare.archives["/lfw-funneled.tgz"])
    # Nor is what a second interruption left behind taken for a picture.
    write_folder({"lfw_funneled/stale.jpg": b""}, archive.parent / "lfw_funneled.unpacking")
    counts = fetch(fetch_config(tmp_path / "home"), tmp_path / "lfw.csv")
    assert counts == {"people": 4, "pictures": 32}
    assert sorted(path.name for path in archive.parent.iterdir()) == [".lock", "lfw_funneled"]
    assert figshare.asked == []


def test_a_half_unpacked_lfw_with_a_damaged_archive_is_named(figshare, tmp_path, monkeypatch):
    cut = figshare.archives["/lfw-funneled.tgz"][:-2000]
    half_unpacked(tmp_path / "home", cut)
    published = replace(lfw.FUNNELED, sha256=hashlib.sha256(cut).hexdigest())
    monkeypatch.setattr(lfw, "FUNNELED", published)
    with pytest.raises(InputError, match=r"lfw-funneled\.tgz: cannot be unpacked.*delete it and"):
        fetch(fetch_config(tmp_path / "home"), tmp_path / "lfw.csv")
    assert not (tmp_path / "lfw.csv").exists()
