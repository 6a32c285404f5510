"""What is measured at an evaluation beside the accuracy: gradient alignment, correlations, pulses, costs, conductances.

Truth about the cells is taken from a digital copy, so that measuring leaves no trace on the chip. It never trains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from analog_sim.chip.cost import Costs
from analog_sim.chip.crossbar import Crossbar
from analog_sim.random.streams import Streams
from learning.common.weight_tile import WeightTile
from learning.decorrelation.metrics import correlation_loss
from learning.experiments.runs.result_log import Row
from learning.losses.base import Loss, Target
from learning.network.network import Network, WeightLayer, matrix_name
from learning.rules.backprop import Backprop
from learning.rules.base import Gradient

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

BINS = 40
"""Bins of a conductance histogram."""


def cosines(
    copy: Network, loss: Loss, x: F32, target: Target, proposed: Iterable[Gradient] | None
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


def layer_rows(
    network: Network, cosine: Mapping[str, float | None], correlation: Mapping[str, float | None]
) -> list[Row]:
    """A row per matrix on the chip: the weights of every layer, its decorrelating matrix, what a write scheme keeps beside either."""
    rows: list[Row] = []
    for layer in network.layers:
        rows += _tile_rows(layer.name, layer.tile, cosine[layer.name], correlation[layer.name])
        if layer.decorrelator is not None and layer.decorrelator.tile.on_chip:
            rows += _tile_rows(matrix_name(layer.name), layer.decorrelator.tile, None, None)
    return rows


def _tile_rows(name: str, tile: WeightTile, cosine: float | None, correlation: float | None) -> list[Row]:
    """Rows of one tile and of its write scheme's own arrays."""
    held = {name: tile.arrays} | {f"{name}_{part}": helper.arrays for part, helper in tile.helpers().items()}
    rows: list[Row] = []
    for matrix, arrays in held.items():
        mean, largest = pulses_per_cell(arrays)
        own = matrix == name
        rows.append(
            {
                "layer": matrix,
                "gradient_cosine": cosine if own else None,
                "decorrelation_loss": correlation if own else None,
                "pulses_mean": mean,
                "pulses_max": largest,
            }
        )
    return rows


def pulses_per_cell(arrays: Sequence[Crossbar]) -> tuple[float | None, float | None]:
    """Mean pulses per cell of a tile's arrays, and the most that one cell got where they are counted and seen; None without any array."""
    if not arrays:
        return None, None
    cells = sum(array.info.cells for array in arrays)
    counts = [None if array.inside is None else array.inside.pulse_counts() for array in arrays]
    largest = max((int(count.max()) for count in counts if count is not None), default=None)
    return sum(array.log.units("pulse") for array in arrays) / cells, None if largest is None else float(largest)


def costs(network: Network) -> Costs | None:
    """What all tiles of the chip have spent so far; None without any."""
    on_chip = [tile.costs() for _, tile in network.tiles() if tile.on_chip]
    return sum(on_chip[1:], on_chip[0]) if on_chip else None


def histogram(tile: WeightTile) -> npt.NDArray[np.int64] | None:
    """Cells per conductance bin (BINS,), on the edges of `histogram_edges`; None for a digital tile and where the cells are not seen."""
    insides = [array.inside for array in tile.arrays]
    edges = histogram_edges(tile)
    if edges is None or None in insides:
        return None
    values = np.concatenate([inside.conductance_now().ravel() for inside in insides if inside is not None])
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].astype(np.int64)


def histogram_edges(tile: WeightTile) -> npt.NDArray[np.float64] | None:
    """Siemens (BINS + 1,), from nothing to a little above the nominal window."""
    if not tile.on_chip:
        return None
    return np.linspace(0.0, 1.1 * tile.capabilities.g_max, BINS + 1)


def first_broken(layers: Iterable[WeightLayer], activations: Iterable[F32]) -> str:
    """Name of the first layer whose pre-activations are not finite, or "the loss"."""
    for layer, a in zip(layers, activations, strict=True):
        if not np.isfinite(a).all():
            return layer.name
    return "the loss"


def first_broken_gradient(layers: Iterable[WeightLayer], gradients: Iterable[Gradient] | None) -> str | None:
    """Name of the first layer whose proposed gradient is not finite; None when all are."""
    for layer, gradient in zip(layers, gradients or (), strict=gradients is not None):
        if not gradient.weights.finite:
            return f"the gradient of {layer.name}"
    return None
