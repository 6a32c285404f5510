"""A weight matrix on a chip: exact when everything is ideal, the same in both directions, and robust to any shape and cut.

False alarms: fixed seeds; alpha = 1e-5 for each of the few statistical assertions.
"""

from dataclasses import replace

import numpy as np
import pytest
import statistics_helpers as stats

from analog_sim.cells.cell_model import (
    CellModel,
    DriftModel,
    FaultModel,
    ReadNoiseModel,
    VariationModel,
    constant_table,
)
from analog_sim.config import UserError
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.random.streams import Streams
from analog_sim.reads.converters import AdcSpec, DacSpec
from analog_sim.threads import thread_policy
from analog_sim.tiles.digital import DigitalTile
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.ideal import Ideal
from analog_sim.writing.mixed_precision import MixedPrecision
from analog_sim.writing.proposal import Dense, OuterProduct
from analog_sim.writing.stochastic_pulse import StochasticPulse
from devices.card import load_card

G_MAX = 25e-6
IDEAL = CellModel("ideal", 0.0, G_MAX)
NOISY = CellModel(
    "noisy",
    0.5e-6,
    G_MAX,
    program_std=constant_table(0.02 * G_MAX),
    read=ReadNoiseModel(white=0.02 * G_MAX * np.linspace(0.5, 1, 257, dtype=np.float32)[None]),
    drift=DriftModel(constant_table(0.05), constant_table(0.01), 20.0),
    variation=VariationModel(g_max=0.05),
    faults=FaultModel(stuck_low=0.01),
)
CONVERTERS = {"dac": DacSpec(bits=8), "adc": AdcSpec(bits=9, noise=0.002)}


def data(n_out, n_in, batch=8):
    s = Streams(1)
    w = s.stream("w").normals((n_out, n_in))
    return w, s.stream("x").normals((batch, n_in)), s.stream("d").normals((batch, n_out))


def tile_of(w, cell=IDEAL, seed=3, **spec):
    tile = Tile(TileSpec(**spec), cell, w.shape, Streams(seed))
    tile.program(w)
    return tile


