"""``glassguard inspect PICTURE... --study results/<experiment>``: the guard on any pictures."""

import argparse
import dataclasses
import glob
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassguard import kernels
from glassguard.errors import InputError

if TYPE_CHECKING:  # NumPy must not be there before the kernels are chosen
    import numpy as np
    from numpy.typing import NDArray

    from glassguard.faces.alignment import AlignedFace
    from glassguard.guard.guard import Inspection
    from glassguard.inspection.opinions import Opinion

ACCEPTED, REJECTED, BAD_INPUT = 0, 3, 2
"""Exit status: of several pictures, the worst counts, bad input before a rejection."""
MAXIMUM_PIXELS = 50_000_000
BATCH = 32


def main(options: Sequence[str]) -> int:
    """Inspect pictures and print a line for each.

    Returns:
        0 where every picture is accepted or corrected, 3 where one is rejected, 2 where one cannot
        be read.

    Raises:
        InputError: there is no such study, or no picture.
    """
    # Before NumPy is imported.
    kernels.choose("pinned")
    given = _parser().parse_args(options)
    paths = list(_files(given.pictures))
    if not paths:
        raise InputError("no picture is given")
    lines = list(_inspected(paths, given))
    if given.json:
        for line in lines:
            print(json.dumps(line, ensure_ascii=False))
    else:
        width = max(len(line["picture"]) for line in lines)
        for line in lines:
            result = (line.get("decision") or "error", line.get("answer") or "–", line["why"])
            print(f"{line['picture']:{width}}  {result[0]:7}  {result[1]}: {result[2]}")
            for further in _further(line):
                print(f"{'':{width}}           {further}")
    decisions = {line.get("decision") for line in lines}
    if None in decisions:
        return BAD_INPUT
    return REJECTED if "reject" in decisions else ACCEPTED


def _parser() -> argparse.ArgumentParser:
    from glassguard.detection.thresholds import FALSE_POSITIVE_RATES

    parser = argparse.ArgumentParser(prog="glassguard inspect", description=(__doc__ or "").strip())
    parser.add_argument(
        "pictures", nargs="+", help="files, folders, patterns, or - for a list on standard input"
    )
    parser.add_argument("--study", type=Path, required=True, help="folder of a finished study")
    parser.add_argument(
        "--mode", choices=("accept_or_reject", "correct"), help="the study's if not given"
    )
    parser.add_argument("--detector", type=Path, help="YuNet in ONNX; the study's if not given")
    parser.add_argument(
        "--guard-only", action="store_true", help="do not ask the saliency mask and the detectors"
    )
    parser.add_argument(
        "--false-alarms",
        type=float,
        choices=FALSE_POSITIVE_RATES,
        default=FALSE_POSITIVE_RATES[1],
        help="rate that the detectors' thresholds are set at (%(default)s)",
    )
    parser.add_argument(
        "--figures", type=Path, metavar="DIR", help="folder for a PNG of each picture"
    )
    parser.add_argument("--json", action="store_true", help="a line of JSON for each picture")
    return parser


def _further(line: dict[str, Any]) -> Iterator[str]:
    """What mask and detectors say, where they were asked."""
    if "masked" not in line:
        return
    yield (
        f"the saliency mask removes {line['mask_removes']:.1%}; then it looks like "
        f"{line['masked']} ({line['masked_confidence']:.3f})"
    )
    flags = [one for one in line["detectors"] if one["flagged"]]
    yield f"{len(flags)} of {len(line['detectors'])} detectors flag it"
    for one in flags:
        layers = f" at {', '.join(one['slices'])}" if one["slices"] else ""
        score = "infinite" if one["score"] is None else f"{one['score']:.3g}"
        yield f"  {one['detector']}{layers}: {score}, above {one['threshold']:.3g}"


def _files(given: Sequence[str]) -> Iterator[Path]:
    from glassguard.faces.decoding import SUFFIXES

    for one in given:
        path = Path(one)
        if one == "-":
            yield from (Path(line.strip()) for line in sys.stdin if line.strip())
        elif path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        elif not path.exists() and glob.has_magic(one):
            # Path.glob takes no absolute pattern.
            yield from sorted(map(Path, glob.glob(one, recursive=True)))  # noqa: PTH207
        else:
            yield path


