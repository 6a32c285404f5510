"""Between a network on tiles and the plain arrays of a trained one: what has been learned, and where learning starts. It never trains.

What becomes of decorrelating matrices when learning starts from trained weights:

- where both have one, R, its gains and its mean go on as they were learned;
- where only the trained network has one, it is multiplied into the weights, ``W' = W diag(g) R``, ``b' = b - W' mean``;
- where only the new one has one, R starts at the identity, and the running mean at the mean of the calibration samples, with ``W mean``
  added to the bias.

The function of the network is the same before and after, to rounding and to what the chip adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from analog_sim.random.streams import Streams
from learning.common.weight_tile import digital_tile
from learning.decorrelation.decorrelator import DecorrelationSpec
from learning.network.layers.base import Shape, WeightedLayer
from learning.network.layers.conv2d import Conv2d
from learning.network.learned import GAIN, MATRIX, MEAN, LearnedNetwork
from learning.network.network import Network, WeightLayer, build_network
from learning.network.spec import NetworkSpec

F32 = npt.NDArray[np.float32]


def learned_from(
    network: Network, spec: NetworkSpec, shape: Shape, outputs: tuple[str, ...], dataset: Mapping[str, Any]
) -> LearnedNetwork:
    """What a network has learned: the truth of its cells where they show it, else what reading them gives.

    spec, shape, outputs: as it was built. dataset: section `dataset`, for the record.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    on_chip = []
    for layer in network.layers:
        w, bias = layer.tile.read_weights(exact=True), layer.bias
        if layer.bias_line is not None:
            w, bias = w[:, :-1], w[:, -1] * np.float32(layer.bias_line)
        arrays[f"{layer.name}.weight"] = w.reshape(_torch_shape(layer, w))
        if bias is not None:
            arrays[f"{layer.name}.bias"] = bias.copy()
        if layer.decorrelator is None:
            continue
        arrays[f"{layer.name}.{MEAN}"] = layer.decorrelator.mean.copy()
        if not layer.decorrelator.spec.method.stands_still:
            matrix = layer.decorrelator.matrix
            arrays[f"{layer.name}.{GAIN}"] = matrix.gain.copy()
            arrays[f"{layer.name}.{MATRIX}"] = matrix.read()
            on_chip += [layer.name] if matrix.tile.on_chip else []
    return LearnedNetwork(spec, shape, outputs, arrays, tuple(on_chip), dataset=dict(dataset)).as_list()


def _torch_shape(layer: WeightLayer, w: F32) -> tuple[int, ...]:
    if isinstance(layer.kind, Conv2d):
        return (len(w), layer.shape[0], layer.kind.kernel, layer.kind.kernel)
    return w.shape


def start_from(
    learned: LearnedNetwork,
    spec: NetworkSpec | None,
    decorrelation: DecorrelationSpec | None,
    x: F32,
    outputs: tuple[str, ...],
) -> LearnedNetwork:
    """A trained network as a start for `spec` (None: its own) with decorrelation.

    Args:
        learned: the trained network. x: calibration samples (N, ...). outputs: names of the data's classes or targets.

    Raises:
        UserError: another network, or one that cannot start: with batch normalisation, or without biases where a mean needs one.
    """
    found = learned.fitted(spec, tuple(x.shape[1:]), outputs)
    places = [place for place in found.placed() if isinstance(place.layer, WeightedLayer)]
    covered = {place.name for k, place in enumerate(places) if decorrelation is not None and decorrelation.covers(k)}
    plain = found
    for place in places:
        plain = plain.folded(place.name)
        if place.name not in covered or (decorrelation is not None and decorrelation.method.stands_still):
            found = found.folded(place.name, keep_mean=place.name in covered)
    missing = [place.name for place in places if place.name in covered and not found.decorrelated(place.name)]
    if missing:
        digital = build_network(
            plain.spec, plain.shape, len(outputs), make_tile=digital_tile, streams=Streams(0), start=plain
        )
        for layer, passed in zip(digital.layers, digital.forward(x).layers, strict=True):
            if layer.name in missing:
                mean = passed.x[:, : layer.inputs].mean(axis=0, dtype=np.float64)
                found = found.centred(layer.name, mean.astype(np.float32))
    for place in places:
        bias = found.get(place.name, "bias")
        if not place.bias and bias is not None and bias.any():
            raise UserError(
                f"{learned.where}: the mean in front of layer '{place.name}' needs a bias there; write network.bias: digital"
            )
    return found
