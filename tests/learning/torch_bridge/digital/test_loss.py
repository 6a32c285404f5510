"""Losses as torch functions: the same value and gradient as from the arrays; cross entropy is torch's own."""

import numpy as np
import pytest
import torch
from catalogue import LOSSES

from learning.losses.losses import make_loss
from learning.torch_bridge.digital.loss import torch_loss


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("numeric", [False, True])
def test_value_and_gradient_are_those_of_the_loss(name: str, numeric: bool) -> None:
    loss = make_loss(name)
    if numeric and not loss.numbers:
        return
    rng = np.random.default_rng(0)
    o = rng.standard_normal((5, 3)).astype(np.float32)
    t = rng.standard_normal((5, 3)).astype(np.float32) if numeric else rng.integers(0, 3, 5)
    output = torch.tensor(o, requires_grad=True)
    found = torch_loss(loss)(output, torch.from_numpy(t))
    assert found.item() == pytest.approx(loss.per_sample(o, t).mean(), rel=1e-6)
    (2.0 * found).backward()
    assert output.grad is not None
    np.testing.assert_allclose(output.grad.numpy(), 2.0 * loss.gradient(o, t), rtol=1e-5, atol=1e-7)


def test_cross_entropy_is_torchs_own() -> None:
    assert torch_loss(make_loss("cross_entropy")) is torch.nn.functional.cross_entropy
