"""Memory of the direction of the last pulses (`devices.pulse.history`), by the likelihood of the reads. It never chooses a law.

A step of the law of long runs is multiplied by ``1 + (factor - 1) e``, e the part of a reversal that the pulses since have not undone.
A law that was fitted without it holds steps of all memories: its mean lies between that of early and of late pulses, and its spread holds
their difference. So the history is fitted together with a factor on the law's mean and one on its spread, for each direction; the law is
fitted again to the steps free of the history that was found, and so on in turn until the history stays. What the law misses at a state is
taken out before every turn (`with_measured_mean`): it is no history. Where traces have several runs the first of each is not counted, as
nothing says what came before it. Traces of single runs are taken to begin after a complete reversal.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit
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
REFITS, ROUNDS, STEADY = 4, 6, 0.01
"""Fits of the law given the history, and rounds for each, at most; both end where no factor or number of pulses changes by this share."""
MANY_RUNS = 4
"""Runs of a trace, on average, from which on the first one is left out."""
SMALL = 0.1
"""Share of a step below which a history is none."""
PULSES = (0.7, 1.5, 3.0, 6.0, 12.0)
"""Numbers of pulses that a search begins from."""
PARAMS = (
    Param("mean_down", log=True, low=0.02, high=20.0),
    Param("mean_up", log=True, low=0.02, high=20.0),
    Param("factor_down", log=True, low=0.01, high=300.0),
    Param("factor_up", log=True, low=0.01, high=300.0),
    Param("spread_down", log=True, low=0.02, high=20.0),
    Param("spread_up", log=True, low=0.02, high=20.0),
    Param("pulses_down", log=True, low=0.2, high=100.0),
    Param("pulses_up", log=True, low=0.2, high=100.0),
)
"""On the law's mean, of the history, on the law's spread, and what undoes a reversal: in this order everywhere."""
LIMITS = [param.limits() for param in PARAMS]


@dataclass(frozen=True)
class LongRuns:
    """Steps without a history: tables of the law, noise of the reads, (R, 2) gains of the traces (down, up) or None."""

    law: StepTables
    noise: ReadNoise
    gain: F64 | None = None

    def as_measured(self, traces: Traces) -> "LongRuns":
        """The law with its mean corrected by what the data say beyond it: what it misses at a state is no history."""
        law = self.law
        for up in (False, True):
            law = with_measured_mean(traces, law, self.noise, up, gain=self.gain)
        return replace(self, law=law)


@dataclass(frozen=True)
class HistoryFit:
    """A fitted history, each pair (down, up).

    Attributes:
        factor: mean step of the first pulse after a complete reversal over that of a long run. pulses: that undo it to 1/e.
        gain, gain_error: nats by which a held-out stretch of reads is likelier, and its standard error.
    """

    factor: tuple[Estimate, Estimate]
    pulses: tuple[Estimate, Estimate]
    gain: float
    gain_error: float

    def put_on(self, traces: Traces) -> Traces:
        """The traces with the factors of their steps."""
        down, up = (one.value for one in self.factor)
        return _with_factors(traces, (down, up), (self.pulses[0].value, self.pulses[1].value))

    def part(self) -> dict[str, dict[str, float]]:
        """Keys of the card's part."""
        sides = zip(("down", "up"), self.factor, self.pulses, strict=True)
        return {side: {"factor": float(f"{f.value:.4g}"), "pulses": float(f"{n.value:.4g}")} for side, f, n in sides}

    def note(self) -> str:
        """A sentence for the report."""
        words = [
            f"the first {word} step after a complete reversal is {_words(f)} times that of a long run at the same conductance, and the"
            f" difference falls to 1/e over {_words(n)} pulses"
            for word, f, n in zip(("depression", "potentiation"), self.factor, self.pulses, strict=True)
        ]
        return (
            f"history: {'; '.join(words)}; held-out stretches of {STRETCH} reads are {self.gain:.2g} (+-{self.gain_error:.1g}) nats"
            " likelier with it. The card's steps are those of long runs"
        )


def _words(estimate: Estimate) -> str:
    if estimate.fixed:
        return f"{estimate.value:.3g} ({estimate.fixed})"
    return f"{estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"


