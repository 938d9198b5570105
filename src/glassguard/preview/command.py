"""``glassguard faces preview FOLDER``: a contact sheet of what a study would make of pictures."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from glassguard import kernels
from glassguard.errors import InputError

if TYPE_CHECKING:  # NumPy must not be there before the kernels are chosen
    from glassguard.datasets.reading import Reading
    from glassguard.preview.sheet import Previewed

USED, REJECTED = 0, 3
"""Exit status: every picture would be used, or some would not."""
MOST = 400
"""Pictures of a sheet that can still be looked at."""
WORKERS = 2


def main(options: Sequence[str]) -> int:
    """Draw the sheet and print why pictures are rejected.

    Returns:
        0 where every picture would be used, 3 where one would not.

    Raises:
        InputError: there is no such folder, it holds no file, or the detector cannot be used.
    """
    # Before NumPy is imported.
    kernels.choose("pinned")
    given = _parser().parse_args(options)
    from glassguard.report.style import DOTS_PER_INCH, drawing

    pictures, left_out = previewed(
        given.folder,
        _reading(given.detector, given.size, given.maximum_pixels, given.pose),
        most=given.most,
    )
    how = Counter("rejected" if one.image is None else f"by {one.said}" for one in pictures)
    counted = ", ".join(f"{count} {name}" for name, count in sorted(how.items()))
    title = f"{given.folder}: {len(pictures)} pictures ({counted})"
    if left_out:
        title += f"; every {(len(pictures) + left_out) / len(pictures):.3g}th is shown"
    from glassguard.preview.sheet import contact_sheet

    with drawing():
        sheet = contact_sheet(pictures, title=title)
        try:
            given.sheet.parent.mkdir(parents=True, exist_ok=True)
            sheet.savefig(given.sheet, dpi=DOTS_PER_INCH)
        except (OSError, ValueError) as error:
            raise InputError(f"--sheet {given.sheet}: cannot be written: {error}") from None
    for one in pictures:
        if one.image is None:
            print(f"{one.name}: {one.said}")
    print(f"{title}; {given.sheet} shows them", file=sys.stderr)
    return REJECTED if how["rejected"] else USED


def previewed(folder: Path, reading: "Reading", *, most: int) -> tuple[list["Previewed"], int]:
    """What the pictures of a folder become, as ``data`` would make it.

    Args:
        folder: of pictures, in any layout.
        reading: how a file becomes an aligned picture.
        most: of more pictures, as many are taken in even steps.

    Returns:
        The pictures in the order of their names, and how many were left out.

    Raises:
        InputError: the folder is missing, cannot be read or holds no file.
    """
    from glassguard.datasets.folders import find_files, printable
    from glassguard.datasets.pictures import FileOnDisk, GivenPicture
    from glassguard.datasets.reading import Reader
    from glassguard.preview.sheet import Previewed
    from glassguard.progress import track

    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder")
    files, refused = find_files(folder, key="FOLDER")
    if not files:
        raise InputError(f"{folder}: holds no file")
    names = list(files)
    if len(names) > most:
        names = [names[place * len(names) // most] for place in range(most)]
    given = [GivenPicture(printable(name), FileOnDisk(files[name])) for name in names]
    found, first = [], dict[str, str]()
    with (
        TemporaryDirectory() as scratch_folder,
        reading.open_scratch(Path(scratch_folder) / "images.npy", code={}) as scratch,
        ThreadPoolExecutor(WORKERS) as workers,
    ):
        outcomes = workers.map(Reader(reading, scratch).read, given)
        for one, outcome in zip(given, track(outcomes, description="pictures"), strict=True):
            if isinstance(outcome, str):
                found.append(Previewed(one.source, None, outcome))
            elif (known := first.setdefault(outcome.sha256, one.source)) != one.source:
                found.append(Previewed(one.source, None, f"the same file as {known}"))
            else:
                image = scratch.image(outcome.row)
                found.append(Previewed(one.source, image, outcome.aligned_by))
    links = [Previewed(name, None, why) for name, why in refused]
    return [*found, *links], len(files) - len(names)


def _reading(detector: Path | None, size: int, maximum_pixels: int, pose: str) -> "Reading":
    from glassguard.datasets.reading import Reading
    from glassguard.faces.detection import LandmarkDetector

    model = None
    if detector is not None:
        try:
            model = detector.read_bytes()
            LandmarkDetector(model)
        except OSError as error:
            raise InputError(f"--detector {detector}: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"--detector {detector}: {error}") from None
    return Reading(model, size, maximum_pixels, pose)  # type: ignore[arg-type]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="glassguard faces", description=(__doc__ or "").strip())
    preview = parser.add_subparsers(required=True, metavar="preview").add_parser("preview")
    preview.add_argument("folder", type=Path, help="of pictures, in any layout")
    preview.add_argument(
        "--sheet", type=Path, default=Path("preview.png"), help="file to write (%(default)s)"
    )
    preview.add_argument("--detector", type=Path, help="YuNet in ONNX; without it, by the crop")
    preview.add_argument(
        "--size", type=_at_least(32), default=96, help="data.image_size (%(default)s)"
    )
    preview.add_argument(
        "--pose", choices=("close", "arcface"), default="close", help="data.pose (%(default)s)"
    )
    preview.add_argument(
        "--maximum-pixels",
        type=_at_least(10_000),
        default=50_000_000,
        help="data.maximum_pixels (%(default)s)",
    )
    preview.add_argument(
        "--most",
        type=_at_least(1),
        default=MOST,
        help="pictures; of more, as many are taken in even steps (%(default)s)",
    )
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"a whole number, at least {least}: {text!r}")
        return int(text)

    return whole_number
