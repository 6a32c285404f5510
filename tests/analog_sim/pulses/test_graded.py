"""Pulses by the volts that reach the cells: against solves, against a slow twin, refusals, and what they must leave alone."""

from dataclasses import replace

import naive_graded
import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, DriftModel, PulseFactor, PulseModel, constant_table
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.apply import prepare
from analog_sim.pulses.graded import grading
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Streams
from analog_sim.threads import thread_policy
from analog_sim.wires import WiresSpec, across, arranged, parted

G_MIN, G_MAX, VOLTS = 1e-6, 100e-6, 1.5
WIRES = WiresSpec(word_line=2.0, bit_line=3.0, driver=50.0, sense=20.0)
ABOVE = PulseFactor(VOLTS, *np.float32([[0.6, 1.5], [0, 1], [0, 1]]))
PROPORTIONAL = PulseFactor(VOLTS, *np.float32([[VOLTS, 2 * VOLTS], [1, 2], [1, 2]]))
"""The step is the nominal one times the share of the amplitude, for half-selected cells too: a step measures the voltage."""
THRESHOLD = PulseFactor(VOLTS, *np.float32([[0.9, 1.2, 1.5, 1.8], [0, 0.4, 1, 2.5], [0, 0.3, 1, 1.5]]))


def flat(step=1e-7, noise=0.0, nodes=2, **parts):
    table = np.full((1, nodes), step, np.float32)
    return PulseModel(table, noise * table, -table, noise * table, **parts)


def crossbar(rows, cols, *, pair=False, wires=None, pulse=None, seed=3, **parts):
    cell = CellModel("graded", G_MIN, G_MAX, pulse=flat(amplitude=PROPORTIONAL) if pulse is None else pulse, **parts)
    array = EmulatedCrossbar(cell, rows, cols, pair=pair, streams=Streams(seed), wires=wires)
    g = np.random.default_rng(seed).uniform(0.2 * G_MAX, 0.8 * G_MAX, array.cells.g.shape)
    array.program(g.astype(np.float32))
    return array


def train(rows, cols, samples=2, length=5, mode="both", density=0.4, seed=7, **strength):
    random = np.random.default_rng(seed)
    bits = [
        ((random.random((samples, n, length)) < density) << np.arange(length)).sum(-1).astype(np.uint64)
        for n in (rows, cols)
    ]
    signs = [random.choice([-1, 1], (samples, n)).astype(np.int8) for n in (rows, cols)]
    return PulseTrain(*bits, *signs, length, mode, **strength)


def exact_sum(g, plan, spec, place):
    """Steps of every cell, positive up, over all slots of a train with `ABOVE`: one solve for every phase of every slot."""
    planes = len(g)
    row_turn, col_turn = ((1, -1), (1, 1)) if place == "rows" else ((1, 1), (1, -1))
    total = np.zeros(g.shape)
    for s in range(len(plan.row_bits)):
        for k in range(plan.length):
            row = (plan.row_bits[s] >> np.uint64(k) & np.uint64(1)).astype(int) * plan.row_sign[s]
            col = (plan.col_bits[s] >> np.uint64(k) & np.uint64(1)).astype(int) * plan.col_sign[s]
            for a in (1, -1):
                for b in (1, -1):
                    if a * b < 0 and plan.mode == "one_sided":
                        continue
                    word = np.stack([0.5 * (row * t == a) for t in row_turn[:planes]]) * a * b
                    bit = np.stack([-0.5 * (col * t == b) for t in col_turn[:planes]]) * a * b
                    v = VOLTS * exact_volts(g, word, bit, spec, place) / (1.0 + g * spec.selector)
                    total += np.sign(v) * ABOVE.factors(np.abs(v))[0]
    return total


def exact_volts(g, word, bit, spec, place):
    if place in ("separate", "single"):
        return np.stack(
            [
                across(a, spec.forward(), w[None], b[None])[0] if w.any() and b.any() else np.zeros(a.shape)
                for a, w, b in zip(g, word, bit, strict=True)
            ]
        )
    words = word[0] if place == "columns" else word.T.ravel()
    bits = bit[0] if place == "rows" else bit.T.ravel()
    if not (words.any() and bits.any()):
        return np.zeros(g.shape)
    found = across(arranged(g[0], g[1], place)[0], spec.forward(), words[None], bits[None])[0]
    return parted((found,), place)


@pytest.mark.jit
@pytest.mark.parametrize("far", ["open", "grounded"])
def test_every_slot_at_64_is_what_a_solve_says(far):
    """Selected, half-selected and unselected cells of single slots: within 2.5 % of the drop (rms), lines that load each other included."""
    spec = replace_spec(WIRES, far_ends=far)
    for seed in range(6):
        array = crossbar(64, 64, wires=spec)
        before = array.conductance_now().copy()
        plan = replace(train(64, 64, 1, 1, density=0.25, seed=seed), row_sign=np.ones((1, 64), np.int8))
        plan = replace(plan, col_sign=np.ones((1, 64), np.int8))
        array.pulse(plan)
        found = (array.conductance_now() - before)[0] / 1e-7
        word, bit = 0.5 * (plan.row_bits[0] > 0), -0.5 * (plan.col_bits[0] > 0)
        exact = across(before[0], spec.forward(), word[None], bit[None])[0]
        ideal = word[:, None] - bit[None]
        for kind, bound in ((1.0, 0.025), (0.5, 0.04)):
            here = ideal == kind
            drop = np.sqrt(np.square(ideal - exact)[here].mean())
            assert drop > 0.08
            assert np.sqrt(np.square(found - exact)[here].mean()) < bound * drop
        assert np.abs(found - exact).max() < 0.03


