"""A feed-forward network whose every weight matrix lives on a tile. It knows no loss, no learning rule, nor what a tile is made of.

    h_0 = x;  z_l = h_(l-1) - mean;  y_l = gamma R_l z_l;  a_l = W_l y_l + b_l (+ injected noise);  h_l = f_l(a_l)

A weighted layer l with everything digital that follows it (activation, pooling, flatten) is one `WeightLayer`; its pre-activations
a_l are kept as rows (B * P, n_out), P patches per sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from analog_sim.random.streams import Stream, Streams
from analog_sim.saved_state import State, put
from analog_sim.writing.proposal import Dense
from learning.common.kernels import add_row
from learning.common.weight_tile import TileMaker, WeightTile, digital_tile
from learning.decorrelation.base import Passed
from learning.decorrelation.decorrelator import DecorrelationSpec, Decorrelator, DecorrelatorState
from learning.network.layers.base import DigitalLayer, Shape, TrainingLayer, WeightedLayer
from learning.network.learned import GAIN, MATRIX, MEAN, LearnedNetwork
from learning.network.placed import PlacedLayer, placed_layers
from learning.network.spec import NetworkSpec

F32 = npt.NDArray[np.float32]
Transport = Callable[[int, F32], F32]
"""(layer, d (rows, n_out)) -> dL/dy (rows, n_in): how an error goes back through the weights of a layer."""


MOST_SHOWN = 12
"""Layers that a description lists."""


@dataclass(frozen=True)
class Shift:
    """A momentary change of one layer's parameters: dw (n_out, n_in of the tile), db (n_out,) when the bias is digital."""

    dw: F32
    db: F32 | None


@dataclass(frozen=True)
class LayerTrace:
    """What one pass left at a weighted layer.

    Attributes:
        x: (rows, n_in) input of the tile, bias line included. a: (rows, n_out) pre-activation, injected noise included.
        passed: what went through the decorrelating matrix, None without one.
        values: (B, ...) input of every digital layer of the tail, then the tail's output.
    """

    x: F32
    a: F32
    passed: Passed | None
    values: tuple[F32, ...]


@dataclass(frozen=True)
class Trace:
    """One pass through the network."""

    layers: tuple[LayerTrace, ...]

    @property
    def output(self) -> F32:
        """(B, classes)."""
        return self.layers[-1].values[-1]


class LayerState(TypedDict):
    """What a layer keeps."""

    tile: State
    bias: F32 | None
    decorrelator: DecorrelatorState | None


