"""What a run shows: calls, users of an output, parameters used elsewhere. The module is left as it was."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_models import WeightByHand

from learning.torch_bridge.observe import observe


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.same = nn.Identity()
        self.bn = nn.BatchNorm2d(2)
        self.side = nn.Conv2d(2, 2, 1)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        y = self.bn(self.same(h))
        if h.shape[0] > 0 and h.dim() == 4:  # looking at the shape is no use of the values
            y = F.relu(y)
        z = self.side(y)
        return z + float(z.sum().item() > 0)


def test_users_and_calls() -> None:
    module = Branches().eval()
    seen = observe(module, torch.ones(2, 1, 4, 4))
    assert sorted(seen.calls) == ["bn", "conv", "same", "side"]
    assert [call.users for call in seen.calls["conv"]] == [["bn"]]  # through the identity
    assert set(seen.calls["side"][0].users) == {""}
    assert seen.loose == set()
    assert torch.equal(seen.output, module(torch.ones(2, 1, 4, 4)))
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in module.modules())


def test_parameters_used_elsewhere() -> None:
    assert observe(WeightByHand().eval(), torch.ones(1, 64)).loose == {"fc.weight"}


def test_an_output_that_is_returned_has_a_user_outside() -> None:
    seen = observe(nn.Sequential(nn.Linear(2, 2)), torch.ones(1, 2))
    assert seen.calls["0"][0].users == [""]
