"""The files that fitting and measuring detectors read."""

from dataclasses import dataclass
from pathlib import Path

from glassguard.detection.detector_file import from_arrays
from glassguard.detection.detectors import Detectors
from glassguard.detection.picture_sets import (
    PictureSet,
    SetFiles,
    attack_pictures,
    benign_pictures,
    control_pictures,
)
from glassguard.detection.pictures import Pictures
from glassguard.errors import InputError
from glassguard.files.formats import (
    read_arrays,
    read_examples,
    read_json,
    read_manifest,
    read_safetensors,
)


@dataclass(frozen=True)
class Sets:
    """Every set of pictures.

    Attributes:
        identities: the network's classes.
        quantity: quantity of interest of the influence profiles.
        faces: benign pictures.
        attacks: adversarial pictures of each attack.
        wearers: benign pictures with plain frames, and with frames of random texture.
    """

    identities: list[str]
    quantity: str
    faces: Pictures
    attacks: list[Pictures]
    wearers: list[Pictures]


def read_sets(
    benign: list[Path], attacks: list[Path], plain: list[Path], random: list[Path]
) -> Sets:
    """Read all sets.

    Each set has four files: a manifest or ``examples.csv``, profiles, masked decisions and
    baselines. ``attacks`` lists those of one attack after the other.

    Raises:
        InputError: a file is missing or damaged, or files do not belong together.
    """
    (of_benign,) = _files(benign, "--benign")
    faces, bare, quantity = benign_pictures(_read(of_benign, benign=True))
    return Sets(
        bare.identities,
        quantity,
        faces,
        [attack_pictures(_read(files), bare) for files in _files(attacks, "--attacks")],
        [
            control_pictures(_read(files), bare)
            for files in _files([*plain, *random], "--plain, --random")
        ],
    )


def read_detectors(arrays: Path, description: Path) -> Detectors:
    """The fitted detectors of a study (``InputError`` where the files hold something else)."""
    try:
        found = from_arrays(read_json(description), read_safetensors(arrays))
    except ValueError as error:
        raise InputError(f"{description}, {arrays}: not fitted detectors: {error}") from None
    if not isinstance(found, Detectors):
        raise InputError(f"{description}: not the detectors of a study")
    return found


def _files(paths: list[Path], option: str) -> list[SetFiles]:
    each = len(SetFiles._fields)
    if len(paths) % each:
        raise InputError(f"{option}: {', '.join(SetFiles._fields)} of each set, not {len(paths)}")
    return [SetFiles(*paths[start : start + each]) for start in range(0, len(paths), each)]


def _read(files: SetFiles, *, benign: bool = False) -> PictureSet:
    return PictureSet(
        files,
        read_manifest(files.table) if benign else read_examples(files.table),
        read_arrays(files.profiles, kind="a file of profiles"),
        read_arrays(files.decisions, kind="a file of masked decisions"),
        read_arrays(files.baselines, kind="a file of baselines"),
    )
