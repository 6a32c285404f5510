"""`state_dict` of a module on tiles: weights and cells travel together, to the same chip only; weights alone are programmed."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_models import randomised

from analog_sim.chip.clock import Clock
from analog_sim.config import UserError, validate
from analog_sim.random.streams import Streams
from analog_sim.tiles.column_scaled import ColumnScaledTile
from analog_sim.tiles.digital import DigitalTile
from analog_sim.tiles.tile import Tile, TileSpec
from devices.card import load_card
from learning.common.weight_tile import WeightTile
from learning.torch_bridge.convert import analog_layers, convert

X = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))
CELLS = {name: load_card(name).compile() for name in ("pcm", "generic_pcm", "ecram")}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return randomised(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 10)))


def chip(seed: int = 1, card: str = "pcm", spec: dict | None = None, column: bool = False, bias="digital") -> nn.Module:
    streams, clock, made = Streams(seed), Clock(), validate(spec or {}, TileSpec)

    def build(name: str, shape: tuple[int, int]) -> WeightTile:
        tile = Tile(made, CELLS[card], shape, streams.child(name), clock)
        return ColumnScaledTile(tile) if column else tile

    return convert(network(), build, sample=X, bias=bias)


def tiles(module: nn.Module) -> list[WeightTile]:
    return [tile for layer in analog_layers(module).values() for tile in layer.tiles]


def held(module: nn.Module) -> list[np.ndarray]:
    return [tile.read_weights(exact=True) for tile in tiles(module)]


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(held(a), held(b), strict=True))


def aged(**options) -> nn.Module:
    made = chip(**options)
    tiles(made)[0].wait(1e6)
    return made


def scores(module: nn.Module) -> Tensor:
    with torch.no_grad():
        return module(X)


@pytest.mark.parametrize(
    "options", [{}, {"column": True}, {"bias": "chip"}, {"spec": {"adc": {"bits": 6}, "mapping": {"max_rows": 8}}}]
)
def test_an_aged_chip_is_put_back_bit_by_bit_noise_included(options) -> None:
    old, new = aged(**options), chip(**options)
    file = io.BytesIO()
    torch.save(old.state_dict(), file)
    file.seek(0)
    assert not same(old, new)
    new.load_state_dict(torch.load(file, weights_only=True))
    assert same(old, new)
    assert tiles(new)[1].time == tiles(old)[1].time
    assert torch.equal(scores(old), scores(new))


def test_what_a_write_scheme_has_gathered_and_what_was_not_yet_pushed_go_with_it() -> None:
    spec = {"writing": "stochastic_pulse"}

    def push(module: nn.Module) -> None:
        for layer in analog_layers(module).values():
            layer.push()

    def step(module: nn.Module, change: float) -> None:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += change

    old, new = chip(card="ecram", spec=spec), chip(card="ecram", spec=spec)
    step(old, 0.01)
    push(old)
    step(old, 0.02)
    new.load_state_dict({name: value.clone() for name, value in old.state_dict().items()})
    assert same(old, new)
    push(old)
    push(new)
    assert same(old, new)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 2}, r"random stream '1/0/block/0/slice/0/read', here '2/0/block/0/slice/0/read'"),
        ({"card": "generic_pcm"}, r"is the state of another chip: device\.\w+"),
        ({"spec": {"adc": {"bits": 6}}}, r"tile\.adc\.bits \(was None, here 6\)"),
        ({"spec": {"mapping": {"max_rows": 8}}}, r"tile\.mapping\.max_rows"),
        ({"column": True}, r"scale \(was absent, here column\)"),
        ({"bias": "chip"}, r"bias line driven by None, here by 1\.0"),
    ],
)
def test_another_chip_is_refused_and_stays_as_it_was(options, message: str) -> None:
    new = chip(**options)
    before = held(new)
    with pytest.raises(UserError, match=message) as caught:
        new.load_state_dict(aged().state_dict(), strict=False)
    assert "\n" not in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, held(new), strict=True))


def test_a_chip_within_another_module() -> None:
    old, new = nn.Sequential(aged(), nn.Softmax(-1)), nn.Sequential(chip(), nn.Softmax(-1))
    new.load_state_dict(old.state_dict())
    assert same(old, new)
    with pytest.raises(UserError, match="another chip"):
        nn.Sequential(chip(seed=2), nn.Softmax(-1)).load_state_dict(old.state_dict())


def zeroed(state: dict[str, Tensor], *, extra: bool) -> dict[str, Tensor]:
    return {name: torch.zeros_like(v) if extra or "extra" not in name else v for name, v in state.items()}


def test_loading_zeros_changes_the_tiles() -> None:
    made, state = chip(), aged().state_dict()
    assert min(np.abs(w).max() for w in held(made)) > 0.1
    made.load_state_dict(zeroed(state, extra=True))
    assert max(np.abs(w).max() for w in held(made)) < 0.1
    made = chip()
    with pytest.warns(UserWarning, match="not those that it was saved with; they are programmed anew"):
        made.load_state_dict(zeroed(state, extra=False))
    assert max(np.abs(w).max() for w in held(made)) < 0.1


def test_the_state_of_a_plain_module_is_programmed() -> None:
    def plain(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 10)).eval()

    made, other = convert(plain(0), lambda name, shape: DigitalTile(shape), sample=X), plain(1)
    made.load_state_dict(other.state_dict())
    torch.testing.assert_close(scores(made), scores(other))
    made.load_state_dict({"1.bias": torch.ones(10)}, strict=False)
    torch.testing.assert_close(scores(made), scores(other) - other[1].bias + 1)
    alone = convert(nn.Linear(36, 10), lambda name, shape: DigitalTile(shape))
    alone.load_state_dict(other[1].state_dict())
    assert np.array_equal(held(alone)[0], other[1].weight.detach().numpy())
    before = held(made)
    for wrong in ({"1.weight": torch.ones(10, 3), "1.bias": torch.ones(10)}, {"1.bias": torch.ones(10)}):
        with pytest.raises(RuntimeError, match="loading state_dict"):
            made.load_state_dict(wrong)
    assert np.array_equal(held(made)[0], before[0])


@pytest.mark.parametrize("strict", [True, False])
def test_weights_from_before_folding_are_refused(strict: bool) -> None:
    made = chip()
    before = held(made)
    with pytest.raises(UserError, match=r"'1' was folded into the layer before it.* fold_batchnorm=False"):
        made.load_state_dict(network().state_dict(), strict=strict)
    assert np.array_equal(held(made)[1], before[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v[:-1], "damaged or was computed with"),
        (lambda v: torch.cat([v[:-9], v[-9:] + 1]), "damaged or was computed with"),
        (lambda v: 0.5 * v + 0.5 * v, "holds no state of a chip"),
        (lambda v: None, "holds no state of a chip"),
    ],
)
def test_a_state_that_was_damaged_is_refused(change, message: str) -> None:
    made, state = chip(), aged().state_dict()
    with pytest.raises(UserError, match=message) as caught:
        made.load_state_dict(state | {"4._extra_state": change(state["4._extra_state"])})
    assert "4._extra_state" in str(caught.value)
    assert not same(made, aged())


@pytest.mark.parametrize("way", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_are_chips_of_their_own(way) -> None:
    old = aged()
    made = way(old)
    assert same(old, made)
    assert len({id(tile.clock) for tile in tiles(made)}) == 1  # type: ignore[attr-defined]
    tiles(made)[0].wait(1e6)
    assert not same(old, made)
    assert tiles(old)[0].time < tiles(made)[0].time
    made.load_state_dict(old.state_dict())
    assert same(old, made)


@pytest.mark.parametrize("backward", ["ideal", "straight_through", "analog"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_training_under_autocast_and_in_half_precision(dtype: torch.dtype, backward) -> None:
    torch.manual_seed(0)
    fc, x = nn.Linear(6, 4), torch.rand(3, 6)
    made = nn.Sequential(
        nn.Linear(6, 6), convert(fc, lambda name, shape: DigitalTile(shape), backward=backward), nn.Linear(4, 2)
    )
    with torch.autocast("cpu", dtype=dtype):
        made(x).float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in made.parameters())
    made = made.to(dtype)
    made.zero_grad()
    y = made(x.to(dtype))
    y.sum().backward()
    assert y.dtype == dtype
    assert all(p.grad is not None and p.grad.dtype == dtype for p in made.parameters())


def test_weights_that_are_not_finite_are_refused_by_name() -> None:
    made = chip()
    before = held(made)
    state = {name: value for name, value in made.state_dict().items() if not name.endswith("_extra_state")}
    name = next(name for name in state if name.endswith("weight"))
    state[name] = state[name] * float("nan")
    with pytest.raises(UserError, match=rf"state_dict: {name}: \d+ of \d+ values are not finite"):
        made.load_state_dict(state)
    for a, b in zip(held(made), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_empty_sample_proves_nothing() -> None:
    with pytest.raises(UserError, match="sample holds no input"):
        convert(network(), lambda name, shape: DigitalTile(shape), sample=X[:0])
