"""The emulated crossbar against closed forms: products, read noise at the output, drift, relaxation, faults, clock and log.

False alarms: fixed seeds; every statistical assertion below has alpha = 1e-5, some 30 of them, so the file's budget is 3e-4.
"""

import math
from dataclasses import replace

import naive
import numpy as np
import pytest
import statistics_helpers as stats

from analog_sim.cells.cell_model import (
    CellModel,
    CostModel,
    DriftModel,
    FaultModel,
    ReadNoiseModel,
    RelaxationModel,
    VariationModel,
    VerifyModel,
    constant_table,
)
from analog_sim.cells.state import Fault, fabricate
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Streams
from analog_sim.reads import walsh
from analog_sim.reads.walsh import WalshRows
from analog_sim.tiles.probes import Probes
from devices.card import load_card

ALPHA = 1e-5
G_MAX = 20e-6
RAMP = np.linspace(0, 1, 257, dtype=np.float32)[None]


def crossbar(rows=6, cols=5, *, pair=True, seed=0, fault_map=None, **parts):
    cell = CellModel("test", parts.pop("g_min", 0.0), G_MAX, **parts)
    return EmulatedCrossbar(cell, rows, cols, pair=pair, streams=Streams(seed), fault_map=fault_map)


def uniform_target(array, name="target"):
    info = array.info
    return G_MAX * Streams(9).stream(name).uniforms((info.planes, info.rows, info.cols))


def volts(n, lines):
    return 0.2 * Streams(8).stream("v").normals((n, lines))


@pytest.mark.parametrize("pair", [False, True])
def test_without_non_idealities_a_read_is_the_product(pair):
    array = crossbar(pair=pair)
    target = uniform_target(array)
    array.program(target)
    net = target[0] - target[1] if pair else target[0]
    v, back = volts(3, 6), volts(3, 5)
    np.testing.assert_allclose(array.mvm(v), v @ net, rtol=1e-5, atol=1e-11)
    np.testing.assert_allclose(array.mvm(back, transpose=True), back @ net.T, rtol=1e-5, atol=1e-11)


@pytest.mark.parametrize("transpose", [False, True])
def test_read_noise_at_the_output_is_that_of_noisy_cells(transpose):
    """The lumped draw has the distribution of independent draws for every cell (twin: tests/naive.py)."""
    sigma = (0.1 * G_MAX) * RAMP
    array = crossbar(pair=False, read=ReadNoiseModel(white=sigma))
    target = uniform_target(array)
    array.program(target)
    v = volts(1, 5 if transpose else 6)
    reads = 4000
    lumped = array.mvm(np.repeat(v, reads, axis=0), transpose=transpose)
    g = target[0].T if transpose else target[0]
    per_cell = naive.noisy_products(g, 0.1 * g, v[0], reads, np.random.default_rng(0))
    for j in range(lumped.shape[1]):
        stats.assert_same_distribution(lumped[:, j], per_cell[:, j], ALPHA)
        stats.assert_mean(lumped[:, j], float(v[0] @ g[:, j]), ALPHA)
        stats.assert_std(lumped[:, j], float(np.sqrt(np.square(0.1 * g[:, j]) @ np.square(v[0]))), ALPHA)
    stats.assert_uncorrelated(lumped[:, 0], lumped[:, 1], ALPHA)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("table", [RAMP, np.ones_like(RAMP)])
def test_a_sensed_read_is_the_product_and_the_variance_of_its_noise(transpose, table):
    array = crossbar(pair=False, read=ReadNoiseModel(white=0.1 * G_MAX * table))
    target = uniform_target(array)
    array.program(target)
    v = volts(4, 5 if transpose else 6)
    g = target[0].T if transpose else target[0]
    sigma = 0.1 * (g if table is RAMP else np.full_like(g, G_MAX))
    current, variance = array.sense(v, transpose=transpose)
    np.testing.assert_allclose(current, v @ g, rtol=1e-5, atol=1e-11)
    np.testing.assert_allclose(np.broadcast_to(variance, current.shape), np.square(v) @ np.square(sigma), rtol=1e-4)
    assert array.log.units("mvm_transposed" if transpose else "mvm") == 4
    array.log.recording = True
    current, variance = array.sense(v, transpose=transpose)
    assert variance is None
    np.testing.assert_array_equal(array.log.operations[-1].data["i"], current)
    assert np.abs(current - v @ g).max() > 1e-9


