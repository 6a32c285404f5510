"""What is measured at an evaluation beside the accuracy: gradient alignment, correlations, pulses, costs, conductances.

Truth about the cells is taken from a digital copy, so that measuring leaves no trace on the chip. It never trains.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from analog_sim.cost import Costs
from analog_sim.rng import Streams
from learning.decorrelation.metrics import correlation_loss
from learning.losses import Loss
from learning.network import Network, WeightLayer, matrix_name
from learning.result_log import Row
from learning.rules.backprop import Backprop
from learning.rules.base import Gradient
from learning.tiles import WeightTile

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

BINS = 40
"""Bins of a conductance histogram."""


def cosines(
    copy: Network, loss: Loss, x: F32, target: I64, proposed: Iterable[Gradient] | None
) -> dict[str, float | None]:
    """Layer -> cosine between a rule's proposed weight gradient and the exact one of the digital copy, on the same batch.

    None where there is no proposal or one of the two is zero.
    """
    rule = Backprop()
    exact = rule.propose(copy, loss, x, target, rule.init(copy, Streams(0))).layers
    assert exact is not None
    if proposed is None:
        return {layer.name: None for layer in copy.layers}
    return {
        layer.name: _cosine(mine.weights.dense(), true.weights.dense())
        for layer, mine, true in zip(copy.layers, proposed, exact, strict=True)
    }


def _cosine(a: F32, b: F32) -> float | None:
    size = float(np.linalg.norm(a.astype(np.float64)) * np.linalg.norm(b.astype(np.float64)))
    return float(np.vdot(a.astype(np.float64), b.astype(np.float64))) / size if size > 0.0 else None


def correlations(copy: Network, x: F32) -> dict[str, float]:
    """Layer -> off-diagonal correlation loss of what its weights get as input, for samples x."""
    found = {}
    for layer, passed in zip(copy.layers, copy.forward(x).layers, strict=True):
        found[layer.name] = correlation_loss(passed.x[:, : layer.inputs])
    return found


def layer_rows(network: Network, cosine: dict[str, float | None], correlation: dict[str, float]) -> list[Row]:
    """A row per tile: the weights of every layer, and its decorrelating matrix when that is on the chip."""
    rows: list[Row] = []
    for layer in network.layers:
        mean, largest = pulses_per_cell(layer.tile)
        rows.append(
            {
                "layer": layer.name,
                "gradient_cosine": cosine[layer.name],
                "decorrelation_loss": correlation[layer.name],
                "pulses_mean": mean,
                "pulses_max": largest,
            }
        )
        if layer.decorrelator is not None and layer.decorrelator.tile.blocks:
            mean, largest = pulses_per_cell(layer.decorrelator.tile)
            rows.append(
                {
                    "layer": matrix_name(layer.name),
                    "gradient_cosine": None,
                    "decorrelation_loss": None,
                    "pulses_mean": mean,
                    "pulses_max": largest,
                }
            )
    return rows


def pulses_per_cell(tile: WeightTile) -> tuple[float | None, float | None]:
    """Mean pulses per cell, and the most that one cell got when the tile counts them; None for a digital tile."""
    arrays = [array for block in tile.blocks for array in block.arrays]
    if not arrays:
        return None, None
    cells = sum(array.cells.g.size for array in arrays)
    counts = [array.cells.count for array in arrays if array.cells.count is not None]
    largest = max((int(count.max()) for count in counts), default=None)
    return tile.costs().pulses / cells, None if largest is None else float(largest)


def costs(network: Network) -> Costs | None:
    """What all tiles of the chip have spent so far; None without any."""
    on_chip = [tile.costs() for _, tile in network.tiles() if tile.blocks]
    return sum(on_chip[1:], on_chip[0]) if on_chip else None


def histogram(tile: WeightTile) -> npt.NDArray[np.int64] | None:
    """Cells per conductance bin (BINS,), on the edges of `histogram_edges`; None for a digital tile."""
    arrays = [array for block in tile.blocks for array in block.arrays]
    if not arrays:
        return None
    edges = histogram_edges(tile)
    assert edges is not None
    values = np.concatenate([array.conductance_now().ravel() for array in arrays])
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].astype(np.int64)


def histogram_edges(tile: WeightTile) -> npt.NDArray[np.float64] | None:
    """Siemens (BINS + 1,), from nothing to a little above the nominal window."""
    if not tile.blocks:
        return None
    return np.linspace(0.0, 1.1 * tile.capabilities.g_max, BINS + 1)


def first_broken(layers: Iterable[WeightLayer], activations: Iterable[F32]) -> str:
    """Name of the first layer whose pre-activations are not finite, or "the loss"."""
    for layer, a in zip(layers, activations, strict=True):
        if not np.isfinite(a).all():
            return layer.name
    return "the loss"
