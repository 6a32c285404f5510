"""A plan holds for every input, or is narrowed to what does, or refused; what stays digital is said."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_models import PlainList, Residual, WeightByHand, randomised

from analog_sim.config import UserError
from analog_sim.tiles.digital import DigitalTile
from learning.torch_bridge.convert import analog_layers, convert, digitally, prepare, prepare_again

X = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def exact(name: str, shape: tuple[int, int]) -> DigitalTile:
    return DigitalTile(shape)


def run(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module(x.clone())


def close(a: nn.Module, b: nn.Module, x: Tensor) -> None:
    torch.testing.assert_close(run(a, x), run(b, x), rtol=1e-4, atol=1e-4)


class Switch(nn.Module):
    """A normalisation that acts when `when` says so, and a layer of its own that does otherwise."""

    def __init__(self, when) -> None:
        super().__init__()
        self.conv, self.norm, self.other = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)
        self.out = nn.Linear(144, 10)
        self.when = when
        randomised(self)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        h = self.norm(h) if self.when(x) else self.other(h)
        return self.out(F.relu(h).flatten(1))


WAYS = {
    "bool": lambda x: x.mean() > 0.3,
    "item": lambda x: x.mean().item() > 0.3,
    "float": lambda x: float(x.mean()) > 0.3,
    "numpy": lambda x: x.numpy().mean() > 0.3,
    "equal": lambda x: not torch.equal(x, x.clamp(max=0.2)),
    "tolist": lambda x: x.flatten()[:30].tolist()[29] > 0.13 or x.max().tolist() > 0.5,
    "index": lambda x: [False, True][(x.mean() > 0.3).long()],
    "nonzero": lambda x: len((x > 0.5).nonzero()) > 0,
    "batch": lambda x: len(x) > 1,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_may_not_hold_for_other_inputs_is_not_folded(way: str) -> None:
    """Bright images take one branch, dark ones (or single ones) the other; the sample shows one of them only."""
    module = Switch(WAYS[way])
    other = X[:1] * 0.2
    assert WAYS[way](X)
    assert not WAYS[way](other)
    made = convert(module, exact, sample=X)
    assert list(analog_layers(made)) == ["conv", "other", "out"]
    for x in (X, other):
        close(made, module, x)


def test_the_reason_is_said_with_its_place() -> None:
    notes = prepare(Switch(lambda x: x.mean() > 0.3), X).notes
    assert any(note.startswith("batch normalisation computed digitally, not folded") for note in notes)
    assert any("(test_prepare.py:" in note for note in notes)
    assert "other: not called on the sample inputs, put on tiles all the same (digital: [other] leaves it out)" in notes


def test_all_that_the_network_will_ever_be_given_decides() -> None:
    module = Switch(lambda x: x.mean() > 0.3)
    bright = prepare(module, X, whole=True)
    assert [(pair.layer, pair.norm) for pair in bright.folds] == [("conv", "norm")]
    assert [layer.name for layer in bright.layers] == ["conv", "out"]
    assert "other: never called, left out" in bright.notes
    mixed = torch.cat([X, X * 0.2])
    both = prepare(module, mixed, whole=True, batch=8)
    assert not both.folds
    assert [layer.name for layer in both.layers] == ["conv", "other", "out"]
    for x in (X, X * 0.2):
        close(both.build(exact), module, x)


def test_a_plan_that_differs_is_narrowed_and_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair that must not be folded, wherever it came from, shows in the outputs."""
    from learning.torch_bridge.fold import Fold

    module = Switch(lambda x: x.mean() > 0.3)
    monkeypatch.setattr("learning.torch_bridge.prepare.find_folds", lambda work, seen: [Fold("conv", "norm")])
    mixed = torch.cat([X, X * 0.2])
    plan = prepare(module, mixed, whole=True, batch=8)
    assert not plan.folds
    assert any("folded, the outputs would differ" in note for note in plan.notes)
    monkeypatch.setattr("learning.torch_bridge.prepare._TOLERANCE", 0.0)  # float32 rounding is too much now
    with pytest.raises(UserError, match="conversion changes its outputs by"):
        prepare(module, mixed, whole=True, batch=8)