@pytest.mark.parametrize("odd", [None, 1, 3])
@pytest.mark.parametrize("transpose", [False, True])
def test_vectors_alike_but_for_signs_have_the_variance_of_each_alone(transpose, odd):
    """Known inputs of a compensation: their squares are one row, whose product serves all; odd: the only vector that is another."""
    array = crossbar(read=ReadNoiseModel(white=0.1 * G_MAX * RAMP))
    array.program(uniform_target(array))
    v = np.sign(volts(4, 5 if transpose else 6)) * np.float32(0.2)
    if odd is not None:
        v[odd, -1] *= np.float32(0.5)
    _, variance = array.sense(v, transpose=transpose)
    alone = [array.sense(row[None], transpose=transpose)[1] for row in v]
    np.testing.assert_allclose(variance, np.concatenate(alone), rtol=1e-6)
    assert (np.ptp(variance, axis=0) > 0.0).all() == (odd is not None)


@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("uniform", [False, True])
def test_known_inputs_of_a_compensation_are_read_as_any_others(monkeypatch, uniform, transpose, alpha):
    """Rows of a Walsh-Hadamard matrix go by a transform: the same currents, noise and energy."""
    white = constant_table(1e-6) if uniform else 0.1 * G_MAX * RAMP
    array = crossbar(100, 70, read=ReadNoiseModel(white=white), iv_alpha=alpha)
    array.program(uniform_target(array))
    v = Probes(70 if transpose else 100, None, Streams(1).stream("probe")).inputs() * np.float32(0.2)
    readings = []
    for worth in (walsh.WORTH_LOOKING, 0):
        monkeypatch.setattr(walsh, "WORTH_LOOKING", worth)
        assert (WalshRows.of(v, 70) is not None) == (worth == 0)
        array.log.totals.clear()
        current, variance = array.sense(v, transpose=transpose)
        energy = array.log.totals["mvm_transposed" if transpose else "mvm"].joules
        readings.append((current, variance, array.currents_now(v, transpose=transpose), energy))
    (current, variance, now, energy), (fast, own, fast_now, fast_energy) = readings
    np.testing.assert_allclose(fast, current, rtol=1e-5, atol=1e-11)
    np.testing.assert_allclose(fast_now, now, rtol=1e-5, atol=1e-11)
    np.testing.assert_allclose(own, variance, rtol=1e-5)  # without a floor: these are small numbers
    assert fast_energy == pytest.approx(energy, rel=1e-5, abs=0.0)
    assert energy > 0.0


def test_constant_read_noise_takes_the_short_cut_to_the_same_distribution():
    """A constant table needs no second product; one node moved by nothing visible takes the general path."""
    fast = crossbar(read=ReadNoiseModel(white=constant_table(1e-6)))
    slow = crossbar(read=ReadNoiseModel(white=np.array([[1e-6, 1e-6 * (1 + 1e-6)]], np.float32)))
    assert fast.cell.read.uniform_at(0.0)
    assert not slow.cell.read.uniform_at(0.0)
    v = np.repeat(volts(1, 6), 4000, axis=0)
    outputs = []
    for array in (fast, slow):
        array.program(uniform_target(array))
        outputs.append(array.mvm(v))
    expected = math.sqrt(2) * 1e-6 * float(np.linalg.norm(v[0]))
    for currents in outputs:
        stats.assert_std(currents[:, 0], expected, ALPHA)
    stats.assert_same_distribution(outputs[0][:, 1], outputs[1][:, 1], ALPHA)


