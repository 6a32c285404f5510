"""Pulses on an emulated crossbar: closed forms, what a pulse must not touch, time, and the same bits on any number of threads."""

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, DriftModel, FaultModel, PulseModel, VariationModel, constant_table
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Streams
from analog_sim.threads import thread_policy

G_MAX, STATES = 20e-6, 100


def soft_bounds(noise=0.0, nodes=2):
    u = np.linspace(0, 1, nodes, dtype=np.float32)
    step = G_MAX / STATES
    up, down = (step * (1 - u))[None].astype(np.float32), (-step * u)[None].astype(np.float32)
    return PulseModel(up, noise * up, down, -noise * down)


def crossbar(rows=4, cols=5, *, pair=False, seed=0, pulse=None, start=0.2, **parts):
    cell = CellModel("soft bounds", 0.0, G_MAX, pulse=soft_bounds() if pulse is None else pulse, **parts)
    array = EmulatedCrossbar(cell, rows, cols, pair=pair, streams=Streams(seed))
    array.program(np.full(array.cells.g.shape, start * G_MAX, np.float32))
    return array


def random_train(array, samples=3, length=31, density=0.5, mode="both"):
    s, info = Streams(5), array.info
    bits = [
        ((s.stream(name).uniforms((samples, n, length)) < density) << np.arange(length, dtype=np.uint64))
        .sum(-1)
        .astype(np.uint64)
        for name, n in (("rows", info.rows), ("cols", info.cols))
    ]
    signs = [
        np.where(s.stream(f"{k}").uniforms((samples, n)) < 0.5, -1, 1).astype(np.int8)
        for k, n in enumerate((info.rows, info.cols))
    ]
    return PulseTrain(*bits, *signs, length, mode)


@pytest.mark.parametrize("nodes", [2, 33])
@pytest.mark.parametrize("n", [1, 7, 300, -1, -40])
def test_soft_bounds_follow_their_closed_form(nodes, n):
    """g_n = bound + (g_0 - bound) (1 - 1/STATES)**|n|."""
    array = crossbar(pulse=soft_bounds(nodes=nodes))
    array.pulse(PulseCounts(np.full((1, 4, 5), n)))
    bound = G_MAX if n > 0 else 0.0
    expected = bound + (0.2 * G_MAX - bound) * (1 - 1 / STATES) ** abs(n)
    np.testing.assert_allclose(array.conductance_now(), expected, rtol=2e-4)


@pytest.mark.parametrize("pair", [False, True])
def test_a_train_is_its_coincidences(pair):
    """Without noise and far from order effects a train moves a cell as the sum of its signed coincidences says."""
    flat = PulseModel(constant_table(1e-9), constant_table(0.0), constant_table(-1e-9), constant_table(0.0))
    array = crossbar(pair=pair, pulse=flat, start=0.5)
    plan = random_train(array)
    array.pulse(plan)
    hits = np.bitwise_count(plan.row_bits[:, :, None] & plan.col_bits[:, None, :]).astype(int)
    signed = (hits * (plan.row_sign[:, :, None] * plan.col_sign[:, None, :]).astype(int)).sum(axis=0)
    expected = 0.5 * G_MAX + 1e-9 * np.stack([signed, -signed][: array.info.planes])
    np.testing.assert_allclose(array.conductance_now(), expected, rtol=1e-5)
    assert array.log.units("pulse") == array.info.planes * hits.sum()


def test_one_sided_trains_only_potentiate():
    array = crossbar(pair=True)
    before = array.conductance_now().copy()
    array.pulse(random_train(array, mode="one_sided"))
    assert (array.conductance_now() >= before).all()


def test_faulty_cells_do_not_move():
    array = crossbar(40, 40, faults=FaultModel(stuck_low=0.2, stuck_random=0.2, dead_rows=0.1))
    before = array.conductance_now().copy()
    array.pulse(random_train(array))
    faulty = array.cells.fault > 0
    np.testing.assert_array_equal(array.conductance_now()[faulty], before[faulty])
    assert (array.conductance_now()[~faulty] != before[~faulty]).mean() > 0.9


