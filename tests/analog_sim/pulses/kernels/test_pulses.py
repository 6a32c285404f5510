"""Pulse kernels: equal to their slow twin on every kind of card and plan, and true to closed forms.

False alarms: fixed seeds; the statistical assertions of this file share TEST_ALPHA for each test.
"""

from dataclasses import replace
from itertools import pairwise

import naive_pulses
import numpy as np
import pytest
import statistics_helpers as stats

from analog_sim.cells.cell_model import CellModel, FaultModel, HistoryModel, PulseModel, VariationModel
from analog_sim.cells.state import fabricate
from analog_sim.pulses.apply import apply_pulses, prepare
from analog_sim.pulses.composed_tables import nothing_composed
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.pulses.response_tables import compile_pulses
from analog_sim.random.streams import Streams

G_MIN, G_MAX = 1e-6, 21e-6
WINDOW = G_MAX - G_MIN


def soft_bounds(states=200, noise=0.3, nodes=2):
    """Steps that shrink towards the bound they move to, with noise in proportion."""
    u = np.linspace(0, 1, nodes)
    up, down = WINDOW / states * (1 - u), -WINDOW / states * u
    return PulseModel(*(np.asarray(t, np.float32)[None] for t in (up, noise * up, down, -noise * down)))


def measured(devices=2, nodes=5, scores=9, size=0.4):
    """Made-up measurements: skewed quantiles, some of the wrong sign, steps different for every device and state."""
    rng = np.random.default_rng(7)
    up = np.sort(rng.normal(0.02, 0.02, (devices, nodes, scores)), axis=-1) * WINDOW * size
    down = np.sort(rng.normal(-0.02, 0.03, (devices, nodes, scores)), axis=-1) * WINDOW * size
    tables = [t.astype(np.float32) for t in (up.mean(-1), up.std(-1), down.mean(-1), down.std(-1), up, down)]
    return PulseModel(*tables)


def several(devices=3, nodes=6):
    """Gaussian steps on nodes, another table for every device."""
    law = measured(devices, nodes)
    return PulseModel(law.up_mean, law.up_std, law.down_mean, law.down_std)


def additive():
    """Steps of one size with noise of several steps: many are held by a bound."""
    tables = (WINDOW / 500, WINDOW / 200, -WINDOW / 500, WINDOW / 200)
    return PulseModel(*(np.full((1, 2), t, np.float32) for t in tables))


def remembering(law):
    """First pulses up do three times as much, with more noise, and first pulses down half."""
    return replace(law, history=HistoryModel((2.0, 4.0, 0.7), (-0.5, 0.5, 0.4)))


SPREAD = VariationModel(gain_common=0.2, gain_up=0.2, gain_down=0.2, g_min=0.05, g_max=0.05)
WINDOWS = np.array([[G_MIN, G_MAX], [0.5e-6, 15e-6]], np.float32)
CARDS = {
    "linear": {"pulse": soft_bounds()},
    "linear without noise": {"pulse": soft_bounds(noise=0.0), "variation": SPREAD},
    "linear with spread": {"pulse": soft_bounds(), "variation": SPREAD},
    "few states": {"pulse": soft_bounds(states=10), "variation": SPREAD},
    "additive noise": {"pulse": additive()},
    "nodes": {"pulse": soft_bounds(nodes=9)},
    "nodes of several devices": {"pulse": several(), "variation": SPREAD},
    "quantiles": {"pulse": measured(1)},
    "quantiles with spread": {"pulse": measured(1, size=0.1), "variation": SPREAD},
    "abrupt quantiles": {"pulse": measured(1, size=2.0)},
    "quantiles of several devices": {"pulse": measured(2), "windows": WINDOWS},
    "faults": {"pulse": soft_bounds(), "faults": FaultModel(stuck_low=0.2, stuck_random=0.2, dead_cols=0.2)},
    "endurance": {"pulse": soft_bounds(), "variation": SPREAD, "endurance": 50.0},
    "history": {"pulse": remembering(soft_bounds()), "variation": SPREAD},
    "history, nodes": {"pulse": remembering(several()), "endurance": 50.0},
    "history, quantiles": {"pulse": remembering(measured(2)), "windows": WINDOWS, "half_select": 0.1},
    "half-select": {"pulse": soft_bounds(), "half_select": 0.1},
    "half-select, quantiles": {"pulse": measured(2), "half_select": 0.1},
}
PLANS = {
    "sparse": {"samples": 4, "length": 2, "density": 0.06},
    "dense": {"samples": 3, "length": 31, "density": 6.0},
    "long": {"samples": 2, "length": 63, "density": 3.0},
    "one-sided": {"samples": 3, "length": 10, "density": 2.0, "mode": "one_sided"},
}


