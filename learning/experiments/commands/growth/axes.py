"""What is made larger, and what is timed at every size: reads, programming, updates, training steps. It never fits and never draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.config import validate
from analog_sim.random.streams import Streams
from analog_sim.threads import available_cores, thread_policy
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.proposal import OuterProduct
from devices.card import load_card
from learning.losses.losses import make_loss
from learning.network.forms.layers import LayerList
from learning.network.network import Network, build_network
from learning.rules.activity_node_perturbation import ActivityNodePerturbation
from learning.rules.backprop import Backprop
from learning.rules.base import Rule

BATCH, LINES = 64, 512
INPUTS, CLASSES = 784, 10
CONVERTERS: dict[str, Any] = {"dac": {"bits": 8}, "adc": {"bits": 9}}
Work = Callable[[], object]
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GrowthAxis:
    """Something that is made larger.

    Attributes:
        name: of what is timed. of: what grows. values: how large. quick: the same for a look, and for tests.
        make: (value) -> what is timed; making it is not, but counts as memory.
        wall: time by the clock on the wall, where several threads work; otherwise the processor time of one.
    """

    name: str
    of: str
    values: tuple[int, ...]
    quick: tuple[int, ...]
    make: Callable[[int], Work]
    wall: bool = False


def axes() -> tuple[GrowthAxis, ...]:
    """All of them."""
    lines, few = (32, 64, 128, 256, 512, 1024, 2048, 4096), (16, 32)
    return (
        GrowthAxis("read of 64 vectors, PCM with converters", "lines", lines, few, _read_lines),
        GrowthAxis("programming, PCM", "lines", lines, few, _program_lines),
        GrowthAxis("update by pulse trains, soft bounds", "lines", lines[:-1], few, _update_lines),
        GrowthAxis("programming and first read with wires of 1 ohm", "lines", lines[:6], few, _wired_lines),
        GrowthAxis(
            "read of 512 x 512, PCM with converters", "vectors", (1, 4, 16, 64, 256, 1024, 4096), (1, 4), _read_batch
        ),
        GrowthAxis("chips of 256 x 256: made, programmed, read", "chips", (1, 2, 4, 8, 16), (1, 2), _chips),
        GrowthAxis(
            "read of 256 vectors, 1024 x 1024",
            "threads",
            thread_counts(),
            thread_counts()[:2],
            _read_threads,
            wall=True,
        ),
        GrowthAxis(
            "programming 1024 x 1024", "threads", thread_counts(), thread_counts()[:2], _program_threads, wall=True
        ),
        GrowthAxis("step of backpropagation, layers of 128", "layers", (1, 2, 4, 8, 16), (1, 2), _layers),
        GrowthAxis(
            "step of node perturbation, 784-256-10", "perturbations", (1, 2, 4, 8, 16, 32), (1, 2), _perturbations
        ),
    )


def thread_counts() -> tuple[int, ...]:
    """1, 2, 4, ... and the number of cores."""
    cores = available_cores()
    return tuple(sorted({min(2**k, cores) for k in range(cores.bit_length() + 1)}))


@cache
def _cell(card: str) -> CellModel:
    """A compiled card, once: that takes 16 MiB for a moment, whatever the size of the array."""
    return load_card(card).compile()


def _normals(*shape: int) -> F32:
    return Streams(1).stream("numbers").normals(shape)


def _tile(lines: int, card: str = "pcm", **keys: Any) -> Tile:
    """A square tile with weights."""
    spec = validate({**CONVERTERS, "compensation": "none", **keys}, TileSpec)
    tile = Tile(spec, _cell(card), (lines, lines), Streams(2))
    tile.program(_normals(lines, lines))
    return tile


def _read_lines(lines: int) -> Work:
    tile, x = _tile(lines), _normals(BATCH, lines)
    return lambda: tile.forward(x)


def _program_lines(lines: int) -> Work:
    tile, w = _tile(lines), _normals(lines, lines)
    return lambda: tile.program(w)


def _update_lines(lines: int) -> Work:
    tile = _tile(lines, "reram_soft_bounds", writing={"kind": "stochastic_pulse"})
    gradient = OuterProduct(*(np.clip(_normals(BATCH, lines), -3, 3) for _ in range(2)))
    return lambda: tile.update(gradient, 1e-5)


def _wired_lines(lines: int) -> Work:
    tile = _tile(lines, wires={"word_line": "1 ohm", "bit_line": "1 ohm"})
    w, x = _normals(lines, lines), _normals(BATCH, lines)

    def work() -> None:
        tile.program(w)
        tile.forward(x)

    return work


def _read_batch(vectors: int) -> Work:
    tile, x = _tile(LINES), _normals(vectors, LINES)
    return lambda: tile.forward(x)


def _chips(chips: int) -> Work:
    w, x = _normals(256, 256), _normals(BATCH, 256)

    def work() -> None:
        for chip in range(chips):
            spec = validate({**CONVERTERS, "compensation": "none"}, TileSpec)
            tile = Tile(spec, _cell("pcm"), w.shape, Streams(2).child("chip", chip))
            tile.program(w)
            tile.forward(x)

    return work


def _on_threads(threads: int, work: Work) -> Work:
    def call() -> None:
        with thread_policy(threads):
            work()

    return call


def _read_threads(threads: int) -> Work:
    tile, x = _tile(1024), _normals(256, 1024)
    return _on_threads(threads, lambda: tile.forward(x))


def _program_threads(threads: int) -> Work:
    return _on_threads(threads, _program_lines(1024))


def _layers(layers: int) -> Work:
    return _step([128] * layers, Backprop())


def _perturbations(number: int) -> Work:
    return _step([256], ActivityNodePerturbation(sigma=0.1, perturbations=number))


def _step(units: list[int], rule: Rule) -> Work:
    """A training step without the data: a rule's proposal and the update of every tile."""
    streams, cell = Streams(3), _cell("reram_soft_bounds")
    spec = validate({**CONVERTERS, "writing": {"kind": "stochastic_pulse"}}, TileSpec)

    def make_tile(name: str, weights: F32, role: Literal["weights", "decorrelation"] = "weights") -> Tile:
        tile = Tile(spec, cell, (weights.shape[0], weights.shape[1]), streams.child("tile", name))
        tile.program(weights)
        return tile

    layers: list[Any] = [part for width in units for part in ({"kind": "linear", "units": width}, "relu")]
    form = validate({"layers": [*layers, {"kind": "linear", "units": CLASSES}]}, LayerList)
    network: Network = build_network(form, (INPUTS,), CLASSES, make_tile=make_tile, streams=streams)
    memory, loss = rule.init(network, streams), make_loss("cross_entropy")
    x = np.maximum(_normals(BATCH, INPUTS) - np.float32(0.8), np.float32(0.0))
    target = streams.stream("target").integers(0, CLASSES, BATCH)
    network.calibrate(x)

    def work() -> None:
        proposed = rule.propose(network, loss, x, target, memory)
        for layer, gradient in zip(network.layers, proposed.layers or (), strict=True):
            layer.tile.update(gradient.weights, 0.002)

    return work
