"""The search over masks against the loop over everything."""

import cv2
import numpy as np
import pytest
import torch

from glassguard.recognizer.network import FaceRecognizer, to_pixels
from glassguard.saliency.classification import probabilities
from glassguard.saliency.fill import filled
from glassguard.saliency.grid import (
    NO_TARGET,
    Combination,
    MaskPlan,
    combinations,
    exact_mean,
    exact_sum,
    goodness,
    search,
    spread,
)
from glassguard.saliency.search import tried

SIZE = 32
PICTURES = 5


@pytest.fixture
def network():
    torch.manual_seed(2)
    network = FaceRecognizer(
        identities=4, image_size=SIZE, width=1 / 16, hidden=16, mean=(120, 110, 100), scale=40
    )
    # Untrained logits hardly differ; stretched, confidences cover [0, 1].
    network.classifier.fc8.weight.data.mul_(40)
    network.classifier.fc8.bias.data.zero_()
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@pytest.fixture
def images():
    noise = np.random.default_rng(5).integers(0, 256, (PICTURES, SIZE, SIZE, 3), dtype=np.uint8)
    return np.stack([cv2.GaussianBlur(picture, (0, 0), 2) for picture in noise])


@pytest.fixture
def maps():
    noise = np.random.default_rng(6).random((PICTURES, SIZE, SIZE), dtype=np.float32)
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), 1.5) for one in noise])
    smooth -= smooth.min(axis=(1, 2), keepdims=True)
    smooth /= smooth.max(axis=(1, 2), keepdims=True)
    smooth[-1] = 0  # a picture without salient pixels
    return [{"guided": one, "relative": np.flipud(one)} for one in smooth]


@pytest.fixture
def points():
    return combinations(
        map=("guided",),
        mu=(0.5, 0.8, 0.95),
        mu_as=("value", "quantile"),
        n=(0, 2, 5),
        phi=(0, 6, 7, 60, 5000),
        fill=("zero", "mean", "telea"),
        extra=[
            Combination(map="guided", mu=0.98, mu_as="quantile", n=8, phi=80, fill="grey"),
            Combination(map="relative", mu=0.95, mu_as="quantile", n=2, phi=6, fill="zero"),
            Combination(map="relative", mu=0.5, mu_as="value", n=5, phi=5000, fill="telea"),
        ],
    )


def naive_mask(maps, point):
    saliency = maps[point.map]
    level = point.mu
    if point.mu_as == "quantile":
        level = np.quantile(saliency.astype(float), point.mu)
    mask = (saliency.astype(float) > level).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    for _ in range(point.n):
        mask = cv2.dilate(mask, square)
    for _ in range(point.n):
        mask = cv2.erode(mask, square)
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    for label in range(1, count):
        if (labels == label).sum() < point.phi:
            mask[labels == label] = 0
    return mask.astype(bool)


def naive_confidences(network, images, maps, classes, points):
    confidences = np.zeros((len(images), len(points), 2), dtype=np.float32)
    for i, (image, saliency) in enumerate(zip(images, maps, strict=True)):
        for j, point in enumerate(points):
            picture = filled(image, naive_mask(saliency, point), point.fill)
            softmax = network(to_pixels(torch.from_numpy(picture[None]))).softmax(dim=1)[0]
            real, target = classes[i]
            confidences[i, j, 0] = softmax[real]
            confidences[i, j, 1] = 1 - softmax[real] if target == NO_TARGET else softmax[target]
    return confidences


CLASSES = np.array([[0, 1], [1, 2], [2, NO_TARGET], [3, 0], [1, 3]])


def test_distinct_masks_are_the_naive_masks_each_once(maps, points):
    plan = MaskPlan(points)
    for saliency in maps:
        distinct = plan.distinct_masks(saliency)
        met = []
        for one in distinct:
            for fill, positions in one.combinations.items():
                for position in positions:
                    assert points[position].fill == fill
                    assert np.array_equal(one.mask, naive_mask(saliency, points[position]))
                met += positions
        assert sorted(met) == list(range(len(points)))
        assert len({one.mask.tobytes() for one in distinct}) == len(distinct)
    assert len(plan.distinct_masks(maps[-1])) == 1


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_search_equals_the_naive_loop(network, images, maps, points, batch_size):
    found = search(network, zip(images, maps, strict=True), CLASSES, points, batch_size=batch_size)
    expected = naive_confidences(network, images, maps, CLASSES, points)
    assert np.ptp(expected) > 0.5  # else equality would be cheap
    assert found.confidences.dtype == np.float32
    np.testing.assert_allclose(found.confidences, expected, atol=1e-5)


def test_passes_are_spent_on_distinct_masks_only(network, images, maps, points):
    found = search(network, zip(images, maps, strict=True), CLASSES, points)
    expected = 0
    for saliency in maps:
        pairs = set()
        for point in points:
            mask = naive_mask(saliency, point)
            pairs.add((mask.tobytes(), point.fill) if mask.any() else ("unmasked", None))
        expected += len(pairs)
    assert found.network_passes == expected
    assert found.network_passes_naive == PICTURES * len(points)
    assert found.network_passes < found.network_passes_naive / 2


