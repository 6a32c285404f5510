"""What a designer does against the drop on the wires: target conductances whose effective matrix is the wanted one. It programs nothing.

A gain for every column is measured by the tile (`analog_sim.tiles`); smaller arrays and lines driven from both sides are configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.wires.effective import effective_matrix
from analog_sim.wires.pairs import Pair, arranged, parted
from analog_sim.wires.topology import Topology, WiresError

F64 = npt.NDArray[np.float64]
_TOLERANCE = 1e-4
_LEAST_SHARE = 0.02
"""Of a cell's conductance that is seen: below it a cell is not worth raising."""


@dataclass(frozen=True)
class Shaped:
    """Targets and how close their effective matrix comes.

    Attributes:
        g: (rows, cols) siemens. scale: (cols,) of the wanted matrix that was aimed at.
        errors: rms of what is missing over rms of what was aimed at, before the first round and after each.
    """

    g: F64
    scale: F64
    errors: tuple[float, ...]


def column_scale(effective: npt.ArrayLike, wanted: npt.ArrayLike) -> F64:
    """Scale s (cols,) with which every column of the wanted matrix is nearest to the effective one: ``<E_k, W_k> / <W_k, W_k>``."""
    e, w = np.asarray(effective, np.float64), np.asarray(wanted, np.float64)
    power = (w * w).sum(0)
    return np.where(power > 0.0, (e * w).sum(0) / np.where(power > 0.0, power, 1.0), 1.0)


def shaped(
    wanted: npt.ArrayLike, topology: Topology, window: tuple[float, float], rounds: int = 3, scaled: bool = False
) -> Shaped:
    """Conductances whose effective matrix is the wanted one, as far as the window of the cells allows.

    ``g <- g + (s W - G_eff(g)) / a``, a = G_eff / g the share of a cell that is seen; clipped to the window each time.

    Args:
        wanted: W (rows, cols) siemens, >= 0. topology: the wires. window: siemens, smallest and largest conductance.
        rounds: corrections, 1 ... 50. scaled: aim at what the columns reach unshaped (a digital gain undoes the scale); else at W itself.

    Raises WiresError for a window or a number of rounds that cannot be.
    """
    low, high = window
    if not (0.0 <= low < high < np.inf):
        raise WiresError(f"wires: window: got {low:g} ... {high:g} S, allowed: 0 <= lowest < highest, finite")
    if not 1 <= rounds <= 50:
        raise WiresError(f"wires: rounds: got {rounds}, allowed: 1 ... 50")
    g = np.array(wanted, np.float64)
    seen = effective_matrix(g, topology, _TOLERANCE).matrix
    scale = column_scale(seen, g) if scaled else np.ones(g.shape[1])
    aim = g * scale
    size = float(np.sqrt((aim * aim).mean())) or 1.0
    errors = [float(np.sqrt(((seen - aim) ** 2).mean())) / size]
    best, least = g, errors[0]
    for _ in range(rounds):
        share = np.clip(np.divide(seen, g, out=np.ones_like(g), where=g > 0.0), _LEAST_SHARE, 1.0)
        g = np.clip(g + (aim - seen) / share, low, high)
        seen = effective_matrix(g, topology, _TOLERANCE).matrix
        errors.append(float(np.sqrt(((seen - aim) ** 2).mean())) / size)
        if errors[-1] < least:
            best, least = g, errors[-1]
    return Shaped(best, scale, tuple(errors))


def shaped_planes(
    wanted: npt.NDArray[np.floating],
    topology: Topology,
    pair: Pair,
    window: tuple[float, float],
    rounds: int = 3,
    scaled: bool = False,
) -> npt.NDArray[np.float32]:
    """The same for the planes (1 or 2, rows, cols) of a crossbar whose pairs lie as `pair` says; siemens."""
    planes = np.asarray(wanted, np.float64)
    if len(planes) == 1:
        return shaped(planes[0], topology, window, rounds, scaled).g[None].astype(np.float32)
    arrays = arranged(planes[0], planes[1], pair)
    if scaled:  # one gain undoes the scale of both cells of a pair
        seen = parted(tuple(effective_matrix(a, topology, _TOLERANCE).matrix for a in arrays), pair)
        planes = planes * column_scale(np.concatenate(seen), np.concatenate(planes))
        arrays = arranged(planes[0], planes[1], pair)
    return parted(tuple(shaped(a, topology, window, rounds).g for a in arrays), pair).astype(np.float32)
