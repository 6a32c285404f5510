"""Conversion keeps what a network computes, folds what it may, and refuses the rest with one line."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch_models import (
    Attention,
    OwnLinear,
    Pair,
    PlainList,
    RandomInEvaluation,
    RawParameter,
    Recurrent,
    Residual,
    TokenNorm,
    WeightByHand,
    randomised,
)

from analog_sim.config import UserError
from analog_sim.tiles.digital import DigitalTile
from learning.torch_bridge import inputs
from learning.torch_bridge.convert import analog_layers, calibrate, convert, digitally, prepare, record_inputs

X = torch.linspace(-1, 1, 4 * 64).reshape(4, 1, 8, 8)


def exact(name: str, shape: tuple[int, int]) -> DigitalTile:
    return DigitalTile(shape)


def dense(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), *layers)


@pytest.mark.parametrize("bias", ["digital", "chip"])
@pytest.mark.parametrize("fold", [True, False])
def test_functional_residual_network(bias, fold: bool) -> None:
    torch.manual_seed(0)
    original = randomised(Residual())
    before = copy.deepcopy(original.state_dict())
    made = convert(original, exact, sample=X, bias=bias, fold_batchnorm=fold)
    with torch.no_grad():
        torch.testing.assert_close(made(X), original(X), rtol=1e-4, atol=1e-4)
    assert list(analog_layers(made)) == ["conv1", "conv2", "shared", "fc1", "fc2", "only_in_training"]
    assert type(made.bn1) is (nn.Identity if fold else nn.BatchNorm2d)
    assert type(made.bn3) is (nn.Identity if fold else nn.BatchNorm1d)
    assert type(made.bn2) is nn.BatchNorm2d
    for key, value in original.state_dict().items():
        assert torch.equal(value, before[key])
    assert type(original.conv1) is nn.Conv2d


def test_plan_says_what_it_did() -> None:
    plan = prepare(randomised(Residual()), X)
    text = "\n".join(plan.notes)
    assert "bn1: batch normalisation folded into conv1" in text
    assert "bn2: BatchNorm2d computed digitally" in text
    assert "only_in_training: not called on the sample inputs, put on tiles all the same" in text
    assert "only_in_training: never called, left out" in prepare(randomised(Residual()), X, whole=True).notes
    assert [(layer.name, layer.shapes, layer.bias) for layer in plan.layers][:2] == [
        ("conv1", ((4, 9),), True),
        ("conv2", ((4, 36),), True),
    ]
    assert plan.layers[0].weights == 36


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_folding_is_exact_in_double_precision(affine: bool, bias: bool) -> None:
    from learning.torch_bridge.fold import fold

    torch.manual_seed(0)
    for layer, norm, x in (
        (nn.Conv2d(3, 5, 3, padding=1, bias=bias), nn.BatchNorm2d(5, affine=affine), torch.randn(2, 3, 6, 6)),
        (nn.Linear(7, 5, bias=bias), nn.BatchNorm1d(5, affine=affine), torch.randn(4, 7)),
    ):
        pair = randomised(nn.Sequential(layer, norm)).double()
        expected = pair(x.double())
        fold(pair[0], pair[1])
        torch.testing.assert_close(pair[0](x.double()), expected, rtol=1e-12, atol=1e-12)


def test_normalisation_of_another_dimension_is_not_folded() -> None:
    original = randomised(TokenNorm())
    made = convert(original, exact, sample=X)
    assert type(made.bn) is nn.BatchNorm1d
    torch.testing.assert_close(made(X), original(X), rtol=1e-4, atol=1e-5)


def test_without_a_sample_neighbours_in_a_sequential_are_folded() -> None:
    original = randomised(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), dense(nn.Linear(144, 6), nn.BatchNorm1d(6)))
    )
    made = convert(original, exact)
    assert type(made[1]) is nn.Identity
    assert type(made[3][2]) is nn.BatchNorm1d  # the dimensions of a linear layer's output show at run time only
    torch.testing.assert_close(made(X), original(X), rtol=1e-4, atol=1e-5)


def test_batch_normalisation_without_statistics_stays_and_is_noted() -> None:
    original = randomised(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False), dense()))
    plan = prepare(original, X)
    assert any("results depend on the batch" in note for note in plan.notes)


def test_a_single_layer_and_one_module_under_two_names() -> None:
    fc = nn.Linear(8, 3)
    torch.testing.assert_close(convert(fc, exact, sample=torch.ones(2, 8))(torch.ones(2, 8)), fc(torch.ones(2, 8)))
    both = nn.ModuleDict({"a": fc, "b": fc})
    made = convert(both, exact)
    assert made["a"] is made["b"]
    assert len(list(analog_layers(made))) == 1


def test_weight_and_spectral_norm_are_taken_as_they_are() -> None:
    original = dense(
        nn.utils.parametrizations.weight_norm(nn.Linear(64, 6)),
        nn.utils.parametrizations.spectral_norm(nn.Linear(6, 4)),
    ).eval()
    made = convert(original, exact, sample=X)
    assert len(analog_layers(made)) == 2
    torch.testing.assert_close(made(X), original(X), rtol=1e-4, atol=1e-5)
    original(X)  # still parametrised, still works
    conv = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 4, 3, 2, 1, bias=False)), nn.Flatten()
    ).eval()
    torch.testing.assert_close(convert(conv, exact, sample=X)(X), conv(X), rtol=1e-4, atol=1e-5)


def test_groups_get_a_tile_each_with_its_own_name() -> None:
    names: list[tuple[str, tuple[int, int]]] = []

    def build(name: str, shape: tuple[int, int]) -> DigitalTile:
        names.append((name, shape))
        return DigitalTile(shape)

    convert(nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Linear(2, 2)), build, bias="chip")
    assert names == [("0.group0", (3, 19)), ("0.group1", (3, 19)), ("1", (2, 3))]


def test_layers_kept_digital() -> None:
    original = dense(nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10)).eval()
    plan = prepare(original, X, digital=["1"])
    assert [layer.name for layer in plan.layers] == ["3"]
    assert prepare(Recurrent().eval(), X, digital=["lstm"]).layers[0].name == "fc"
    with pytest.raises(UserError, match=r"no layer 'fc1', did you mean 'fc'\?"):
        prepare(RawParameter(), X, digital=["fc1"])


def test_recorded_inputs_and_calibration() -> None:
    seen: list[np.ndarray] = []

    class Listening(DigitalTile):
        def calibrate(self, x: np.ndarray) -> None:
            seen.append(x)

    original = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10)).eval()
    made = convert(original, lambda name, shape: Listening(shape), sample=X, bias="chip")
    driven = calibrate(made, X, rows=50)
    assert driven["0"][0].shape == (48, 9)  # every third patch
    assert driven["3"][0].shape == (4, 72)
    np.testing.assert_allclose(driven["3"][0], original[:3](X).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert seen[0].shape == (48, 10)
    assert (seen[0][:, -1] == 1.0).all()
    assert record_inputs(made, X, rows=10**6)["0"][0].shape == (4 * 36, 9)


def test_inputs_are_taken_from_all_samples_however_many_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = convert(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 10)).eval(), exact, sample=X)
    whole = record_inputs(made, X, rows=10**6)
    largest = inputs.driven_inputs(made, X).largest
    monkeypatch.setattr(inputs, "BATCH", 3)
    parts = record_inputs(made, X, rows=10**6)
    for name, (rows,) in whole.items():
        np.testing.assert_allclose(parts[name][0], rows, rtol=1e-5, atol=1e-6)
        assert largest[name] == pytest.approx(np.abs(rows).max(), rel=1e-6)
    assert inputs.driven_inputs(made, X).largest == pytest.approx(largest, rel=1e-6)
    assert len(record_inputs(made, X, rows=10)["0"][0]) == 10


def test_digitally_is_left_again() -> None:
    made = convert(dense(nn.Linear(64, 3)), exact)
    layer = analog_layers(made)["1"]
    layer.tiles[0].program(np.zeros((3, 64), np.float32))
    on_chip = layer.bias.expand(4, 3)
    with digitally(made):
        torch.testing.assert_close(made(X), X.flatten(1) @ layer.weight.T + on_chip)
    torch.testing.assert_close(made(X), on_chip)

    def interrupted() -> None:
        with digitally(made):
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    torch.testing.assert_close(made(X), on_chip)


def nan_weights() -> nn.Module:
    made = dense(nn.Linear(64, 10))
    with torch.no_grad():
        made[1].weight[0, 1:3] = float("nan")
    return made


def infinite_statistics() -> nn.Module:
    made = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 10))
    made[1].running_var[0] = float("inf")
    return made


def hooked() -> nn.Module:
    made = dense(nn.Linear(64, 10))
    made[1].register_forward_hook(lambda module, inputs, output: output * 2)
    return made


def already() -> nn.Module:
    return convert(dense(nn.Linear(64, 10)), exact)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Recurrent, r"layer 'lstm' \(LSTM\) is not supported; supported: Linear, Conv2d"),
        (lambda: nn.Sequential(nn.ConvTranspose2d(1, 2, 3), dense(nn.Linear(200, 10))), r"'0' \(ConvTranspose2d\)"),
        (lambda: nn.Sequential(nn.Conv1d(8, 2, 3), dense(nn.Linear(12, 10))), r"'0' \(Conv1d\)"),
        (Attention, r"layer 'attention' \(MultiheadAttention\) is not supported"),
        (RawParameter, r"the model itself \(RawParameter\) has parameters of its own \(gain\)"),
        (PlainList, "'fc' is reached by a reference outside the module tree"),
        (WeightByHand, "parameter 'fc.weight' is used outside its own layer"),
        (RandomInEvaluation, "two runs on the same inputs differ"),
        (lambda: nn.Sequential(OwnLinear(64, 10)), "has a forward of its own"),
        (Pair, "must return one tensor"),
        (nan_weights, "1.weight: 2 of 640 values are NaN or infinite"),
        (infinite_statistics, "1.running_var: 1 of 2 values are NaN or infinite"),
        (hooked, r"layer '1' \(Linear\) has forward hooks"),
        (already, "has analogue layers already"),
        (nn.Flatten, "no Linear or Conv2d layer"),
        (lambda: nn.Sequential(nn.Linear(64, 10)), "fails on inputs of shape"),
        (lambda: dense(nn.LazyLinear(10)), "layer '1' has no weights yet"),
        (lambda: torch.jit.trace(dense(nn.Linear(64, 10)), X), "is compiled by TorchScript"),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
def test_what_cannot_be_converted_is_one_line(make, message: str) -> None:
    module = make()
    with pytest.raises(UserError, match=message) as caught:
        prepare(module.eval(), X)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("model: ")
