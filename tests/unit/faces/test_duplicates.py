import tracemalloc

import cv2
import numpy as np

from glassguard.faces import duplicates


def scene(seed: int, size: int = 96) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(40, 200, (12, 12, 3), dtype=np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def recompressed(picture: np.ndarray) -> np.ndarray:
    smaller = cv2.resize(picture, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    return cv2.imdecode(cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], 1)


def hashes(pictures) -> np.ndarray:
    return np.array([duplicates.perceptual_hash(picture) for picture in pictures], np.uint64)


def test_a_recompressed_smaller_brighter_copy_keeps_its_hash():
    for seed in range(10):
        picture = scene(seed)
        copy = cv2.convertScaleAbs(recompressed(picture), alpha=0.8, beta=20)
        first, second = hashes([picture, copy])
        assert np.bitwise_count(first ^ second) <= 4


def test_other_pictures_have_other_hashes():
    values = hashes(scene(seed) for seed in range(40))
    assert len(duplicates.near_pairs(values, values, 10)) == 40


def test_near_pairs_are_those_of_the_plain_loop():
    generator = np.random.default_rng(1)
    first = generator.integers(0, 2**64, 2500, dtype=np.uint64)
    second = first[::50] ^ np.uint64(0b1011)
    expected = [
        (i, j)
        for i in range(len(first))
        for j in range(len(second))
        if bin(int(first[i]) ^ int(second[j])).count("1") <= 3
    ]
    assert duplicates.near_pairs(first, second, 3).tolist() == [list(pair) for pair in expected]


def test_pairs_of_many_pictures_take_little_memory():
    hashes = np.random.default_rng(2).integers(0, 2**64, 20_000, dtype=np.uint64)
    tracemalloc.start()
    duplicates.near_pairs(hashes, hashes, 6)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6


def test_groups_follow_chains_within_a_person_only():
    values = np.array([0b0, 0b11, 0b1111, 2**60 - 1, 0b0], dtype=np.uint64)
    groups = duplicates.group_near_duplicates(values, ["a", "a", "a", "a", "b"], 2)
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups.tolist())) == 3


def test_nothing_gives_no_groups():
    assert duplicates.group_near_duplicates(np.empty(0, np.uint64), [], 4).tolist() == []


def test_the_same_bytes_under_two_names_are_reported_with_both():
    found = duplicates.copies_under_several_names(["x", "y", "x", "y"], ["a", "b", "c", "b"])
    assert found == {0: ["a", "c"], 2: ["a", "c"]}


def test_the_same_photograph_is_told_from_another():
    assert duplicates.same_photograph(scene(1), recompressed(scene(1)))
    assert not duplicates.same_photograph(scene(1), scene(2))
    assert not duplicates.same_photograph(scene(1), np.zeros((96, 96, 3), np.uint8))
