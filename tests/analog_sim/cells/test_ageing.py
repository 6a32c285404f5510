"""Ageing that is evaluated only where and when it matters, against the evaluation of every cell, bit for bit, and against slow twins."""

import math
from dataclasses import replace

import naive
import numpy as np
import pytest
from scipy import integrate, stats
from statistics_helpers import TEST_ALPHA, bonferroni

from analog_sim.cells.ageing import Ageing, all_spans, row_spans
from analog_sim.cells.cell_model import (
    CellModel,
    DriftModel,
    FaultModel,
    PulseModel,
    ReadNoiseModel,
    RelaxationModel,
    constant_table,
)
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.kernels.options import JIT_OFF
from analog_sim.random.streams import Streams
from analog_sim.reads.read_cache import ReadCache
from analog_sim.threads import thread_policy

G_MAX = 20e-6
RAMP = np.linspace(0, 1, 9, dtype=np.float32)[None]
DRIFT = DriftModel(0.02 + 0.05 * RAMP, 0.01 * (1 - RAMP) + 0.002, 1.0)
RELAX = RelaxationModel(-1e-7 * RAMP, 5e-7 * (1 - RAMP) + 1e-7, 1e-3)
BURSTS = RelaxationModel(RELAX.mean, RELAX.std, 1e-3, tail=5.0 * (1 - RAMP), skew=0.8 * RAMP - 0.3)
NOISE = ReadNoiseModel(1e-8 + 1e-7 * RAMP, 2e-7 * RAMP)
STEP = np.float32(2e-7)
PULSE = PulseModel(STEP * (1 - RAMP), 0.3 * STEP * (1 - RAMP), -STEP * RAMP, 0.3 * STEP * RAMP)
LAWS = {
    "drift": {"drift": DRIFT},
    "relaxation": {"relaxation": RELAX},
    "bursts": {"relaxation": BURSTS},
    "returning": {"relaxation": replace(RELAX, returning=0.4)},
    "returning bursts": {"relaxation": replace(BURSTS, returning=0.4)},
    "both": {"drift": DRIFT, "relaxation": RELAX},
}
FAULTS = FaultModel(stuck_random=0.1, dead_rows=0.1)


def crossbar(law, rows=12, cols=7, **parts):
    cell = CellModel("ages", 0.0, G_MAX, pulse=PULSE, read=NOISE, **LAWS.get(law, {}), **parts)
    array = EmulatedCrossbar(cell, rows, cols, pair=True, streams=Streams(0))
    array.program(G_MAX * Streams(1).stream("target").uniforms(array.cells.g.shape))
    return array


def sparse(array, cells, name):
    counts = np.zeros(array.cells.g.shape, np.int16)
    counts.flat[Streams(2).stream(name).permutation(counts.size)[:cells]] = 1
    return PulseCounts(counts)


def train(array, name):
    draw = Streams(3).stream(name)
    rows, cols = (
        (draw.uniforms((2, n)) < 0.3).astype(np.uint64) * np.uint64(5) for n in (array.info.rows, array.info.cols)
    )
    return PulseTrain(rows, cols, np.ones(rows.shape, np.int8), np.ones(cols.shape, np.int8), 3, "one_sided")


def operations(array):
    """Waits of all lengths between reads and writes of few, of many and of masked cells."""
    mask = Streams(4).stream("mask").uniforms(array.cells.g.shape) < 0.2
    yield lambda: array.wait(0.3)
    yield lambda: array.pulse(sparse(array, 3, "a"))
    yield lambda: array.pulse(sparse(array, 2, "b"))
    yield lambda: array.wait(1e3)
    yield lambda: array.pulse(train(array, "c"))
    yield lambda: array.program(np.full(array.cells.g.shape, 0.5 * G_MAX, np.float32), mask)
    yield lambda: array.wait(1e-4)
    yield lambda: array.pulse(sparse(array, 100, "d"))
    yield lambda: array.wait(1e5)
    yield lambda: array.pulse(sparse(array, 1, "e"))
    yield lambda: array.wait(1e-6)


@pytest.mark.parametrize(
    "parts", [{}, {"faults": FAULTS}, {"half_select": 0.1}], ids=["plain", "faults", "half select"]
)
@pytest.mark.parametrize("law", [*LAWS, "none"])
def test_what_is_held_and_mended_is_the_full_evaluation(law, parts):
    """At any moment, all that reads see equals a new evaluation of all cells by a chip that remembers nothing."""
    size = {"rows": 40, "cols": 37} if law == "none" else {}  # so large that few pulses are mended cell by cell
    array = crossbar(law, **size, **parts)
    for operation in operations(array):
        operation()
        seen = array._read_cache()
        evaluated, until, noise_at, noise_until = seen.times()
        assert evaluated <= array.time <= until
        assert noise_at <= array.time <= noise_until
        fresh = Ageing(array.cell, Streams(0))
        g = fresh.conductance(array.cells, evaluated)
        np.testing.assert_array_equal(array.conductance_now(), g)
        np.testing.assert_array_equal(array.net_now(), g[0] - g[1])
        variance = fresh.read_variance(g, array.cells, noise_at)
        np.testing.assert_array_equal(seen.variance.matrix(), variance[0] + variance[1])
        np.testing.assert_array_equal(seen.back.matrix(), (g[0] - g[1]).T)
        np.testing.assert_array_equal(seen.variance_back.matrix(), (variance[0] + variance[1]).T)
        np.testing.assert_allclose(seen.row_sum, g.sum(axis=(0, 2)), rtol=1e-5)
        np.testing.assert_allclose(seen.col_sum, g.sum(axis=(0, 1)), rtol=1e-5)
        new = ReadCache(fresh, array.cells, evaluated, evaluated)
        if law == "none":  # loads are mended to the same bits as well
            np.testing.assert_array_equal(seen.row_sum, new.row_sum)
            np.testing.assert_array_equal(seen.col_sum, new.col_sum)