@dataclass
class WeightLayer:
    """One weight matrix with what surrounds it.

    Attributes:
        name: of the layer and of its tile. kind: its arithmetic. shape: of one input sample.
        tile: (n_out, n_in), one input more when the bias is a line of the chip. bias: digital (n_out,), else None.
        bias_line: constant value on the extra input line, None without it.
        decorrelator: in front of the tile, or None. tail: the digital layers after it.
    """

    name: str
    kind: WeightedLayer
    shape: Shape
    tile: WeightTile
    bias: F32 | None
    bias_line: float | None
    decorrelator: Decorrelator | None
    tail: tuple[DigitalLayer, ...]

    @property
    def inputs(self) -> int:
        """n_in without the bias line."""
        return self.tile.shape[1] - (self.bias_line is not None)

    @property
    def patches(self) -> int:
        """Rows per sample P."""
        return self.kind.patches(self.shape)

    @property
    def units(self) -> int:
        """Pre-activations per sample, P * n_out."""
        return self.patches * self.tile.shape[0]

    def tail_shape(self) -> Shape:
        """Shape of one sample of h."""
        shape = self.kind.output_shape(self.shape)
        for layer in self.tail:
            shape = layer.output_shape(shape)
        return shape

    def drive(self, h: F32) -> tuple[F32, Passed | None]:
        """Input h (B, *shape) -> tile input (rows, n_in), through the decorrelating matrix and with the bias line."""
        rows = self.kind.gather(h)
        passed = None
        if self.decorrelator is not None:
            passed = self.decorrelator.forward(rows)
            rows = passed.y
        if self.bias_line is not None:
            rows = np.concatenate([rows, np.full((len(rows), 1), self.bias_line, np.float32)], axis=1)
        return rows, passed

    def multiply(self, x: F32, shift: Shift | None = None) -> F32:
        """Tile input -> pre-activations (rows, n_out), with momentarily changed parameters when `shift` is given."""
        a = self.tile.forward(x)
        if self.bias is not None:
            add_row(a, self.bias)
        if shift is not None:
            a += x @ shift.dw.T
            if shift.db is not None:
                a += shift.db
        return a

    def finish(self, x: F32, a: F32, passed: Passed | None) -> LayerTrace:
        """Run the tail."""
        values = [self.kind.assemble(a, self.shape)]
        for layer in self.tail:
            values.append(layer.forward(values[-1]))
        return LayerTrace(x, a, passed, tuple(values))

    def backward_tail(self, grad: F32, trace: LayerTrace) -> F32:
        """dL/dh (B, ...) -> dL/da (rows, n_out)."""
        for number in reversed(range(len(self.tail))):
            grad = self.tail[number].backward(grad, trace.values[number], trace.values[number + 1])
        return self.kind.disassemble(grad)

    def backward_input(self, d: F32) -> F32:
        """dL/dy (rows, n_in) -> dL/dh of the layer before (B, *shape), through gamma R^T."""
        if self.decorrelator is not None:
            d = self.decorrelator.backward(d)
        return self.kind.scatter(d, self.shape)

    def write_shift(self, shift: Shift, factor: float) -> None:
        """Change the parameters themselves by factor * shift: this writes cells."""
        self.tile.update(Dense(shift.dw), -factor)
        if self.bias is not None and shift.db is not None:
            self.bias += np.float32(factor) * shift.db

    def state(self) -> LayerState:
        """What a checkpoint keeps."""
        return {
            "tile": self.tile.state(),
            "bias": None if self.bias is None else self.bias.copy(),
            "decorrelator": None if self.decorrelator is None else self.decorrelator.state(),
        }

    def restore(self, state: LayerState) -> None:
        """Put back what `state` returned. Raises ValueError for what is of another layer."""
        bias, decorrelator = state["bias"], state["decorrelator"]
        if (bias is None) != (self.bias is None) or (decorrelator is None) != (self.decorrelator is None):
            raise ValueError(f"{self.name}: saved with other parts (bias, decorrelator) than the layer has")
        self.tile.restore(state["tile"])
        if self.bias is not None and bias is not None:
            put(self.bias, bias, f"{self.name}.bias")
        if self.decorrelator is not None and decorrelator is not None:
            self.decorrelator.restore(decorrelator)


