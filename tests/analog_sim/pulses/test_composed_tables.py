"""Several pulses at once by composed tables against the same pulses one by one: every kind of step, gain and place in the window.

The measure is Wasserstein's distance in standard deviations of one step. False alarms: fixed seeds; the sampling part of a distance of two
samples of N is about 0.8 spread sqrt(2/N) and exceeds 4 of it with probability below 1e-6.
"""

import numpy as np
import pytest
from naive_pulses import levels_after_pulses
from scipy.special import ndtri

from analog_sim.cells.cell_model import QUANTILE_Z_MAX, CellModel, PulseModel, VariationModel
from analog_sim.cells.state import GAIN_UNIT, fabricate
from analog_sim.pulses import composed_tables
from analog_sim.pulses.apply import apply_pulses, prepare
from analog_sim.pulses.composed_tables import composed_of, nothing_composed
from analog_sim.pulses.kernels.composed.merging import MOST, PARTS, TABLES
from analog_sim.pulses.plans import PulseCounts
from analog_sim.pulses.response_tables import compile_pulses
from analog_sim.random.streams import Streams

G_MIN, WINDOW = 1e-6, 20e-6
CELLS_PULSED = 50_000
TOLERANCE = 0.05
"""Of one step's standard deviation: what n pulses at once may differ from n pulses here, beside the sampling; the tables promise 0.1."""


def law_of(up, down, nodes=33, scores=65):
    """Quantile tables from steps in windows as functions of u (K, 1) and the normal score z (1, Z)."""
    u, z = np.linspace(0, 1, nodes)[:, None], np.linspace(-QUANTILE_Z_MAX, QUANTILE_Z_MAX, scores)[None]
    up, down = (np.broadcast_to(WINDOW * f(u, z), (nodes, scores))[None] for f in (up, down))
    p = np.diff(np.linspace(-QUANTILE_Z_MAX, QUANTILE_Z_MAX, scores)[None], axis=1).mean() * np.exp(-(z**2) / 2)
    p /= p.sum()
    mean = [(q * p).sum(-1) for q in (up, down)]
    std = [np.sqrt(((q - m[..., None]) ** 2 * p).sum(-1)) for q, m in zip((up, down), mean, strict=True)]
    tables = (mean[0], std[0], mean[1], std[1], up, down)
    return PulseModel(*(np.ascontiguousarray(t, np.float32) for t in tables))


LAWS = {
    "soft bounds": law_of(lambda u, z: 0.004 * (1 - u) * (1 + 0.3 * z), lambda u, z: -0.004 * u * (1 - 0.3 * z)),
    "wrong signs": law_of(lambda u, z: 0.003 * (1 + u) + 0.006 * z, lambda u, z: -0.004 + 0.007 * z),
    "heavy tail": law_of(
        lambda u, z: 0.002 * (1 - u / 2) * (np.exp(0.8 * z) - 0.3), lambda u, z: -0.002 * (1 + u) * np.exp(-0.8 * z)
    ),
    "two peaks": law_of(lambda u, z: np.where(z < 0.5, 0.0005, 0.02) * (1.1 - u), lambda u, z: -0.01 * (u + (z < -1))),
    "abrupt": law_of(lambda u, z: 0.3 * (1 - u) * (1 + 0.4 * z), lambda u, z: -0.2 * np.tanh(3 * u) * (1 - 0.4 * z)),
}


@pytest.mark.parametrize("law", [name for name in LAWS if name != "abrupt"])
@pytest.mark.parametrize("up", [True, False])
def test_levels_are_those_of_numpy_to_the_bit(law, up):
    """Also where nothing moves, and at the bounds of the window, where all levels are one."""
    pulse, base = LAWS[law], 32
    steps = composed_tables._steps(pulse, up=up, base=base)[0] * (32 / WINDOW)
    start = base + np.array([0.0, 0.25, 7.5, 31.75, 32.0])
    for case in (steps, 0.0 * steps):
        found = composed_tables._compose(case, start, base, 32)
        np.testing.assert_array_equal(found, levels_after_pulses(case, start, base))


