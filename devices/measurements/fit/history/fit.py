"""Memory of the direction of the last pulses (`devices.pulse.history`), by the likelihood of the reads. It never fits a law of the state.

The steps of the law are multiplied by ``1 + c`` (it was fitted to steps of all memories together) and by ``1 + a e``, e the part of a
reversal that the pulses since have not undone; c and a for each direction, e by the number of pulses that undo it. The mean step at every
state and the history are found in turn, because each hides a part of the other. A trace is taken to begin after a complete reversal.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces
from devices.measurements.fit.curvature import estimates_at
from devices.measurements.fit.parameters import Estimate, Param
from devices.measurements.fit.pulse.quantiles import with_measured_mean
from devices.measurements.fit.pulse.statespace import Filtered, StepTables, run_filter

F64 = npt.NDArray[np.float64]

FEWEST = 100
"""Changes in each direction from which on a history is looked for."""
STRETCH, PARTS = 25, 5
"""Reads that are held out together, and in how many parts all reads are held out in turn."""
CLEAR = 2.0
"""Standard errors by which held-out reads have to be likelier."""
SHOWN = 4.0
"""Standard errors from 0 of the excess in the innovations below which no likelihood is searched: that is most of the work."""
ROUNDS = 3
"""In which the mean step at every state and the history are found in turn."""
SMALL = 0.1
"""Share of a step below which a history is none."""
PULSES = (0.7, 1.5, 3.0, 6.0, 12.0)
"""Numbers of pulses that a search begins from."""
PARAMS = (
    Param("scale_down", low=-0.95, high=20.0),
    Param("scale_up", low=-0.95, high=20.0),
    Param("excess_down", low=-1.0, high=200.0),
    Param("excess_up", low=-1.0, high=200.0),
    Param("pulses_down", log=True, low=0.2, high=100.0),
    Param("pulses_up", log=True, low=0.2, high=100.0),
)


@dataclass(frozen=True)
class HistoryFit:
    """A fitted history, each pair (down, up).

    Attributes:
        scale: steps of long runs over those of the law without history. factor: of the first pulse after a complete reversal.
        pulses: that undo it to 1/e. gain, gain_error: nats by which a held-out stretch of reads is likelier, and its standard error.
    """

    scale: tuple[float, float]
    factor: tuple[Estimate, Estimate]
    pulses: tuple[Estimate, Estimate]
    gain: float
    gain_error: float

    def factors(self, traces: Traces) -> F64:
        """(N,) factors on the steps before every read, for tables of long runs."""
        e = excess(traces, (self.pulses[0].value, self.pulses[1].value))
        down, up = (f.value - 1.0 for f in self.factor)
        return np.asarray(1.0 + np.where(traces.direction > 0, up, down) * e)

    def part(self) -> dict[str, dict[str, float]]:
        """Keys of the card's part."""
        sides = zip(("down", "up"), self.factor, self.pulses, strict=True)
        return {
            side: {"factor": float(f"{max(0.0, f.value):.4g}"), "pulses": float(f"{n.value:.4g}")}
            for side, f, n in sides
        }

    def note(self) -> str:
        """A sentence for the report."""
        words = [
            f"the first {word} step after a reversal is {f.value:.3g} ({f.low:.3g} to {f.high:.3g}) times that of a long run at the same"
            f" conductance, the difference falls to 1/e over {n.value:.2g} ({n.low:.2g} to {n.high:.2g}) pulses"
            for word, f, n in zip(("depression", "potentiation"), self.factor, self.pulses, strict=True)
        ]
        return (
            f"history: {'; '.join(words)}; held-out stretches of {STRETCH} reads are {self.gain:.2g} (+-{self.gain_error:.1g}) nats"
            " likelier with it. The card's tables are of long runs; a trace was taken to begin after a complete reversal"
        )


