"""Published collections in their layouts, as folders and archives that the tests make."""

import gzip
import hashlib
import io
import tarfile
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from shipped import section
from sklearn import datasets
from sklearn.datasets import _lfw

from glassguard.configuration.sections import DataSection, FetchPicturesSection
from glassguard.datasets import archives
from glassguard.datasets.archives import open_files
from glassguard.datasets.downloads import download
from glassguard.datasets.sources import celeba, lfw
from glassguard.errors import InputError
from glassguard.faces.alignment import CROP_EYES, common_pose
from glassguard.faces.decoding import PictureError
from glassguard.faces.rectangles import clipped, widened
from glassguard.files.formats import read_manifest
from glassguard.stages import data, fetch_pictures

PEOPLE = ("Ada_Lovelace", "Bo_Ek", "Cid_Campeador", "Dora_Maar")


def scene(*seed: int, width: int = 250, height: int = 250) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(30, 220, (14, 14, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()


def lfw_files(top: str = "lfw", count: int = 8) -> dict[str, bytes]:
    return {
        f"{top}/{name}/{name}_{number:04d}.jpg": jpeg(scene(person, number))
        for person, name in enumerate(PEOPLE)
        for number in range(1, count + 1)
    }


def write_folder(files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_archive(files: dict[str, bytes], path: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return path


def run_data(
    source: str, root: Path | None, out: Path, listing: Path | None = None, **keys
) -> tuple[dict, pd.DataFrame, pd.Series]:
    out.mkdir()
    values = section(f"data/{source}", image_size=64, minimum_images=6, detector=None, **keys)
    values.pop("fetch", None)
    if source != "pubfig":
        values["root"] = root
    config = DataSection.model_validate({"seed": 1, "data": values})
    paths = out / "images.npy", out / "manifest.csv", out / "rejected.csv"
    metrics = data.run(
        config, images=paths[0], manifest=paths[1], rejected=paths[2], listing=listing
    )
    reasons = pd.read_csv(paths[2], keep_default_na=False).set_index("source").reason
    return metrics, read_manifest(paths[1]), reasons


@pytest.mark.parametrize("top", ["lfw", "lfw_funneled", "lfw-deepfunneled/lfw-deepfunneled", "."])
def test_lfw_is_read_at_any_depth(top, tmp_path):
    root = write_folder(lfw_files(top), tmp_path / "given")
    (root / "pairs.txt").write_text("10 300")
    (root / "strange.jpg").write_bytes(b"")
    metrics, manifest, reasons = run_data("lfw", root, tmp_path / "out")
    assert metrics["people"] == 4
    assert metrics["pictures"] == 32
    assert set(manifest.identity) == set(PEOPLE)
    assert reasons.to_dict() == {
        "strange.jpg": "not in the published layout, lfw/NAME/NAME_0001.jpg"
    }
    assert (manifest.width == 250).all()


@pytest.mark.parametrize("name", ["lfw.tgz", "lfw.tar.gz", "lfw.tar", "lfw.zip"])
def test_an_archive_gives_what_its_folder_gives(name, tmp_path):
    files = lfw_files()
    run_data("lfw", write_folder(files, tmp_path / "given"), tmp_path / "folder")
    run_data("lfw", write_archive(files, tmp_path / name), tmp_path / "archive")
    for file in ("images.npy", "manifest.csv", "rejected.csv"):
        folder, archive = (tmp_path / out / file for out in ("folder", "archive"))
        assert folder.read_bytes() == archive.read_bytes()
    assert sorted(path.name for path in (tmp_path / "archive").iterdir()) == [
        "images.npy", "manifest.csv", "rejected.csv",
    ]  # fmt: skip


def test_the_face_of_lfw_is_its_middle(tmp_path):
    """Without a detector the eyes are looked for where the detector box of LFW has them."""
    left, top, right, _ = lfw.FACE
    eyes = CROP_EYES * (right - left) + (left, top)
    box = 250 / 2.2
    usual = (250 - box) / 2 + box * np.array([(0.31, 0.38), (0.69, 0.38)])
    np.testing.assert_allclose(eyes, usual, atol=4)
    picture = np.full((250, 250, 3), 60, np.uint8)
    for x, y in eyes:
        cv2.circle(picture, (round(x), round(y)), 5, (255, 255, 255), -1)
    files = lfw_files()
    for name in files:
        noise = np.random.default_rng(len(files[name])).integers(0, 40, picture.shape, np.uint8)
        files[name] = jpeg(cv2.add(picture, noise))
    out = tmp_path / "out"
    run_data("lfw", write_folder(files, tmp_path / "given"), out, duplicate_distance=0)
    images = np.load(out / "images.npy")
    for x, y in common_pose(64)[:2]:
        assert (images[:, round(y), round(x), 0] > 200).all()


def test_two_variants_of_lfw_side_by_side_are_refused(tmp_path):
    root = write_folder(lfw_files("lfw") | lfw_files("lfw_funneled"), tmp_path / "given")
    with pytest.raises(InputError, match=r"lfw/Ada.*0001\.jpg and lfw_funneled/Ada.*one variant"):
        run_data("lfw", root, tmp_path / "out")


def test_pubfig83_is_read(tmp_path):
    files = {
        f"pubfig83/{name.replace('_', ' ')}/{number}.jpg": jpeg(
            scene(p, number, width=100, height=100)
        )
        for p, name in enumerate(PEOPLE)
        for number in range(1, 8)
    }
    path = write_archive(files, tmp_path / "pubfig83.v1.tgz")
    metrics, manifest, _ = run_data("pubfig83", path, tmp_path / "out")
    assert metrics["pictures"] == 28
    assert set(manifest.identity) == {name.replace("_", " ") for name in PEOPLE}


POINTS = np.array([(69, 111), (108, 112), (88, 135), (73, 152), (105, 152)])


def write_celeba(folder: Path, people: dict[int, int]) -> Path:
    """CelebA with so many pictures of each person; every third has no landmarks."""
    identities, landmarks, files = [], [], {}
    for person, count in people.items():
        for number in range(count):
            name = f"{len(files) + 1:06d}.jpg"
            files[f"img_align_celeba/{name}"] = jpeg(scene(person, number, width=178, height=218))
            identities.append(f"{name} {person}")
            if number % 3:
                values = "  ".join(str(value) for value in (POINTS + number % 2).ravel())
                landmarks.append(f"{name}    {values}")
    header = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y x y"
    write_archive(files, folder / "img_align_celeba.zip")
    (folder / "Anno").mkdir()
    (folder / "Anno" / "identity_CelebA.txt").write_text("\n".join(identities) + "\n")
    (folder / "Anno" / "list_landmarks_align_celeba.txt").write_text(
        "\n".join([str(len(landmarks)), header, *landmarks]) + "\n"
    )
    return folder / "img_align_celeba.zip"


def test_celeba_takes_the_people_with_most_pictures_and_the_listed_landmarks(tmp_path):
    root = write_celeba(tmp_path, {7: 8, 12: 9, 30: 10, 2880: 11, 9: 7})
    metrics, manifest, reasons = run_data("celeba", root, tmp_path / "out", identities=4)
    assert set(manifest.identity) == {
        "celeba_00007",
        "celeba_00012",
        "celeba_00030",
        "celeba_02880",
    }
    assert metrics["people"] == 4
    assert manifest.aligned_by.value_counts().to_dict() == {"landmarks": 24, "crop": 14}
    assert (reasons == "person beyond data.identities=4").sum() == 7
    drawn = manifest[manifest.aligned_by == "landmarks"]
    assert np.abs(drawn.left_eye_x - common_pose(64)[0, 0]).max() < 3


def test_celeba_needs_its_list_of_people(tmp_path):
    root = write_celeba(tmp_path, {1: 7, 2: 7, 3: 7, 4: 7})
    people = tmp_path / "Anno" / "identity_CelebA.txt"
    people.rename(tmp_path / "who.txt")
    with pytest.raises(InputError, match=r"data\.people_file: .*identity_CelebA\.txt"):
        run_data("celeba", root, tmp_path / "one")
    metrics, *_ = run_data("celeba", root, tmp_path / "two", people_file=tmp_path / "who.txt")
    assert metrics["people"] == 4
    (tmp_path / "who.txt").write_text("000001.jpg one\n")
    with pytest.raises(InputError, match=r"data\.people_file: .*/who\.txt: line 1: .* a file and"):
        run_data("celeba", root, tmp_path / "three", people_file=tmp_path / "who.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "count and the names"),
        ("1\nlefteye_x lefteye_y\n000001.jpg 1 2 3\n", "line 3"),
        ("1\nlefteye_x lefteye_y\n000001.jpg 1 2 3 4 5 6 7 8 9 x\n", "line 3"),
    ],
)
def test_malformed_landmarks_are_refused(text, said):
    with pytest.raises(ValueError, match=said):
        celeba.landmarks_of(text, ["000001.jpg"])


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("a.zip", lambda path: path.write_bytes(b"PK\x03\x04no archive"), "damaged or unreadable"),
        ("a.tgz", lambda path: path.write_bytes(b"<html>"), "damaged or unreadable"),
        ("a.rar", lambda path: path.write_bytes(b"Rar!"), "neither a folder nor an archive"),
        ("a.tgz", lambda path: None, "no such folder or file"),
        ("a.zip", lambda path: write_archive({"a/readme.txt": b"x"}, path), "published layout"),
        ("a", lambda path: path.mkdir(), "no pictures in the published layout"),
    ],
)
def test_an_unusable_root_is_named(name, make, said, tmp_path):
    make(tmp_path / name)
    with pytest.raises(InputError, match=rf"data\.root: .*{name}: .*{said}"):
        run_data("lfw", tmp_path / name, tmp_path / "out")


def test_a_cut_off_archive_is_named(tmp_path):
    path = write_archive(lfw_files(), tmp_path / "lfw.tgz")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"data\.root: .*lfw\.tgz: damaged"):
        run_data("lfw", path, tmp_path / "out")