@pytest.mark.parametrize(
    "mapping",
    [
        {},
        {"sides": "two"},
        {"kind": "reference"},
        {"slices": 4, "slice_bits": 6},
        {"max_rows": 16, "max_cols": 20},
        {"kind": "reference", "max_rows": 5},
        {"weight_max": 10.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(50, 70), (1, 1), (3, 1), (1, 40)], ids=str)
def test_ideal_tile_is_a_matrix(mapping, shape):
    w, x, d = data(*shape)
    tile = tile_of(w, mapping=MappingSpec(**mapping))
    size = np.abs(w).max() * (1 + shape[0] + shape[1]) ** 0.5
    np.testing.assert_allclose(tile.forward(x), x @ w.T, atol=4e-6 * size * np.abs(x).max() * 4)
    np.testing.assert_allclose(tile.backward(d), d @ w, atol=4e-6 * size * np.abs(d).max() * 4)
    for exact in (False, True):
        np.testing.assert_allclose(tile.read_weights(exact=exact), w, atol=1e-6 * 4 * max(1.0, tile.full_weight))


def test_weights_of_zero_and_inputs_of_zero():
    tile = tile_of(np.zeros((4, 3), np.float32), **CONVERTERS)
    assert np.isfinite(tile.forward(np.ones((2, 3), np.float32))).all()
    w, x, _ = data(4, 3)
    np.testing.assert_allclose(tile_of(w).forward(np.zeros_like(x)), 0.0)


@pytest.mark.jit
@pytest.mark.parametrize("mapping", [{}, {"max_rows": 16, "max_cols": 20}, {"kind": "reference"}], ids=str)
def test_transposed_read_is_the_transpose_of_the_same_noisy_cells(mapping):
    """Noise, converters and cuts on: averaged over reads, backward multiplies with the transpose of what forward multiplies with."""
    w, _, _ = data(24, 32)
    tile = tile_of(w, NOISY, mapping=MappingSpec(**mapping), **CONVERTERS)
    tile.wait(1e5)
    held = tile.read_weights(exact=True)
    assert np.abs(held - w).max() > 0.05  # programming error and drift are really there
    repeats = 400
    errors = []
    for read, n, expected in ((tile.forward, 32, held.T), (tile.backward, 24, held)):
        unit = np.tile(np.eye(n, dtype=np.float32), (repeats, 1))
        mean = read(unit).reshape(repeats, n, -1).mean(axis=0)
        errors.append(np.abs(mean - expected).max())
    assert max(errors) < 0.12 * np.abs(w).max()


def test_converter_error_is_that_of_their_step():
    w, x, _ = data(40, 60, batch=50)
    fine, coarse = (tile_of(w, adc=AdcSpec(bits=b)) for b in (14, 6))
    for tile in (fine, coarse):
        tile.calibrate(x)
    exact = x @ w.T
    error = coarse.forward(x) - exact
    lsb = np.abs(exact / np.abs(x).max(axis=1, keepdims=True)).max() / 31 * np.abs(x).max(axis=1, keepdims=True)
    assert (np.abs(error) <= 0.501 * lsb).all()
    stats.assert_std(error / lsb, 12**-0.5, 1e-5, slack=0.02)
    assert np.abs(fine.forward(x) - exact).max() < np.abs(error).max() / 50


@pytest.mark.parametrize("scaling", ["per_vector", 0.25, 4.0])
@pytest.mark.parametrize("mapping", [{}, {"max_rows": 16, "max_cols": 20}, {"kind": "reference"}], ids=str)
def test_lines_are_read_to_the_step_of_a_converter_ranged_for_it(mapping, scaling):
    w, x, _ = data(24, 32)
    tile = tile_of(w, mapping=MappingSpec(**mapping), dac=DacSpec(scaling=scaling), adc=AdcSpec(bits=9))
    tile.calibrate(x)
    before = tile.forward(x)
    lsb = np.abs(w).max() / 255
    for lines in ([0], [31, 2, 7, 2]):
        np.testing.assert_allclose(tile.read_lines(np.array(lines)), w[:, lines].T, atol=0.51 * lsb)
    np.testing.assert_array_equal(tile.forward(x), before)  # its ranges are those of the calibration again


@pytest.mark.parametrize("range_", ["calibrated", "auto"])
def test_a_calibration_ranges_both_directions_for_weights_that_have_grown(range_):
    """A tile that starts at zero, as the bypassed matrix of a decorrelation does, has no range at all until it is calibrated."""
    w, x, d = data(24, 32)
    tile = tile_of(
        np.zeros_like(w), mapping=MappingSpec(weight_max=4.0), adc=AdcSpec(bits=12, range=range_), writing=Ideal()
    )
    tile.update(Dense(w), -1.0)
    tile.calibrate(x)
    for read, given, expected in ((tile.forward, x, x @ w.T), (tile.backward, d, d @ w)):
        assert np.abs(read(given) - expected).max() < 0.002 * np.abs(expected).max()
    saved = tile.state()
    other = Tile(tile.spec, IDEAL, w.shape, Streams(3))
    other.restore(saved)
    np.testing.assert_array_equal(other.backward(d), tile.backward(d))


@pytest.mark.parametrize("range_", ["dynamic", 1e-4])
def test_a_calibration_leaves_dynamic_and_fixed_ranges_alone(range_):
    w, x, d = data(24, 32)
    tile, other = (tile_of(w, adc=AdcSpec(bits=8, range=range_)) for _ in range(2))
    tile.calibrate(0.01 * x)
    np.testing.assert_array_equal(tile.forward(x), other.forward(x))
    np.testing.assert_array_equal(tile.backward(d), other.backward(d))


def test_bit_serial_input_gives_the_parallel_result():
    w, x, _ = data(20, 30)
    parallel, serial = (tile_of(w, dac=DacSpec(bits=7, bit_serial=b)) for b in (False, True))
    np.testing.assert_allclose(serial.forward(x), parallel.forward(x), atol=1e-4)
    assert serial.costs().reads == 6 * parallel.costs().reads
    assert serial.time > parallel.time


def test_every_partial_sum_is_digitised():
    w, x, _ = data(8, 64)
    whole = tile_of(w, adc=AdcSpec(bits=5))
    parts = tile_of(w, adc=AdcSpec(bits=5), mapping=MappingSpec(max_rows=16))
    for tile in (whole, parts):
        tile.calibrate(x)
        tile.forward(x)
    assert parts.costs().adc_conversions == 4 * whole.costs().adc_conversions
    assert np.abs(parts.forward(x) - whole.forward(x)).max() > 0


@pytest.mark.parametrize("compensation", ["global", "per_column"])
def test_compensation_undoes_uniform_drift(compensation):
    cell = CellModel("drifts", 0.0, G_MAX, drift=DriftModel(constant_table(0.1), constant_table(0.0), 1.0))
    w, x, d = data(30, 40)
    tile = tile_of(w, cell, compensation=compensation)
    tile.wait(1e5)
    assert np.abs(tile.forward(x)).mean() < 0.4 * np.abs(x @ w.T).mean()
    tile.compensate()
    np.testing.assert_allclose(tile.gain, 1e5**0.1, rtol=1e-3)
    np.testing.assert_allclose(tile.forward(x), x @ w.T, rtol=2e-3, atol=2e-2)
    np.testing.assert_allclose(tile.backward(d), d @ w, rtol=2e-3, atol=2e-2)
    np.testing.assert_allclose(tile.read_weights(exact=True), w, atol=1e-2)


@pytest.mark.parametrize("compensation", ["global", "per_column"])
def test_compensation_is_not_misled_by_ranges_for_small_inputs(compensation):
    """Ranges calibrated on sparse inputs would clip the probes, and the gain would grow without any drift."""
    cell = CellModel("drifts", 0.0, G_MAX, drift=DriftModel(constant_table(0.1), constant_table(0.0), 1.0))
    w, _, _ = data(16, 40)
    x = np.eye(40, dtype=np.float32)
    tile = tile_of(w, cell, compensation=compensation, adc=AdcSpec(bits=12))
    tile.calibrate(x)
    ranges = [block.adc.full_range.copy() for block in tile.blocks]
    for age, factor in ((1.0, 1.0), (1e3, 1e3**0.1)):
        tile.wait(age - tile.time)
        tile.compensate()
        np.testing.assert_allclose(tile.gain, factor, rtol=3e-3)
        np.testing.assert_allclose(tile.forward(x), w.T, atol=0.01)
    assert all(np.array_equal(block.adc.full_range, kept) for block, kept in zip(tile.blocks, ranges, strict=True))


@pytest.mark.jit
def test_same_seed_same_bits_on_one_and_two_threads():
    w, x, d = data(150, 260, batch=40)
    outputs = []
    for threads in (1, 2):
        with thread_policy(threads):
            tile = tile_of(w, NOISY, **CONVERTERS)
            tile.wait(3600.0)
            outputs.append((tile.forward(x), tile.backward(d), tile.read_weights()))
    # Products of BLAS may be summed in another order on two threads; cells and noise may not differ at all.
    np.testing.assert_array_equal(outputs[0][2], outputs[1][2])
    for one, two in zip(*(o[:2] for o in outputs), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=0.02 * np.abs(one).max())


@pytest.mark.jit
@pytest.mark.parametrize("writing", [StochasticPulse(), MixedPrecision()], ids=lambda scheme: scheme.kind)
def test_steps_of_learning_have_the_same_bits_on_one_and_two_threads(writing):
    """Large enough for every pass of a read and of an update to be shared: products, noisy conversions, sums, pulses, what reads see."""
    w, x, d = data(512, 560, batch=128)
    left = []
    for threads in (1, 2):
        with thread_policy(threads):
            tile = Tile(
                TileSpec(writing=writing, **CONVERTERS), load_card("reram_soft_bounds").compile(), w.shape, Streams(3)
            )
            tile.program(w)
            for _ in range(2):
                outputs = tile.forward(x), tile.backward(d)
                tile.update(OuterProduct(x, d / len(x)), 0.5)
            left.append(
                (*outputs, tile.forward(x), tile.backward(d), tile.read_weights(exact=True), tile.costs().joules)
            )
    for one, two in zip(*left, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_restored_tile_goes_on_with_the_same_bits():
    w, x, d = data(20, 30)
    spec = {"compensation": "global", **CONVERTERS}
    tile = tile_of(w, NOISY, **spec)
    tile.calibrate(x)
    tile.wait(1e4)
    tile.compensate()
    saved = tile.state()
    expected = [tile.forward(x), tile.backward(d), tile.read_weights()]
    other = Tile(TileSpec(**spec), NOISY, w.shape, Streams(3))
    other.restore(saved)
    for a, b in zip(expected, [other.forward(x), other.backward(d), other.read_weights()], strict=True):
        np.testing.assert_array_equal(a, b)


def test_costs_add_up():
    w, x, _ = data(10, 20)
    tile = tile_of(w, mapping=MappingSpec(max_rows=10))
    tile.forward(x)
    costs = tile.costs()
    assert costs.programmed == 2 * 200
    assert costs.reads == 2 * len(x)
    assert costs.dac_conversions == 2 * len(x) * 10
    assert costs.adc_conversions == 2 * len(x) * 10
    assert (costs + costs).reads == 2 * costs.reads


def test_bad_input_is_refused():
    w, _, _ = data(4, 3)
    tile = tile_of(w)
    with pytest.raises(ValueError, match=r"\(B, 3\)"):
        tile.forward(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="shape"):
        tile.program(w.T)
    with pytest.raises(ValueError, match="finite"):
        tile.program(np.full((4, 3), np.inf, np.float32))
    with pytest.raises(UserError, match="bit_serial"):
        Tile(TileSpec(dac=DacSpec(bit_serial=True)), IDEAL, (4, 3), Streams(0))


def test_fault_map_from_a_file(tmp_path):
    w, _, _ = data(4, 3)
    fault = np.zeros((2, 8, 8), np.int8)
    fault[:, 1, :] = 4
    np.savez(tmp_path / "faults.npz", fault=fault)
    tile = Tile(TileSpec(fault_map=tmp_path / "faults.npz"), IDEAL, w.shape, Streams(0))
    tile.program(w)
    expected = w.copy()
    expected[:, 1] = 0
    np.testing.assert_allclose(tile.read_weights(exact=True), expected, atol=1e-6)
    np.savez(tmp_path / "small.npz", fault=fault[:, :2])
    with pytest.raises(UserError, match="does not fit"):
        Tile(TileSpec(fault_map=tmp_path / "small.npz"), IDEAL, w.shape, Streams(0))
    np.savez(tmp_path / "other.npz", faults=fault)
    with pytest.raises(UserError, match="'fault'"):
        Tile(TileSpec(fault_map=tmp_path / "other.npz"), IDEAL, w.shape, Streams(0))


@pytest.mark.parametrize(
    "mapping", [{}, {"sides": "two"}, {"kind": "reference"}, {"max_rows": 7, "max_cols": 9}], ids=str
)
def test_ideal_update_is_the_gradient_step(mapping):
    w, x, d = data(20, 30)
    tile = tile_of(w, mapping=MappingSpec(weight_max=20.0, **mapping), writing=Ideal())
    tile.update(OuterProduct(x, d), 0.1)
    np.testing.assert_allclose(tile.read_weights(exact=True), w - 0.1 * d.T @ x, atol=2e-5)
    tile.update(Dense(w), 0.5)
    np.testing.assert_allclose(tile.read_weights(exact=True), 0.5 * w - 0.1 * d.T @ x, atol=4e-5)


def test_weights_in_slices_cannot_be_updated_in_place():
    w, x, d = data(4, 3)
    with pytest.raises(UserError, match="slices"):
        tile_of(w, mapping=MappingSpec(slices=2)).update(OuterProduct(x, d), 0.1)


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1.0])
def test_time_that_cannot_pass(seconds: float) -> None:
    tile = Tile(TileSpec(), load_card("pcm").compile(), (2, 3), Streams(0))
    tile.program(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="seconds must be from 0 to 1e\\+12"):
        tile.wait(seconds)
    assert np.isfinite(tile.time)
    with pytest.raises(ValueError, match="seconds must be from 0 to 1e\\+12"):
        DigitalTile((2, 3)).wait(seconds)