def test_what_was_seen_takes_no_pass_again(network, images, maps, points):
    pictures = list(zip(images, maps, strict=True))
    at_once = search(network, pictures, CLASSES, points)
    seen = {}
    one_by_one = [search(network, pictures, CLASSES, [point], seen=seen) for point in points]
    together = np.concatenate([one.confidences for one in one_by_one], axis=1)
    assert np.array_equal(together, at_once.confidences)
    assert sum(one.network_passes for one in one_by_one) == at_once.network_passes == len(seen)
    assert search(network, pictures, CLASSES, points, seen=seen).network_passes == 0


VALUES = {
    "map": ("guided", "relative"),
    "mu": (0.98, 0.9, 0.94, 0.96),
    "mu_as": ("value", "quantile"),
    "n": (0, 1, 2, 4, 8),
    "phi": (0, 10, 20, 40, 80),
    "fill": ("zero", "mean", "telea"),
}


@pytest.mark.parametrize("method", ["random", "bayesian"])
def test_trials_are_different_points_of_the_grid_and_repeatable(method):
    asked = []

    def score(point):
        asked.append(point)
        return -abs(point.mu - 0.94) - abs(point.n - 4) - (point.fill != "telea")

    found = tried(VALUES, score, method=method, trials=40, seed=1)
    assert found == asked
    assert len(set(found)) == len(found) <= 40
    for name, options in VALUES.items():
        assert {getattr(point, name) for point in found} <= set(options)
    assert found == tried(VALUES, score, method=method, trials=40, seed=1)
    assert found != tried(VALUES, score, method=method, trials=40, seed=2)


def test_bayesian_search_looks_where_it_was_good():
    def score(point):
        return -10 * abs(point.mu - 0.94) - abs(point.n - 4) - (point.fill != "telea")

    def mean_of_last(method):
        return np.mean(
            [
                [score(point) for point in tried(VALUES, score, method=method, trials=60, seed=s)][
                    -15:
                ]
                for s in range(3)
            ]
        )

    assert mean_of_last("bayesian") > mean_of_last("random")


def test_an_empty_mask_costs_one_pass_for_all_fills(network, images, maps, points):
    classes = CLASSES[-1:]
    found = search(network, [(images[-1], maps[-1])], classes, points)
    assert found.network_passes == 1
    plain = next(probabilities(network, images[-1:], batch_size=64))
    assert (found.confidences[0, :, 0] == plain[classes[0, 0]]).all()
    assert (found.confidences[0, :, 1] == plain[classes[0, 1]]).all()


def test_results_do_not_depend_on_how_pictures_are_dealt_out(network, images, maps, points):
    together = search(network, zip(images, maps, strict=True), CLASSES, points, batch_size=16)
    for shards in (2, 5, 7):
        passes = 0
        sums = np.zeros((len(points), 2), dtype=np.int64)
        for shard in range(shards):
            part = slice(shard, None, shards)
            found = search(
                network,
                zip(images[part], maps[part], strict=True),
                CLASSES[part],
                points,
                batch_size=16,
            )
            assert np.array_equal(found.confidences, together.confidences[part])
            sums += exact_sum(found.confidences)
            passes += found.network_passes
        assert np.array_equal(sums, exact_sum(together.confidences))
        assert passes == together.network_passes


def test_pictures_are_taken_as_they_are_needed(network, images, maps):
    points = [Combination(map="guided", mu=0.9, mu_as="quantile", n=1, phi=0, fill="zero")]
    taken = []

    def pictures():
        for row in range(4):
            taken.append(row)
            yield images[row], maps[row]

    seen = []
    hook = network.register_forward_hook(lambda *_: seen.append(len(taken)))
    search(network, pictures(), CLASSES[:4], points, batch_size=2)
    hook.remove()
    assert seen == [2, 4]


def test_combinations_are_listed_once_and_in_order():
    point = Combination(map="guided", mu=0.5, mu_as="value", n=1, phi=0, fill="zero")
    other = Combination(map="guided", mu=0.9, mu_as="value", n=1, phi=0, fill="mean")
    grid = {"mu": (0.5, 0.5), "mu_as": ("value",), "n": (1,), "phi": (0, 9), "fill": ("zero",)}
    found = combinations(map=("guided",), **grid, extra=[point, other])
    assert len(found) == 3
    assert found[0] == point
    assert found[1].phi == 9
    assert found[2] == other


def test_exact_sums_do_not_depend_on_order():
    values = np.random.default_rng(0).random((1000, 3)).astype(np.float32) ** 8
    shuffled = np.random.default_rng(1).permutation(values)
    assert np.array_equal(exact_sum(values), exact_sum(shuffled))
    parts = exact_sum(values[:300]) + exact_sum(values[300:])
    np.testing.assert_allclose(exact_mean(parts, 1000), values.astype(float).mean(0), atol=1e-12)


def test_goodness_of_the_source():
    assert goodness(np.array(1.0), np.array(1.0), np.array(0.0)) == 1
    assert goodness(np.array(0.0), np.array(0.0), np.array(1.0)) == 0
    assert goodness(np.array(0.9), np.array(0.6), np.array(0.3)) == pytest.approx(2.2 / 3)


def test_spread_positions():
    assert spread(5, None, 0).tolist() == [0, 1, 2, 3, 4]
    assert spread(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    found = spread(100, 10, 3)
    assert np.array_equal(found, spread(100, 10, 3))
    assert np.array_equal(np.diff(found), np.full(9, 10))
    assert not np.array_equal(found, spread(100, 10, 4))
    assert len(set(spread(7, 5, 1).tolist())) == 5
    assert len(spread(0, 3, 1)) == 0