def chip(card, shape=(2, 3, 7), seed=1, worn=False):
    model = CellModel("test", G_MIN, G_MAX, **card)
    state = fabricate(model, *shape, Streams(seed))
    lo, hi = state.bounds(model)
    start = lo + (hi - lo) * Streams(seed).stream("start").uniforms(shape)
    healthy = state.healthy()
    state.g[...] = start if healthy is None else np.where(healthy, start, state.g)
    if state.memory is not None:
        state.memory[...] = Streams(seed).stream("memory").integers(0, 65536, shape)
    if state.count is not None and worn:
        state.count[...] = Streams(seed).stream("worn").integers(0, 100, shape)
    return model, state


def train(shape, samples, length, density, mode="both", seed=3):
    """Random streams whose lines fire so often that `density` slots of a sample coincide at a cell."""
    streams, (_, rows, cols) = Streams(seed), shape
    probability = (density / length) ** 0.5
    parts = []
    for name, lines in (("rows", rows), ("cols", cols)):
        fires = streams.stream(name).uniforms((samples, lines, length)) < probability
        parts.append((fires * (np.uint64(1) << np.arange(length, dtype=np.uint64))).sum(-1, dtype=np.uint64))
    signs = [np.where(streams.stream("sign", n).uniforms((samples, n)) < 0.5, -1, 1) for n in (rows, cols)]
    return PulseTrain(*parts, *(s.astype(np.int8) for s in signs), length, mode)


def apply(model, state, plan, stream, present=None):
    """Pulses sent; the state is changed."""
    law = compile_pulses(model.pulse)
    return apply_pulses(model, law, state, prepare(model, state, plan), stream, present, 7.0)


def both_ways(model, state, plan, present=None):
    """Conductances, counts of cells and pulses sent, by the kernels and by the twin; the state is changed."""
    stream = Streams(5).stream("pulse")
    stream.reserve(2**32 + 9)  # a call number beyond 32 bits
    key = int(stream.reserve(0)[0]), int(stream.reserve(0)[1])
    expected = naive_pulses.pulse(model, state, plan, key, stream.position, present)
    sent = apply(model, state, plan, stream, present)
    return (state.g, state.count, sent), expected


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS.keys())
def test_trains_are_what_the_twin_makes_of_them(card, plan):
    model, state = chip(card, worn=True)
    worn = None if state.count is None else state.count.copy()
    before = state.g.copy()
    got, expected = both_ways(model, state, train(state.g.shape, **plan))
    np.testing.assert_allclose(got[0], expected[0], rtol=0, atol=3e-5 * WINDOW)
    assert got[2] == expected[2] > 0
    if worn is not None:
        np.testing.assert_array_equal(got[1], worn + expected[1])
    untouched = expected[1] == 0 if not model.half_select else np.zeros(before.shape, bool)
    np.testing.assert_array_equal(got[0][untouched], before[untouched])


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS.keys())
def test_counts_are_what_the_twin_makes_of_them(card, few):
    model, state = chip(card)
    counts = Streams(2).stream("counts").integers(-6, 7, state.g.shape)
    counts[:, 1] = 0
    counts[0, 2, 3] = 40
    if few:  # rows of none, one and two cells
        counts[Streams(2).stream("kept").uniforms(counts.shape) > 0.1] = 0
        counts = np.sign(counts)
    before = state.g.copy()
    got, expected = both_ways(model, state, PulseCounts(counts))
    np.testing.assert_allclose(got[0], expected[0], rtol=0, atol=3e-5 * WINDOW)
    assert got[2] == expected[2] == np.abs(counts).sum()
    if not model.half_select:
        np.testing.assert_array_equal(got[0][counts == 0], before[counts == 0])