def _inspected(paths: Sequence[Path], given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is said of each picture, in their order."""
    import numpy as np

    from glassguard.configuration.sections import DataSection, read_section
    from glassguard.faces.alignment import AlignedFace, Pose
    from glassguard.faces.decoding import PictureError, decode, maximum_bytes
    from glassguard.faces.detection import LandmarkDetector, align
    from glassguard.guard.guard import Guard
    from glassguard.progress import track

    guard = Guard.load(given.study, mode=given.mode)
    data = read_section(given.study / "config/data.yaml", DataSection).data
    file = given.detector or getattr(data, "detector", None)
    detector = None
    if file is not None:
        try:
            detector = LandmarkDetector(file.read_bytes())
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}; give --detector") from None
        except ValueError as error:
            raise InputError(f"{file}: {error}") from None
    else:
        print(
            "note: without a detector of faces (--detector), every picture counts as a tight crop "
            "and the eyes as being where they usually are: a frame elsewhere may leave the band",
            file=sys.stderr,
        )
    pixels = getattr(data, "maximum_pixels", MAXIMUM_PIXELS)
    pose: Pose = getattr(data, "pose", "close")

    def read(path: Path) -> AlignedFace | str:
        try:
            with path.open("rb") as stream:
                content = stream.read(maximum_bytes(pixels) + 1)
            if len(content) > maximum_bytes(pixels):
                return f"has more than {maximum_bytes(pixels)} bytes"
            face = align(
                decode(content, maximum_pixels=pixels), detector, size=guard.size, pose=pose
            )
        except OSError as error:
            return error.strerror or type(error).__name__
        except PictureError as error:
            return str(error)
        return face if detector is None or face.aligned_by == "detector" else "no face was found"

    second = None
    if not given.guard_only:
        # Takes seconds to import.
        from glassguard.inspection.opinions import SecondOpinion

        try:
            second = SecondOpinion.load(
                given.study, guard.full, guard.identities, false_alarms=given.false_alarms
            )
        except InputError as error:
            raise InputError(f"{error}; --guard-only goes without detectors and mask") from None
    if given.figures is not None:
        try:
            given.figures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--figures {given.figures}: {error.strerror}") from None
    number = 0
    for start in track(range(0, len(paths), BATCH), description="pictures, batches"):
        batch = [(path, read(path)) for path in paths[start : start + BATCH]]
        faces = [one for _, one in batch if isinstance(one, AlignedFace)]
        images = np.array([one.image for one in faces], dtype=np.uint8)
        eyes = np.array([one.eyes for one in faces])
        said = guard.inspect(images, eyes) if faces else []
        opinions = [None] * len(faces) if second is None or not faces else second(images)
        judged = zip(faces, said, opinions, strict=True)
        for path, one in batch:
            number += 1
            if isinstance(one, str):
                yield {"picture": str(path), "decision": None, "why": one}
                continue
            face, inspection, opinion = next(judged)
            line = {"picture": str(path), **dataclasses.asdict(inspection)}
            line |= {"aligned_by": face.aligned_by} | (opinion.plain() if opinion else {})
            if given.figures is not None:
                figure = given.figures / f"{number:04d}_{path.stem}.png"
                _draw(figure, path, guard.hide(face.image, face.eyes), face, inspection, opinion)
                line["figure"] = str(figure)
            yield line


def _draw(
    figure: Path,
    picture: Path,
    banded: "NDArray[np.uint8]",
    face: "AlignedFace",
    inspection: "Inspection",
    opinion: "Opinion | None",
) -> None:
    from glassguard.inspection.figures import inspection_figure
    from glassguard.report.style import DOTS_PER_INCH, drawing

    with drawing():
        drawn = inspection_figure(picture.name, face.image, banded, inspection, opinion)
        drawn.savefig(figure, dpi=DOTS_PER_INCH)