HOSTILE = {
    "../out.jpg": "path that leads out of its archive",
    "/etc/out.jpg": "path that leads out of its archive",
    "a\\..\\out.jpg": "path that leads out of its archive",
}


@pytest.mark.parametrize("name", ["a.zip", "a.tgz"])
def test_paths_out_of_an_archive_lead_nowhere(name, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    path = write_archive(
        dict.fromkeys([*HOSTILE, "a/.hidden.jpg", "__MACOSX/a/1.jpg", "a/1.jpg"], b"x"),
        inner / name,
    )
    with open_files(path, key="data.root", scratch=inner) as found:
        assert list(found.files) == ["a/1.jpg"]
        assert dict(found.rejected) == HOSTILE
        assert found.files["a/1.jpg"].read(10) == b"x"
        with pytest.raises(PictureError, match="larger than 0 bytes"):
            found.files["a/1.jpg"].read(0)
    assert [entry.name for entry in inner.iterdir()] == [name]
    assert not (tmp_path / "out.jpg").exists()


def test_links_in_an_archive_are_not_followed(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("a/1.jpg", tarfile.SYMTYPE), ("a/2.jpg", tarfile.LNKTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    with open_files(path, key="data.root", scratch=tmp_path) as found:
        assert not found.files
        assert {reason for _, reason in found.rejected} == {"not a regular file of its archive"}


def test_archives_are_limited(tmp_path, monkeypatch):
    tar = write_archive({f"{n}.jpg": bytes(1000) for n in range(5)}, tmp_path / "a.tgz")
    zipped = write_archive({f"{n}.jpg": bytes(1000) for n in range(5)}, tmp_path / "a.zip")
    monkeypatch.setattr(archives, "MAXIMUM_MEMBERS", 4)
    for path in (tar, zipped):
        with (
            pytest.raises(InputError, match="more than 4 files"),
            open_files(path, key="data.root", scratch=tmp_path),
        ):
            pass
    monkeypatch.setattr(archives, "MAXIMUM_MEMBERS", 5)
    monkeypatch.setattr(archives, "MAXIMUM_UNPACKED_BYTES", 4500)
    with (
        pytest.raises(InputError, match="unpacks to more than 4500 bytes"),
        open_files(tar, key="data.root", scratch=tmp_path),
    ):
        pass
    monkeypatch.setattr(archives, "MAXIMUM_MEMBER_BYTES", 900)
    with open_files(tar, key="data.root", scratch=tmp_path) as found:
        assert len(found.rejected) == 5
        assert not found.files


def header(kind: bytes, name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("name", ["a.tgz", "a.tar"])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("first", [True, False])
def test_a_header_of_any_length_takes_no_memory(kind, name, first, tmp_path):
    path = tmp_path / name
    announced = 256 * 2**20
    with gzip.open(path, "wb", compresslevel=1) if name == "a.tgz" else path.open("wb") as file:
        if not first:
            file.write(header(tarfile.REGTYPE, "a/1.jpg", 512) + bytes(512))
        file.write(header(kind, "long", announced))
        for _ in range(40):
            file.write(bytes(2**20))
    tracemalloc.start()
    try:
        with (
            pytest.raises(InputError, match=rf"{name}: .*a header is longer than 1048576 bytes"),
            open_files(path, key="data.root", scratch=tmp_path),
        ):
            pass
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_long_names_and_large_members_are_no_long_headers(tmp_path):
    path = tmp_path / "a.tgz"
    names = [f"{'long' * 60}/{number}.jpg" for number in range(3)]
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as archive:
        for name, size in zip(names, (5, archives.MAXIMUM_MEMBER_BYTES + 1, 7), strict=True):
            entry = tarfile.TarInfo(name)
            entry.size = size
            archive.addfile(entry, io.BytesIO(bytes(size)))
    with open_files(path, key="data.root", scratch=tmp_path) as found:
        assert {name: len(file.read(10)) for name, file in found.files.items()} == {
            names[0]: 5, names[2]: 7,
        }  # fmt: skip
        assert len(found.rejected) == 1


def test_a_table_of_contents_of_any_length_is_not_read(tmp_path, monkeypatch):
    path = write_archive({f"{n}.jpg": bytes(1000) for n in range(100)}, tmp_path / "a.zip")
    monkeypatch.setattr(archives, "LONGEST_CONTENTS", 5000)
    with (
        pytest.raises(InputError, match=r"a\.zip: .*table of contents has 5\d\d\d bytes, at most"),
        open_files(path, key="data.root", scratch=tmp_path),
    ):
        pass


def test_a_damaged_member_is_one_rejected_picture(tmp_path):
    files = lfw_files()
    path = write_archive(files, tmp_path / "lfw.zip")
    content = bytearray(path.read_bytes())
    at = content.index(files["lfw/Bo_Ek/Bo_Ek_0003.jpg"][-300:-100])
    content[at] ^= 255
    path.write_bytes(content)
    metrics, _, reasons = run_data("lfw", path, tmp_path / "out")
    assert metrics["pictures"] == 31
    assert reasons["lfw/Bo_Ek/Bo_Ek_0003.jpg"].startswith("damaged inside of its archive: Bad CRC")


def test_rectangles_are_clipped_and_widened():
    picture = np.zeros((100, 200, 3), np.uint8)
    assert clipped((-20, 30, 250, 90), picture) == (0, 30, 200, 90)
    assert clipped((300, 10, 400, 50), picture) == (200, 10, 200, 50)
    assert widened((50, 40, 150, 90), picture) == (20, 25, 180, 100)


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


def test_a_source_that_was_not_fetched_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"data\.source=pubfig: needs --listing"):
        run_data("pubfig", None, tmp_path / "out")
