"""Scatter of changes over many pulses, measured against emulated: whether noise of reads and of pulses are split right. Never a mean.

Noise of reads adds the same scatter to a change over one pulse and over a hundred; noise of pulses adds up. A split that is wrong
shows at long lags even where single steps agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.data.traces import Traces
from devices.measurements.proof.proof import RESAMPLES, RESOLUTION, Lag, Proof
from devices.measurements.proof.ramp_curves import ramps_of

F64 = npt.NDArray[np.float64]

SHORTEST_RUN = 40
"""Reads of the median run in one direction from which on lags make sense."""
PART_OF_RUN = 10
"""Lags go up to a run's length over this."""
DEGREE = 3
"""Of the polynomial in the read number that is taken out of every run as its mean curve."""
FEWEST_CLUSTERS = 8
"""Runs from which on whole runs are resampled; fewer are cut into `PART_OF_RUN` pieces each."""
COVERAGE = 0.99


@dataclass(frozen=True)
class _Run:
    """Reads of one run about their mean curve, (n,) siemens, its mean step in siemens, and the number of its cell."""

    rest: F64
    step: float
    cell: int


def with_lags(proof: Proof, fitted: Traces, held_out: Traces, emulated: Traces, *, seed: int = 0) -> Proof:
    """Return the proof with `Lag` rows, and the same numbers among its facts.

    Args:
        proof: of the steps. fitted, held_out: parts of the data, or the same whole traces twice. emulated: replay of the latter,
            reads included. seed: of the bootstrap.
    """
    rng = np.random.default_rng([seed, 11])
    lags: list[Lag] = []
    for direction in (1, -1):
        held, copy, fit = (_runs(part, direction) for part in (held_out, emulated, fitted))
        if held and copy and fit:
            lags += _compared(direction, held, copy, fit, rng)
    words = {1: "potentiation", -1: "depression"}
    facts = {
        f"{words[lag.direction]}: scatter of the change over {lag.reads} read(s)": (lag.measured, lag.emulated, "S")
        for lag in lags
    }
    return replace(proof, lags=tuple(lags), facts=proof.facts | facts)


def _runs(traces: Traces, direction: int) -> list[_Run]:
    found = []
    for cell, _, g in ramps_of(traces, direction):
        if len(g) > 4 * DEGREE:
            x = np.linspace(-1.0, 1.0, len(g))
            curve = np.polynomial.legendre.legval(x, np.polynomial.legendre.legfit(x, g, DEGREE))
            found.append(_Run(g - curve, abs(float(g[-1] - g[0])) / (len(g) - 1), cell))
    return found


def _compared(
    direction: int, held: Sequence[_Run], copy: Sequence[_Run], fit: Sequence[_Run], rng: np.random.Generator
) -> list[Lag]:
    length = int(np.median([len(run.rest) for run in held]))
    least = RESOLUTION * float(np.mean([run.step for run in held]))
    if length < SHORTEST_RUN:
        return []
    lags = [2**k for k in range(12) if 2**k <= length // PART_OF_RUN]
    found = []
    for lag in lags:
        pooled = _clusters([*held, *fit], lag)
        measured, emulated = (max(_scatter(_clusters(runs, lag)), least) for runs in (held, copy))
        if len(pooled) < 4 or not measured > 0 or not emulated > 0:
            continue
        pooled[:, 0] = np.maximum(pooled[:, 0], pooled[:, 1] * least**2)
        share = len(held) / (len(held) + len(fit))
        sizes = [max(2, round(part * len(pooled))) for part in (share, 1.0 - share)]
        draws = np.array(
            [[np.log(_scatter(pooled[rng.integers(0, len(pooled), size)])) for size in sizes] for _ in range(RESAMPLES)]
        )
        error = float((draws[:, 0] - draws[:, 1]).std())
        half = error * float(stats.t.ppf(0.5 + 0.5 * COVERAGE, max(min(sizes) - 1, 1)))
        found.append(Lag(direction, lag, measured, emulated, float(np.exp(half))))
    return found


def _clusters(runs: Sequence[_Run], lag: int) -> F64:
    """(C, 2) sum of squared changes over a lag, and their number, of every cell, run, or piece of a run."""
    cells = np.unique([run.cell for run in runs])
    rows: dict[tuple[int, int], F64] = {}
    pieces = PART_OF_RUN if len(runs) < FEWEST_CLUSTERS else 1
    for number, run in enumerate(runs):
        squares = (run.rest[lag:] - run.rest[:-lag]) ** 2
        for piece, part in enumerate(np.array_split(squares, pieces)):
            key = (run.cell, 0) if len(cells) >= FEWEST_CLUSTERS else (number, piece)
            rows[key] = rows.get(key, np.zeros(2)) + np.array([part.sum(), len(part)])
    return np.array([row for row in rows.values() if row[1] > 0])


def _scatter(clusters: F64) -> float:
    """Root mean square of the changes in some clusters, siemens."""
    total, count = clusters.sum(axis=0)
    return float(np.sqrt(total / count))
