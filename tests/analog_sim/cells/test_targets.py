"""The target that a cell remembers: when it has one, and that every law that is stated against it looks there. Slow twins in `naive`."""

import math
from dataclasses import replace

import naive
import numpy as np
import pytest

from analog_sim.cells.cell_model import (
    CellModel,
    DriftModel,
    PulseModel,
    ReadNoiseModel,
    RelaxationModel,
    VerifyModel,
    constant_table,
)
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams

G_MAX = 20e-6
RAMP = np.linspace(0, 1, 9, dtype=np.float32)[None]
DRIFT = DriftModel(0.02 + 0.05 * RAMP, 0.01 * (1 - RAMP) + 0.002, 1.0)
RELAX = RelaxationModel(-1e-7 * RAMP, 5e-7 * (1 - RAMP) + 1e-7, 1e-3)
BURSTS = replace(RELAX, tail=5.0 * (1 - RAMP), skew=0.8 * RAMP - 0.3)
NOISE = ReadNoiseModel(1e-8 + 1e-7 * RAMP, 2e-7 * RAMP)
STEP = np.float32(2e-7)
PULSE = PulseModel(STEP * (1 - RAMP), 0.3 * STEP * (1 - RAMP), -STEP * RAMP, 0.3 * STEP * RAMP)
LAWS = {
    "drift": {"drift": replace(DRIFT, state="target")},
    "reflected": {"drift": replace(DRIFT, state="target", nu_mean=0.2 * DRIFT.nu_mean, nu_low=0.0, reflect=True)},
    "relaxation": {"relaxation": replace(RELAX, state="target")},
    "bursts": {"relaxation": replace(BURSTS, state="target")},
    "noise": {"read": replace(NOISE, flicker_state="target"), "drift": DRIFT},
}


def crossbar(law, rows=6, cols=5, **parts):
    cell = CellModel(
        "aims", 0.0, G_MAX, pulse=PULSE, **{"program_std": constant_table(0.05 * G_MAX), **LAWS[law], **parts}
    )
    return EmulatedCrossbar(cell, rows, cols, pair=True, streams=Streams(0))


def aimed(array):
    """Program all cells, pulse five of them, write one exactly; return the targets that stand for them."""
    target = G_MAX * Streams(1).stream("target").uniforms(array.cells.g.shape)
    array.program(target)
    counts = np.zeros(target.shape, np.int16)
    counts.flat[[0, 7, 8, 30, 41]] = 2
    array.pulse(PulseCounts(counts))
    return np.where(counts != 0, array.cells.g, target)


@pytest.mark.parametrize("law", LAWS)
def test_a_pulse_and_an_exact_write_end_a_target(law):
    array = crossbar(law)
    assert not array.cells.target.any()  # fresh cells
    reference = aimed(array)
    codes, written = array.cells.target, array.cells.g
    kept = [naive.reference_state(int(c), float(g), 0.0, G_MAX) for c, g in zip(codes.flat, written.flat, strict=True)]
    np.testing.assert_allclose(np.reshape(kept, codes.shape), reference, atol=G_MAX / 131_000)
    assert (codes == 0).sum() == 5
    mask = np.zeros(codes.shape, bool)
    mask[1] = True
    array.program(np.full(codes.shape, 0.25 * G_MAX, np.float32), mask)
    assert (array.cells.target[1] == 1 + round(0.25 * 65534)).all()
    assert (array.cells.target[0] == codes[0]).all()
    array.add_ideal(np.zeros(codes.shape[1:], np.float32))
    assert not array.cells.target.any()


def test_only_cards_that_need_it_keep_a_target():
    for law, parts in (("drift", {"drift": DRIFT}), ("noise", {"read": NOISE}), ("relaxation", {"relaxation": RELAX})):
        assert crossbar(law, **parts).cells.target is None
    same = replace(DRIFT, nu_mean=constant_table(0.05), nu_std=constant_table(0.01), state="target")
    assert crossbar("drift", drift=same).cells.target is None, "the same exponent everywhere"


def test_targets_are_clipped_and_rounded_to_levels_and_verified():
    levels = np.linspace(0.2 * G_MAX, 0.8 * G_MAX, 4, dtype=np.float32)
    loop = VerifyModel(constant_table(0.1 * G_MAX), 0.02 * G_MAX, 5)
    for parts in ({"levels": levels}, {"verify": loop}, {"verify": loop, "levels": levels}, {}):
        array = crossbar("drift", **parts)
        target = 2.0 * G_MAX * Streams(1).stream("target").uniforms(array.cells.g.shape)
        array.program(target)
        aim = np.minimum(target, np.float32(G_MAX))
        if "levels" in parts:
            aim = levels[np.abs(aim[..., None] - levels).argmin(axis=-1)]
        np.testing.assert_allclose((array.cells.target - 1.0) / 65534, aim / G_MAX, atol=8e-6)