def test_nothing_before_the_first_weights() -> None:
    tile = Tile(TileSpec(), load_card("ecram").compile(), (2, 3), Streams(0))
    x, d = np.ones((1, 3), np.float32), np.ones((1, 2), np.float32)
    for call in (
        lambda: tile.forward(x),
        lambda: tile.backward(d),
        lambda: tile.update(OuterProduct(x, d), 0.1),
        lambda: tile.calibrate(x),
        tile.compensate,
        tile.read_weights,
        lambda: tile.write_weights(np.ones((2, 3), np.float32)),
    ):
        with pytest.raises(ValueError, match=r"no weights yet; call Tile.program\(weights\) first"):
            call()
    tile.program(np.ones((2, 3), np.float32))
    assert tile.forward(x).shape == (1, 2)


@pytest.mark.jit
@pytest.mark.parametrize("wires", [None, {"word_line": 20.0, "bit_line": 20.0}])
def test_ranges_follow_the_curve_of_cells_that_are_not_ohmic(wires):
    """I = g sinh(a v)/a: calibrated to the largest current that is sensed; auto and of a line, stretched as the inputs are."""
    w, x, _ = data(6, 9, 12)
    alpha, spec = 8.0, {"adc": AdcSpec(bits=14, per_column=True), "wires": wires}
    curved, ohmic = (tile_of(w, replace(IDEAL, g_min=0.1e-6, iv_alpha=a), **spec) for a in (alpha, 0.0))
    full = curved.blocks[0].dac.v_full
    auto, line = [t.blocks[0].adc.full_range.copy() for t in (curved, ohmic)], []
    for tile in (curved, ohmic):
        tile.blocks[0].line_range(1e-6)
        line.append(tile.blocks[0].adc.full_range[0])
    assert line[1] == np.float32(full * 1e-6)
    np.testing.assert_allclose(line[0], np.sinh(alpha * full) / alpha * 1e-6, rtol=1e-6)
    stretch = np.sqrt((np.exp(2 * (alpha * full / 2) ** 2) - 1) / 2) / (
        alpha * full / 2
    )  # rms of sinh of a normal number
    np.testing.assert_allclose(np.divide(*auto), stretch, rtol=1e-5)
    assert stretch > 1.15
    curved.calibrate(x)
    [block] = curved.blocks
    [array] = block.arrays
    largest, sense = np.zeros(block.adc.full_range.shape), array.sense

    def heard(v, *, transpose=False, out=None):
        current, variance = sense(v, transpose=transpose, out=out)
        np.maximum(largest, np.abs(current).max(axis=0), out=largest)
        return current, variance

    array.sense = heard
    curved.forward(x)
    np.testing.assert_allclose(block.adc.full_range, largest, rtol=1e-5)


W = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (W + 1j, "must be real numbers"),
        ([["a"] * 3] * 2, "must be real numbers"),
        ([[None] * 3] * 2, "must be real numbers"),
        (W * np.nan, "must be finite"),
        (W.T, r"must have shape \(2, 3\)"),
        (W * 1e35, "largest weight must be 0 or from 1e-30 to 1e\\+30"),
        (W * 1e-35, "largest weight must be 0 or from 1e-30"),
    ],
)
def test_weights_that_no_tile_can_hold(weights: object, message: str) -> None:
    tile = Tile(TileSpec(), load_card("pcm").compile(), (2, 3), Streams(0))
    with pytest.raises(ValueError, match=f"Tile.program: .*{message}"):
        tile.program(weights)
    tile.program(0 * W)


def test_what_would_stay_in_the_cells_is_refused() -> None:
    tile = Tile(TileSpec(), load_card("ecram").compile(), (2, 3), Streams(0))
    tile.program(W)
    before = tile.read_weights(exact=True)
    x, d = np.ones((1, 3), np.float32), np.ones((1, 2), np.float32)
    for proposal, rate, message in (
        (OuterProduct(x * np.nan, d), 0.1, "finite"),
        (OuterProduct(x, d * np.inf), 0.1, "finite"),
        (Dense(W * np.nan), 0.1, "finite"),
        (OuterProduct(x, d), np.nan, "finite"),
        (OuterProduct(d, x), 0.1, r"of a matrix \(2, 3\)"),
        (OuterProduct(x, np.ones((2, 2), np.float32)), 0.1, "of a matrix"),
        (Dense(W.T), 0.1, "of a matrix"),
    ):
        with pytest.raises(ValueError, match=f"Tile.update: .*{message}"):
            tile.update(proposal, rate)
    np.testing.assert_array_equal(tile.read_weights(exact=True), before)
    for bad in (x + 1j, [["a"] * 3]):
        with pytest.raises(ValueError, match=r"Tile\.forward: inputs must be real numbers"):
            tile.forward(bad)
    with pytest.raises(ValueError, match="seconds must be a number"):
        tile.wait("1 h")
    with pytest.raises(ValueError, match=r"tile\.arrays: is missing"):
        tile.restore({})
    with pytest.raises(ValueError, match="whole numbers"):
        Tile(TileSpec(), load_card("pcm").compile(), (2.5, 3), Streams(0))


def test_a_restored_chip_without_weights_still_has_none() -> None:
    old, new = (Tile(TileSpec(), load_card("pcm").compile(), (2, 3), Streams(0)) for _ in range(2))
    new.restore(old.state())
    with pytest.raises(ValueError, match="no weights yet"):
        new.forward(np.ones((1, 3), np.float32))
