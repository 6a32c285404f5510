"""What every rule claims: its alignment with the true gradient, and that it solves a task with and without decorrelation."""

from typing import Any

import catalogue
import catalogue_helpers
import numpy as np
import pytest
import torch
from learning_helpers import CONV, DENSE, accuracy, batch, cosine, flat, make_network, make_rule, rings, train

from analog_sim.random.streams import Streams
from learning.common.weight_tile import digital_tile
from learning.losses.losses import make_loss
from learning.network.network import Network
from learning.rules.activity_node_perturbation import StandingStillWarning
from learning.rules.base import Gradient

RULES = catalogue_helpers.cases(catalogue.RULES)
CLAIMING = [case for case in RULES if make_rule(**case).alignment is not None]
LOSS = make_loss("cross_entropy")


def autograd(network: Network, x: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """True gradients of the network DENSE by torch, flat per layer."""
    leaves = []
    h = torch.tensor(x)
    for layer in network.layers:
        assert layer.bias is not None
        w = torch.tensor(layer.tile.read_weights(), requires_grad=True)
        b = torch.tensor(layer.bias, requires_grad=True)
        leaves.append((w, b))
        h = torch.nn.functional.linear(h, w, b)
        if layer.tail:
            h = torch.tanh(h)
    torch.nn.functional.cross_entropy(h, torch.tensor(target)).backward()
    return [np.concatenate([w.grad.ravel(), b.grad]) for w, b in leaves]


def proposed(
    case: dict[str, Any], network: Network, x: np.ndarray, target: np.ndarray, seed: int = 0
) -> list[Gradient]:
    rule = make_rule(**case)
    result = rule.propose(network, LOSS, x, target, rule.init(network, Streams(seed))).layers
    assert result is not None
    return list(result)


@pytest.mark.jit
@pytest.mark.parametrize("case", CLAIMING, ids=catalogue_helpers.name)
def test_the_mean_proposal_aligns_with_autograd(case: dict[str, Any]) -> None:
    """The squared relative error of the mean of M draws is about N / M, N perturbed quantities: below 0.5 % here, so that
    1 - cosine is below 0.0025, a quarter of what the claim allows."""
    layers = ({"kind": "linear", "units": 4}, "tanh", {"kind": "linear", "units": 3})
    network = make_network(layers, (3,), init_scale=0.5)  # weak coupling, see ActivityNodePerturbation
    parameters = 3 * 4 + 4 + 4 * 3 + 3
    x, target = batch((3,), n=6)
    exact = autograd(network, x, target)
    many = dict(case)
    if case["kind"] in ("weight_perturbation", "multiplexed"):
        many["perturbations"] = 200 * parameters
        if case["kind"] == "multiplexed":
            many["tau_theta"] = many["perturbations"] * case.get("tau_p", 1)
    elif case["kind"] not in ("backprop", "physics_aware"):
        x, target = np.tile(x, (500, 1)), np.tile(target, 500)  # every sample has its own noise
        many["perturbations"] = 10
    rule = make_rule(**many)
    assert rule.alignment is not None
    for mine, true in zip(flat(proposed(many, network, x, target)), exact, strict=True):
        assert cosine(mine, true) >= rule.alignment
        if "activity" not in case["kind"]:  # which estimates the gradient up to a factor of its own for every layer
            assert np.linalg.norm(mine) / np.linalg.norm(true) == pytest.approx(1.0, abs=0.05)


@pytest.mark.jit
@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("kind", ["node_perturbation", "iterative_node_perturbation", "activity_node_perturbation"])
def test_noise_rules_in_a_convolutional_network_have_the_expected_error(kind: str, two_sided: bool) -> None:
    """Variance of the estimate: each of the P n_out errors d of a sample has the variance |g|**2 / M, g the gradient over
    everything that is perturbed with it; the weights' estimate adds that up over the patches x of the layer."""
    shape, draws = (1, 6, 6), 400
    network = make_network(CONV, shape)
    x, target = batch(shape, n=4)
    rule = make_rule("backprop")
    trace = rule.propose(network, LOSS, x, target, rule.init(network, Streams(0))).trace
    exact = proposed({"kind": "backprop"}, network, x, target)
    mine = proposed({"kind": kind, "perturbations": draws, "two_sided": two_sided}, network, x, target)
    d = [g.weights.d.reshape(len(x), -1) for g in exact]  # type: ignore[union-attr]
    power = [np.square(v).sum(axis=1) for v in d]
    for number, layer in enumerate(network.layers):
        g2 = power[number] if kind.startswith("iter") else sum(power)
        patches = np.square(trace.layers[number].x).sum(axis=1).reshape(len(x), -1).sum(axis=1)
        expected = float((g2 * patches).sum()) * layer.tile.shape[0] / draws
        true, got = exact[number].weights.dense(), mine[number].weights.dense()
        power_true = float(np.square(true).sum())
        if kind.startswith("activity"):  # the gradient up to a nearly isotropic factor
            assert cosine(got, true) > (1.0 + expected / power_true) ** -0.5 - 0.15, layer.name
        else:
            if kind.startswith("iter"):  # a unit vector has one degree of freedom less than N normals
                expected *= (layer.units - 1) / layer.units
            # A sum over at least 12 terms of about equal variance: its relative standard deviation is below 0.5.
            assert 0.3 * expected < np.square(got - true).sum() < 2.5 * expected, layer.name


@pytest.mark.jit
def test_two_sided_differences_cancel_the_second_order() -> None:
    """At a large sigma the loss is curved: one-sided estimates have more variance than two-sided ones."""
    network = make_network(DENSE)
    x, target = batch((5,), n=6)
    true = np.concatenate(autograd(network, x, target))

    def error(two_sided: bool) -> float:
        case = {"kind": "node_perturbation", "sigma": 2.0, "two_sided": two_sided}
        draws = [np.concatenate(flat(proposed(case, network, x, target, seed))) for seed in range(200)]
        return float(np.mean([np.sum((draw - true) ** 2) for draw in draws]))

    assert error(True) < 0.7 * error(False)


@pytest.mark.parametrize("kind", ["node_perturbation", "activity_node_perturbation"])
def test_rereading_the_first_layer_changes_nothing_on_an_ideal_tile(kind: str) -> None:
    network = make_network(DENSE)
    x, target = batch((5,))
    one, other = (
        proposed({"kind": kind, "sigma": 0.1, "reread_first": reread}, network, x, target) for reread in (False, True)
    )
    for a, b in zip(flat(one), flat(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


@pytest.mark.jit
@pytest.mark.parametrize("kind", ["node_perturbation", "activity_node_perturbation", "iterative_node_perturbation"])
def test_more_perturbations_mean_less_variance(kind: str) -> None:
    network = make_network(DENSE)
    x, target = batch((5,), n=6)
    true = np.concatenate(autograd(network, x, target))

    def error(perturbations: int) -> float:
        case = {"kind": kind, "perturbations": perturbations}
        draws = [np.concatenate(flat(proposed(case, network, x, target, seed))) for seed in range(100)]
        return float(np.mean([np.sum((draw - true) ** 2) for draw in draws]))

    assert error(8) < error(1) / 5


@pytest.mark.jit
def test_activity_differences_need_no_access_to_the_noise() -> None:
    """sigma = 0 with a noisy tile: the tile's own noise explores, and the mean proposal aligns."""

    class Noisy:
        """A digital tile whose every product carries Gaussian noise."""

        def __init__(self, weights: np.ndarray) -> None:
            self.inner = digital_tile("", weights)
            self.rng = np.random.default_rng(7)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def forward(self, x: np.ndarray) -> np.ndarray:
            y = self.inner.forward(x)
            return y + 1e-3 * self.rng.standard_normal(y.shape).astype(np.float32)

    network = make_network(DENSE, init_scale=0.3, make_tile=lambda name, weights, role="weights": Noisy(weights))
    x, target = batch((5,), n=6)
    case = {"kind": "activity_node_perturbation", "sigma": 0.0, "reread_first": True}
    exact = autograd(network, x, target)
    x, target = np.tile(x, (2000, 1)), np.tile(target, 2000)
    for mine, true in zip(flat(proposed(case, network, x, target)), exact, strict=True):
        assert cosine(mine, true) > 0.97


def test_exploring_by_the_noise_of_a_chip_that_has_none_is_said() -> None:
    network = make_network(DENSE)
    x, target = batch((5,), n=6)
    case = {"kind": "activity_node_perturbation", "sigma": 0.0}
    with pytest.warns(StandingStillWarning, match="nothing is learned; sigma: 0 leaves the exploration"):
        gradients = flat(proposed(case, network, x, target))
    assert not any(gradient.any() for gradient in gradients)


def test_feedback_alignment_is_its_analytic_form() -> None:
    network = make_network(DENSE)
    x, target = batch((5,))
    rule = make_rule("feedback_alignment", scale=0.7)
    memory = rule.init(network, Streams(4))
    layers = rule.propose(network, LOSS, x, target, memory).layers
    assert layers is not None
    b = memory.arrays["linear2"]
    w1, w2 = (layer.tile.read_weights() for layer in network.layers)
    h = np.tanh(x @ w1.T)
    logits = h @ w2.T
    e = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    e[np.arange(len(x)), target] -= 1.0
    e /= len(x)
    np.testing.assert_allclose(layers[1].weights.dense(), e.T @ h, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layers[0].weights.dense(), ((e @ b) * (1 - h**2)).T @ x, rtol=1e-4, atol=1e-6)
    # 18 entries, relative error of their std about 17 %: within 3 of those.
    assert b.std() == pytest.approx(0.7 / np.sqrt(6), rel=0.5)


def test_direct_feedback_alignment_is_its_analytic_form() -> None:
    layers = (
        {"kind": "linear", "units": 6},
        "tanh",
        {"kind": "linear", "units": 4},
        "relu",
        {"kind": "linear", "units": 3},
    )
    network = make_network(layers)
    x, target = batch((5,))
    rule = make_rule("direct_feedback_alignment")
    memory = rule.init(network, Streams(4))
    result = rule.propose(network, LOSS, x, target, memory)
    assert result.layers is not None
    a = [layer.a for layer in result.trace.layers]
    e = LOSS.gradient(a[2], target)
    d0 = (e @ memory.arrays["linear1"]) * (1 - np.tanh(a[0]) ** 2)
    d1 = (e @ memory.arrays["linear2"]) * (a[1] > 0)
    np.testing.assert_allclose(result.layers[0].weights.dense(), d0.T @ x, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.layers[1].weights.dense(), d1.T @ np.tanh(a[0]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.layers[2].weights.dense(), e.T @ np.maximum(a[1], 0), rtol=1e-4, atol=1e-6)


def test_feedback_alignment_goes_back_through_gamma_r_transposed() -> None:
    network = make_network(DENSE, decorrelation={"method": "natural", "where": "digital"})
    decorrelator = network.layers[1].decorrelator
    assert decorrelator is not None
    r = np.eye(6, dtype=np.float32) + 0.3 * np.random.default_rng(0).standard_normal((6, 6)).astype(np.float32)
    decorrelator.tile.program(r)
    decorrelator.matrix.gain[:] = 1.7
    x, target = batch((5,))
    rule = make_rule("feedback_alignment")
    memory = rule.init(network, Streams(4))
    result = rule.propose(network, LOSS, x, target, memory)
    assert result.layers is not None
    e = LOSS.gradient(result.trace.output, target)
    slope = 1 - np.tanh(result.trace.layers[0].a) ** 2
    d0 = (e @ memory.arrays["linear2"] @ (1.7 * r)) * slope
    np.testing.assert_allclose(result.layers[0].weights.dense(), d0.T @ result.trace.layers[0].x, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["feedback_alignment", "direct_feedback_alignment"])
def test_feedback_weights_are_never_redrawn(kind: str) -> None:
    network = make_network(DENSE)
    rule = make_rule(kind)
    memory = rule.init(network, Streams(4))
    kept = {name: array.copy() for name, array in memory.arrays.items()}
    assert kept
    x, target = batch((5,))
    for _ in range(3):
        rule.propose(network, LOSS, x, target, memory)
    state = memory.state()
    restored = rule.init(network, Streams(4))
    for array in restored.arrays.values():
        array[:] = 0.0
    restored.restore(state)
    for name, array in kept.items():
        np.testing.assert_array_equal(memory.arrays[name], array)
        np.testing.assert_array_equal(restored.arrays[name], array)
    other = rule.init(network, Streams(5))
    assert all((other.arrays[name] != array).all() for name, array in kept.items())


@pytest.mark.parametrize("kind", ["weight_perturbation", "multiplexed"])
def test_written_perturbations_are_taken_back(kind: str) -> None:
    network = make_network(DENSE)
    before = [layer.tile.read_weights() for layer in network.layers]
    x, target = batch((5,))
    proposed({"kind": kind, "perturb": "write", "sigma": 0.125}, network, x, target)
    for layer, w in zip(network.layers, before, strict=True):
        np.testing.assert_allclose(layer.tile.read_weights(), w, atol=1e-6)
        assert layer.bias is not None
        np.testing.assert_allclose(layer.bias, 0.0, atol=1e-6)


@pytest.mark.parametrize("kind", ["weight_perturbation", "multiplexed"])
def test_writing_and_overlaying_a_perturbation_teach_the_same(kind: str) -> None:
    network = make_network(DENSE)
    x, target = batch((5,))
    one, other = (
        proposed({"kind": kind, "perturb": mode, "sigma": 0.01}, network, x, target) for mode in ("write", "overlay")
    )
    for a, b in zip(flat(one), flat(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0.02)


class TestMultiplexedTimes:
    def test_an_update_may_wait_for_several_inputs(self) -> None:
        network = make_network(DENSE)
        x, target = batch((5,))
        rule = make_rule("multiplexed", perturbations=2, tau_p=3, tau_theta=18, perturb="overlay")
        assert rule.rounds == 1
        memory = rule.init(network, Streams(0))
        written = [rule.propose(network, LOSS, x, target, memory).layers is not None for _ in range(6)]
        assert written == [False, False, True, False, False, True]

    def test_an_input_may_see_several_updates(self) -> None:
        rule = make_rule("multiplexed", perturbations=6, tau_p=2, tau_theta=4, perturb="overlay")
        assert rule.rounds == 3
        network = make_network(DENSE)
        x, target = batch((5,))
        memory = rule.init(network, Streams(0))
        assert all(rule.propose(network, LOSS, x, target, memory).layers is not None for _ in range(3))

    def test_an_interrupted_accumulation_goes_on(self) -> None:
        network = make_network(DENSE)
        x, target = batch((5,))
        rule = make_rule("multiplexed", perturbations=2, tau_theta=4, code="sequential", perturb="overlay")
        memory = rule.init(network, Streams(0))
        rule.propose(network, LOSS, x, target, memory)
        restored = rule.init(network, Streams(0))
        restored.restore(memory.state())
        one, other = (rule.propose(network, LOSS, x, target, m).layers for m in (memory, restored))
        assert one is not None
        assert other is not None
        for a, b in zip(flat(one), flat(other), strict=True):
            np.testing.assert_array_equal(a, b)
        assert sum(int(np.count_nonzero(v)) for v in flat(one)) == 4  # parameters 0 to 3, one after the other

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"tau_p": 2, "tau_theta": 3}, "multiple of tau_p = 2"),
            ({"perturbations": 4, "tau_theta": 6}, "tau_x = .* = 4"),
        ],
    )
    def test_times_that_do_not_fit_are_refused(self, fields: dict[str, int], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make_rule("multiplexed", **fields)


TOY: dict[str, tuple[float, int, dict[str, Any]]] = {
    "activity_node_perturbation": (0.1, 400, {"perturbations": 10}),
    "backprop": (0.3, 300, {}),
    "direct_feedback_alignment": (0.3, 600, {}),
    "feedback_alignment": (0.3, 600, {}),
    "iterative_node_perturbation": (0.3, 300, {"perturbations": 5}),
    "multiplexed": (0.2, 500, {"perturbations": 20, "tau_theta": 20, "perturb": "overlay"}),
    "node_perturbation": (0.2, 300, {"perturbations": 10}),
    "physics_aware": (0.3, 300, {}),
    "weight_perturbation": (0.2, 500, {"perturbations": 20, "perturb": "overlay", "two_sided": False}),
}
"""Rule -> learning rate, steps, fields; a new rule has those of feedback alignment until it needs others."""


@pytest.mark.jit
@pytest.mark.parametrize("decorrelated", [False, True])
@pytest.mark.parametrize("kind", sorted(catalogue.RULES))
def test_every_rule_solves_a_task_with_and_without_decorrelation(kind: str, decorrelated: bool) -> None:
    """Three concentric rings: at most 50 % by a linear classifier, at least 85 % here."""
    x, target = rings()
    layers = ({"kind": "linear", "units": 16}, "relu", {"kind": "linear", "units": 3})
    decorrelation = {"method": {"kind": "natural", "rate": 1e-3}, "where": "digital"} if decorrelated else None
    network = make_network(layers, (4,), decorrelation=decorrelation)
    rate, steps, fields = TOY.get(kind, (0.3, 600, {}))
    train(network, make_rule(kind, **fields), x, target, rate=rate, steps=steps)
    assert accuracy(network, x, target) > 0.85


def test_a_linear_classifier_cannot_solve_the_task() -> None:
    x, target = rings()
    network = make_network(({"kind": "linear", "units": 3},), (4,))
    train(network, make_rule("backprop"), x, target, rate=0.3, steps=500)
    assert accuracy(network, x, target) < 0.5
