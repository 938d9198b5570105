"""What becomes of each kind of picture: the table in docs/own-data.md."""

import cv2
import numpy as np
from datasets.made_people import NAMES, run_folder, small_scene
from PIL import Image

from glassguard.faces.alignment import common_pose


def test_each_kind_of_picture_has_its_outcome(people, tmp_path):
    """What the table in docs/own-data.md says."""
    photograph = Image.fromarray(small_scene(0, 50))
    odd = people / "anna"
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph.save(odd / "rotated.jpg", exif=exif)
    photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT).convert("L").save(odd / "grey.png")
    Image.fromarray(small_scene(0, 51)).convert("CMYK").save(odd / "cmyk.jpg")
    sixteen = cv2.cvtColor(small_scene(0, 52), cv2.COLOR_RGB2GRAY).astype(np.uint16) << 8
    Image.fromarray(sixteen).save(odd / "sixteen.png")
    Image.fromarray(small_scene(0, 53)).convert("RGBA").save(odd / "alpha.webp", lossless=True)
    Image.fromarray(small_scene(0, 54)).save(odd / "in_fact_a_bmp.jpg", "BMP")
    Image.fromarray(small_scene(0, 55)).save(odd / "without_an_ending", "PNG")
    Image.fromarray(small_scene(0, 56)).resize((20, 200)).save(odd / "tiny.png")
    Image.fromarray(small_scene(0, 57)).save(odd / "animation.gif")
    metrics, _, manifest, reasons = run_folder(people, tmp_path / "out", duplicate_distance=0)
    used = set(manifest.source)
    assert {f"anna/{name}" for name in (
        "rotated.jpg", "grey.png", "cmyk.jpg", "sixteen.png", "alpha.webp", "in_fact_a_bmp.jpg",
        "without_an_ending",
    )} < used  # fmt: skip
    rotated = manifest.set_index("source").loc["anna/rotated.jpg"]
    assert (rotated.width, rotated.height) == (120, 100)
    assert reasons.to_dict() == {
        "anna/tiny.png": "20×200: a side is shorter than 24 pixels",
        "anna/animation.gif": "not a JPEG, PNG, WebP or BMP picture",
    }
    assert metrics["aligned_by_crop"] == 47


def found(*, centre: tuple[float, float], side: float, profile: bool = False) -> np.ndarray:
    """A row of what YuNet finds: a face of the common pose, or one whose eyes coincide."""
    points = (common_pose(96) - 48) * side / 96 + centre
    if profile:
        points[1] = points[0] + [1, 0]
    corner = np.array(centre) - side / 2
    return np.concatenate([corner, [side, side], points.ravel(), [0.9]]).astype(np.float32)


SIZE = (320, 320)
"""What the detector sees of the square pictures below."""


FACES = {
    "one": [found(centre=(160, 160), side=200)],
    "several": [
        found(centre=(60, 60), side=100),
        found(centre=(170, 150), side=200),
        found(centre=(290, 290), side=40),
    ],
    "none": None,
    "profile": [found(centre=(160, 160), side=200, profile=True)],
    "not_a_number": [found(centre=(160, 160), side=200) * np.float32("nan")],
}


OUTCOMES = {"one": "detector", "several": "detector"}


class StubbedYuNet:
    """Tells the kind of a picture by the brightness of its middle."""

    def setInputSize(self, size):  # noqa: N802 - OpenCV's name
        assert size == SIZE

    def detect(self, picture):
        number = round(picture[150:170, 150:170].mean() / 40)
        faces = None if number == 0 else list(FACES.values())[number - 1]
        return 1, None if faces is None else np.stack(faces)


def test_each_number_of_faces_has_its_outcome(tmp_path, monkeypatch):
    """What the table in docs/own-data.md says, with what YuNet would find in place of YuNet."""
    for person, name in enumerate(NAMES):
        for number, kind in enumerate(FACES, start=1):
            picture = cv2.resize(small_scene(person, number), SIZE)
            picture[140:180, 140:180] = 40 * number
            (tmp_path / "people" / name).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(tmp_path / "people" / name / f"{kind}.png"), picture)
    (tmp_path / "yunet.onnx").write_bytes(b"stubbed")
    monkeypatch.setattr(
        "cv2.FaceDetectorYN", type("Yes", (), {"create": lambda *_: StubbedYuNet()})
    )
    metrics, images, manifest, reasons = run_folder(
        tmp_path / "people",
        tmp_path / "out",
        detector=tmp_path / "yunet.onnx",
        minimum_images=len(FACES),
    )
    assert reasons.empty
    kinds = manifest.source.str.extract(r"/(\w+)\.png")[0]
    assert len(kinds) == len(NAMES) * len(FACES)
    for kind, aligned_by in zip(kinds, manifest.aligned_by, strict=True):
        assert aligned_by == OUTCOMES.get(kind, "crop"), kind
    assert metrics["aligned_by_crop"] == 3 * len(NAMES)
    # The largest and most central of several faces lies in the common pose, as the only one does.
    eyes = manifest[["left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"]].to_numpy()
    np.testing.assert_allclose(eyes, np.tile(common_pose(64)[:2].ravel(), (len(eyes), 1)), atol=0.1)
    by_source = dict(zip(manifest.source, images, strict=True))
    for name in NAMES:
        for kind, (x, y) in {"one": (160, 160), "several": (170, 150)}.items():
            whole = cv2.imread(str(tmp_path / "people" / name / f"{kind}.png"))[..., ::-1]
            cut = whole[y - 100 : y + 100, x - 100 : x + 100]
            aligned = cv2.resize(cut, (64, 64), interpolation=cv2.INTER_AREA).astype(float)
            assert np.abs(by_source[f"{name}/{kind}.png"] - aligned).mean() < 4