@dataclass(frozen=True)
class Network:
    """Weighted layers in order, and the digital layers in front of the first.

    Attributes:
        head: digital layers before the first weights. layers: the rest.
    """

    head: tuple[DigitalLayer, ...]
    layers: tuple[WeightLayer, ...]

    def __repr__(self) -> str:
        shown = [
            f"{layer.name} {layer.tile.shape[0]} x {layer.tile.shape[1]} {'on chip' if layer.tile.on_chip else 'digital'}"
            for layer in self.layers
        ]
        more = f", and {len(shown) - MOST_SHOWN} more" if len(shown) > MOST_SHOWN else ""
        return f"<network: {', '.join(shown[:MOST_SHOWN])}{more}>"

    @property
    def units(self) -> int:
        """Pre-activations per sample over all layers."""
        return sum(layer.units for layer in self.layers)

    def forward(self, x: F32, *, noise: Sequence[F32] | None = None, shifts: Sequence[Shift] | None = None) -> Trace:
        """Pass x (B, ...) through.

        noise: (rows, n_out) per layer, added to the pre-activations. shifts: momentary parameter changes per layer.
        """
        for layer in self.head:
            x = layer.forward(x)
        return Trace(tuple(self._run(0, x, noise, shifts)))

    def repeat(
        self, trace: Trace, *, noise: Sequence[F32] | None = None, shifts: Sequence[Shift] | None = None
    ) -> Trace:
        """Pass the input of an earlier pass through again, from the first layer's weights on: what drives them has not changed.

        noise, shifts: as in `forward`.
        """
        return Trace(tuple(self._run(0, None, noise, shifts, trace.layers[0])))

    def resume(self, trace: Trace, layer: int, a: F32, *, noise: Sequence[F32] | None = None) -> Trace:
        """Replay an earlier pass from the pre-activations a (rows, n_out) of one layer on; layers before it are not read again.

        noise: as in `forward`, for the layers after `layer` (its other entries are ignored).
        """
        before = trace.layers[layer]
        here = self.layers[layer].finish(before.x, a, before.passed)
        return Trace((*trace.layers[:layer], here, *self._run(layer + 1, here.values[-1], noise, None)))

    def _run(
        self,
        first: int,
        h: F32 | None,
        noise: Sequence[F32] | None,
        shifts: Sequence[Shift] | None,
        driven: LayerTrace | None = None,
    ) -> list[LayerTrace]:
        """Layers from `first` on, whose input is h, or was driven before as in `driven`."""
        done: list[LayerTrace] = []
        for number in range(first, len(self.layers)):
            layer = self.layers[number]
            if driven is not None and number == first:
                x, passed = driven.x, driven.passed
            else:
                assert h is not None
                x, passed = layer.drive(h)
            a = layer.multiply(x, None if shifts is None else shifts[number])
            if noise is not None:
                a += noise[number]
            done.append(layer.finish(x, a, passed))
            h = done[-1].values[-1]
        return done

    def output(self, x: F32, batch: int = 1000) -> F32:
        """(N, ...) -> (N, classes), in batches."""
        return np.concatenate([self.forward(x[i : i + batch]).output for i in range(0, len(x), batch)])

    def errors(self, trace: Trace, grad: F32, transport: Transport) -> list[F32]:
        """``d_l = f'(a_l) transport_(l+1)(d_(l+1))`` for every layer, from grad = dL/d output: dL/da_l (rows, n_out)."""
        result: list[F32] = []
        for number in reversed(range(len(self.layers))):
            layer = self.layers[number]
            d = layer.backward_tail(grad, trace.layers[number])
            result.append(d)
            if number:
                grad = layer.backward_input(transport(number, d))
        return result[::-1]

    def calibrate(self, x: F32) -> None:
        """Fix the converter ranges of every tile on sample inputs (B, ...), layer by layer."""
        for layer in self.head:
            x = layer.forward(x)
        for weights in self.layers:
            if weights.decorrelator is not None:
                weights.decorrelator.tile.calibrate(weights.kind.gather(x) - weights.decorrelator.mean)
            driven, passed = weights.drive(x)
            weights.tile.calibrate(driven)
            x = weights.finish(driven, weights.multiply(driven), passed).values[-1]

    def tiles(self) -> list[tuple[str, WeightTile]]:
        """Every tile with its name, decorrelating matrices included."""
        found: list[tuple[str, WeightTile]] = []
        for layer in self.layers:
            found.append((layer.name, layer.tile))
            if layer.decorrelator is not None:
                found.append((matrix_name(layer.name), layer.decorrelator.tile))
        return found

    @property
    def inspectable(self) -> bool:
        """Whether the truth of every matrix can be seen and put back."""
        return all(tile.inspectable for _, tile in self.tiles())

    def digital_copy(self) -> Network:
        """The same network on digital tiles that hold what the cells truly hold now; the chip does not notice."""
        return Network(self.head, tuple(_digital(layer) for layer in self.layers))

    def state(self) -> dict[str, LayerState]:
        """What a checkpoint keeps."""
        return {layer.name: layer.state() for layer in self.layers}

    def restore(self, state: Mapping[str, LayerState]) -> None:
        """Put back what `state` returned."""
        if list(state) != [layer.name for layer in self.layers]:
            raise ValueError(
                f"network: saved with layers {', '.join(state)}, here {', '.join(x.name for x in self.layers)}"
            )
        for layer in self.layers:
            layer.restore(state[layer.name])


def matrix_name(layer: str) -> str:
    """Name of the decorrelating matrix of a layer."""
    return f"{layer}_R"


