"""Optimisers in the digital periphery against torch.optim."""

from typing import Any

import catalogue
import catalogue_helpers
import numpy as np
import pytest
import torch

from analog_sim.config import discover
from analog_sim.random.streams import Streams
from analog_sim.writing.proposal import OuterProduct
from learning.common.memory import Memory
from learning.optimizers.base import Optimizer


def reference(case: dict[str, Any], parameter: torch.Tensor) -> torch.optim.Optimizer:
    match case["kind"]:
        case "sgd":
            return torch.optim.SGD([parameter], lr=0.1)
        case "momentum":
            return torch.optim.SGD([parameter], lr=0.1, momentum=case.get("beta", 0.9))
        case _:
            betas = (case.get("beta1", 0.9), case.get("beta2", 0.999))
            return torch.optim.Adam([parameter], lr=0.1, betas=betas, eps=case.get("eps", 1e-8))


@pytest.mark.parametrize("case", catalogue_helpers.cases(catalogue.OPTIMIZERS), ids=catalogue_helpers.name)
def test_steps_equal_torch(case: dict[str, Any]) -> None:
    optimizer = discover("learning.optimizers", Optimizer)[case["kind"]].model_validate(case)
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((3, 4)).astype(np.float32), rng.standard_normal(3).astype(np.float32)
    weights, bias = torch.tensor(w.copy()), torch.tensor(b.copy())
    theirs = [reference(case, weights), reference(case, bias)]
    memory = Memory(Streams(0).stream("optimizer"))
    for step in range(5):
        if step == 3:  # a checkpoint in the middle changes nothing
            restored = Memory(Streams(0).stream("optimizer"))
            restored.restore(memory.state())
            memory = restored
        x, d = rng.standard_normal((6, 4)).astype(np.float32), rng.standard_normal((6, 3)).astype(np.float32)
        w = w - np.float32(0.1) * optimizer.step("w", OuterProduct(x, d), memory).dense()
        b = b - np.float32(0.1) * optimizer.bias_step("b", d.sum(axis=0), memory)
        weights.grad, bias.grad = torch.tensor(d.T @ x), torch.tensor(d.sum(axis=0))
        for each in theirs:
            each.step()
        np.testing.assert_allclose(w, weights.numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(b, bias.numpy(), rtol=1e-4, atol=1e-5)


def test_sgd_keeps_outer_products() -> None:
    optimizer = discover("learning.optimizers", Optimizer)["sgd"].model_validate({"kind": "sgd"})
    proposal = OuterProduct(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32))
    assert optimizer.step("w", proposal, Memory(Streams(0).stream("optimizer"))) is proposal
