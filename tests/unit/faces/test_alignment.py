from pathlib import Path

import cv2
import numpy as np
import pytest

from glassguard.faces.alignment import (
    COMMON_POSE,
    CROP_EYES,
    align_by_crop,
    align_by_landmarks,
    common_pose,
    similarity_transform,
    transform_points,
    warp,
)
from glassguard.faces.detection import LandmarkDetector, align

YUNET = Path(__file__).parents[3] / "shared/weights/yunet/face_detection_yunet_2023mar.onnx"
FACES = Path(__file__).parents[3] / "shared/faces/celebrities"


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple) -> np.ndarray:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ rotation.T + shift


@pytest.mark.parametrize("count", [2, 5])
def test_moved_points_come_back_to_the_common_pose(count):
    wanted = common_pose(96)[:count]
    points = turned(wanted, 25, 2.3, (40, -12))
    matrix = similarity_transform(points, wanted)
    np.testing.assert_allclose(transform_points(matrix, points), wanted, atol=1e-9)


def test_a_mirrored_face_is_not_reflected():
    wanted = common_pose(96)
    matrix = similarity_transform(wanted * [-1, 1], wanted)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_the_transform_is_the_least_squares_one():
    generator = np.random.default_rng(0)
    wanted = common_pose(96)
    points = turned(wanted, -10, 1.5, (5, 9)) + generator.normal(0, 3, (5, 2))
    # The same regression by the normal equations of (a, b, tx, ty).
    x, y = points.T
    ones, zeros = np.ones(5), np.zeros(5)
    design = np.vstack([np.stack([x, -y, ones, zeros], 1), np.stack([y, x, zeros, ones], 1)])
    a, b, tx, ty = np.linalg.lstsq(design, wanted.T.ravel())[0]
    expected = [[a, -b, tx], [b, a, ty]]
    np.testing.assert_allclose(similarity_transform(points, wanted), expected, atol=1e-9)


def test_points_in_one_place_determine_nothing():
    with pytest.raises(ValueError, match="coincide"):
        similarity_transform(np.ones((5, 2)), COMMON_POSE)


def test_the_common_pose_scales_with_the_picture():
    np.testing.assert_allclose(common_pose(96), COMMON_POSE - [8, 10])
    np.testing.assert_allclose(common_pose(192) + 0.5, 2 * (common_pose(96) + 0.5))


def dotted(points: np.ndarray, height: int, width: int, radius: int) -> np.ndarray:
    picture = np.full((height, width, 3), 90, np.uint8)
    for x, y in points:
        cv2.circle(picture, (round(x), round(y)), radius, (255, 255, 255), -1, cv2.LINE_AA)
    return picture