def test_a_plan_is_made_again_without_running_the_network() -> None:
    module = randomised(Residual())
    plan = prepare(module, X, whole=True)
    again = prepare_again(module, plan.decided)
    assert (again.layers, again.folds, again.notes) == (plan.layers, plan.folds, plan.notes)
    assert torch.equal(run(plan.build(exact), X), run(again.build(exact), X))


class Hooked(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 10))
        self[1].register_forward_hook(lambda module, inputs, output: output * 3)


class TakenApart(nn.Module):
    """Calls one child of a Sequential without its neighbour."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.out = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), nn.Linear(72, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.both[0](x).flatten(1))


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(72, 10)

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(0.5)
        h = self.conv(x)
        h += 1
        return self.out(torch.relu_(self.norm(h)).flatten(1))


class Memory(nn.Module):
    """The norm's own weight is used elsewhere too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(72, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.conv(x)).flatten(1)) * self.norm.weight.sum()


@pytest.mark.parametrize("sample", [X, None])
@pytest.mark.parametrize("make", [Hooked, TakenApart, InPlace, Memory])
def test_normalisations_that_must_stay(make, sample: Tensor | None) -> None:
    module = randomised(make())
    made = convert(module, exact, sample=sample)
    assert any(isinstance(child, nn.BatchNorm2d) for child in made.modules())
    close(made, module, X)


class Causal(nn.Module):
    """Attention by hand, with a mask that is infinite on purpose; as a buffer or as a parameter."""

    def __init__(self, parameter: bool = False) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(8, 8), nn.Linear(8, 10)
        mask = torch.full((8, 8), float("-inf")).triu(1)
        if parameter:
            self.mask = nn.Parameter(mask, requires_grad=False)
        else:
            self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x[:, 0])
        scores = h @ h.transpose(1, 2) + self.mask
        return self.out((scores.softmax(-1) @ h).mean(1))


class Token(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token, self.inner, self.out = nn.Parameter(torch.ones(1, 1, 8)), Scaled(), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.inner(torch.cat([self.token.expand(len(x), 1, 8), x[:, 0]], 1))[:, 0])


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix, self.scale = nn.Linear(8, 8), nn.Parameter(torch.full((8,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x) * self.scale


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.b(F.relu(self.a(x.flatten(1))))))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder, self.out = nn.TransformerEncoder(layer, 2), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(x[:, 0])[:, 0])


ATTENTION = ["encoder.layers.0.self_attn", "encoder.layers.1.self_attn"]


@pytest.mark.parametrize(
    ("make", "digital", "layers"),
    [
        (Causal, [], ["a", "out"]),
        (lambda: Causal(parameter=True), ["mask"], ["a", "out"]),
        (Token, ["token", "inner.scale"], ["inner.mix", "out"]),
        (Token, ["token", "inner"], ["out"]),
        (Tied, [], ["a", "b", "out"]),
        (Tied, ["a"], ["b", "out"]),
        (
            Transformer,
            ATTENTION,
            [f"encoder.layers.{k}.linear{i}" for k in (0, 1) for i in (1, 2)] + ["out"],
        ),
    ],
)
@pytest.mark.parametrize("sample", [X, None])
def test_what_is_converted(make, digital: list[str], layers: list[str], sample: Tensor | None) -> None:
    torch.manual_seed(0)
    module = make().eval()
    made = convert(module, exact, sample=sample, digital=digital)
    assert list(analog_layers(made)) == layers
    close(made, module, X)
    for name, layer in analog_layers(made).items():  # every tile is read: the outputs hang on it
        held = layer.tiles[0].read_weights()
        layer.tiles[0].program(held + 1.0)
        assert not torch.allclose(run(made, X), run(module, X)), name
        layer.tiles[0].program(held)