def pulsed(law, u, n, gain, *, at_once, seed=1):
    """State u of many equal cells after n pulses, all at once or one operation each."""
    model = CellModel("many", G_MIN, G_MIN + WINDOW, pulse=law, variation=VariationModel(gain_up=0.1, gain_down=0.1))
    state = fabricate(model, 1, 100, CELLS_PULSED // 100, Streams(seed))
    assert state.gain_up is not None
    assert state.gain_down is not None
    state.gain_up[...] = state.gain_down[...] = round(gain * GAIN_UNIT)
    state.g[...] = G_MIN + u * WINDOW
    compiled, stream = compile_pulses(law), Streams(seed).stream("at once" if at_once else "one by one")
    plan = PulseCounts(np.full(state.g.shape, n if at_once else np.sign(n)))
    for _ in range(1 if at_once else abs(n)):
        sent = apply_pulses(model, compiled, state, prepare(model, state, plan), stream, None, 0.0)
        assert sent == np.abs(plan.counts).sum()
    return np.sort((state.g.ravel().astype(np.float64) - G_MIN) / WINDOW)


@pytest.mark.jit
@pytest.mark.parametrize("gain", [1.0, 0.7, 1.4])
@pytest.mark.parametrize("name", LAWS)
def test_pulses_at_once_are_pulses_one_by_one(name, gain):
    law = LAWS[name]
    for u, n in ((0.5, 2), (0.3, -6), (0.85, 12), (0.02, -12), (0.6, 40)):
        both = [pulsed(law, u, n, gain, at_once=at_once) for at_once in (True, False)]
        one = pulsed(law, u, int(np.sign(n)), gain, at_once=False).std()
        distance = np.abs(both[0] - both[1]).mean()
        sampling = 4 * 0.8 * both[1].std() * (2 / CELLS_PULSED) ** 0.5
        assert distance < TOLERANCE * one + sampling, f"u {u}, {n} pulses: {distance / one:.4f} steps' spread"


@pytest.mark.parametrize("name", ["soft bounds", "heavy tail"])
def test_tables_keep_the_moments_of_one_step(name):
    """The table of one pulse, summed over all 65536 values of its noise, at a node: mean within 1e-5, variance within 1e-2."""
    law, state = LAWS[name], 20
    cell = CellModel("one", G_MIN, G_MIN + WINDOW, pulse=law)
    tables = composed_of(cell)
    assert tables.states == 65
    y = 32 + state / 2
    t = 2 * np.arange(2**15) + 1
    octave = np.frexp(t)[1] - 1
    quarters = 4 * (t / 2.0**octave - 1)
    left = 4 * octave + np.floor(quarters).astype(int)
    row = tables.words.reshape(tables.states, TABLES, PARTS)[state, MOST + 1]
    words = np.concatenate([row[left], row[PARTS - 1 - left]])
    x = np.tile(1 + quarters % 1 / 4, 2)
    intercept, slope = (
        (words >> np.uint64(b) & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.float32) for b in (32, 0)
    )
    rise = (words << np.uint64(16) & np.uint64(0xFFFF0000)).astype(np.uint32).view(np.float32)
    steps = (intercept.astype(np.float64) + slope * y + rise * x) / 32
    z = ndtri((np.arange(2**16) + 0.5) / 2**16)
    assert law.up_quantiles is not None
    exact = np.interp(z, np.linspace(-4, 4, 65), law.up_quantiles[0, state // 2]) / WINDOW
    assert steps.mean() == pytest.approx(exact.mean(), abs=1e-3 * exact.std())
    assert steps.std() == pytest.approx(exact.std(), rel=5e-3)
    assert np.abs(np.sort(steps) - exact).mean() < 0.01 * exact.std()


@pytest.mark.parametrize("name", ["soft bounds", "two peaks"])
def test_no_number_of_a_table_is_a_denormal(name):
    """A step of nothing carries other bits in its low places; arithmetic on denormals costs a hundred times as much."""
    words = composed_of(CellModel("one", G_MIN, G_MIN + WINDOW, pulse=LAWS[name])).words
    halves = words.view(np.uint32)
    numbers = np.concatenate([halves, halves[::2] << np.uint32(16)]).view(np.float32)
    assert (numbers == 0).any()  # none, for no pulse
    assert np.abs(numbers[numbers != 0]).min() >= np.finfo(np.float32).tiny


def test_abrupt_laws_are_left_to_single_pulses():
    assert composed_of(CellModel("one", G_MIN, G_MIN + WINDOW, pulse=LAWS["abrupt"])).words.size == 0


def test_tables_are_made_once_and_only_for_dense_plans():
    model = CellModel("many", G_MIN, G_MIN + WINDOW, pulse=LAWS["soft bounds"])
    assert composed_of(model) is composed_of(model)
    from analog_sim.pulses.apply import _composed

    state = fabricate(model, 1, 2, 3, Streams(1))
    law = compile_pulses(LAWS["soft bounds"])
    sparse, dense = (prepare(model, state, PulseCounts(np.full(state.g.shape, n))) for n in (1, 2))
    assert _composed(model, law, sparse).words.size == nothing_composed().words.size == 0
    assert _composed(model, law, dense) is composed_of(model)
