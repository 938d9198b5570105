"""Stamps that say what results depend on, and dates of files that survive a copy."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shipped import CONF

from glassguard.configuration import file_dates, sources, stamps
from glassguard.configuration.compose import compose_study
from glassguard.configuration.stamps import OLD, Stamp, stage


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(path: Path, text: str, *, at: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def test_a_stamp_that_differs_is_newer_than_its_file_and_any_other_is_old() -> None:
    for name, kept in (("same", "a"), ("other", "b")):
        made(Path("results", name), kept, at=2_000_000_000)
    found = {name: Stamp(Path("results", name), "a") for name in ("same", "other", "missing")}
    stage(found.values())
    assert {one.staged.read_text() for one in found.values()} == {"a"}
    assert found["same"].staged.stat().st_mtime == OLD
    assert found["missing"].staged.stat().st_mtime == OLD
    changed = found["other"].staged.stat().st_mtime
    assert changed > made(Path("clock"), "", at=OLD).stat().st_mtime
    # There and back: what was staged before is old again once its file says so.
    found["other"].file.write_text("a")
    stage(found.values())
    assert found["other"].staged.stat().st_mtime == OLD


def test_a_stamp_of_a_clock_that_is_ahead_counts_as_well() -> None:
    ahead = 4_000_000_000
    stamp = Stamp(Path("results/a"), "new")
    made(stamp.file, "old", at=ahead)
    stage([stamp])
    assert stamp.staged.stat().st_mtime > ahead


def test_what_waits_is_another_file_for_every_text_and_place() -> None:
    places = [Stamp(Path("results", study, "data.yaml"), "a") for study in ("one", "two")]
    texts = [Stamp(Path("results/one/data.yaml"), text) for text in ("a", "b")]
    assert len({one.staged for one in [*places, *texts]}) == 3
    away = Stamp(Path("/somewhere/../else/data.yaml"), "a").staged
    assert away.parent == stamps.STAGING


def test_code_is_stated_as_sha256sum_prints_it() -> None:
    stamp, other = stamps.code_stamps(
        Path("code"), ["attack_shard", "mask_grid"], compose_study(CONF, "smoke")
    )
    assert stamp.file == Path("code/attack_shard.sha256")
    listed = dict(reversed(line.split("  ")) for line in stamp.text.splitlines())
    assert listed == sources.digests("attack_shard")
    assert "glassguard/attack/masked_pixels.py" in listed
    assert other.text != stamp.text


def test_given_files_and_folders_are_stated_by_what_they_contain(here: Path) -> None:
    for name in ("ada", "bob"):
        made(here / "people" / name / "1.jpg", "x", at=1)
    weights = made(here / "weights.npz", "one", at=1)
    study = compose_study(CONF, "folder", ["data.root=people", "data.detector=null"]).model_copy(
        update={
            "backbone": compose_study(CONF, "smoke").backbone.model_copy(
                update={"weights": weights}
            )
        }
    )

    def texts() -> dict[str, str]:
        return {one.file.stem: one.text for one in stamps.given_stamps(Path("given"), study)}

    before = texts()
    os.utime(weights, (5, 5))
    (here / "people" / "ada" / "1.jpg").touch()
    assert texts() == before
    made(weights, "two", at=1)
    assert {rule for rule in before if texts()[rule] != before[rule]} == {"import_backbone"}
    # Of the same size and date as before, under another inode.
    made(here / "people" / "ada" / "1.jpg", "y", at=2)
    assert {rule for rule in before if texts()[rule] != before[rule]} == {"import_backbone", "data"}


def test_a_file_that_cannot_be_read_is_left_to_whoever_reads_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(here / "people" / "1.jpg", "x", at=1)
    before = sources.inventory(here / "people")

    def refuse(path: Path) -> str:
        raise PermissionError(path)

    monkeypatch.setattr(sources, "file_digest", refuse)
    assert sources.inventory(here / "people") not in ("", before)


def test_downloads_are_no_given_files() -> None:
    study = compose_study(CONF, "smoke", ["backbone=vggface", "backbone.weights=vgg_face_dag"])
    given = {one.file.stem: one.text for one in stamps.given_stamps(Path("given"), study)}
    assert given["import_backbone"] == ""
    file = study.downloads.files["vgg_face_dag"].file
    assert stamps.download_stamps(study)[file].file == study.downloads.folder / f"{file}.yaml"


@given(
    st.dictionaries(
        st.text("abc/", min_size=1, max_size=8)
        .map(lambda name: name.strip("/") or "a")
        .filter(lambda name: "//" not in name),
        st.tuples(st.binary(max_size=4), st.integers(10**9, 2 * 10**9)),
        min_size=1,
        max_size=6,
    ),
    st.data(),
)
def test_a_copy_gets_its_dates_back_but_for_what_was_changed(files, data) -> None:
    folder = Path("results")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree("copy", ignore_errors=True)
    files = {
        name: kept
        for name, kept in files.items()
        if not any(other.startswith(f"{name}/") for other in files)
    }
    for name, (content, at) in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        os.utime(folder / name, ns=(at * 10**9 + 1, at * 10**9 + 1))
    file_dates.record(folder, folder.rglob("*"))
    changed = data.draw(st.sets(st.sampled_from(sorted(files))))
    shutil.copytree(folder, "copy", copy_function=shutil.copyfile)
    for name in changed:
        (Path("copy") / name).write_bytes(files[name][0] + b"!")
    now = {name: (Path("copy") / name).stat().st_mtime_ns for name in files}
    assert file_dates.restore(Path("copy")) == []
    for name, (_, at) in files.items():
        found = (Path("copy") / name).stat().st_mtime_ns
        assert found == (now[name] if name in changed else at * 10**9 + 1)


def test_no_date_is_put_back_while_or_after_something_ran(here: Path) -> None:
    file = made(here / "results" / "a", "x", at=1000)
    file_dates.record(here / "results", [file])
    file_dates.forget(here / "results")
    file_dates.forget(here / "results")
    os.utime(file, (2000, 2000))
    assert file_dates.restore(here / "results") == []
    assert file.stat().st_mtime == 2000


@pytest.mark.parametrize(
    "content",
    ["", "[", "[]", "7", '{"a": 1}', '{"a": {"made_ns": "x"}}', '{"../b": {"made_ns": 1}}'],
)
def test_a_damaged_record_restores_nothing(content: str, here: Path) -> None:
    file = made(here / "results" / "a", "x", at=1000)
    (here / "results" / file_dates.RECORD).write_text(content)
    assert file_dates.restore(here / "results") == []
    assert file.stat().st_mtime == 1000


def test_no_file_outside_the_folder_is_touched(here: Path) -> None:
    outside = made(here / "b", "x", at=1000)
    made(here / "results" / "a", "x", at=1000)
    file_dates.record(here / "results", [here / "results" / "a"])
    kept = here / "results" / file_dates.RECORD
    kept.write_text(kept.read_text().replace('"a"', '"../b"'))
    os.utime(outside, (3000, 3000))
    assert file_dates.restore(here / "results") == []
    assert outside.stat().st_mtime == 3000


def test_nothing_is_recorded_where_nothing_is(here: Path) -> None:
    file_dates.record(here / "results", [])
    assert not (here / "results").exists()
