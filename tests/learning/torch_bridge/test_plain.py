"""Wrappers, types and weights that are computed before every call: the copy is plain, computes the same, and leaves the module alone."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.optim.swa_utils import AveragedModel

from analog_sim.tiles.digital import DigitalTile
from learning.torch_bridge.convert import analog_layers, convert
from learning.torch_bridge.plain import unwrapped_float

# torch.compile looks at the gradient of what it passes on, and torch warns of that.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
X = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def dense() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).eval()


def nested() -> nn.Module:
    part = nn.Sequential(nn.Linear(64, 16), nn.ReLU())
    return nn.Sequential(
        nn.Flatten(), torch.compile(nn.DataParallel(part), backend="eager"), nn.DataParallel(nn.Linear(16, 10))
    ).eval()


def compiled_in_place() -> nn.Module:
    module = dense()
    module.compile(backend="eager")
    return module


class Decorated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)

    @torch.compile(backend="eager")
    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.fc(x.flatten(1))


def pruned() -> nn.Module:
    module = dense()
    prune.l1_unstructured(module[1], "weight", 0.5)
    prune.random_unstructured(module[1], "weight", 0.2)
    prune.l1_unstructured(module[3], "bias", 0.5)
    module(X).sum().backward()
    return module


def pruned_and_folded() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10)).eval()
    prune.ln_structured(module[0], "weight", 0.25, 2, 0)
    return module


def old_norms() -> nn.Module:
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.Sequential(
            nn.Flatten(), nn.utils.weight_norm(nn.Linear(64, 16)), nn.utils.spectral_norm(nn.Linear(16, 10))
        ).eval()


@pytest.mark.parametrize(
    ("make", "layers"),
    [
        (lambda: nn.DataParallel(dense()), ["1", "3"]),
        (lambda: AveragedModel(dense()).eval(), ["1", "3"]),
        (lambda: torch.compile(dense(), backend="eager"), ["1", "3"]),
        (lambda: torch.compile(nn.DataParallel(dense()), backend="eager"), ["1", "3"]),
        (nested, ["1.0", "2"]),
        (compiled_in_place, ["1", "3"]),
        (lambda: Decorated().eval(), ["fc"]),
        (pruned, ["1", "3"]),
        (pruned_and_folded, ["0", "3"]),
        (old_norms, ["1", "2"]),
    ],
)
def test_wrapped_and_computed_weights(make, layers: list[str]) -> None:
    torch.manual_seed(0)
    module = make()
    with torch.no_grad():
        expected, before = module(X), copy.deepcopy(module.state_dict())
        made = convert(module, lambda name, shape: DigitalTile(shape), sample=X)
        assert list(analog_layers(made)) == layers
        torch.testing.assert_close(made(X), expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(module(X), expected)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert type(module) is type(make())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_become_float32(dtype: torch.dtype) -> None:
    module = dense().to(dtype)
    made = convert(module, lambda name, shape: DigitalTile(shape), sample=X.to(dtype))
    assert {p.dtype for p in made.parameters()} == {torch.float32}
    assert {p.dtype for p in module.parameters()} == {dtype}
    torch.testing.assert_close(made(X), copy.deepcopy(module).float()(X), rtol=1e-4, atol=1e-5)


def test_a_user_s_model_is_made_ready_for_training() -> None:
    ready = unwrapped_float(torch.compile(nested().double(), backend="eager"))
    assert list(ready.state_dict()) == ["1.0.weight", "1.0.bias", "2.weight", "2.bias"]
    ready(X).sum().backward()
    with torch.device("meta"):
        unwrapped_float(nn.Linear(2, 2))  # refused later, with its name


def test_a_converted_module_can_be_compiled_around_its_tiles() -> None:
    made = convert(dense(), lambda name, shape: DigitalTile(shape), sample=X)
    compiled = torch.compile(made, backend="eager")
    torch.testing.assert_close(compiled(X), made(X), rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(compiled(X), made(X), rtol=1e-5, atol=1e-6)