def test_one_batch_is_many_single_reads():
    array, other = (crossbar(read=ReadNoiseModel(white=0.1 * G_MAX * RAMP)) for _ in range(2))
    v = volts(16, 6)
    for a in (array, other):
        a.program(uniform_target(a))
    np.testing.assert_allclose(
        array.mvm(v), np.concatenate([other.mvm(v[k : k + 1]) for k in range(16)]), rtol=1e-4, atol=1e-9
    )


def test_programming_error_has_the_tabulated_spread():
    array = crossbar(100, 100, pair=False, program_std=(0.05 * G_MAX) * (1 + RAMP))
    for level in (0.3, 0.8):
        target = np.full((1, 100, 100), level * G_MAX, np.float32)
        array.program(target)
        stats.assert_mean(array.conductance_now(), level * G_MAX, ALPHA)
        stats.assert_std(array.conductance_now(), 0.05 * G_MAX * (1 + level), ALPHA)


@pytest.mark.parametrize("error", [0.0, 1e-6 * G_MAX])
@pytest.mark.parametrize("variation", [VariationModel(), VariationModel(g_min=0.2, g_max=0.2)])
def test_programming_stops_at_the_bounds_of_every_cell(error, variation):
    array = crossbar(40, 40, g_min=0.1 * G_MAX, variation=variation, program_std=constant_table(error))
    lo, hi = array.cells.bounds(array.cell)
    target = np.where(np.arange(40) % 2 == 0, -G_MAX, 2 * G_MAX).astype(np.float32) + np.zeros((2, 40, 1), np.float32)
    array.program(target)
    expected = np.where(target > 0, hi, lo)
    np.testing.assert_allclose(array.conductance_now(), expected, rtol=1e-6, atol=7 * error)


def test_programming_aims_at_the_nearest_level():
    levels = np.array([0, 0.25, 0.5, 1], np.float32) * np.float32(G_MAX)
    array = crossbar(levels=levels)
    target = uniform_target(array)
    array.program(target)
    nearest = levels[np.abs(target[..., None] - levels).argmin(axis=-1)]
    np.testing.assert_array_equal(array.conductance_now(), nearest)


def test_write_verify_leaves_no_cell_outside_the_tolerance():
    loop = VerifyModel(constant_table(0.1 * G_MAX), tolerance=0.03 * G_MAX, max_iterations=200)
    array = crossbar(15, 15, verify=loop)
    target = uniform_target(array)
    array.program(target)
    assert np.abs(array.conductance_now() - target).max() <= 0.03 * G_MAX * 1.0001
    # An attempt succeeds with probability p = P(|z| < 0.3) for targets away from zero, so a cell takes 1 / p attempts on average.
    p = math.erf(0.3 / math.sqrt(2))
    assert array.log.units("program") == pytest.approx(450 / p, rel=0.2)


def test_fast_relaxation_comes_on_top_of_programming_in_one_step_and_verified():
    """initial_std adds to the error left by programming; no verifying read sees it, because it comes after the last attempt."""
    law = RelaxationModel(constant_table(0.0), constant_table(0.0), 1.0, initial_std=constant_table(0.04 * G_MAX))
    loop = VerifyModel(constant_table(0.05 * G_MAX), tolerance=0.01 * G_MAX, max_iterations=100)
    accepted = 0.01 * G_MAX / math.sqrt(3.0)  # nearly uniform within the tolerance
    for parts, own in (({"program_std": constant_table(0.03 * G_MAX)}, 0.03 * G_MAX), ({"verify": loop}, accepted)):
        array = crossbar(100, 100, pair=False, relaxation=law, **parts)
        array.program(np.full((1, 100, 100), 0.5 * G_MAX, np.float32))
        stats.assert_mean(array.conductance_now(), 0.5 * G_MAX, ALPHA)
        stats.assert_std(array.conductance_now(), math.hypot(own, 0.04 * G_MAX), ALPHA)


def test_programming_restarts_the_clock_of_the_cells():
    """Programmed again after a year, a cell drifts as one that is new: its exponent is its own, so the factors are equal."""
    array = crossbar(drift=DriftModel(constant_table(0.05), constant_table(0.01), t_ref=20.0, nu_low=0.0))
    target = uniform_target(array)
    held = []
    for _ in range(2):
        array.program(target)
        array.wait(3600.0)
        held.append(array.conductance_now().copy())
        array.wait(3e7)
    np.testing.assert_allclose(held[1], held[0], rtol=1e-5)
    assert held[0].sum() < 0.9 * target.sum()