def fit_history(traces: Traces, law: StepTables, noise: ReadNoise, gain: F64 | None) -> HistoryFit | None:
    """The history of some traces, None where held-out reads do not ask for one.

    Args:
        traces: R traces. law: of steps of all memories together. noise: of the reads. gain: (R, 2), or None.
    """
    direction = traces.direction[traces.inside() & (traces.pulses > 0)]
    if min((direction > 0).sum(), (direction < 0).sum()) < FEWEST or _runs(traces) < 2 * PARTS:
        return None
    model = _Likelihood(traces, _as_measured(traces, law, noise, gain), noise, gain)
    everything = np.ones(len(traces.g), bool)
    begun = [model.start(n) for n in PULSES]
    if max(shown for _, shown in begun) < SHOWN:
        return None
    best = min((model.best(x, everything, fixed=4) for x, _ in begun), key=lambda found: found[1])
    x, _ = model.best(best[0], everything)
    plain = model.reads(np.concatenate([np.zeros(4), x[4:]]))
    for _ in range(ROUNDS):
        measured = _as_measured(traces, law, noise, gain, _factors(traces, x))
        model = _Likelihood(traces, measured, noise, gain)
        x, _ = model.best(np.concatenate([np.zeros(2), x[2:]]), everything)
    if max(abs(x[2]), abs(x[3])) < SMALL:
        return None
    block = np.unique(np.stack([traces.trace_of(), _place(traces) // STRETCH]), axis=1, return_inverse=True)[1].ravel()
    with_it = np.empty(len(traces.g))
    for part in range(PARTS):
        out = block % PARTS == part
        again, _ = model.best(x, ~out, fixed=4)
        with_it[out] = model.reads(again)[out]
    better = np.bincount(block, with_it - plain)
    error = float(better.std(ddof=1) / np.sqrt(len(better)))
    if better.mean() <= CLEAR * error:
        return None
    return _described(model, x, block, (float(better.mean()), error))


def _described(model: "_Likelihood", x: F64, block: npt.NDArray[np.int64], gain: tuple[float, float]) -> HistoryFit:
    """Estimates with intervals; block: (N,) stretch of every read, whose differences the intervals hold."""
    limits = [(p.inward(p.low), p.inward(p.high)) for p in PARAMS]
    clusters = int(block.max()) + 1
    estimates, _ = estimates_at(
        x,
        list(PARAMS),
        limits,
        lambda y: -float(model.reads(y).sum()),
        lambda y: np.bincount(block, model.reads(y), clusters).astype(np.float64),
        clusters,
    )
    found = {e.name: e for e in estimates}

    def factor(side: str) -> Estimate:
        e = found[f"excess_{side}"]
        return replace(e, name="factor", value=1.0 + e.value, low=max(0.0, 1.0 + e.low), high=1.0 + e.high)

    return HistoryFit(
        (1.0 + float(x[0]), 1.0 + float(x[1])),
        (factor("down"), factor("up")),
        (found["pulses_down"], found["pulses_up"]),
        *gain,
    )


def _as_measured(
    traces: Traces, law: StepTables, noise: ReadNoise, gain: F64 | None, factor: F64 | None = None
) -> StepTables:
    """The law with its mean corrected by what the data say beyond it: what it misses at a state is no history. factor: of one, (N,)."""
    for up in (False, True):
        law = with_measured_mean(traces, law, noise, up, gain=gain, factor=factor)
    return law


def _factors(traces: Traces, x: F64) -> F64:
    """(N,) factors of a history alone, without the scale."""
    e = excess(traces, (float(np.exp(x[4])), float(np.exp(x[5]))))
    return np.asarray(np.maximum(1.0 + np.where(traces.direction > 0, x[3], x[2]) * e, 0.0))


class _Likelihood:
    """Of the reads, as a function of the parameters in the order of `PARAMS`, as the optimiser sees them."""

    def __init__(self, traces: Traces, law: StepTables, noise: ReadNoise, gain: F64 | None) -> None:
        self.traces, self._law, self._noise, self._gain = traces, law, noise, gain
        self._known: tuple[tuple[float, float], F64] | None = None

    def reads(self, x: F64) -> F64:
        """(N,) log density of every read."""
        return self._filtered(x).loglik

    def cost(self, x: F64, chosen: npt.NDArray[np.bool_]) -> float:
        """Negative log-likelihood of the chosen reads."""
        return -float(self.reads(x)[chosen].sum())

    def best(self, x: F64, chosen: npt.NDArray[np.bool_], *, fixed: int = len(PARAMS)) -> tuple[F64, float]:
        """Most likely parameters near x and their cost; only the first `fixed` of them are varied."""
        number = max(1, int(chosen.sum()))

        def cost(y: F64) -> float:
            return self.cost(np.concatenate([y, x[fixed:]]), chosen) / number

        bounds = [(p.inward(p.low), p.inward(p.high)) for p in PARAMS[:fixed]]
        found = optimize.minimize(
            cost, x[:fixed], method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-9, "maxiter": 60}
        )
        return np.concatenate([found.x, x[fixed:]]), float(found.fun) * number

    def start(self, pulses: float) -> tuple[F64, float]:
        """Parameters for a number of pulses from the innovations of the law without history, by least squares.

        Also the excess of either direction in its standard errors, the larger one.
        """
        shown = 0.0
        x = np.array([0.0, 0.0, 0.0, 0.0, np.log(pulses), np.log(pulses)])
        filtered, traces = self._filtered(x), self.traces
        e = excess(traces, (pulses, pulses))
        at = np.flatnonzero(traces.inside() & (traces.pulses > 0))
        grid = np.linspace(0.0, 1.0, self._law.mean.shape[1])
        state = (filtered.filtered[at - 1] - self._law.g_min) / (self._law.g_max - self._law.g_min)
        for side in (0, 1):
            own = traces.direction[at] == (1 if side else -1)
            mean = traces.pulses[at[own]] * np.interp(state[own], grid, self._law.mean[side])
            design = np.stack([mean, mean * e[at[own]]], axis=1)
            innovation = (traces.g - filtered.predicted)[at[own]]
            (c, a), *_ = np.linalg.lstsq(design, innovation, rcond=None)
            left = innovation - design @ (c, a)
            inverse = np.linalg.pinv(design.T @ design)
            error = float(np.sqrt(max((inverse @ (design.T * left**2) @ design @ inverse)[1, 1], 1e-300)))
            shown = max(shown, abs(a) / error)
            x[side] = np.clip(c, -0.9, 10.0)
            x[2 + side] = np.clip(a / (1.0 + x[side]), -0.9, 100.0)
        return x, shown

    def _filtered(self, x: F64) -> Filtered:
        pulses = float(np.exp(x[4])), float(np.exp(x[5]))
        if self._known is None or self._known[0] != pulses:
            self._known = pulses, excess(self.traces, pulses)
        up = self.traces.direction > 0
        factor = (1.0 + np.where(up, x[1], x[0])) * (1.0 + np.where(up, x[3], x[2]) * self._known[1])
        return run_filter(self.traces, self._law, self._noise, self._gain, factor=np.maximum(factor, 0.0))


def excess(traces: Traces, pulses: tuple[float, float]) -> F64:
    """(N,) mean e over the pulses before every read; pulses: (down, up) that undo a reversal to 1/e."""
    kept = np.exp(-1.0 / np.asarray(pulses))
    found = np.zeros(len(traces.g))
    number, direction = traces.pulses.tolist(), traces.direction.tolist()
    for first, last in zip(traces.start[:-1].tolist(), traces.start[1:].tolist(), strict=True):
        up, e = None, 1.0
        for k in range(first + 1, last):
            if number[k] == 0 or direction[k] == 0:
                continue
            now = direction[k] > 0
            if up is not None and now != up:
                e = 1.0 - e
            up, r, n = now, float(kept[int(now)]), number[k]
            found[k] = e if n == 1 else e * (1.0 - r**n) / (n * (1.0 - r))
            e *= r**n
    return found


def _runs(traces: Traces) -> int:
    """Beginnings of traces and changes of the direction."""
    inside = traces.inside() & (traces.pulses > 0)
    turned = inside[1:] & inside[:-1] & (traces.direction[1:] != traces.direction[:-1])
    return len(traces) + int(turned.sum())


def _place(traces: Traces) -> npt.NDArray[np.int64]:
    """(N,) number of every read in its trace."""
    return np.arange(len(traces.g)) - np.repeat(traces.start[:-1], np.diff(traces.start))