@pytest.mark.parametrize("make", [PlainList, WeightByHand])
def test_tiles_that_are_not_read_are_told_without_a_sample_too(make) -> None:
    made = convert(make().eval(), exact)
    with digitally(made):
        run(made, X)
    with pytest.warns(UserWarning, match="the first run did not read the tiles of fc: .* convert with sample="):
        run(made, X)
    run(made, X)  # told once


class Words(nn.Module):
    """Integer inputs; the output layer's weights are the embedding's."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(20, 8), nn.Linear(8, 20)
        self.out.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.embed(x).mean(1))


def test_embeddings_and_integer_inputs() -> None:
    words = torch.arange(20).reshape(4, 5)
    plan = prepare(Words().eval(), words)
    assert [layer.name for layer in plan.layers] == ["out"]
    assert "embed: Embedding computed digitally" in plan.notes
    assert any("embed and out share weights: each of out gets tiles of its own" in note for note in plan.notes)


def test_products_outside_layers_are_named() -> None:
    notes = prepare(Causal().eval(), X).notes
    assert sum("matmul computed digitally" in note and note.startswith("test_prepare.py:") for note in notes) == 2


def test_frozen_layers_stay_frozen() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 10)).eval()
    module[0].requires_grad_(False)
    made = convert(module, exact, sample=X)
    assert [p.requires_grad for p in made.parameters()] == [False, False, True, True]


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.fc(x.flatten(1)).float()


class HalfInside(Autocast):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1).half()).float()


class Mapped(Autocast):
    def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"scores": self.fc(x.flatten(1))}


class Imaginary(Autocast):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10, dtype=torch.complex64)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1).to(torch.complex64)).abs()


class NotANumber(Autocast):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(float("nan")))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1)) + self.shift


def own_forward() -> nn.Module:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    module.forward = torch.no_grad()(module.forward)  # bound to this very object
    return module


class Doubled(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


def quantised() -> nn.Module:
    from torch.ao.quantization import quantize_dynamic

    return quantize_dynamic(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), {nn.Linear}, dtype=torch.qint8)


@pytest.mark.filterwarnings(
    "ignore:torch.ao.quantization:DeprecationWarning", "ignore:torch.quantize_per_tensor:UserWarning"
)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            Token,
            r"has parameters of its own \(token\).* write digital: \[token\]; layer 'inner' .* digital: \[inner.scale\]",
        ),
        (Transformer, r"write digital: \[encoder.layers.0.self_attn\]"),
        (Autocast, r"runs under torch.autocast .* enabled=self.training"),
        (HalfInside, "weights and images are float32 here"),
        (Mapped, r"must return one tensor \(got dict\); wrap it"),
        (Imaginary, "has weights of complex64"),
        (NotANumber, "outputs on sample inputs are not all finite"),
        (own_forward, "has a forward that was set on the object itself"),
        (lambda: nn.utils.parametrizations.weight_norm(Doubled(8, 10)), "has a forward of its own"),
        (quantised, r"layer '1' \(Linear\) is quantised by torch; give the model as it was before"),
        (lambda: nn.Linear(8, 10, device="meta"), "parameter 'weight' has no values"),
    ],
)
def test_refusals_say_the_true_reason_and_what_to_write(make, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        prepare(make().eval(), X)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("digital", "message"),
    [
        (["tokn"], "no layer 'tokn', did you mean 'token'"),
        ([""], "no layer ''"),
        (["out.weight"], "'out.weight' is a part of layer 'out'; write 'out'"),
    ],
)
def test_names_in_digital(digital: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare(Token().eval(), X, digital=digital)


def test_a_sample_is_one_tensor_of_any_floating_type() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    prepare(module, X.double())
    prepare(module, X.bfloat16())
    with pytest.raises(UserError, match=r"sample must be one tensor \(got tuple\)"):
        prepare(module, (X,))  # type: ignore[arg-type]


class Counted(nn.Module):
    """Notes how many inputs every pass has."""

    passes: tuple[int, ...] = ()

    def __init__(self, normed: bool) -> None:
        super().__init__()
        layer = nn.Linear(64, 10)
        self.layer = nn.utils.parametrizations.weight_norm(layer) if normed else layer

    def forward(self, x: Tensor) -> Tensor:
        Counted.passes += (len(x),)
        return self.layer(x.flatten(1))


class Deciding(Counted):
    """What it runs may depend on values of its inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.mean() < 2.0 else x.flatten(1)


