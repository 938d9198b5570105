"""Which source files a stage depends on, and the digest of a user's folder."""

import os
import re
from pathlib import Path

from glassguard.configuration import sources
from glassguard.datasets.folders import printable


def test_sources_follow_imports_and_leave_the_configuration_out() -> None:
    found = {
        Path(path).resolve().relative_to(sources.PACKAGE) for path in sources.sources("attack")
    }
    assert Path("stages/attack.py") in found
    assert Path("files/formats.py") in found
    assert not [path for path in found if path.parts[0] in ("configuration", "cli.py", "errors.py")]
    assert Path("stages/report.py") not in found


def test_sources_are_sorted_and_follow_what_is_imported_indirectly() -> None:
    found = sources.sources("attack_shard")
    assert found == sorted(found)
    assert sources.PACKAGE / "recognizer/network.py" in found


def test_a_class_that_is_named_to_be_imported_late_is_a_source() -> None:
    attack = sources.PACKAGE / "attack"
    assert attack / "masked_pixels.py" in sources._imports(attack / "settings.py")


def test_what_a_type_checker_alone_imports_is_no_source() -> None:
    experts = sources.PACKAGE / "influence" / "experts.py"
    assert experts in sources.sources("experts")
    assert experts not in sources.sources("recognizer")


def test_no_module_asks_a_package_for_a_name_that_it_imports_late() -> None:
    """The package's ``__init__`` would hide which module the name is from."""
    late = [path.parent for path in sources.PACKAGE.rglob("__init__.py")]
    late = [one for one in late if "def __getattr__" in (one / "__init__.py").read_text()]
    assert late
    for package in late:
        pattern = rf"^\s*from glassguard\.{package.name} import "
        for path in sources.PACKAGE.rglob("*.py"):
            assert not re.search(pattern, path.read_text(), re.MULTILINE), path


def test_an_inventory_sees_pictures_but_not_dates(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = sources.inventory(tmp_path)
    (tmp_path / "a").touch()
    assert sources.inventory(tmp_path) == before
    (tmp_path / "b").write_text("1")
    assert sources.inventory(tmp_path) != before
    assert sources.inventory(None) == ""
    one, other = (sources.inventory(tmp_path / name) for name in ("a", "b"))
    assert one != other


def test_names_of_any_bytes_are_counted_and_written_on_one_line(tmp_path: Path) -> None:
    strange = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with Path(os.fsdecode(strange)).open("wb") as file:
        file.write(b"picture")
    assert sources.inventory(tmp_path) != sources.inventory(None)
    assert printable(os.fsdecode(strange)).endswith("caf\ufffd.jpg")
    assert printable("line\nbreak \x1b[31m\u2028") == "line\\nbreak \\x1b[31m\\u2028"
    assert printable("Zoë 日本 a\u00a0b") == "Zoë 日本 a\u00a0b"