@pytest.mark.parametrize("hint", [False, True])
@pytest.mark.parametrize("kind", ["linear", "linear with spread", "faults", "endurance", "half-select", "quantiles"])
def test_few_cells_of_a_wide_row_are_what_the_twin_makes_of_them(kind, hint):
    """Rows of none, of one to five cells (which are brought together), and of ten (which are not): a cell may get several pulses."""
    model, state = chip(CARDS[kind], (2, 4, 96), worn=kind == "endurance")
    counts, streams = np.zeros((8, 96), np.int16), Streams(6)
    for row, cells in ((0, 1), (2, 5), (3, 3), (4, 2), (6, 10), (7, 4)):
        counts[row, streams.stream("cells", row).permutation(96)[:cells]] = (1, -1, 1, 2, -1, 1, -3, 1, -1, 1)[:cells]
    counts[3] *= 3  # more pulses than cells that are worth bringing together
    before, g = state.g.copy(), state.g
    plan = PulseCounts(counts.reshape(g.shape), rows=np.array([0, 1, 2, 3, 4, 6, 7]) if hint else None)
    got, expected = both_ways(model, state, plan)
    np.testing.assert_allclose(got[0], expected[0], rtol=0, atol=3e-5 * WINDOW)
    assert got[2] == expected[2] == np.abs(counts).sum()
    if not model.half_select:
        np.testing.assert_array_equal(got[0][plan.counts == 0], before[plan.counts == 0])


def test_few_cells_that_age_are_written_anew():
    """A pulse acts on the present state; it ends the target and restarts the clock of its own cell alone."""
    model, state = chip(CARDS["linear with spread"], (1, 2, 70))
    state.t_written, state.target = np.zeros(state.g.shape), np.full(state.g.shape, 9, np.uint16)
    present = (0.9 * state.g).astype(np.float32)
    counts = np.zeros(state.g.shape, np.int16)
    counts[0, 1, 3], counts[0, 1, 50] = 2, -1
    (g, _, _), expected = both_ways(model, state, PulseCounts(counts), present)
    np.testing.assert_allclose(g, expected[0], rtol=0, atol=3e-5 * WINDOW)
    np.testing.assert_array_equal(state.t_written == 7.0, counts != 0)
    np.testing.assert_array_equal(state.target == 0, counts != 0)


def test_more_pulses_than_sixteen_bits_hold():
    model, state = chip(CARDS["linear without noise"], (1, 1, 2))
    apply(model, state, PulseCounts(np.array([[[40_000, -40_000]]])), Streams(5).stream("pulse"))
    lo, hi = state.bounds(model)
    np.testing.assert_allclose(state.g[0, 0], [hi[0, 0, 0], lo[0, 0, 1]], rtol=1e-3)


@pytest.mark.parametrize("kind", ["linear with spread", "quantiles"])
def test_a_row_of_many_pulses_goes_on_with_its_noise(kind):
    """More listed pulses than one refill of noise or one collection of lists holds."""
    model, state = chip(CARDS[kind], (1, 1, 40))
    plan = train(state.g.shape, samples=60, length=8, density=0.6)
    (g, _, sent), expected = both_ways(model, state, plan)
    assert sent == expected[2] > 1200
    np.testing.assert_allclose(g, expected[0], rtol=0, atol=2e-4 * WINDOW)


def test_a_wide_row_draws_its_normals_in_pieces():
    model, state = chip(CARDS["linear"], (1, 1, 1100))
    (g, _, _), expected = both_ways(model, state, PulseCounts(np.full(state.g.shape, 2)))
    np.testing.assert_allclose(g, expected[0], rtol=0, atol=3e-5 * WINDOW)