def replace_spec(spec, **change):
    return WiresSpec(**{**spec.model_dump(exclude_none=True), **change})


@pytest.mark.jit
@pytest.mark.parametrize("place", ["single", "separate", "columns", "rows"])
@pytest.mark.parametrize("mode", ["both", "one_sided"])
def test_trains_on_every_layout_of_a_pair(place, mode):
    """Steps that wires change by more than a tenth of a step (rms): within 10 % of that; few lines, where smooth drives say least."""
    if place == "single" and mode == "one_sided":
        pytest.skip("a single cell has one mode")
    spec = replace_spec(
        WIRES, word_line=40.0, bit_line=30.0, selector=500.0, **({} if place == "single" else {"pair": place})
    )
    array = crossbar(20, 14, pair=place != "single", wires=spec, pulse=flat(amplitude=ABOVE))
    before, plan = array.conductance_now().copy(), train(20, 14, mode=mode)
    array.pulse(plan)
    found = (array.conductance_now() - before) / 1e-7
    exact = exact_sum(before.astype(np.float64), plan, spec, place)
    ideal = exact_sum(before.astype(np.float64), plan, WiresSpec(word_line=0.0, bit_line=0.0), place)
    assert np.sqrt(np.square(ideal - exact).mean()) > 0.1
    assert np.sqrt(np.square(found - exact).mean()) < 0.1 * np.sqrt(np.square(ideal - exact).mean())


