import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from glassguard.faces.embedded.circumstances import Expression, Pose
from glassguard.faces.embedded.geometry import EYES_AT, look_at
from glassguard.faces.embedded.identity import draw_identity
from glassguard.faces.embedded.population import render_person
from glassguard.faces.embedded.rendering import render_face

SIZE = 96


@pytest.fixture(scope="module")
def population():
    people = [render_person(5, identity, images=30, size=SIZE) for identity in range(12)]
    return np.stack([images for images, _ in people]), np.stack([eyes for _, eyes in people])


def test_same_seed_same_person_same_pictures(population):
    images, eyes = population
    again, eyes_again = render_person(5, 3, images=4, size=SIZE)
    np.testing.assert_array_equal(again, images[3, :4])
    np.testing.assert_array_equal(eyes_again, eyes[3, :4])
    assert draw_identity(5, 3) == draw_identity(5, 3)


def test_another_seed_or_number_is_another_person(population):
    images, _ = population
    assert draw_identity(6, 3) != draw_identity(5, 3)
    assert draw_identity(5, 4) != draw_identity(5, 3)
    other, _ = render_person(6, 3, images=1, size=SIZE)
    assert (other[0] != images[3, 0]).mean() > 0.5


def test_no_two_pictures_are_equal(population):
    images, _ = population
    flat = images.reshape(-1, SIZE * SIZE * 3)
    assert len({picture.tobytes() for picture in flat}) == len(flat)


def test_parameters_of_a_person_do_not_share_the_first_pictures_stream():
    person = draw_identity(0, 0)
    generator = np.random.default_rng(np.random.SeedSequence([0, 0]))
    coupled, _ = render_face(person, generator, size=64)
    first = render_person(0, 0, images=1, size=64)[0][0]
    assert (coupled != first).mean() > 0.5


@pytest.mark.parametrize("size", [64, 96, 224])
def test_shapes_types_and_eyes_at_every_size(size):
    images, eyes = render_person(1, 0, images=3, size=size)
    assert images.shape == (3, size, size, 3)
    assert images.dtype == np.uint8
    assert eyes.shape == (3, 2, 2)
    assert eyes.dtype == np.float32
    assert np.abs(eyes - np.array(EYES_AT) * size).max() < 0.09 * size
    assert images.std() > 20


def test_eyes_vary_about_the_aligned_place(population):
    _, eyes = population
    eyes = eyes.reshape(-1, 2, 2)
    nominal = np.array(EYES_AT) * SIZE
    assert np.abs(eyes.mean(axis=0) - nominal).max() < 1.0
    assert np.abs(eyes - nominal).max() < 8.0
    assert eyes.std(axis=0).min() > 0.5
    right = eyes[:, 1] - eyes[:, 0]
    roll = np.degrees(np.arctan2(right[:, 1], right[:, 0]))
    assert np.abs(roll).max() < 10.0
    assert roll.std() > 1.0


def test_eyes_are_where_irises_were_drawn(population):
    images, eyes = population
    darker = []
    for picture, places in zip(
        images.reshape(-1, SIZE, SIZE, 3), eyes.reshape(-1, 2, 2), strict=True
    ):
        grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 1.5)
        for x, y in places.round().astype(int):
            cheek = grey[y + 13 : y + 17, x - 3 : x + 4].mean()
            darker.append(grey[y - 2 : y + 3, x - 2 : x + 3].min() < cheek)
    assert np.mean(darker) > 0.9


def test_turning_the_head_moves_the_nose_and_keeps_the_eyes():
    person = draw_identity(0, 0)
    calm = Expression(**dict.fromkeys(Expression.__dataclass_fields__, 0.0))
    still = dict.fromkeys(Pose.__dataclass_fields__, 0.0) | {"scale": 1.0}
    ahead = look_at(person, calm, Pose(**still), SIZE)
    turned = look_at(person, calm, Pose(**still | {"yaw": 0.3}), SIZE)

    def column(view, x, y):
        return np.argmin((view.x - x) ** 2 + (view.y - y) ** 2) % SIZE

    moved = column(turned, 0.0, person.nose.tip) - column(ahead, 0.0, person.nose.tip)
    assert moved >= 2
    for x in (-0.5, 0.5):
        assert abs(column(turned, x, 0.0) - column(ahead, x, 0.0)) <= 1
    # The near side of the outline comes into view, the far side goes.
    assert (turned.normals[2] > 0).all()
    length = sum(component**2 for component in turned.normals)
    np.testing.assert_allclose(length, 1.0, atol=1e-4)


def test_people_differ_more_than_pictures_of_one_person(population):
    images, _ = population
    small = np.stack(
        [
            [cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA) for picture in person]
            for person in images
        ]
    ).astype(np.float32)
    small -= small.mean(axis=(2, 3), keepdims=True)
    halves = small[:, ::2].mean(axis=1), small[:, 1::2].mean(axis=1)
    distance = np.linalg.norm(
        (halves[0][:, None] - halves[1][None]).reshape(len(images), len(images), -1), axis=2
    )
    assert (distance.argmin(axis=1) == np.arange(len(images))).mean() >= 0.8


def test_raw_pixels_do_not_give_people_away(population):
    """What makes the data worth a network: a linear model learns something, not everything."""
    images, _ = population
    people, each = images.shape[:2]
    small = np.stack(
        [
            cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)
            for picture in images.reshape(-1, SIZE, SIZE, 3)
        ]
    )
    pixels = (small / 255.0 - 0.5).reshape(people, each, -1)
    labels = np.repeat(np.arange(people), each).reshape(people, each)
    train, test = slice(0, 20), slice(20, None)
    model = LogisticRegression(C=0.1, max_iter=200).fit(
        np.concatenate(pixels[:, train]), labels[:, train].ravel()
    )
    accuracy = model.score(np.concatenate(pixels[:, test]), labels[:, test].ravel())
    assert 0.35 < accuracy < 0.92
