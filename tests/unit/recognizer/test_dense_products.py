"""Dense layers in training, beside PyTorch's own."""

import numpy as np
import torch
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from glassguard.recognizer.dense_products import dense_answer
from glassguard.recognizer.head import LabelledFeatures, _one_thread


def layers(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(12, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)
    ).to(dtype)


def test_answers_and_gradients_are_pytorchs() -> None:
    ours, peer = layers(torch.float64), layers(torch.float64)
    features = torch.randn(7, 12, dtype=torch.float64)
    torch.manual_seed(1)
    answer = dense_answer(ours, features)
    torch.manual_seed(1)
    wanted = peer(features)
    assert torch.allclose(answer, wanted, rtol=0, atol=1e-13)
    for one in (answer, wanted):
        (one**2).sum().backward()
    for own, other in zip(ours.parameters(), peer.parameters(), strict=True):
        assert torch.allclose(own.grad, other.grad, rtol=0, atol=1e-12)


def test_gradients_reach_the_features_where_they_are_wanted() -> None:
    network = layers(torch.float64).eval()
    features = torch.randn(4, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: dense_answer(network, given), features)


def test_frozen_layers_answer_without_gradients() -> None:
    network = layers().eval().requires_grad_(False)
    with torch.inference_mode():
        assert dense_answer(network, torch.randn(4, 12)).shape == (4, 3)


def test_training_takes_one_thread_and_gives_the_others_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with _one_thread():
            assert torch.get_num_threads() == 1
            blas = [one for one in threadpool_info() if one["user_api"] == "blas"]
            assert {one["num_threads"] for one in blas} == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_batches_are_those_of_a_loader_that_reads_row_by_row() -> None:
    features, labels = torch.randn(11, 3), torch.arange(11)
    rows = LabelledFeatures(features, labels)
    loaders = (
        rows.batches(4, torch.Generator().manual_seed(6)),
        DataLoader(
            TensorDataset(features, labels),
            batch_size=4,
            shuffle=True,
            generator=torch.Generator().manual_seed(6),
        ),
    )
    for _ in range(2):
        for ours, peers in zip(*loaders, strict=True):
            assert all(torch.equal(*pair) for pair in zip(ours, peers, strict=True))
    in_order = [batch[1].numpy() for batch in rows.batches(5)]
    assert np.array_equal(np.concatenate(in_order), np.arange(11))