@pytest.mark.parametrize("law", LAWS)
def test_pulses_act_on_the_cells_as_they_are_at_that_very_moment(law):
    """What a pulse finds in its cells is the evaluation of the whole array now, not what reads hold; others stay as written."""
    array, twin = crossbar(law), crossbar(law)
    for each in (array, twin):
        each.wait(50.0)
        each.conductance_now()
        each.clock.advance(0.02)  # reads still hold what they saw
    plan = sparse(array, 20, "cells")
    twin.cells.g[...] = Ageing(twin.cell, Streams(0)).conductance(twin.cells, twin.time)
    twin.cells.t_written[...] = twin.time
    twin._forget()
    before = array.cells.g.copy()
    array.pulse(plan)
    twin.pulse(plan)
    hit = plan.counts != 0
    np.testing.assert_array_equal(array.cells.g[hit], twin.cells.g[hit])
    np.testing.assert_array_equal(array.cells.g[~hit], before[~hit])


@pytest.mark.parametrize("law", LAWS)
def test_a_pulse_evaluates_the_rows_that_it_hits(law, monkeypatch):
    array = crossbar(law)
    array.wait(100.0)
    array.mvm(np.zeros((1, array.info.rows), np.float32))
    evaluated = []
    whole = Ageing.evaluate

    def counted(self, state, now, spans, out):
        evaluated.append(int((spans[:, 1] - spans[:, 0]).sum()))
        whole(self, state, now, spans, out)

    monkeypatch.setattr(Ageing, "evaluate", counted)
    array.pulse(sparse(array, 1, "cell"))
    array.mvm(np.zeros((1, array.info.rows), np.float32))
    assert sum(evaluated) == 2 * array.info.cols  # for the pulse, and for what reads hold


def test_drift_is_its_slow_twin():
    array = crossbar("drift", 5, 4)
    array.wait(3e4)
    key = tuple(int(k) for k in Streams(0).stream("fabrication.drift").reserve(0)[:2])
    written, age = array.cells.g, array.time - array.cells.t_written
    for i, (g, a) in enumerate(zip(written.flat, age.flat, strict=True)):
        u = float(g) / G_MAX
        mean, std = (naive.table_value(table[0], u) for table in (DRIFT.nu_mean, DRIFT.nu_std))
        nu = min(max(mean + std * naive.stream_normal(key, i), DRIFT.nu_low), DRIFT.nu_high)
        assert array.conductance_now().flat[i] == pytest.approx(naive.drifted(float(g), a, nu, 1.0), rel=1e-5)


@pytest.mark.parametrize("name", ["relaxation", "bursts", "returning", "returning bursts"])
def test_relaxation_is_its_slow_twin(name):
    array, law = crossbar(name, 5, 4), LAWS[name]["relaxation"]
    key = tuple(int(k) for k in Streams(0).stream("relaxation").reserve(0)[:2])
    for wait in (1e-4, 0.3, 0.1, 2e3):
        array.wait(wait)
        if wait == 0.1:
            array.pulse(sparse(array, 8, "new paths"))
            array.wait(0.5)
        now = array.conductance_now()
        for i, (g, t) in enumerate(zip(array.cells.g.flat, array.cells.t_written.flat, strict=True)):
            decades = math.log10(1.0 + (array.time - t) / law.t_0)
            tables = law.mean, law.std, law.tail, law.skew
            mean, std, tail, skew = (naive.table_value(table[0], float(g) / G_MAX) for table in tables)
            first = naive.path_number(key, i, t, decades, law.returning)
            path = naive.relaxation_path(key, i, t, decades, first)
            if tail > 0.0:
                path = naive.burst_path(key, i, t, decades, tail, skew, first)
            assert now.flat[i] == pytest.approx(naive.relaxed(float(g), mean, std, decades, path), abs=2e-6 * G_MAX)


@pytest.mark.parametrize("law", LAWS)
def test_spans_and_order_of_times_do_not_change_a_bit(law):
    """Also when an earlier time is asked for after a later one."""
    array = crossbar(law, 40, 37)
    array.pulse(sparse(array, 200, "some"))
    shape, n = array.cells.g.shape, array.cells.g.size
    used = Ageing(array.cell, Streams(0))
    rows = Streams(5).stream("rows").permutation(shape[0] * shape[1])
    for now in (1e6, 3.0, 1e-3, 40.0):
        expected = Ageing(array.cell, Streams(0)).conductance(array.cells, now)
        for spans in (all_spans(n), row_spans(rows, shape[2]), np.array([[0, 5], [5, n]])):
            out = np.full(shape, np.nan, np.float32)
            used.evaluate(array.cells, now, spans, out)
            np.testing.assert_array_equal(out, expected)


