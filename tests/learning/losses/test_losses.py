"""Losses against torch."""

import numpy as np
import pytest
import torch
from catalogue import LOSSES

from analog_sim.config import StrictModel, UserError, validate
from learning.losses.losses import AnyLoss, make_loss


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_equal_torch(name: str) -> None:
    rng = np.random.default_rng(0)
    o = (5 * rng.standard_normal((6, 4))).astype(np.float32)
    t = rng.integers(0, 4, 6)
    given = torch.tensor(o, requires_grad=True)
    if name == "cross_entropy":
        expected = torch.nn.functional.cross_entropy(given, torch.tensor(t), reduction="none")
    else:
        assert name == "mse", "compare a new loss with a second implementation here"
        onehot = torch.nn.functional.one_hot(torch.tensor(t), 4)
        expected = 0.5 * ((given - onehot) ** 2).sum(dim=1)
    loss = make_loss(name)
    got = loss.per_sample(o, t)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    expected.mean().backward()
    assert given.grad is not None
    gradient = loss.gradient(o, t)
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, given.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_cross_entropy_of_huge_logits_is_finite() -> None:
    o = np.array([[1e4, -1e4, 0.0]], np.float32)
    loss = make_loss("cross_entropy")
    assert loss.per_sample(o, np.array([1]))[0] == pytest.approx(2e4)
    assert np.isfinite(loss.gradient(o, np.array([1]))).all()


def test_a_loss_is_read_and_written_by_its_name() -> None:
    class Holder(StrictModel):
        loss: AnyLoss

    holder = validate({"loss": "mse"}, Holder)
    assert holder.loss == make_loss("mse")
    assert holder.model_dump(mode="json") == {"loss": "mse"}
    with pytest.raises(UserError, match="unknown kind 'msa', did you mean 'mse'"):
        validate({"loss": "msa"}, Holder)
    with pytest.raises(UserError, match="unknown loss 'msa', did you mean 'mse'"):
        make_loss("msa")
