"""Folders of photographs, with one sub-folder per person or in another layout."""

import os
import unicodedata
from pathlib import Path

from glassguard.datasets.pictures import FileOnDisk, GivenPeople, GivenPicture
from glassguard.errors import InputError
from glassguard.faces.decoding import SUFFIXES

_NOT_ON_A_LINE = ("Cc", "Zl", "Zp")
"""Unicode categories of control characters and of separators of lines and paragraphs."""
_ACCENTS = frozenset(map(chr, range(0x300, 0x370)))


def check_folder(root: Path, *, key: str) -> None:
    """Refuse a folder that cannot hold a study, without opening a picture.

    Args:
        root: the folder.
        key: the configuration's key that names it, for the message.

    Raises:
        InputError: it is missing, no directory, or cannot be read, or no sub-folder holds a file
            that is named like a picture or has no suffix.
    """
    try:
        if not root.exists():
            raise InputError(f"{key}: {root}: no such folder")
        if not root.is_dir():
            raise InputError(f"{key}: {root}: is not a folder; it must hold one folder per person")
        people = [entry for entry in sorted(root.iterdir()) if _visible(entry) and entry.is_dir()]
    except OSError as error:
        raise InputError(f"{key}: {root}: cannot be read: {error.strerror}") from None
    if not people:
        raise InputError(f"{key}: {root}: holds no folders; one per person is needed")
    for person in people:
        for _, folders, files in os.walk(person):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                if not name.startswith(".") and Path(name).suffix.lower() in (*SUFFIXES, ""):
                    return
    raise InputError(
        f"{key}: {root}: no pictures in its {len(people)} folder(s); allowed: {', '.join(SUFFIXES)}"
    )


def people_of_folder(root: Path, *, key: str) -> GivenPeople:
    """The pictures in a folder with one sub-folder per person, at any depth.

    Hidden files and folders are skipped. A link to a file inside the root counts as that file.
    Links that lead out of the root and links to folders, which may be circular, are rejected.

    Args:
        root: folder with one sub-folder per person.
        key: the configuration's key that names it, for messages.

    Raises:
        InputError: as :func:`check_folder`, or a folder's name is not valid UTF-8 or not one line.
    """
    check_folder(root, key=key)
    base = root.resolve()
    given = GivenPeople()
    for entry in sorted(base.iterdir()):
        if not _visible(entry):
            continue
        if entry.is_symlink():
            given.rejected.append((printable(entry.name), _refused_link(entry, base)))
        elif not entry.is_dir():
            given.rejected.append((printable(entry.name), "not in a person's folder"))
        elif printable(entry.name) != entry.name:
            raise InputError(
                f"{key}: {root}: the folder {entry.name!r} has a name that is not UTF-8 or not "
                "one line"
            )
        else:
            files: list[Path] = []
            _walk(entry, base, files, given.rejected, key)
            given.people[entry.name] = [
                GivenPicture(_below(base, path), FileOnDisk(path)) for path in sorted(files)
            ]
    return given


def find_files(root: Path, *, key: str) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """All files below a folder in any layout; hidden files and links as in a folder of people.

    Args:
        root: the folder.
        key: the configuration's key that names it, for messages.

    Returns:
        The files by path below the root, sorted, and (path, reason) of what is rejected.

    Raises:
        InputError: a folder cannot be read.
    """
    base = root.resolve()
    files: list[Path] = []
    rejected: list[tuple[str, str]] = []
    _walk(base, base, files, rejected, key)
    return dict(sorted((_below(base, path), path) for path in files)), rejected


def printable(name: str) -> str:
    """A file's name, made of any bytes, as one line of text."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in _NOT_ON_A_LINE
        else letter
        for letter in text
    )


def same_person_key(name: str) -> str:
    """A name without case, accents, and characters other than letters and digits.

    ``Tom_Hardy``, ``tom hardy`` and ``Tom-Hardy`` are one person in different collections, and so
    are ``José`` and ``Jose``. A name without letters and digits stays as it is.
    """
    folded = unicodedata.normalize("NFKD", name.casefold())
    # Accents are marks of their own now. Marks of other scripts may be vowels.
    kept = (
        sign for sign in folded if unicodedata.category(sign)[0] in "LNM" and sign not in _ACCENTS
    )
    return "".join(kept) or name


def _below(base: Path, path: Path) -> str:
    return printable(path.relative_to(base).as_posix())


def _walk(
    folder: Path, base: Path, files: list[Path], rejected: list[tuple[str, str]], key: str
) -> None:
    def refuse(error: OSError) -> None:
        raise InputError(f"{key}: {error.filename}: cannot be read: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=refuse):
        inner = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted([*names, *folders]):
            path = inner / name
            if not _visible(path) or (name in folders and not path.is_symlink()):
                continue
            source = _below(base, path)
            if path.is_symlink() and not _file_inside(path, base):
                rejected.append((source, _refused_link(path, base)))
            elif not path.is_file():
                rejected.append((source, "not a regular file"))
            else:
                files.append(path)


def _file_inside(link: Path, base: Path) -> bool:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return target.is_file() and target.is_relative_to(base)


def _refused_link(link: Path, base: Path) -> str:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return "broken link"
    return (
        "link to a folder" if target.is_relative_to(base) else "link that leads out of the folder"
    )


def _visible(path: Path) -> bool:
    return not path.name.startswith(".")