@pytest.mark.parametrize(
    ("kind", "passes"),
    [
        (Counted, [8, 16, 16, 16, 40]),  # both on a few, the copy on all, the copy on a few on exact tiles
        (Deciding, [8, 8, 16, 16, 40, 40]),  # on exact tiles on all
    ],
)
def test_a_plain_network_is_run_on_a_few_inputs_of_a_large_batch(kind: type[Counted], passes: list[int]) -> None:
    module, x = kind(normed=False).eval(), torch.cat([X] * 6)
    expected = torch.cat([run(module, part) for part in x.split(40)])
    Counted.passes = ()
    plan = prepare(module, x, batch=40, whole=True)
    assert sorted(Counted.passes) == passes
    assert plan.outputs is not None
    assert torch.equal(plan.outputs, expected)


class OfItsBatch(nn.Module):
    """Normalised over its batch, and through another layer where that is small: on a few inputs it is another network."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.other = nn.Linear(64, 10), nn.Linear(64, 10)
        self.norm = nn.BatchNorm1d(10, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm((self.layer if len(x) > 20 else self.other)(x.flatten(1)))


def test_a_network_that_depends_on_its_batch_is_compared_on_all_of_it() -> None:
    x = torch.cat([X] * 6)
    plan = prepare(OfItsBatch().eval(), x, batch=40, whole=True)
    assert [layer.name for layer in plan.layers] == ["layer", "other"]
    assert plan.outputs is not None


class OfOneSize(nn.Module):
    """Takes batches of 40 only, or is random, and says so."""

    def __init__(self, noisy: bool) -> None:
        super().__init__()
        self.layer, self.noisy = nn.Linear(64, 10), noisy

    def forward(self, x: Tensor) -> Tensor:
        if self.noisy:
            return self.layer(nn.functional.dropout(x.flatten(1)))
        return self.layer(x.reshape(40, 64))


def test_a_network_that_cannot_be_tried_on_a_few_inputs_is_compared_on_its_batch() -> None:
    x = torch.cat([X] * 5)
    module = OfOneSize(noisy=False).eval()
    plan = prepare(module, x, batch=40, whole=True)
    assert plan.outputs is not None
    assert torch.equal(plan.outputs, run(module, x))
    with pytest.raises(UserError, match="two runs on the same inputs differ"):
        prepare(OfOneSize(noisy=True).eval(), x, batch=40, whole=True)


@pytest.mark.parametrize(
    ("normed", "passes"),
    [
        (False, (3, *(3, 3, 2), *(3, 3, 2))),  # the original once, its copy, the copy on exact tiles
        (
            True,
            (3, *(3, 3, 2), *(3, 3, 2), *(3, 3, 2)),
        ),  # a copy of another form: the original on all, the first batch twice
    ],
)
def test_a_plain_network_is_itself_run_on_the_first_batch_alone(normed: bool, passes: tuple[int, ...]) -> None:
    module = Counted(normed).eval()
    expected = [run(module, part) for part in X.split(3)]
    Counted.passes = ()
    plan = prepare(module, X, batch=3, whole=True)
    assert sorted(Counted.passes) == sorted(passes)
    assert plan.outputs is not None
    assert torch.equal(plan.outputs, torch.cat(expected))
    assert prepare(module, X, batch=3).outputs is None
