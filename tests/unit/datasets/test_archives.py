"""Archives are read within bounds, and no path in one leads anywhere."""

import gzip
import io
import tarfile
import tracemalloc

import pytest
from datasets.made_collections import write_archive

from glassguard.datasets import archives
from glassguard.datasets.archives import open_files
from glassguard.errors import InputError
from glassguard.faces.decoding import PictureError

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
