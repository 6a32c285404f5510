"""Gradients equal what backward() leaves, and cosines are what they should be."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_alignment import alignment, cosine, layer_gradients


def test_gradients_are_autograds() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 3))
    x, y = torch.randn(5, 1, 6, 6), torch.tensor([0, 1, 2, 1, 0])
    found = layer_gradients(module, x.numpy(), y.numpy())
    assert module[3].weight.grad is None
    F.cross_entropy(module(x), y).backward()
    np.testing.assert_allclose(found["0"], module[0].weight.grad.flatten(1), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found["3"], module[3].weight.grad, rtol=1e-5, atol=1e-7)


def test_other_losses_and_layers_without_influence() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)

    x, target = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    found = layer_gradients(Half(), x, target, F.mse_loss)
    assert found["used"].shape == (2, 3)
    assert found["used"].any()
    assert not found["unused"].any()


def test_alignment_of_descent_ascent_and_noise() -> None:
    rng = np.random.default_rng(0)
    gradient = rng.normal(size=(20, 30))
    noise = rng.normal(size=(20, 30))
    noise -= gradient * np.vdot(noise, gradient) / np.vdot(gradient, gradient)
    found = alignment({"a": -3.0 * gradient, "b": gradient, "c": noise}, {"a": gradient, "b": gradient, "c": gradient})
    assert found["a"] == pytest.approx(1.0)
    assert found["b"] == pytest.approx(-1.0)
    assert found["c"] == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(cosine(np.zeros(3), np.ones(3)))
    with pytest.raises(ValueError, match="shapes differ"):
        cosine(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="no gradient for d"):
        alignment({"d": gradient}, {"a": gradient})