@pytest.mark.parametrize(("size", "scale"), [(96, 1.4), (96, 9.0), (224, 1.2)])
def test_drawn_dots_land_on_the_eyes(size, scale):
    """Small and large pictures (the large one is shrunk before it is warped)."""
    landmarks = np.round(turned(common_pose(size), 12, scale, (60, 40)))
    picture = dotted(
        landmarks[:2], int(size * scale * 1.5), int(size * scale * 1.6), round(2 * scale)
    )
    face = align_by_landmarks(picture, landmarks, size=size)
    for x, y in face.eyes:
        left, top = round(x) - 6, round(y) - 6
        weight = face.image[top : top + 13, left : left + 13, 0].astype(float) - 90
        weight = np.clip(weight, 0, None)
        rows, columns = np.mgrid[top : top + 13, left : left + 13]
        centre = [(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()]
        np.testing.assert_allclose(centre, [x, y], atol=0.35)


def test_outside_of_the_picture_lies_its_mean_colour():
    picture = np.zeros((50, 50, 3), np.uint8)
    picture[:, :25] = (200, 100, 40)
    moved = warp(picture, np.array([[1.0, 0, 500], [0, 1, 0]]), 96)
    assert np.unique(moved.reshape(-1, 3), axis=0).tolist() == [[100, 50, 20]]


@pytest.mark.parametrize(("height", "width"), [(200, 200), (300, 180), (120, 260)])
def test_a_crop_is_aligned_by_its_centred_square(height, width):
    side = min(height, width)
    eyes = CROP_EYES * side + [(width - side) / 2, (height - side) / 2]
    face = align_by_crop(dotted(eyes, height, width, 4), size=96)
    assert face.aligned_by == "crop"
    np.testing.assert_allclose(face.eyes, common_pose(96)[:2], atol=1e-9)
    for x, y in face.eyes:
        assert face.image[round(y), round(x), 0] > 200


class Finds(LandmarkDetector):
    def __init__(self, points):
        self.points = points

    def landmarks(self, picture):
        return self.points


@pytest.mark.parametrize(
    "points",
    [None, np.full((5, 2), 30.0), np.full((5, 2), np.nan), common_pose(96)[[1, 0, 2, 4, 3]]],
    ids=["no face", "one place", "not a number", "eyes exchanged"],
)
def test_unusable_landmarks_fall_back_to_the_crop(points):
    picture = np.zeros((80, 80, 3), np.uint8)
    assert align(picture, Finds(points), size=96).aligned_by == "crop"


def test_usable_landmarks_are_used():
    picture = np.zeros((96, 96, 3), np.uint8)
    face = align(picture, Finds(common_pose(96)), size=96)
    assert face.aligned_by == "detector"
    np.testing.assert_allclose(face.eyes, common_pose(96)[:2])


def test_given_landmarks_come_before_the_detector():
    picture = np.zeros((96, 96, 3), np.uint8)
    moved = common_pose(96) + 3
    face = align(picture, Finds(common_pose(96)), size=96, landmarks=moved)
    assert face.aligned_by == "landmarks"
    unusable = align(picture, Finds(common_pose(96)), size=96, landmarks=moved[[1, 0, 2, 4, 3]])
    assert unusable.aligned_by == "detector"


def test_the_detector_sees_the_rectangle_and_its_margin():
    picture = np.random.default_rng(3).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    seen = []

    class Looks(LandmarkDetector):
        def __init__(self):
            pass

        def landmarks(self, picture):
            seen.append(picture.shape)
            return common_pose(96)

    face = align(picture, Looks(), size=96, rectangle=(200, 100, 300, 200))
    assert seen == [(160, 160, 3)]
    np.testing.assert_allclose(face.image, picture[70:166, 170:266], atol=1)
    without = align(picture, None, size=96, rectangle=(200, 100, 300, 200))
    cut = align_by_crop(picture[100:200, 200:300], size=96)
    assert without.aligned_by == "crop"
    np.testing.assert_allclose(without.image[30:70, 30:70], cut.image[30:70, 30:70], atol=1)


def found(x: float, y: float, side: float) -> np.ndarray:
    """A face as YuNet gives it, all landmarks in its centre."""
    centre = [x + side / 2, y + side / 2]
    return np.array([x, y, side, side, *centre * 5, 0.9], np.float32)


class Gives:
    def __init__(self, faces):
        self.faces = faces

    def setInputSize(self, size):  # noqa: N802 - OpenCV's name
        assert size == (320, 320)

    def detect(self, picture):
        return 1, self.faces


@pytest.mark.parametrize(
    ("faces", "centre"),
    [
        (None, None),
        ([found(100, 110, 90)], (145, 155)),
        ([found(0, 0, 100), found(110, 110, 90), found(150, 150, 20)], (155, 155)),
        ([found(150, 150, 20), found(60, 60, 190)], (155, 155)),
    ],
    ids=["no face", "one face", "central before large", "large before central"],
)
def test_of_several_faces_the_largest_and_most_central_is_taken(faces, centre):
    detector = LandmarkDetector.__new__(LandmarkDetector)
    detector._detector = Gives(None if faces is None else np.stack(faces))
    points = detector.landmarks(np.zeros((320, 320, 3), np.uint8))
    if centre is None:
        assert points is None
    else:
        np.testing.assert_allclose(points, np.tile(centre, (5, 1)), atol=1e-4)


def test_other_bytes_are_no_detector():
    with pytest.raises(ValueError, match="YuNet"):
        LandmarkDetector(b"version https://git-lfs.github.com/spec/v1\n")


@pytest.mark.skipif(not (YUNET.exists() and FACES.exists()), reason="no real faces here")
def test_real_faces_are_found_and_agree_with_a_turned_copy():
    detector = LandmarkDetector(YUNET.read_bytes())
    for path in sorted(FACES.rglob("*.jpg"))[::300]:
        picture = cv2.imread(str(path))[:, :, ::-1].copy()
        points = detector.landmarks(picture)
        assert points is not None
        assert points[0, 0] < points[1, 0]
        assert points[:2, 1].max() < points[3:, 1].min()
        larger = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        twice = (detector.landmarks(larger) + 0.5) / 2 - 0.5
        assert np.abs(twice - points).max() < 0.04 * max(picture.shape)


@pytest.mark.skipif(not (YUNET.exists() and FACES.exists()), reason="no real faces here")
@pytest.mark.parametrize("side", [160, 250, 400])
def test_a_small_face_in_a_large_photograph_is_found_as_well(side):
    detector = LandmarkDetector(YUNET.read_bytes())
    errors = []
    paths = sorted(FACES.rglob("*.jpg"))[::400]
    for path in paths:
        face = cv2.imread(str(path))[:, :, ::-1].copy()
        scale = side / max(face.shape)
        small = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        photograph = np.full((2400, 3200, 3), 127, np.uint8)
        top, left = 900, 1500
        photograph[top : top + small.shape[0], left : left + small.shape[1]] = small
        points = detector.landmarks(photograph)
        if points is not None:
            expected = (detector.landmarks(face) + 0.5) * scale - 0.5 + np.array([left, top])
            errors.append(np.abs(points - expected).max() / (expected[1, 0] - expected[0, 0]))
    assert len(errors) >= 0.8 * len(paths)
    assert np.median(errors) < 0.25