def test_a_pulse_acts_on_the_drifted_state_and_restarts_its_clock():
    law = DriftModel(constant_table(0.1), constant_table(0.0), 1.0)
    array = crossbar(drift=law)
    array.wait(1e4)
    age = array.time - float(array.cells.t_written[0, 0, 0])
    drifted = 0.2 * G_MAX * age**-0.1
    counts = np.zeros((1, 4, 5), int)
    counts[0, :2] = 1
    array.pulse(PulseCounts(counts))
    now = array.conductance_now()
    np.testing.assert_allclose(now[0, :2], drifted + (G_MAX - drifted) / STATES, rtol=1e-4)
    np.testing.assert_allclose(now[0, 2:], drifted, rtol=1e-4)
    np.testing.assert_allclose(array.cells.g[0, 2:], 0.2 * G_MAX, rtol=1e-6)
    array.wait(1e4)
    np.testing.assert_allclose(array.conductance_now()[0, :2], now[0, :2] * 1e4**-0.1, rtol=1e-3)
    np.testing.assert_allclose(array.conductance_now()[0, 2:], 0.2 * G_MAX * (2e4) ** -0.1, rtol=1e-3)


def test_half_selected_cells_take_a_fraction_of_a_step():
    array = crossbar(half_select=0.1)
    counts = np.zeros((1, 4, 5), int)
    counts[0, 1, 2] = 1
    array.pulse(PulseCounts(counts))
    moved = (array.conductance_now()[0] - 0.2 * G_MAX) / (0.8 * G_MAX / STATES)
    expected = np.zeros((4, 5))
    expected[1, :], expected[:, 2] = 0.1, 0.1
    expected[1, 2] = 1.0
    np.testing.assert_allclose(moved, expected, atol=2e-3)


def test_endurance_closes_the_window():
    array = crossbar(endurance=100.0)
    for _ in range(30):
        array.pulse(PulseCounts(np.full((1, 4, 5), 50)))
        array.pulse(PulseCounts(np.full((1, 4, 5), -50)))
    worn = np.ptp([_after(array, 2000), _after(array, -2000)])
    fresh = crossbar()
    whole = np.ptp([_after(fresh, 2000), _after(fresh, -2000)])
    assert worn < 0.1 * whole


def _after(array, n):
    array.pulse(PulseCounts(np.full((1, 4, 5), n)))
    return array.conductance_now()[0, 0, 0]


@pytest.mark.jit
def test_same_bits_on_one_and_two_threads():
    spread = VariationModel(gain_up=0.3, gain_down=0.3, g_min=0.05, g_max=0.05)
    states = []
    for threads in (1, 2):
        with thread_policy(threads):
            array = crossbar(300, 300, pair=True, pulse=soft_bounds(noise=0.3), variation=spread)
            array.pulse(random_train(array, samples=4, density=0.2))
            array.pulse(PulseCounts(np.where(array.cells.g > 0.2 * G_MAX, -3, 2)))
            states.append(array.conductance_now())
    np.testing.assert_array_equal(*states)


def test_plans_that_do_not_fit_are_refused():
    array = crossbar()
    with pytest.raises(ValueError, match=r"\(1, 4, 5\)"):
        array.pulse(PulseCounts(np.zeros((1, 5, 4), int)))
    plan = random_train(array)
    with pytest.raises(ValueError, match="slots"):
        array.pulse(PulseTrain(plan.row_bits, plan.col_bits, plan.row_sign, plan.col_sign, 64))
    with pytest.raises(ValueError, match="row_bits"):
        array.pulse(PulseTrain(plan.row_bits[:, :2], plan.col_bits, plan.row_sign, plan.col_sign, 31))
    other = EmulatedCrossbar(CellModel("programmed only", 0.0, G_MAX), 4, 5, pair=False, streams=Streams(0))
    with pytest.raises(ValueError, match="no pulse response"):
        other.pulse(plan)