def test_pulses_act_on_the_present_state_of_cells_that_age():
    model, state = chip(CARDS["linear with spread"])
    state.t_written = np.zeros(state.g.shape)
    present = (0.9 * state.g).astype(np.float32)
    written = state.g.copy()
    plan = train(state.g.shape, samples=2, length=3, density=0.3)
    (g, _, _), expected = both_ways(model, state, plan, present)
    np.testing.assert_allclose(g, expected[0], rtol=0, atol=3e-5 * WINDOW)
    pulsed = expected[1] > 0
    assert 0 < pulsed.sum() < pulsed.size
    np.testing.assert_array_equal(state.t_written, np.where(pulsed, 7.0, 0.0))
    np.testing.assert_array_equal(g[~pulsed], written[~pulsed])


@pytest.mark.parametrize("by", ["train", "counts"])
def test_parts_of_the_rows_are_the_same_bits_as_all_of_them(by):
    from analog_sim.pulses.apply import _cells, _counts, _plain, _train
    from analog_sim.pulses.kernels import pulses as kernels

    shape = (2, 6, 9)
    plan = train(shape, samples=3, length=5, density=0.5)
    counts = Streams(2).stream("counts").integers(-6, 7, shape)
    results = []
    for edges in ((0, 6), (0, 1, 4, 6)) if by == "train" else ((0, 12), (0, 5, 6, 12)):
        model, state = chip(CARDS["linear with spread"], shape)
        assert model.pulse is not None
        chip_and_law = _cells(model, state, None, 0.0), compile_pulses(model.pulse), nothing_composed()
        place = np.uint64(1), np.uint64(2), np.uint64(3)
        if by == "train":
            prepared = _train(plan, 2, 0.0, False)[0]
            assert len(prepared.rows) == 6
            arguments = _plain(*chip_and_law, prepared)
            parts = [kernels.pulse_rows_by_train(a, b, 0, *arguments, place) for a, b in pairwise(edges)]
        else:
            counted, _ = _counts(PulseCounts(counts), shape, 0.0, False)
            arguments = _plain(*chip_and_law, counted)
            parts = [kernels.pulse_rows_by_counts(a, b, 0, *arguments, place) for a, b in pairwise(edges)]
        results.append((state.g, sum(parts)))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1] > 0


def test_another_call_draws_other_noise():
    stream, states = Streams(1).stream("pulse"), []
    for _ in range(2):
        model, state = chip(CARDS["linear"])
        apply(model, state, PulseCounts(np.ones(state.g.shape, int)), stream)
        states.append(state.g)
    assert (states[0] != states[1]).mean() > 0.9


