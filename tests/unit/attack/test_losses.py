"""Losses of attacks."""

import pytest
import torch
import torch.nn.functional as F

from glassguard.attack.losses import LOSSES, CrossEntropy, LabelLogit, LogitMargin

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 3.0]])
LABELS = torch.tensor([0, 1])


def test_the_margin_is_to_the_largest_other_logit():
    assert LogitMargin()(LOGITS, LABELS).tolist() == [0.5 - 2.0, 0.0]
    assert LogitMargin()(LOGITS, torch.tensor([1, 0])).tolist() == [3.0, 3.0]


def test_the_margin_has_a_gradient_where_the_softmax_has_none_left():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    label = torch.tensor([0])
    (flat,) = torch.autograd.grad(CrossEntropy()(logits, label).sum(), logits)
    (steep,) = torch.autograd.grad(LogitMargin()(logits, label).sum(), logits)
    assert not flat.any()
    assert steep.tolist() == [[-1.0, 1.0]]


def test_the_cosine_to_an_enrolled_person_is_the_loss_where_logits_are_cosines():
    generator = torch.Generator().manual_seed(0)
    embeddings, enrolled = (torch.randn(count, 5, generator=generator) for count in (2, 3))
    cosines = F.normalize(embeddings) @ F.normalize(enrolled).T
    expected = [-F.cosine_similarity(embeddings[i], enrolled[LABELS[i]], dim=0) for i in range(2)]
    torch.testing.assert_close(LabelLogit()(cosines, LABELS), torch.stack(expected))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_falls_when_the_label_gains(name):
    more = LOGITS + 0.1 * F.one_hot(LABELS, 3)
    assert (LOSSES[name](more, LABELS) < LOSSES[name](LOGITS, LABELS)).all()