def inverse_gaussian_mixture(decades, tail, skew):
    """The law of W after that many decades, with scipy's parameters of the normal inverse Gaussian distribution."""
    normal = math.sqrt(1.0 - skew**2)
    scale, beta = normal * decades / math.sqrt(tail), skew / math.sqrt(tail) / normal**2
    alpha = math.hypot(1.0 / (math.sqrt(tail) * normal), beta)
    return stats.norminvgauss(alpha * scale, beta * scale, -skew * decades / math.sqrt(tail), scale)


def cdf_of(law):
    """The distribution function of such a law from its density on a fine grid: scipy integrates anew for every point, a minute a test."""
    at = np.linspace(-14.0, 14.0, 40_001)
    width = min(law.args[3], law.std())
    x = law.mean() + width * np.sinh(at)
    below = integrate.cumulative_simpson(law.pdf(x) * width * np.cosh(at), x=at, initial=0.0)
    checked = law.mean() + law.std() * np.array([-3.0, -1.0, -0.1, 0.0, 0.2, 1.0, 4.0])
    np.testing.assert_allclose(np.interp(checked, x, below), law.cdf(checked), atol=1e-6)
    return lambda values: np.interp(values, x, below)


@pytest.mark.parametrize("tail", [1e-4, 0.5, 6.0])
def test_bursts_are_a_normal_inverse_gaussian_process(tail):
    """At whole decades and between them the path has the law that is stated, and what comes after a decade is independent of it."""
    skew, side = -0.4, 20 if JIT_OFF else 150
    shape = {"tail": constant_table(tail), "skew": constant_table(skew)}
    law = RelaxationModel(constant_table(0.0), constant_table(1.0), 1.0, **shape)
    array = EmulatedCrossbar(CellModel("x", 0.0, 1e3, relaxation=law), side, side, pair=False, streams=Streams(7))
    array.add_ideal(np.full((side, side), 500.0, np.float32))
    alpha = bonferroni(TEST_ALPHA, 3 * 8)
    paths = {}
    for decades in (0.04, 0.7, 1.0, 1.3, 6.5):
        array.wait(10.0**decades - 1.0 - array.time)
        exact = inverse_gaussian_mixture(decades, tail, skew)
        mean, variance, skewness, excess = exact.stats("mvsk")
        assert (mean, variance) == pytest.approx((0.0, decades))
        assert skewness == pytest.approx(3.0 * skew * math.sqrt(tail / decades))
        assert excess == pytest.approx(3.0 * tail * (1.0 + 4.0 * skew**2) / decades)
        paths[decades] = array.conductance_now().astype(float).ravel() - 500.0
        assert stats.kstest(paths[decades], cdf_of(exact)).pvalue > alpha
    for later in (1.3, 6.5):
        rest = paths[later] - paths[1.0]
        assert stats.kstest(rest, cdf_of(inverse_gaussian_mixture(later - 1.0, tail, skew))).pvalue > alpha
    assert stats.spearmanr(np.abs(paths[1.0]), np.abs(paths[6.5] - paths[1.0])).pvalue > alpha


@pytest.mark.parametrize("law", LAWS)
def test_a_checkpoint_leaves_no_trace_in_what_is_held(law):
    """A chip that is saved and put back while reads hold what they saw goes on to the same bits as one that is left alone."""
    alone, saved = crossbar(law), crossbar(law)
    v = 0.2 * Streams(6).stream("v").normals((3, 12))
    for array in (alone, saved):
        array.wait(100.0)
        array.mvm(v)
        array.pulse(sparse(array, 3, "before"))
        array.clock.advance(1e-8)
    state, now = saved.state(), saved.time
    saved.wait(1e4)
    saved.mvm(v)
    saved.clock.restore(now)
    saved.restore(state)
    for _ in range(2):
        np.testing.assert_array_equal(saved.mvm(v), alone.mvm(v))
        for array in (alone, saved):
            array.pulse(sparse(array, 4, "after"))
            array.clock.advance(0.01)
    np.testing.assert_array_equal(saved.cells.g, alone.cells.g)


@pytest.mark.jit
@pytest.mark.parametrize("law", LAWS)
def test_same_bits_on_one_and_two_threads(law):
    """More cells than are worth a thread: programming, ageing, the variance of reads, and ageing of the rows that were pulsed."""
    seen = []
    for threads in (1, 2):
        with thread_policy(threads):
            array = crossbar(law, rows=257, cols=190, faults=FAULTS)
            array.wait(3.0)
            early = array.conductance_now().copy()
            array.pulse(sparse(array, 20_000, "cells"))
            array.wait(1e4)
            seen.append([early, array.conductance_now(), array.read_conductance()])
    for one, two in zip(*seen, strict=True):
        np.testing.assert_array_equal(one, two)