def test_drift_is_the_power_law_of_every_cell():
    law = DriftModel(constant_table(0.05), constant_table(0.01), t_ref=20.0, nu_low=0.0)
    array = crossbar(60, 60, pair=False, drift=law)
    target = 0.9 * uniform_target(array) + np.float32(1e-7)
    array.program(target)
    at_reference = array.conductance_now()
    np.testing.assert_array_equal(at_reference, target)
    array.wait(19.9)
    np.testing.assert_array_equal(array.conductance_now(), target)
    array.wait(1e6 - array.time)
    nu = -np.log(array.conductance_now().astype(float) / target) / math.log(
        (1e6 - array.cells.t_written[0, 0, 0]) / 20.0
    )
    stats.assert_mean(nu, 0.05, ALPHA)
    stats.assert_std(nu, 0.01, ALPHA)
    age = 1e6 - float(array.cells.t_written[0, 0, 0])
    expected = [naive.drifted(float(g), age, float(n), 20.0) for g, n in zip(target.flat, nu.flat, strict=True)]
    np.testing.assert_allclose(array.conductance_now().ravel(), expected, rtol=1e-5)
    # The exponents are the chip's: another evaluation finds the same ones.
    array.wait(1e6)
    again = -np.log(array.conductance_now().astype(float) / target) / math.log(
        (array.time - array.cells.t_written[0, 0, 0]) / 20.0
    )
    np.testing.assert_allclose(again, nu, atol=2e-6)


def test_reads_see_the_drift():
    array = crossbar(drift=DriftModel(constant_table(0.1), constant_table(0.0), t_ref=1.0))
    array.program(uniform_target(array))
    v = volts(4, 6)
    before = array.mvm(v)
    array.wait(1e4)
    np.testing.assert_allclose(array.mvm(v), before * 1e4**-0.1, rtol=1e-3)


def test_conductances_of_now_are_let_go_once_a_read_has_what_it_needs_of_them():
    drift = DriftModel(constant_table(0.05), constant_table(0.01), t_ref=1.0)
    array = crossbar(7, 5, drift=drift, read=ReadNoiseModel(white=1e-7 * (1.0 + RAMP)))
    array.program(uniform_target(array))
    array.wait(100.0)
    now = array.conductance_now().copy()
    array.mvm(np.ones((2, 7), np.float32))
    assert array._seen is not None
    assert "g" not in array._seen.__dict__
    np.testing.assert_array_equal(array.conductance_now(), now)


def test_relaxation_diffuses_in_log_time():
    law = RelaxationModel(mean=constant_table(-1e-7), std=constant_table(5e-7), t_0=1.0)
    array = crossbar(50, 50, pair=False, relaxation=law)
    start = np.full((1, 50, 50), 10e-6, np.float32)
    array.program(start)
    moves = []
    for decades in (1.0, 2.5, 4.0):
        array.wait(float(array.cells.t_written[0, 0, 0]) + 10**decades - 1 - array.time)
        moves.append(array.conductance_now() - start)
        stats.assert_mean(moves[-1], -1e-7 * decades, ALPHA)
        stats.assert_std(moves[-1], 5e-7 * math.sqrt(decades), ALPHA)
    stats.assert_std(moves[2] - moves[0], 5e-7 * math.sqrt(3.0), ALPHA)
    stats.assert_uncorrelated(moves[0], moves[2] - moves[0], ALPHA)
    array.program(start)
    array.wait(9.0)
    stats.assert_uncorrelated(moves[0], array.conductance_now() - start, ALPHA)


