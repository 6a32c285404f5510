"""Losses against torch, those that torch has no twin of here against differences."""

import numpy as np
import pytest
import torch
from catalogue import LOSSES

from analog_sim.config import StrictModel, UserError, validate
from learning.losses.losses import AnyLoss, check_loss, make_loss

IN_TORCH = ("cross_entropy", "mse")


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_the_value(name: str) -> None:
    """The gradient is of the mean over the samples: central differences, 20 times coarser than float32 near outputs of 1."""
    rng = np.random.default_rng(2)
    loss = make_loss(name)
    o = rng.standard_normal((5, 4)).astype(np.float32)
    targets = [rng.integers(0, 4, 5)] + ([rng.standard_normal((5, 4)).astype(np.float32)] if loss.numbers else [])
    for t in targets:
        gradient, h = loss.gradient(o, t), np.float32(2**-8)
        for i, j in np.ndindex(o.shape):
            up, down = o.copy(), o.copy()
            up[i, j] += h
            down[i, j] -= h
            slope = (loss.per_sample(up, t).mean() - loss.per_sample(down, t).mean()) / (2 * h)
            assert gradient[i, j] == pytest.approx(slope, abs=1e-4)


@pytest.mark.parametrize("name", IN_TORCH)
def test_values_and_gradients_equal_torch(name: str) -> None:
    rng = np.random.default_rng(0)
    o = (5 * rng.standard_normal((6, 4))).astype(np.float32)
    t = rng.integers(0, 4, 6)
    given = torch.tensor(o, requires_grad=True)
    if name == "cross_entropy":
        expected = torch.nn.functional.cross_entropy(given, torch.tensor(t), reduction="none")
    else:
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


def test_losses_of_numbers_equal_torch() -> None:
    rng = np.random.default_rng(1)
    o, t = (rng.standard_normal((6, 3)).astype(np.float32) for _ in range(2))
    given = torch.tensor(o, requires_grad=True)
    expected = 0.5 * torch.nn.functional.mse_loss(given, torch.tensor(t), reduction="none").sum(dim=1)
    loss = make_loss("mse")
    np.testing.assert_allclose(loss.per_sample(o, t), expected.detach().numpy(), rtol=1e-6)
    expected.mean().backward()
    assert given.grad is not None
    np.testing.assert_allclose(loss.gradient(o, t), given.grad.numpy(), rtol=1e-6)
    assert o is not t, "neither is changed"


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_classes_is_refused_for_numbers(name: str) -> None:
    loss = make_loss(name)
    check_loss(loss, False, "loss")
    if loss.numbers:
        check_loss(loss, True, "loss")
        return
    with pytest.raises(UserError, match=rf"^training.loss: {name} is for classes, .*; allowed: (.*, )?mse"):
        check_loss(loss, True, "training.loss")


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