def pulsed(law, u, n, cells=40_000, seed=0):
    """State u of many equal cells after n pulses each, sent at once."""
    model = CellModel("many", G_MIN, G_MAX, pulse=law)
    state = fabricate(model, 1, 100, cells // 100, Streams(seed))
    state.g[...] = G_MIN + u * WINDOW
    plan = PulseCounts(np.full(state.g.shape, n))
    apply(model, state, plan, Streams(seed).stream("pulse"))
    return (state.g.ravel().astype(np.float64) - G_MIN) / WINDOW


@pytest.mark.jit
@pytest.mark.parametrize("nodes", [2, 5], ids=["closed form", "composed table"])
@pytest.mark.parametrize("n", [1, 8, -8, 20])
def test_moments_of_many_pulses_on_soft_bounds(n, nodes):
    """Steps b (1 + c z) (1 - u): 1 - u is a product of independent factors, whose first two moments are closed forms."""
    states, noise, u = 400, 0.5, 0.4
    after = pulsed(soft_bounds(states, noise, nodes), u, n)
    far = u if n < 0 else 1 - u
    left = after if n < 0 else 1 - after
    b, k = 1 / states, abs(n)
    mean, square = far * (1 - b) ** k, far**2 * ((1 - b) ** 2 + (b * noise) ** 2) ** k
    alpha = stats.bonferroni(stats.TEST_ALPHA, 2)
    stats.assert_mean(left, mean, alpha, slack=1e-6)
    stats.assert_std(left, (square - mean**2) ** 0.5, alpha, slack=2e-3 * (square - mean**2) ** 0.5)


@pytest.mark.jit
@pytest.mark.parametrize("u", [0.5, 0.01, 0.97])
def test_merged_and_single_pulses_agree_in_distribution(u):
    """Ten pulses at once against ten operations of one pulse, near the bounds too, where noise of several steps is held."""
    law, n = additive(), 10
    at_once = pulsed(law, u, n)
    model = CellModel("many", G_MIN, G_MAX, pulse=law)
    state = fabricate(model, 1, 100, 400, Streams(0))
    state.g[...] = G_MIN + u * WINDOW
    stream = Streams(1).stream("pulse")
    for _ in range(n):
        apply(model, state, PulseCounts(np.ones(state.g.shape, int)), stream)
    one_by_one = (state.g.ravel().astype(np.float64) - G_MIN) / WINDOW
    assert stats_distance(at_once, one_by_one) < 2.6 * (2 / 40_000) ** 0.5  # Kolmogorov-Smirnov, false alarm 3e-6


def stats_distance(a, b):
    """Largest distance of two empirical distributions."""
    both = np.sort(np.concatenate([a, b]))
    return np.abs(np.searchsorted(np.sort(a), both, "right") - np.searchsorted(np.sort(b), both, "right")).max() / len(
        a
    )


@pytest.mark.jit
def test_measured_steps_come_as_they_were_measured():
    """Distribution of single steps between two nodes against the bilinear quantile table: mean, wrong signs, every tenth per cent."""
    law, u = measured(1, nodes=3, scores=33), 0.3
    steps = (pulsed(law, u, 1, cells=200_000) - u) * WINDOW
    z = np.linspace(-4, 4, 33)
    assert law.up_quantiles is not None
    quantiles = law.up_quantiles[0, 0] + 0.6 * (law.up_quantiles[0, 1] - law.up_quantiles[0, 0])
    from scipy.special import ndtri

    p = np.arange(0.001, 1, 0.001)
    exact = np.interp(ndtri(p), z, quantiles)
    spread = steps.std()
    fine = ndtri((np.arange(2**16) + 0.5) / 2**16)
    stats.assert_mean(steps, float(np.interp(fine, z, quantiles).mean()), stats.TEST_ALPHA / 2, slack=1e-4 * spread)
    wrong = float((np.interp(fine, z, quantiles) < 0).mean())
    assert abs((steps < 0).mean() - wrong) < 4.9 * (wrong * (1 - wrong) / len(steps)) ** 0.5 + 1e-3
    assert np.abs(np.quantile(steps, p) - exact).max() < 0.09 * spread  # sampling: 0.02 at the ends


def test_memory_of_a_cell():
    """12 bytes for soft bounds with spread, 28 at most with everything a card can have."""
    plain = fabricate(CellModel("plain", G_MIN, G_MAX, **CARDS["linear with spread"]), 1, 8, 8, Streams(1))
    assert plain.bytes_per_cell() == 12
    from analog_sim.cells.cell_model import DriftModel, constant_table

    everything = CellModel(
        "everything",
        G_MIN,
        G_MAX,
        pulse=measured(2),
        windows=WINDOWS,
        variation=SPREAD,
        faults=FaultModel(stuck_low=0.1),
        drift=DriftModel(constant_table(0.1), constant_table(0.1), 1.0),
        endurance=1e6,
    )
    assert fabricate(everything, 1, 8, 8, Streams(1)).bytes_per_cell() <= 28


def test_tables_of_different_shapes_are_refused():
    law = soft_bounds()
    with pytest.raises(ValueError, match=r"up has shape \(1, 2\), down \(1, 3\)"):
        compile_pulses(PulseModel(law.up_mean, law.up_std, np.zeros((1, 3), np.float32), law.down_std))