def test_flicker_noise_grows_with_the_age_of_the_state():
    array = crossbar(1, 1, pair=False, read=ReadNoiseModel(flicker=constant_table(1e-7), t_read=1e-6))
    array.program(np.full((1, 1, 1), 10e-6, np.float32))
    v = np.full((20000, 1), 0.2, np.float32)
    for age in (1.0, 1e6):
        array.wait(array.cells.t_written[0, 0, 0] + age - array.time)
        expected = 0.2 * 1e-7 * math.sqrt(math.log((age + 1e-6) / 2e-6))
        stats.assert_std(array.mvm(v), expected, ALPHA, slack=0.01)


def test_spreads_are_drawn_from_their_own_streams():
    base = VariationModel(g_max=0.1)
    more = VariationModel(g_max=0.1, g_min=0.05, gain_up=0.3)
    one = fabricate(CellModel("a", 0.0, G_MAX, variation=base), 1, 9, 9, Streams(4))
    two = fabricate(CellModel("a", 0.0, G_MAX, variation=more), 1, 9, 9, Streams(4))
    np.testing.assert_array_equal(one.hi, two.hi)
    assert (one.lo != two.lo).any()


def test_read_noise_does_not_change_the_chip():
    parts = {"variation": VariationModel(g_min=0.05, g_max=0.1), "faults": FaultModel(stuck_low=0.1)}
    quiet, noisy = crossbar(**parts), crossbar(read=ReadNoiseModel(white=constant_table(1e-6)), **parts)
    for array in (quiet, noisy):
        array.program(uniform_target(array))
    np.testing.assert_array_equal(quiet.conductance_now(), noisy.conductance_now())


def test_faults_have_their_probabilities_and_never_change():
    p = FaultModel(stuck_low=0.05, stuck_high=0.1, stuck_random=0.15, dead_rows=0.02, dead_cols=0.03)
    array = crossbar(300, 300, faults=p, g_min=1e-6)
    fault = array.cells.fault
    dead_row, dead_col = (fault == Fault.DEAD).all(axis=(0, 2)), (fault == Fault.DEAD).all(axis=(0, 1))
    stats.assert_probability(int(dead_row.sum()), 300, 0.02, ALPHA)
    stats.assert_probability(int(dead_col.sum()), 300, 0.03, ALPHA)
    living = fault[:, ~dead_row][:, :, ~dead_col]
    for code, share in ((Fault.STUCK_LOW, 0.05), (Fault.STUCK_HIGH, 0.1), (Fault.STUCK_RANDOM, 0.15)):
        stats.assert_probability(int((living == code).sum()), living.size, share, ALPHA)
    before = array.conductance_now()[fault != 0].copy()
    array.program(uniform_target(array))
    after = array.conductance_now()
    np.testing.assert_array_equal(after[fault != 0], before)
    assert (after[fault == Fault.DEAD] == 0).all()
    np.testing.assert_allclose(after[fault == Fault.STUCK_LOW], 1e-6, rtol=1e-6)
    np.testing.assert_allclose(after[fault == Fault.STUCK_HIGH], G_MAX, rtol=1e-6)


def test_dead_cells_are_silent():
    fault_map = np.full((2, 6, 5), int(Fault.DEAD))
    array = crossbar(fault_map=fault_map, read=ReadNoiseModel(white=constant_table(1e-6)))
    array.program(uniform_target(array))
    assert not array.mvm(volts(3, 6)).any()


def test_fault_map_of_the_wrong_shape_or_code_is_refused():
    with pytest.raises(ValueError, match="shape"):
        crossbar(fault_map=np.zeros((2, 6, 6), int))
    with pytest.raises(ValueError, match="codes"):
        crossbar(fault_map=np.full((2, 6, 5), 7))


def test_non_ohmic_cells_transform_the_input():
    array = crossbar(iv_alpha=3.0)
    target = uniform_target(array)
    array.program(target)
    v = volts(4, 6)
    np.testing.assert_allclose(array.mvm(v), (np.sinh(3 * v) / 3) @ (target[0] - target[1]), rtol=1e-5, atol=1e-11)
    power = (v * np.sinh(3 * v) / 3).sum(0) @ target.sum((0, 2))
    assert array.log.totals["mvm"].joules == pytest.approx(power * array.cell.cost.t_read, rel=1e-5)


