"""Small networks and tasks for the tests of learning. Nothing here is random without a seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.config import discover, validate
from analog_sim.random.streams import Streams
from learning.common.weight_tile import TileMaker, digital_tile
from learning.decorrelation.decorrelator import DecorrelationSpec
from learning.losses.base import Loss
from learning.losses.cross_entropy import CrossEntropy
from learning.network.forms.layers import LayerList
from learning.network.network import Network, build_network
from learning.rules.base import Gradient, Rule

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

DENSE = ({"kind": "linear", "units": 6}, "tanh", {"kind": "linear", "units": 3})
CONV = (
    {"kind": "conv2d", "channels": 3, "kernel": 3, "padding": 1},
    "relu",
    {"kind": "max_pool", "size": 2},
    {"kind": "conv2d", "channels": 4, "kernel": 2},
    "leaky_relu",
    "flatten",
    {"kind": "linear", "units": 3},
)


def make_network(
    layers: Sequence[Any] = DENSE,
    shape: tuple[int, ...] = (5,),
    classes: int = 3,
    *,
    seed: int = 0,
    decorrelation: dict[str, Any] | None = None,
    make_tile: TileMaker = digital_tile,
    **spec: Any,
) -> Network:
    return build_network(
        validate({"layers": list(layers), **spec}, LayerList),
        shape,
        classes,
        make_tile=make_tile,
        streams=Streams(seed),
        decorrelation=None if decorrelation is None else validate(decorrelation, DecorrelationSpec),
    )


def make_rule(kind: str, **fields: Any) -> Rule:
    return discover("learning.rules", Rule)[kind].model_validate({"kind": kind, **fields})


def batch(shape: tuple[int, ...], n: int = 8, classes: int = 3, seed: int = 1) -> tuple[F32, I64]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *shape)).astype(np.float32), rng.integers(0, classes, n)


def flat(gradients: Sequence[Gradient]) -> list[npt.NDArray[np.float64]]:
    """One vector per layer: weights, then the digital bias."""
    vectors = []
    for gradient in gradients:
        parts = [gradient.weights.dense().ravel()]
        if gradient.bias is not None:
            parts.append(gradient.bias)
        vectors.append(np.concatenate(parts).astype(np.float64))
    return vectors


def cosine(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def rings(n: int = 600, seed: int = 3) -> tuple[F32, I64]:
    """Three concentric rings and two nuisance inputs, seen through a mixture (n, 4), off centre."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 3, n)
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = 0.5 + target + 0.1 * rng.standard_normal(n)
    latent = np.concatenate(
        [np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), rng.standard_normal((n, 2))], axis=1
    )
    left, right = (np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(2))
    x = latent @ (left * [1.0, 0.8, 0.7, 0.6]) @ right + 0.5
    return x.astype(np.float32), target


def train(
    network: Network,
    rule: Rule,
    x: F32,
    target: I64,
    *,
    rate: float,
    steps: int,
    size: int = 32,
    seed: int = 0,
    loss: Loss | None = None,
) -> list[float]:
    """Plain SGD, as simple as possible; returns the losses."""
    loss = loss or CrossEntropy()
    memory = rule.init(network, Streams(seed))
    rng = np.random.default_rng(seed)
    losses = []
    for _ in range(steps):
        index = rng.integers(0, len(x), size)
        for _ in range(rule.rounds):
            proposed = rule.propose(network, loss, x[index], target[index], memory)
            losses.append(proposed.loss)
            for layer, gradient in zip(network.layers, proposed.layers or (), strict=False):
                layer.tile.update(gradient.weights, rate)
                if layer.bias is not None and gradient.bias is not None:
                    layer.bias -= np.float32(rate) * gradient.bias
        for layer, trace in zip(network.layers, proposed.trace.layers, strict=True):
            if layer.decorrelator is not None and trace.passed is not None:
                layer.decorrelator.learn(trace.passed)
    return losses


def accuracy(network: Network, x: F32, target: I64) -> float:
    return float((network.output(x).argmax(axis=1) == target).mean())