def fit_history(
    traces: Traces, steps: LongRuns, refit: Callable[[Traces], LongRuns] | None = None
) -> HistoryFit | None:
    """The history of some traces, None where held-out reads do not ask for one.

    Args:
        traces: R traces, their steps without factors. steps: of all memories together.
        refit: fits them again to traces with factors; None: they are known to be those of long runs.
    """
    direction = traces.direction[traces.inside() & (traces.pulses > 0)]
    if min((direction > 0).sum(), (direction < 0).sum()) < FEWEST or _runs(traces) < 2 * PARTS:
        return None
    model = _Likelihood(traces, steps.as_measured(traces))
    everything = _counted(traces)
    begun = [model.start(n) for n in PULSES]
    if max(shown for _, shown in begun) < SHOWN:
        return None
    plain = model.reads(np.concatenate([np.zeros(6), begun[0][0][6:]]))
    best = min((model.best(x, everything, fixed=6) for x, _ in begun), key=lambda found: found[1])
    x, _ = model.best(best[0], everything)
    for _ in range(REFITS):
        before = x
        x, model = _with_measured_mean(traces, steps, x, everything)
        if refit is None or _same(x, before):
            break
        steps = refit(_with_factors(traces, *_history(x)))
        x = _anew(x)
    x, model = _with_measured_mean(traces, steps, x, everything)
    if max(abs(factor - 1.0) for factor in _history(x)[0]) < SMALL:
        return None
    block = np.unique(np.stack([traces.trace_of(), _place(traces) // STRETCH]), axis=1, return_inverse=True)[1].ravel()
    with_it = np.empty(len(traces.g))
    for part in range(PARTS):
        out = block % PARTS == part
        again, _ = model.best(x, everything & ~out, fixed=4)
        with_it[out] = model.reads(again)[out]
    better = np.bincount(block[everything], (with_it - plain)[everything], int(block.max()) + 1)
    error = float(better.std(ddof=1) / np.sqrt(len(better)))
    if better.mean() <= CLEAR * error:
        return None
    return _described(model, x, np.where(everything, block, -1), (float(better.mean()), error))


def _with_measured_mean(
    traces: Traces, steps: LongRuns, x: F64, chosen: npt.NDArray[np.bool_]
) -> tuple[F64, "_Likelihood"]:
    """History and mean step at every state in turn, because each hides a part of the other."""
    for _ in range(ROUNDS):
        last = x
        model = _Likelihood(traces, steps.as_measured(_with_factors(traces, *_history(x))))
        x, _ = model.best(np.concatenate([np.zeros(2), x[2:]]), chosen)
        if _same(x, last):
            break
    return x, model


def _same(x: F64, last: F64) -> bool:
    """Whether factors and numbers of pulses stay."""
    return bool(np.abs(x - last)[[2, 3, 6, 7]].max() < STEADY)


def _described(model: "_Likelihood", x: F64, block: npt.NDArray[np.int64], gain: tuple[float, float]) -> HistoryFit:
    """Estimates with intervals; block: (N,) stretch of every read, whose differences the intervals hold; -1 where it is not counted."""
    counted, clusters = block >= 0, int(block.max()) + 1
    estimates, _ = estimates_at(
        x,
        list(PARAMS),
        LIMITS,
        lambda y: -float(model.reads(y)[counted].sum()),
        lambda y: np.bincount(block[counted], model.reads(y)[counted], clusters).astype(np.float64),
        clusters,
    )
    found = {e.name: e for e in estimates}
    down, up = (replace(found[f"factor_{side}"], name="factor") for side in ("down", "up"))
    return HistoryFit((down, up), (found["pulses_down"], found["pulses_up"]), *gain)


def _history(x: F64) -> tuple[tuple[float, float], tuple[float, float]]:
    """Factors and pulses, each (down, up), of the parameters as the optimiser sees them."""
    down, up, *_, pulses_down, pulses_up = np.exp(x[2:]).tolist()
    return (down, up), (pulses_down, pulses_up)


def _anew(x: F64) -> F64:
    """The same history on a law that was fitted again, with nothing to correct."""
    return np.concatenate([np.zeros(2), x[2:4], np.zeros(2), x[6:]])


def _with_factors(traces: Traces, factor: tuple[float, float], pulses: tuple[float, float]) -> Traces:
    e = excess(traces, pulses)
    return replace(traces, factor=1.0 + (np.where(traces.direction > 0, factor[1], factor[0]) - 1.0) * e)


class _Likelihood:
    """Of the reads, as a function of the parameters in the order of `PARAMS`, as the optimiser sees them."""

    def __init__(self, traces: Traces, steps: LongRuns) -> None:
        self._traces, self._law, self._steps = traces, steps.law, steps

    def reads(self, x: F64) -> F64:
        """(N,) log density of every read."""
        return self._filtered(x).loglik

    def best(self, x: F64, chosen: npt.NDArray[np.bool_], *, fixed: int = len(PARAMS)) -> tuple[F64, float]:
        """Most likely parameters near x and their cost on the chosen reads; only the first `fixed` of them are varied."""
        number = max(1, int(chosen.sum()))

        def cost(y: F64) -> float:
            return -float(self.reads(np.concatenate([y, x[fixed:]]))[chosen].sum()) / number

        options = {"ftol": 1e-9, "maxiter": 60}
        found = optimize.minimize(cost, x[:fixed], method="L-BFGS-B", bounds=LIMITS[:fixed], options=options)
        return np.concatenate([found.x, x[fixed:]]), float(found.fun) * number

    def start(self, pulses: float) -> tuple[F64, float]:
        """Parameters for a number of pulses from the innovations of the law without history, by least squares.

        Also the excess of either direction in its standard errors, the larger one.
        """
        shown = 0.0
        x = np.concatenate([np.zeros(6), np.full(2, np.log(pulses))])
        filtered, traces = self._filtered(x), self._traces
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
            x[side] = np.log(np.clip(1.0 + c, 0.1, 10.0))
            x[2 + side] = np.log(np.clip(1.0 + a / (1.0 + c if c > -0.9 else 0.1), 0.05, 100.0))
        return x, shown

    def _filtered(self, x: F64) -> Filtered:
        scale = np.exp(x)
        law = replace(self._law, mean=self._law.mean * scale[:2, None], std=self._law.std * scale[4:6, None])
        return run_filter(_with_factors(self._traces, *_history(x)), law, self._steps.noise, self._steps.gain)


def excess(traces: Traces, pulses: tuple[float, float]) -> F64:
    """(N,) mean e over the pulses before every read; pulses: (down, up) that undo a reversal to 1/e."""
    kept = np.exp(-1.0 / np.asarray(pulses))
    found = np.zeros(len(traces.g))
    _excess(traces.pulses, traces.direction.astype(np.int64), traces.start, kept, found)
    return found


@njit(cache=True, fastmath=False)
def _excess(pulses, direction, start, kept, out):  # type: ignore[no-untyped-def]
    """Fill out; kept: (2,) share of e that a pulse leaves, down and up."""
    for r in range(start.shape[0] - 1):
        side, e = -1, 1.0
        for k in range(start[r] + 1, start[r + 1]):
            n = pulses[k]
            if n == 0 or direction[k] == 0:
                continue
            now = 1 if direction[k] > 0 else 0
            if side >= 0 and now != side:
                e = 1.0 - e
            side = now
            left = kept[now] ** n
            out[k] = e if n == 1 else e * (1.0 - left) / (n * (1.0 - kept[now]))
            e *= left
    return 0


def _runs(traces: Traces) -> int:
    """Beginnings of traces and changes of the direction."""
    inside = traces.inside() & (traces.pulses > 0)
    turned = inside[1:] & inside[:-1] & (traces.direction[1:] != traces.direction[:-1])
    return len(traces) + int(turned.sum())


def _counted(traces: Traces) -> npt.NDArray[np.bool_]:
    """(N,) reads whose history is known: all but those of the first run of every trace, where traces have many runs."""
    turned = np.zeros(len(traces.g), bool)
    for first, last in zip(traces.start[:-1].tolist(), traces.start[1:].tolist(), strict=True):
        own = first + np.flatnonzero(traces.pulses[first:last] * traces.direction[first:last])
        own = own[own > first]
        other = own[traces.direction[own] != traces.direction[own[:1]].sum()]
        turned[other[0] if len(other) else last : last] = True
    return turned if _runs(traces) >= MANY_RUNS * len(traces) else np.ones(len(traces.g), bool)


def _place(traces: Traces) -> npt.NDArray[np.int64]:
    """(N,) number of every read in its trace."""
    return np.arange(len(traces.g)) - np.repeat(traces.start[:-1], np.diff(traces.start))