def build_network(
    spec: NetworkSpec,
    shape: Shape,
    outputs: int,
    *,
    make_tile: TileMaker,
    streams: Streams,
    decorrelation: DecorrelationSpec | None = None,
    start: LearnedNetwork | None = None,
) -> Network:
    """Build and initialise a network.

    Weights are drawn from the streams "init"/<layer>, so two networks of one seed begin alike whatever their tiles are made of.

    Args:
        spec: section `network`. shape: of one input sample. outputs: that the data ask for.
        make_tile: makes the tiles. streams: the run's random streams. decorrelation: section `decorrelation`, or None.
        start: trained weights in place of drawn ones, as made by `learning.network.starting.start_from` for this network.

    Raises:
        UserError: layers that do not fit together, that only digital training has, or that end in another number of outputs.
    """
    head: list[DigitalLayer] = []
    built: list[WeightLayer] = []
    for place in placed_layers(spec, shape, outputs):
        layer = place.layer
        if isinstance(layer, WeightedLayer):
            built.append(_weight_layer(place, layer, len(built), spec, make_tile, streams, decorrelation, start))
        elif isinstance(layer, DigitalLayer) and built:
            built[-1].tail = (*built[-1].tail, layer)
        elif isinstance(layer, DigitalLayer):
            head.append(layer)
        elif isinstance(layer, TrainingLayer):
            raise UserError(f"network: layer '{place.name}': {layer.kind} {layer.reason}")
    if decorrelation is not None and decorrelation.layers != "all":
        unknown = [index for index in decorrelation.layers if index >= len(built)]
        if unknown:
            raise UserError(
                f"decorrelation.layers: got {unknown}, allowed 0 to {len(built) - 1}: there are {len(built)} weighted layers"
            )
    return Network(tuple(head), tuple(built))


def _weight_layer(
    place: PlacedLayer,
    kind: WeightedLayer,
    index: int,
    spec: NetworkSpec,
    make_tile: TileMaker,
    streams: Streams,
    decorrelation: DecorrelationSpec | None,
    start: LearnedNetwork | None,
) -> WeightLayer:
    """One weighted layer, the index-th, with first weights on its tile and nothing behind it yet."""
    name = place.name
    n_out, n_in = kind.matrix(place.before)
    weights = spec.draw(n_out, n_in, streams.stream("init", name)) if start is None else start.weights(name)
    first = None if start is None else start.get(name, "bias")
    bias = np.zeros(n_out, np.float32) if first is None else first.copy()
    line = None
    if spec.bias == "chip":
        line = 1.0 if spec.bias_line == "auto" else spec.bias_line
        weights = np.concatenate([weights, bias[:, None] / np.float32(line)], axis=1)
    tile = make_tile(name, weights)
    decorrelator = None
    if decorrelation is not None and decorrelation.covers(index):
        matrix = None if start is None else start.get(name, MATRIX)
        holder = decorrelation.make_tile(matrix_name(name), n_in, make_tile, matrix)
        decorrelator = Decorrelator(decorrelation, holder, streams.stream("decorrelation", name), matrix_name(name))
        if start is not None:
            decorrelator.go_on_from(start.get(name, MEAN), start.get(name, GAIN))
    return WeightLayer(name, kind, place.before, tile, bias if spec.bias == "digital" else None, line, decorrelator, ())


def _digital(layer: WeightLayer) -> WeightLayer:
    decorrelator = layer.decorrelator
    copied = None
    if decorrelator is not None:
        place = Stream(0, 0)  # never drawn from: a copy does not learn
        name = matrix_name(layer.name)
        holder = decorrelator.spec.copy_tile(name, decorrelator.tile)
        copied = Decorrelator(decorrelator.spec, holder, place, name)
        copied.matrix.gain[:] = decorrelator.matrix.gain
        copied.mean[:] = decorrelator.mean
    tile = digital_tile(layer.name, layer.tile.read_weights(exact=True))
    bias = None if layer.bias is None else layer.bias.copy()
    return WeightLayer(layer.name, layer.kind, layer.shape, tile, bias, layer.bias_line, copied, layer.tail)