def test_clock_log_and_energy():
    array = crossbar(2, 1, pair=False, cost=CostModel(t_read=1e-7, t_program=1e-5, v_read=0.2, e_program=1e-12))
    array.program(np.array([[[10e-6], [20e-6]]], np.float32))
    assert array.time == pytest.approx(2e-5)
    array.mvm(np.array([[0.1, 0.2], [0.2, 0.0]], np.float32))
    assert array.time == pytest.approx(2e-5 + 2e-7)
    read = array.log.totals["mvm"]
    assert (read.calls, read.units) == (1, 2)
    assert read.joules == pytest.approx(((0.1**2 + 0.2**2) * 10e-6 + 0.2**2 * 20e-6) * 1e-7, rel=1e-5)
    assert array.log.totals["program"].joules == pytest.approx(2e-12)


def test_recording_keeps_inputs_and_outputs():
    array = crossbar()
    array.log.recording = True
    v = volts(2, 6)
    current = array.mvm(v)
    (operation,) = array.log.operations
    assert operation.kind == "mvm"
    np.testing.assert_array_equal(operation.data["v"], v)
    np.testing.assert_array_equal(operation.data["i"], current)


def test_a_restored_chip_goes_on_with_the_same_bits():
    parts = {"read": ReadNoiseModel(white=constant_table(1e-6)), "program_std": constant_table(1e-6)}
    array = crossbar(**parts)
    array.program(uniform_target(array))
    array.mvm(volts(2, 6))
    saved = array.state()
    expected = array.mvm(volts(2, 6))
    other = crossbar(**parts)
    other.restore(saved)
    np.testing.assert_array_equal(other.mvm(volts(2, 6)), expected)


def test_restoring_another_shape_is_refused():
    with pytest.raises(ValueError, match="shape"):
        crossbar(5, 5).restore(crossbar(6, 5).state())


@pytest.mark.parametrize("seed", range(0, 100, 9))
def test_any_seed_makes_a_valid_chip(seed):
    parts = {
        "variation": VariationModel(gain_common=0.3, gain_up=0.3, g_min=0.2, g_max=0.3),
        "faults": FaultModel(stuck_random=0.2),
        "program_std": constant_table(5e-6),
    }
    array = crossbar(9, 9, seed=seed, **parts)
    array.program(uniform_target(array))
    assert np.isfinite(array.mvm(volts(3, 9))).all()
    lo, hi = array.cells.bounds(array.cell)
    assert (lo < hi).all()
    assert (array.conductance_now() >= 0).all()


def test_targets_are_checked():
    array = crossbar()
    with pytest.raises(ValueError, match="shape"):
        array.program(np.zeros((1, 6, 5), np.float32))
    with pytest.raises(ValueError, match="finite"):
        array.program(np.full((2, 6, 5), np.nan, np.float32))
    with pytest.raises(ValueError, match="at least one row"):
        crossbar(0, 5)


def test_a_plain_cell_takes_four_bytes_and_a_spread_one_twelve():
    assert crossbar().cells.bytes_per_cell() == 4
    from analog_sim.cells.cell_model import PulseModel

    pulse = PulseModel(*(constant_table(1e-8) for _ in range(4)))
    spread = VariationModel(gain_up=0.3, gain_down=0.3, g_min=0.05, g_max=0.1)
    assert crossbar(pulse=pulse, variation=spread).cells.bytes_per_cell() == 12
    everything = crossbar(
        pulse=PulseModel(*(np.full((3, 2), 1e-8, np.float32) for _ in range(4))),
        variation=spread,
        faults=FaultModel(stuck_low=0.1),
        drift=DriftModel(constant_table(0.05), constant_table(0.0), 1.0),
        endurance=1e6,
    )
    assert everything.cells.bytes_per_cell() <= 28


def test_ideal_writes_are_exact():
    for two_sided in (False, True):
        array = crossbar(g_min=1e-6)
        array.program(np.full((2, 6, 5), 5e-6, np.float32))
        dg = 1e-6 * Streams(3).stream("dg").normals((6, 5))
        array.add_ideal(dg, two_sided=two_sided)
        np.testing.assert_allclose(array.net_now(), dg, atol=1e-11)


