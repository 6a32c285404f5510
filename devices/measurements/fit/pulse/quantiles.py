"""Distribution of the step at every state as quantile tables: mean, skew, tails and wrong-sign steps as measured. Never a formula.

The mean comes from a fitted law plus what the data say beyond it (a smoothing spline over the state); the shape from the
innovations of the Kalman filter, freed of the read noise (white and correlated) that is in them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from analog_sim.cells.cell_model import QUANTILE_Z_MAX
from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.statespace import StepTables, run_filter
from devices.measurements.fit.smoothing import smoothing_spline
from devices.measurements.table.distribution import StepDistribution
from devices.window import Window

F64 = npt.NDArray[np.float64]

STATES = 33
"""Nodes over the state of a fitted table."""
SCORES = 33
"""Nodes over the normal score: a quarter of a standard deviation apart."""
CLOSEST = 1.0 / 512.0
"""Distance of states below which they count as one when a curve is laid through them."""
DAMPING = 300
"""Sample size at which a step towards the noise-free shape is halved."""
LEAST_FACTOR = 0.2
"""Factor on a step below which it is left out, where there are others: changes are divided by it, and the read noise with them."""
PER_SHAPE, PER_SPREAD, MOST_GROUPS = 500, 80, 16
"""Steps that a shape, and a spread, are taken from at least, where there are as many; and groups of either at most."""
NOISE_LIMIT = 0.7
"""Share of read noise in the variance beyond which a shape cannot be recovered and is taken as normal."""


@dataclass(frozen=True)
class QuantileTable:
    """Quantiles of the step of one device in one direction.

    Attributes:
        q: (K, Z) siemens on uniform states of `window` and uniform normal scores over [-QUANTILE_Z_MAX, QUANTILE_Z_MAX].
        window: of the states. low, high: states between which there were data; outside, the nearest node is repeated.
        steps: how many steps it rests on. normal_shape: whether read noise hid the shape, which is then normal.
    """

    q: F64
    window: Window
    low: float
    high: float
    steps: int
    normal_shape: bool


def scores(count: int = SCORES) -> F64:
    """Uniform normal scores of a table, (count,)."""
    return np.linspace(-QUANTILE_Z_MAX, QUANTILE_Z_MAX, count)


def fitted_table(
    traces: Traces, law: StepTables, noise: ReadNoise, up: bool, *, gain: F64 | None = None, states: int = STATES
) -> QuantileTable | None:
    """Quantile table of one direction of some traces; None without steps in that direction.

    Args:
        traces: of one device, or of all; the table is free of the factors that their steps have.
        law: the law that the filter follows; its window is the table's.
        noise: of the reads.
        up: direction.
        gain: (R, 2) factors on the steps (down, up) of each trace, which the table is to be free of; 1 when None.
        states: nodes.
    """
    window = Window(law.g_min, law.g_max)
    grid = np.linspace(0.0, 1.0, states)
    nodes = np.linspace(0.0, 1.0, law.mean.shape[1])
    std = np.interp(grid, nodes, law.std[int(up)])
    at = _steps(traces, up)
    if len(at) == 0:
        return None
    factor = _factors(traces, at, up, gain)
    pulses = traces.pulses[at]
    current = with_measured_mean(traces, law, noise, up, gain=gain, states=states)
    mean = np.interp(grid, nodes, current.mean[int(up)])
    filtered = run_filter(traces, current, noise, gain)
    state = np.clip(window.state(filtered.filtered[at - 1]), 0.0, 1.0)
    innovation = (traces.g[at] - filtered.predicted[at]) / factor
    innovation = innovation - _smooth(state, innovation, state)
    # What surrounds the step itself: the noise of the read, white and correlated, and not knowing the state before.
    own = np.interp(state, grid, std) ** 2 * pulses
    around = np.maximum(filtered.variance[at] / factor**2 - own, 0.0) / pulses
    low, high = float(state.min()), float(state.max())
    shapes, normal = _shapes(state, innovation / np.sqrt(pulses), around, std, grid)
    q = mean[:, None] + shapes
    inside = np.clip(grid, low, high)
    q = np.stack([np.interp(inside, grid, column) for column in q.T], axis=1)
    return QuantileTable(np.maximum.accumulate(q, axis=1), window, low, high, len(at), normal)


def with_measured_mean(
    traces: Traces, law: StepTables, noise: ReadNoise, up: bool, *, gain: F64 | None = None, states: int = STATES
) -> StepTables:
    """The law with its mean step of one direction corrected by what the data say beyond it; arguments as of `fitted_table`."""
    window = Window(law.g_min, law.g_max)
    grid, nodes = np.linspace(0.0, 1.0, states), np.linspace(0.0, 1.0, law.mean.shape[1])
    at = _steps(traces, up)
    if len(at) == 0:
        return law
    factor = _factors(traces, at, up, gain)
    mean, current = np.interp(grid, nodes, law.mean[int(up)]), law
    for _ in range(2):  # the spline's correction changes what the filter follows
        filtered = run_filter(traces, current, noise, gain)
        state = np.clip(window.state(filtered.filtered[at - 1]), 0.0, 1.0)
        innovation = (traces.g[at] - filtered.predicted[at]) / factor
        mean = mean + _smooth(state, filtered.weight[at] * innovation / traces.pulses[at], grid)
        both = np.stack([np.interp(nodes, grid, mean) if side == int(up) else law.mean[side] for side in (0, 1)])
        current = StepTables(both, law.std, law.g_min, law.g_max, law.hard)
    return current


def _steps(traces: Traces, up: bool) -> npt.NDArray[np.int64]:
    """Reads with pulses of one direction before them."""
    own = traces.inside() & (traces.pulses > 0) & (traces.direction == (1 if up else -1))
    large = own if traces.factor is None else own & (traces.factor >= LEAST_FACTOR)
    return np.flatnonzero(large if large.any() else own)


def _factors(traces: Traces, at: npt.NDArray[np.int64], up: bool, gain: F64 | None) -> F64:
    """Factors on the steps before the reads `at`, all of one direction; not near 0."""
    own = np.ones(len(at)) if gain is None else gain[traces.trace_of()[at], int(up)]
    return own if traces.factor is None else own * np.maximum(traces.factor[at], LEAST_FACTOR)


def distribution_table(
    distribution: StepDistribution, window: Window, *, states: int | None = None, count: int = 65
) -> QuantileTable:
    """Quantile table of a measured distribution: interpolated at uniform states of its window, and at normal scores.

    A cumulative probability between two given ones is interpolated linearly, as between the points of any such table; the
    first and last change are the extremes.
    """
    g = distribution.g
    grid = np.linspace(0.0, 1.0, states or len(g))
    at_state = np.stack([np.interp(window.conductance(grid), g, row) for row in distribution.dg], axis=0)  # (P, K)
    z = stats.norm.cdf(scores(count))
    q = np.stack([np.interp(z, distribution.p, column) for column in at_state.T])
    low, high = window.state(g[0]), window.state(g[-1])
    return QuantileTable(q, window, float(low), float(high), 0, False)


def _smooth(x: F64, y: F64, at: F64) -> F64:
    """Smoothing spline of y over x (generalised cross-validation) at `at`, on means of up to 60 groups of equal size."""
    order = np.argsort(x, kind="stable")
    groups = [part for part in np.array_split(order, min(60, max(1, len(x) // 10))) if len(part)]
    _, same = np.unique(np.rint(np.array([x[part].mean() for part in groups]) / CLOSEST), return_inverse=True)
    members = [np.concatenate([groups[k] for k in np.flatnonzero(same == j)]) for j in range(int(same.max()) + 1)]
    centre, value = (np.array([v[part].mean() for part in members]) for v in (x, y))
    if len(centre) < 8:
        return np.full(at.shape, float(y.mean()))
    return np.asarray(smoothing_spline(centre, value)(np.clip(at, centre[0], centre[-1])), np.float64)


def _shapes(state: F64, residual: F64, noise: F64, law_std: F64, grid: F64) -> tuple[F64, bool]:
    """Quantiles of the step about its mean at every node, freed of noise: (K, Z) siemens; whether any shape is taken as normal.

    The spread changes over the window faster than the shape, and fewer steps tell it: each shape is of steps divided by a spread
    that is found in narrower groups of the state. Where noise hides the steps, the law's spread and a normal shape are taken.
    """
    z = scores()
    order = np.argsort(state, kind="stable")
    groups = np.array_split(order, int(np.clip(len(order) // PER_SHAPE, 1, MOST_GROUPS)))
    narrow = max(1, min(len(order) // PER_SPREAD, MOST_GROUPS) // len(groups))
    centres, spreads, middles, shapes, normal = [], [], [], [], False
    for group in groups:
        hidden = len(group) < 20 or float(noise[group].mean()) > NOISE_LIMIT * float(np.mean(residual[group] ** 2))
        normal |= hidden
        own = []
        for part in np.array_split(group, narrow):
            centre, left = float(state[part].mean()), float(np.mean(residual[part] ** 2) - noise[part].mean())
            law = float(np.interp(centre, grid, law_std)) if len(group) >= 2 else 0.0
            own.append(law if hidden or left < 0.0 else float(np.sqrt(left)))
            centres.append(centre)
        local = np.interp(state[group], centres[-len(own) :], own)
        there = local > 0.0
        scaled = np.where(there, residual[group], 0.0) / np.where(there, local, 1.0)
        sigma2 = float(np.mean(np.where(there, noise[group], 0.0) / np.where(there, local, 1.0) ** 2))
        shapes.append(z if hidden else _deconvolved(scaled, sigma2, 1.0, z))
        middles.append(float(state[group].mean()))
        spreads += own
    return np.interp(grid, centres, spreads)[:, None] * _between(grid, np.array(middles), np.stack(shapes)), normal


def _deconvolved(r: F64, sigma2: float, target: float, z: F64) -> F64:
    """Quantiles at normal scores z of the variable that, with normal noise of variance sigma2 added, is distributed as r.

    One step of the fixed-point iteration q <- q + (quantiles of r - quantiles of q with noise), damped for small samples, then
    brought to mean 0 and variance `target`. More steps would follow the sample's own scatter: on skewed samples of 300 to 4000 one
    damped step came closest to the truth.
    """
    # Plotting positions: the extremes of a sample of n stand for half an n-th.
    n = len(r)
    levels = (np.arange(n) + 0.5) / n
    wanted = np.interp(stats.norm.cdf(z), levels, np.sort(r))
    mass = np.diff(stats.norm.cdf(np.concatenate(([-np.inf], 0.5 * (z[1:] + z[:-1]), [np.inf]))))
    q = wanted * np.sqrt(target / (target + sigma2))
    if sigma2 > 1e-4 * target:
        sigma = np.sqrt(sigma2)
        x = np.linspace(q[0] - 5.0 * sigma, q[-1] + 5.0 * sigma, 801)
        cumulative = mass @ stats.norm.cdf((x[None, :] - q[:, None]) / sigma)
        noisy = np.interp(stats.norm.cdf(z), np.maximum.accumulate(cumulative), x)
        q = np.maximum.accumulate(q + n / (n + DAMPING) * (wanted - noisy))
    q = q - mass @ q
    spread = float(mass @ q**2)
    return np.asarray(q * np.sqrt(target / spread) if spread > 0 else q, np.float64)


def _between(grid: F64, centres: F64, shapes: F64) -> F64:
    """Shapes (B, Z) at centres (B,), interpolated linearly at every node (K, Z)."""
    return np.stack([np.interp(grid, centres, column) for column in shapes.T], axis=1)
