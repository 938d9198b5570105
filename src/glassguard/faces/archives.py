"""Which files are archives of pictures, by their name; imports nothing."""

from pathlib import Path

ARCHIVES = (".zip", ".tgz", ".tar.gz", ".tar")


def is_archive(path: Path) -> bool:
    """Whether a file is named like an archive that can be read."""
    return path.name.lower().endswith(ARCHIVES)