@pytest.mark.parametrize("two_sided", [False, True])
def test_ideal_writes_of_nothing_change_no_weight_on_cells_with_bounds_of_their_own(two_sided):
    """A cell at the end of its own window must not take a part of the weight away at every write."""
    array = crossbar(20, 20, g_min=1e-6, variation=VariationModel(g_min=0.1, g_max=0.1))
    net = 5e-6 * Streams(3).stream("net").normals((20, 20))
    array.program(np.stack([1e-6 + np.maximum(net, 0), 1e-6 + np.maximum(-net, 0)]))
    before = array.net_now().copy()
    dg = 1e-7 * Streams(3).stream("dg").normals((20, 20))
    for _ in range(5):
        array.add_ideal(dg, two_sided=two_sided)
        array.add_ideal(-dg, two_sided=two_sided)
    np.testing.assert_allclose(array.net_now(), before, atol=1e-11)


@pytest.mark.parametrize("two_sided", [False, True])
def test_ideal_writes_go_to_the_other_cell_of_a_pair_when_one_is_stuck(two_sided):
    fault_map = np.zeros((2, 6, 5), np.int8)
    fault_map[0, :3], fault_map[1, 3:] = Fault.STUCK_RANDOM, Fault.STUCK_RANDOM
    array = crossbar(fault_map=fault_map)
    array.program(np.full((2, 6, 5), 0.5 * G_MAX, np.float32))
    before = array.net_now().copy()
    towards_the_middle = -0.1 * before
    for _ in range(3):
        array.add_ideal(towards_the_middle, two_sided=two_sided)
    np.testing.assert_allclose(array.net_now(), 0.7 * before, atol=1e-11)


def test_reads_disturb_towards_the_upper_bound():
    array = crossbar(read_disturb=1e-4)
    target = uniform_target(array)
    array.program(target)
    for _ in range(100):
        array.mvm(volts(100, 6))
    expected = G_MAX - (G_MAX - target) * (1 - 1e-4) ** 10000
    np.testing.assert_allclose(array.conductance_now(), expected, rtol=1e-4)


def test_counts_take_the_time_of_their_rows_one_after_the_other_and_a_train_of_its_slots() -> None:
    """The largest count of a row, of both cells of a pair; a row without pulses takes nothing. Half-selected cells take no time either."""
    counts = np.zeros((2, 3, 2), np.int16)
    counts[0, 0] = [5, -7]
    counts[1, 0] = [2, 9]
    counts[1, 2] = [0, -4]
    for cell in (load_card("ecram").compile(), replace(load_card("ecram").compile(), half_select=0.01)):
        array = EmulatedCrossbar(cell, 3, 2, pair=True, streams=Streams(0))
        array.pulse(PulseCounts(counts))
        assert array.time == pytest.approx((9 + 0 + 4) * cell.cost.t_pulse)
        array.pulse(PulseCounts(counts, rows=np.array([0, 3, 5])))
        assert array.time == pytest.approx(2 * (9 + 0 + 4) * cell.cost.t_pulse)
        ones, signs = np.ones((6, 3), np.uint64), np.ones((6, 3), np.int8)
        array.pulse(PulseTrain(ones, ones[:, :2], signs, signs[:, :2], 4))
        assert array.time == pytest.approx((2 * 13 + 6 * 4) * cell.cost.t_pulse)


def test_rows_that_the_array_does_not_have_are_refused() -> None:
    array = EmulatedCrossbar(load_card("ecram").compile(), 3, 2, pair=False, streams=Streams(0))
    before = array.conductance_now()
    for rows in ([-1, 1], [0, 3]):
        with pytest.raises(ValueError, match="this crossbar has 3"):
            array.pulse(PulseCounts(np.ones((1, 3, 2), np.int16), rows=np.array(rows)))
    np.testing.assert_array_equal(array.conductance_now(), before)
