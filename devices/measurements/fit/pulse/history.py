"""Whether the first pulses of a run act differently from later ones at the same state. It never mends that."""

import numpy as np
from scipy import stats

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.quantiles import with_measured_mean
from devices.measurements.fit.pulse.statespace import StepTables, run_filter


def history_note(traces: Traces, law: StepTables, noise: ReadNoise, first: int = 5) -> str:
    """A sentence when the first pulses of a run in one direction act differently from later ones at the same state.

    What the law itself misses at a state is taken out first: it is no history.
    """
    for up in (False, True):
        law = with_measured_mean(traces, law, noise, up)
    filtered = run_filter(traces, law, noise)
    at = np.flatnonzero(traces.inside() & (traces.pulses > 0))
    since = np.zeros(len(at), np.int64)
    run = 0
    for k, read in enumerate(at):
        fresh = k == 0 or at[k - 1] != read - 1 or traces.direction[at[k - 1]] != traces.direction[read]
        run = 0 if fresh else run + 1
        since[k] = run
    innovation = (traces.g - filtered.predicted)[at] / traces.pulses[at] * traces.direction[at]
    step = np.abs(np.median(np.diff(traces.g)[at - 1]))
    early, late = innovation[since < first], innovation[since >= first]
    if len(early) < 30 or len(late) < 30 or step == 0:
        return ""
    test = stats.ttest_ind(early, late, equal_var=False)
    shift = float(early.mean() - late.mean()) / float(np.mean(np.abs(law.mean)))
    if test.pvalue > 1e-3 or abs(shift) < 0.1:
        return ""
    return (
        f"history: the first {first} pulses of a run change the cell by {abs(shift):.0%} of the mean step {'more' if shift > 0 else 'less'}"
        " than later pulses at the same conductance; a response that depends on the conductance alone, as the fitted one, cannot show that"
    )