@pytest.mark.parametrize("law", ["drift", "reflected"])
def test_drift_exponents_are_of_the_target(law):
    array = crossbar(law)
    reference = aimed(array)
    array.wait(3e4)
    model = array.cell.drift
    key = tuple(int(k) for k in Streams(0).stream("fabrication.drift").reserve(0)[:2])
    age = array.time - array.cells.t_written
    mirrored = 0
    for i, (g, aim) in enumerate(zip(array.cells.g.flat, reference.flat, strict=True)):
        mean, std = (naive.table_value(table[0], float(aim) / G_MAX) for table in (model.nu_mean, model.nu_std))
        nu = mean + std * naive.stream_normal(key, i)
        mirrored += nu < model.nu_low
        nu = model.nu_low + abs(nu - model.nu_low) if model.reflect else max(nu, model.nu_low)
        expected = naive.drifted(float(g), age.flat[i], min(nu, model.nu_high), 1.0)
        assert array.conductance_now().flat[i] == pytest.approx(expected, rel=2e-5, abs=1e-12)
    assert mirrored > 0 or law == "drift"


@pytest.mark.parametrize("law", ["relaxation", "bursts"])
def test_relaxation_is_of_the_target(law):
    array, model = crossbar(law), LAWS[law]["relaxation"]
    reference = aimed(array)
    array.wait(2e3)
    key = tuple(int(k) for k in Streams(0).stream("relaxation").reserve(0)[:2])
    for i, (g, t) in enumerate(zip(array.cells.g.flat, array.cells.t_written.flat, strict=True)):
        decades = math.log10(1.0 + (array.time - t) / model.t_0)
        tables = model.mean, model.std, model.tail, model.skew
        mean, std, tail, skew = (naive.table_value(table[0], float(reference.flat[i]) / G_MAX) for table in tables)
        path = naive.relaxation_path(key, i, t, decades)
        if tail > 0.0:
            path = naive.burst_path(key, i, t, decades, tail, skew)
        expected = naive.relaxed(float(g), mean, std, decades, path)
        assert array.conductance_now().flat[i] == pytest.approx(expected, abs=5e-6 * G_MAX)


def test_read_noise_is_of_the_target_and_shrinks_with_the_conductance():
    array, noise = crossbar("noise"), LAWS["noise"]["read"]
    reference = aimed(array)
    array.wait(1e5)
    now, age = array.conductance_now(), array.time - array.cells.t_written
    variance = array._ageing.read_variance(now, array.cells, array.time)
    some = array._ageing.read_variance(now[:, [1, 4]], array.cells, array.time, np.array([1, 4]))
    np.testing.assert_array_equal(some, variance[:, [1, 4]])
    for i, (g, aim) in enumerate(zip(now.flat, reference.flat, strict=True)):
        white = naive.table_value(noise.white[0], float(g) / G_MAX)
        flicker = naive.table_value(noise.flicker[0], float(aim) / G_MAX)
        expected = naive.read_std(float(g), float(aim), age.flat[i], white, flicker, noise.t_read)
        assert math.sqrt(variance.flat[i]) == pytest.approx(expected, rel=3e-4)


def test_a_cell_at_0_siemens_is_silent_unless_the_noise_is_of_the_reading():
    array = crossbar("drift", read=replace(NOISE, white=constant_table(1e-6), most_relative=1.0 / 3.0))
    g = np.full(array.cells.g.shape, 1e-9, np.float32)
    g[0, 0] = 0.0, 3e-7, 2.9e-6, 3.1e-6, 1e-5
    quiet = array.cell.read.flicker * 0.0
    array._ageing._noise[:, 1] = quiet[0]
    std = np.sqrt(array._ageing.read_variance(g, array.cells, 0.0))
    np.testing.assert_allclose(std[0, 0], [0.0, 1e-7, 2.9e-6 / 3, 1e-6, 1e-6], rtol=1e-6)
    whole = replace(NOISE, white=constant_table(1e-6), flicker=constant_table(0.0), most_relative=1.0 / 3.0)
    assert whole.uniform_at(3.1e-6)
    assert not whole.uniform_at(2.9e-6)


@pytest.mark.parametrize("law", LAWS)
def test_a_checkpoint_carries_the_targets(law):
    alone, saved = crossbar(law), crossbar(law)
    for array in (alone, saved):
        aimed(array)
        array.wait(100.0)
    state, now = saved.state(), saved.time
    saved.program(np.full(saved.cells.g.shape, 0.9 * G_MAX, np.float32))
    saved.clock.restore(now)
    saved.restore(state)
    for array in (alone, saved):
        array.wait(1e4)
    np.testing.assert_array_equal(saved.conductance_now(), alone.conductance_now())
    v = 0.2 * Streams(6).stream("v").normals((3, alone.info.rows))
    np.testing.assert_array_equal(saved.mvm(v), alone.mvm(v))
