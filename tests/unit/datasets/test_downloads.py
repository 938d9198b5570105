"""Downloads, and the stage that makes them, from a local server that behaves well and badly."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from glassguard.configuration.sections import FetchSection
from glassguard.datasets.downloads import DownloadError, alone_in, download
from glassguard.errors import InputError
from glassguard.stages import fetch

CONTENT = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
TAG = '"one"'


class Answers(ThreadingHTTPServer):
    """Answers every request by ``answer`` and keeps what was asked."""

    daemon_threads = True
    answer: Callable[["Handler"], None]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, str]] = []
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.bin"


class Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        self.server.answer(self)

    def send(self, status: int, body: bytes = b"", length: int | None = None, **more: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def whole_or_rest(handler: Handler) -> None:
    """Like a web server that knows ranges."""
    asked = handler.headers.get("Range")
    if asked is None or handler.headers.get("If-Range", TAG) != TAG:
        handler.send(200, CONTENT, ETag=TAG)
    else:
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        where = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler.send(206, CONTENT[start:], ETag=TAG, Content_Range=where)


@pytest.fixture
def server() -> Iterator[Answers]:
    with Answers() as answers:
        answers.answer = whole_or_rest
        thread = threading.Thread(target=answers.serve_forever, args=(0.01,))
        thread.start()
        yield answers
        answers.stopped.set()
        answers.shutdown()
        thread.join()


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "file.bin"


def fetched(server: Answers, destination: Path, **changes: object) -> str:
    given = {"sha256": DIGEST, "maximum_bytes": 10**6, "pause": 0.001, "attempts": 3, **changes}
    return download(server.url, destination, **given)  # type: ignore[arg-type]


def refusal(server: Answers, destination: Path, **changes: object) -> str:
    with pytest.raises(DownloadError) as caught:
        fetched(server, destination, **changes)
    message = str(caught.value)
    assert message == f"{server.url}: {caught.value.reason}"
    assert "\n" not in message
    assert not destination.exists()
    return caught.value.reason


def once(first: Callable[[Handler], None]) -> Callable[[Handler], None]:
    """``first`` for the first request, a well-behaved server for the others."""

    def answer(handler: Handler) -> None:
        (first if len(handler.server.asked) == 1 else whole_or_rest)(handler)

    return answer


def half(handler: Handler) -> None:
    handler.send(200, CONTENT[: len(CONTENT) // 2], length=len(CONTENT), ETag=TAG)
    handler.close_connection = True


@pytest.mark.parametrize("digest", [DIGEST, DIGEST.upper(), DIGEST[:8], None])
def test_a_file_arrives_whole_and_alone(server, destination, digest, capsys):
    assert fetched(server, destination, sha256=digest) == DIGEST
    assert destination.read_bytes() == CONTENT
    assert [path.name for path in destination.parent.iterdir()] == ["file.bin"]
    assert (
        f"downloading file.bin, bytes: {len(CONTENT)} of {len(CONTENT)}" in capsys.readouterr().err
    )


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_of_the_server_is_final(server, destination, status):
    server.answer = lambda handler: handler.send(status)
    assert f"answers {status}" in refusal(server, destination)
    assert len(server.asked) == 1


def test_an_overloaded_server_is_asked_again(server, destination):
    server.answer = once(lambda handler: handler.send(503, Retry_After="0"))
    assert fetched(server, destination) == DIGEST
    server.answer = lambda handler: handler.send(503)
    destination.unlink()
    server.asked.clear()
    assert refusal(server, destination) == "answers 503 Service Unavailable (tried 3 times)"
    assert len(server.asked) == 3


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_a_broken_connection_goes_on_where_it_stopped(server, destination, digest):
    server.answer = once(half)
    assert fetched(server, destination, sha256=digest) == DIGEST
    assert destination.read_bytes() == CONTENT
    assert server.asked[1]["Range"] == f"bytes={len(CONTENT) // 2}-"
    assert server.asked[1]["If-Range"] == TAG


def test_a_later_call_goes_on_where_an_earlier_one_was_stopped(server, destination):
    server.answer = half
    assert "(tried 1 times)" in refusal(server, destination, attempts=1)
    server.answer = whole_or_rest
    assert fetched(server, destination) == DIGEST
    assert server.asked[-1]["Range"] == f"bytes={len(CONTENT) // 2}-"


def test_a_file_that_stays_truncated_is_refused(server, destination):
    def nothing_more(handler: Handler) -> None:
        where = handler.headers.get("Range")
        if where is None:
            half(handler)
        else:
            start = int(where.removeprefix("bytes=").removesuffix("-"))
            handler.send(206, b"", length=9, Content_Range=f"bytes {start}-{start + 8}/9")
            handler.close_connection = True

    server.answer = nothing_more
    assert "tried 3 times" in refusal(server, destination)
    assert len(server.asked) == 3


def test_pieces_of_two_versions_are_never_joined(server, destination):
    def other_half(handler: Handler) -> None:
        handler.send(200, bytes(1000), length=len(CONTENT), ETag='"other"')
        handler.close_connection = True

    server.answer = once(other_half)
    assert fetched(server, destination, sha256=None) == DIGEST

    def untagged(handler: Handler) -> None:
        handler.send(200, bytes(1000), length=len(CONTENT))
        handler.close_connection = True

    server.asked.clear()
    server.answer = once(untagged)
    assert fetched(server, destination, sha256=None) == DIGEST
    assert "Range" not in server.asked[1]
    server.asked.clear()
    server.answer = once(untagged)
    assert fetched(server, destination) == DIGEST, "a digest tells wrong pieces, so it starts again"
    assert ["Range" in asked for asked in server.asked] == [False, True, False]


def test_a_server_without_ranges_sends_it_all_again(server, destination):
    server.answer = once(half)
    original = server.answer

    def no_ranges(handler: Handler) -> None:
        del handler.headers["Range"]
        original(handler)

    server.answer = no_ranges
    assert fetched(server, destination) == DIGEST


def test_a_wrong_digest_is_refused_and_left_nowhere(server, destination):
    reason = refusal(server, destination, sha256="0" * 64)
    assert DIGEST in reason
    assert "0" * 64 in reason
    assert list(destination.parent.iterdir()) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("start", [b"<!DOCTYPE html>", b"\n <html lang=en>", b"\xef\xbb\xbf<HTML>"])
def test_a_web_page_is_refused(server, destination, start):
    server.answer = lambda handler: handler.send(200, start + b"<p>Please log in</p>")
    assert "web page" in refusal(server, destination, sha256=None)
    assert list(destination.parent.iterdir()) == []


def test_an_empty_file_is_refused(server, destination):
    server.answer = lambda handler: handler.send(200)
    assert refusal(server, destination, sha256=None) == "is empty"


def test_too_long_a_file_is_refused_before_and_while_it_arrives(server, destination):
    assert f"has {len(CONTENT)} bytes" in refusal(server, destination, maximum_bytes=1000)

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(CONTENT)

    server.answer = endless
    assert "is longer than" in refusal(server, destination)
    assert list(destination.parent.iterdir()) == []


def test_chunks_arrive_and_compression_is_refused(server, destination):
    def chunked(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for at in range(0, len(CONTENT), 1000):
            handler.wfile.write(b"%x\r\n%b\r\n" % (1000, CONTENT[at : at + 1000]))
        handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    server.answer = chunked
    assert fetched(server, destination, sha256=None) == DIGEST
    destination.unlink()
    server.answer = lambda handler: handler.send(200, b"abc", Content_Encoding="gzip")
    assert "compressed" in refusal(server, destination)


def test_a_silent_server_is_given_up(server, destination):
    def silent(handler: Handler) -> None:
        handler.server.stopped.wait(2)

    server.answer = once(silent)
    assert fetched(server, destination, silence=0.05) == DIGEST


def test_a_slow_server_is_left_at_the_deadline_and_resumed(server, destination):
    def slow(handler: Handler) -> None:
        handler.send(200, CONTENT[:1000], length=len(CONTENT), ETag=TAG)
        for at in range(1000, 2000, 10):
            if handler.server.stopped.wait(0.01):
                return
            handler.wfile.write(CONTENT[at : at + 10])

    server.answer = once(slow)
    assert fetched(server, destination, silence=0.5, deadline=0.1) == DIGEST


def test_no_server_and_no_web_address_are_named(server, destination):
    server.server_close()
    assert "no connection" in refusal(server, destination)
    with pytest.raises(DownloadError, match="leads to an address that is not http or https"):
        download("file:///etc/passwd", destination, sha256=None, maximum_bytes=1)


def test_a_destination_is_replaced_only_by_a_good_file(server, destination):
    destination.parent.mkdir()
    destination.write_bytes(b"old")
    with pytest.raises(DownloadError):
        fetched(server, destination, sha256="0" * 64)
    assert destination.read_bytes() == b"old"
    fetched(server, destination, show_progress=False)
    assert destination.read_bytes() == CONTENT


def run_fetch(server: Answers, file: Path, sha256: str | None) -> dict:
    described = {"file": file.name, "url": server.url, "sha256": sha256, "maximum_bytes": 10**6}
    return fetch.run(FetchSection.model_validate({"download": described}), file=file)


def test_a_file_without_a_published_digest_must_stay_the_same(server, destination):
    known = destination.with_name("file.bin.sha256")
    assert run_fetch(server, destination, None)["sha256"] == DIGEST
    assert known.read_text() == f"{DIGEST}  file.bin\n"
    destination.unlink()
    assert run_fetch(server, destination, None)["bytes"] == len(CONTENT)
    destination.unlink()
    server.answer = lambda handler: handler.send(200, b"something else")
    with pytest.raises(InputError, match=r"file\.bin\.sha256: delete it to accept") as caught:
        run_fetch(server, destination, None)
    assert DIGEST in str(caught.value)
    assert not destination.exists()
    known.write_text("nonsense")
    with pytest.raises(InputError, match=r"file\.bin\.sha256: does not begin with a SHA-256"):
        run_fetch(server, destination, None)
    known.unlink()
    run_fetch(server, destination, None)
    assert destination.read_bytes() == b"something else"


def test_a_published_digest_is_what_counts(server, destination):
    destination.parent.mkdir()
    known = destination.with_name("file.bin.sha256")
    known.write_text("0" * 64)
    assert run_fetch(server, destination, DIGEST[:8])["url"] == server.url
    assert known.read_text() == "0" * 64
    with pytest.raises(InputError, match=r"expected is 1111.*a copy of the file may be put at"):
        run_fetch(server, destination, "1" * 64)


@pytest.mark.parametrize("status", [200, 503])
def test_digits_that_are_no_number_of_http_are_passed_over(
    server: Answers, destination: Path, status: int
) -> None:
    def strange(handler: Handler) -> None:
        handler.send_response(status)
        # Superscript two is a digit to Unicode, and no integer to Python.
        handler.send_header("Content-Length" if status == 200 else "Retry-After", "\u00b2")
        handler.end_headers()
        if status == 200:
            handler.wfile.write(CONTENT)
        handler.close_connection = True

    server.answer = once(strange)
    assert fetched(server, destination) == DIGEST


@pytest.mark.parametrize("location", ["http://[::1/x", "http://\xff\xfe/x"])
def test_a_redirection_to_no_address_is_refused(
    server: Answers, destination: Path, location: str
) -> None:
    server.answer = lambda handler: handler.send(302, Location=location)
    assert refusal(server, destination)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/again", "leads from one address to the next without an end"),
        ("file:///etc/passwd", "leads to an address that is not http or https"),
    ],
)
def test_where_a_redirection_leads_is_said_in_our_words(server, destination, location, said):
    server.answer = lambda handler: handler.send(302, Location=location)
    assert refusal(server, destination) == said


def test_a_folder_that_cannot_be_made_is_one_line_and_no_fault_of_the_server(server, tmp_path):
    (tmp_path / "file").write_bytes(b"no folder")
    with pytest.raises(InputError, match=r"file/folder: cannot be written to: Not a dir") as caught:
        fetched(server, tmp_path / "file" / "folder" / "file.bin")
    assert not isinstance(caught.value, DownloadError)
    with pytest.raises(InputError, match=r"cannot be written to: Not a directory"):
        run_fetch(server, tmp_path / "file" / "folder" / "file.bin", None)
    assert server.asked == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line_and_no_fault_of_the_server(server, destination):
    destination.parent.mkdir()
    destination.with_name("file.bin.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"folder: cannot be written to: No space left") as caught:
        fetched(server, destination)
    assert not isinstance(caught.value, DownloadError)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 1, "asking again makes no room"


def test_two_fetches_of_one_file_take_turns_and_download_once(server, destination, capsys):
    def slow(handler: Handler) -> None:
        time.sleep(0.3)
        whole_or_rest(handler)

    server.answer = slow
    with ThreadPoolExecutor(2) as workers:
        both = [workers.submit(run_fetch, server, destination, None) for _ in range(2)]
        assert [one.result()["sha256"] for one in both] == [DIGEST, DIGEST]
    assert len(server.asked) == 1
    assert "waiting for another download into it" in capsys.readouterr().err
    destination.write_bytes(b"another file")
    assert run_fetch(server, destination, DIGEST)["sha256"] == DIGEST
    assert destination.read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_two_files_of_one_folder_do_not_wait_for_each_other(server, destination, capsys):
    with alone_in(destination.parent, lock_name=".another.bin.lock"):
        assert run_fetch(server, destination, DIGEST)["sha256"] == DIGEST
    assert "waiting" not in capsys.readouterr().err