LAWS = {
    "linear": flat(2e-6, 0.3, amplitude=THRESHOLD),
    "nodes": flat(
        2e-6,
        0.3,
        nodes=9,
        amplitude=THRESHOLD,
        width=PulseFactor(1e-7, *np.float32([[1e-7, 2e-7], [1, 1.8], [1, 1.6]])),
    ),
    "half-selected": flat(2e-6, 0.3, amplitude=PROPORTIONAL),
    "measured": replace(
        flat(2e-6, 0.0, nodes=5, amplitude=THRESHOLD),
        up_quantiles=np.broadcast_to(np.linspace(-2e-6, 6e-6, 33, dtype=np.float32), (1, 5, 33)).copy(),
        down_quantiles=np.broadcast_to(np.linspace(-6e-6, 2e-6, 33, dtype=np.float32), (1, 5, 33)).copy(),
    ),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("place", ["separate", "columns", "rows"])
@pytest.mark.parametrize("kind", ["train", "one_sided", "counts"])
def test_the_kernels_are_their_slow_twin(law, place, kind):
    spec = replace_spec(WIRES, word_line=40.0, bit_line=30.0, pair=place)
    array = crossbar(4, 5, pair=True, wires=spec, pulse=LAWS[law])
    width = 1.5e-7 if law == "nodes" else None
    if kind == "counts":
        plan = PulseCounts(np.random.default_rng(1).integers(-3, 4, (2, 4, 5)), 1.6, width)
    else:
        plan = train(4, 5, 2, 3, "both" if kind == "train" else kind, amplitude=1.6, width=width)
    key0, key1, call = (int(x) for x in array._noise["pulse"].reserve(0))
    key, reached = (key0, key1), array._pulse_wires.reached(array.conductance_now())
    wanted = naive_graded.pulse(array.cell, array.cells, plan, reached, key, call)
    before = array.conductance_now().copy()
    array.pulse(plan)
    assert (array.conductance_now() != before).any()
    np.testing.assert_allclose(array.conductance_now(), wanted, rtol=3e-5)


@pytest.mark.parametrize("nodes", [2, 9])
def test_where_the_step_does_not_depend_on_the_volts_the_bits_are_those_without_wires(nodes):
    plateau = PulseFactor(VOLTS, *np.float32([[0.2, 0.3, 2.0], [0, 1, 1], [0, 1, 1]]))
    wanted = crossbar(6, 9, pair=True, pulse=flat(2e-6, 0.3, nodes))
    found = crossbar(6, 9, pair=True, pulse=flat(2e-6, 0.3, nodes, amplitude=plateau), wires=WIRES)
    found._pulse_wires._topology = WiresSpec(word_line=1e-6, bit_line=1e-6).forward()
    object.__setattr__(plateau, "nominal", 0.35)  # half of it is below the threshold: only selected cells move
    for plan in (train(6, 9, 4, 3), PulseCounts(np.eye(6, 9, dtype=np.int16)[None].repeat(2, 0))):
        for array in (wanted, found):
            array.pulse(plan)
        np.testing.assert_array_equal(wanted.conductance_now(), found.conductance_now())


def test_a_pulse_through_wires_acts_on_the_drifted_state():
    law = DriftModel(constant_table(0.1), constant_table(0.0), 1.0)
    short = WiresSpec(word_line=1e-3, bit_line=1e-3)
    array = crossbar(3, 4, pulse=flat(1e-6, amplitude=THRESHOLD), drift=law, wires=short)
    array.wait(1e4)
    before = array.conductance_now()
    assert (before < 0.5 * array.cells.g).all()  # so a step from the state that was written would be far off
    one = np.zeros((1, 3, 4), np.int16)
    one[0, 1, 2] = 1
    array.pulse(PulseCounts(one))
    moved = array.conductance_now() - before
    np.testing.assert_allclose(moved[0, 1, 2], 1e-6, rtol=1e-2)
    np.testing.assert_allclose(moved[one == 0], 0.0, atol=1e-9)


def test_what_cannot_be():
    """Refusals of plans stand in test_strength.py; those of a card that says two things, and of a table, here."""
    with pytest.raises(ValueError, match="both say what half-selected cells suffer"):
        crossbar(3, 4, half_select=0.1)
    for at, up, nominal in (
        ([1.0, 0.5], [1, 1], 1.0),
        ([0.0, 1.0], [0, 1], 1.0),
        ([1.0], [1, 1], 1.0),
        ([1.0], [1], 0.0),
    ):
        with pytest.raises(ValueError, match="PulseFactor"):
            PulseFactor(nominal, np.float32(at), np.float32(up), np.float32(up))


@pytest.mark.parametrize("counted", [True, False])
def test_half_selected_cells_of_a_short_line(counted):
    """One pulse at (1, 2) of 3 x 4, wires of a milliohm: its row and its column see half the amplitude, the others nothing."""
    one = np.zeros((1, 3, 4), np.int16)
    one[0, 1, 2] = 1
    bits = np.array([[0, 1, 0]], np.uint64), np.array([[0, 0, 1, 0]], np.uint64)
    plan = PulseCounts(one) if counted else PulseTrain(*bits, np.ones((1, 3), np.int8), np.ones((1, 4), np.int8), 1)
    array = crossbar(3, 4, wires=WiresSpec(word_line=1e-3, bit_line=1e-3))
    before = array.conductance_now().copy()
    array.pulse(plan)
    wanted = np.zeros((3, 4))
    wanted[1], wanted[:, 2], wanted[1, 2] = 0.5, 0.5, 1.0
    np.testing.assert_allclose((array.conductance_now() - before)[0] / 1e-7, wanted, atol=2e-3)
    other = crossbar(3, 4)  # without wires cells are selected one by one
    other.pulse(plan)
    assert np.count_nonzero(other.conductance_now() != before) == 1


@pytest.mark.jit
def test_threads_checkpoints_and_moved_cells():
    """The same bits on two threads and after a restored checkpoint; the load is solved again once lines have changed by 2 %."""

    def chip():
        return crossbar(70, 300, pair=True, wires=WIRES, pulse=flat(2e-6, 0.3, amplitude=THRESHOLD))

    plans = [train(70, 300, 6, 8, "one_sided", seed=seed) for seed in range(3)]
    states = []
    for threads in (1, 2):
        with thread_policy(threads):
            array = chip()
            for plan in plans:
                array.pulse(plan)
            states.append(array.conductance_now().copy())
    np.testing.assert_array_equal(*states)
    array, base = chip(), None
    for plan in plans[:2]:
        array.pulse(plan)
        assert base is None or (array._pulse_wires.base != base).any(), "these pulses move lines by more than 2 %"
        base = array._pulse_wires.base
    other = chip()
    other.restore(array.state())
    for one in (array, other):
        one.pulse(plans[2])
    np.testing.assert_array_equal(array.conductance_now(), other.conductance_now())
    np.testing.assert_array_equal(array.conductance_now(), states[0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1)])
def test_single_lines_and_dead_cells(shape):
    array = crossbar(*shape, wires=WIRES)
    array.cells.g.flat[0] = 0.0
    before = array.conductance_now().copy()
    fires = np.ones((1, shape[0]), np.uint64), np.ones((1, shape[1]), np.uint64)
    plan = PulseTrain(*fires, np.ones((1, shape[0]), np.int8), np.ones((1, shape[1]), np.int8), 1)
    exact = across(before[0], WIRES.forward(), np.full((1, shape[0]), 0.5), np.full((1, shape[1]), -0.5))[0]
    array.pulse(plan)
    moved = (array.conductance_now() - before)[0] / 1e-7
    np.testing.assert_allclose(moved.flat[1:], exact.flat[1:], atol=3e-3)


def test_prepare_touches_all_rows_only_where_half_selected_cells_move():
    counts = np.zeros((1, 3, 4), np.int16)
    counts[0, 1, 2] = 1
    for factor, rows in ((THRESHOLD, [1]), (PROPORTIONAL, [0, 1, 2])):
        array = crossbar(3, 4, wires=WIRES, pulse=flat(amplitude=factor))
        plan = PulseCounts(counts, 1.2)
        assert prepare(array.cell, array.cells, plan, grading(array.cell, plan)).rows.tolist() == rows
