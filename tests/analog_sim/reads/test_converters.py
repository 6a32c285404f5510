"""DAC and ADC against their one-line definitions, and their static errors."""

import naive
import numpy as np
import pytest
import statistics_helpers as stats

from analog_sim.config import ConfigError, validate
from analog_sim.random.streams import Streams
from analog_sim.reads.converters import Adc, AdcSpec, Dac, DacSpec
from analog_sim.reads.noise import add_noise

X = Streams(1).stream("x").normals((5, 7))
WIDE = Streams(1).stream("wide").normals((19, 37))
STREAMS = Streams(2)


def adc(spec, lines=7):
    return Adc(spec, lines, STREAMS)


@pytest.mark.parametrize("bits", [None, 2, 4, 8, 16])
@pytest.mark.parametrize("scaling", ["per_vector", "per_batch", 0.7])
def test_dac_is_its_naive_twin(bits, scaling):
    dac = Dac(DacSpec(bits=bits, scaling=scaling), 7, 0.2, STREAMS)
    scale = dac.full_scale(X)
    expected = [[naive.dac_volts(x, s, bits, 0.2) for x in row] for row, s in zip(X, scale, strict=True)]
    np.testing.assert_allclose(dac.convert(X, scale), expected, rtol=1e-6, atol=1e-8)


def test_inputs_of_one_block_are_those_of_its_lines():
    dac = Dac(DacSpec(bits=8), 3, 0.2, STREAMS)
    scale = dac.full_scale(X)
    np.testing.assert_array_equal(dac.convert(X, scale, 2), dac.convert(np.ascontiguousarray(X[:, 2:5]), scale))
    with pytest.raises(ValueError, match=r"3 inputs from 5 on \(got 7 in all\)"):
        dac.convert(X, scale, 5)


def test_full_scales():
    top = np.abs(X).max(axis=1)
    np.testing.assert_array_equal(Dac(DacSpec(), 7, 1.0, STREAMS).full_scale(X), top)
    np.testing.assert_array_equal(
        Dac(DacSpec(scaling="per_batch"), 7, 1.0, STREAMS).full_scale(X), np.full(5, top.max())
    )
    assert Dac(DacSpec(), 7, 1.0, STREAMS).full_scale(np.zeros((1, 7), np.float32)) == 1.0


@pytest.mark.parametrize("top", [1e-45, 1e-39, 1e-31])
@pytest.mark.parametrize("bits", [None, 8])
def test_inputs_near_the_smallest_number_stay_finite(top, bits):
    """Gradients of a saturated softmax are that small; one over their abs-max is infinite."""
    dac = Dac(DacSpec(bits=bits), 7, 1.0, STREAMS)
    x = np.array([[0, top, -top, 0, 0, 0, top]], np.float32)
    volts = dac.convert(x, dac.full_scale(x))
    assert np.isfinite(volts).all()
    assert np.abs(volts).max() <= 1.0


@pytest.mark.parametrize("bits", [None, 2, 5, 9, 16])
@pytest.mark.parametrize("accumulate", [False, True])
def test_adc_is_its_naive_twin(bits, accumulate):
    converter = adc(AdcSpec(bits=bits, range=1.5))
    row_scale = np.arange(1, 6, dtype=np.float32)
    out = np.full(X.shape, 10, np.float32)
    converter.convert(X.copy(), row_scale, out, accumulate=accumulate)
    expected = np.array([[naive.adc_reading(i, 1.5, bits) for i in row] for row in X]) * row_scale[:, None]
    np.testing.assert_allclose(out, expected + (10 if accumulate else 0), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("bits", [None, 5])
@pytest.mark.parametrize("accumulate", [False, True])
def test_adc_gives_the_same_bits_in_place(bits, accumulate):
    converter = adc(AdcSpec(bits=bits, range=1.5), WIDE.shape[1])
    row_scale = np.arange(1, 20, dtype=np.float32)
    elsewhere, here = np.full(WIDE.shape, 10, np.float32), WIDE.copy()
    converter.convert(WIDE.copy(), row_scale, elsewhere, accumulate=accumulate)
    converter.convert(here, row_scale, here, accumulate=False)
    np.testing.assert_array_equal(elsewhere, here + np.float32(10) if accumulate else here)


@pytest.mark.parametrize("given", ["none", "of every vector", "of every output"])
@pytest.mark.parametrize("spec", [{"range": 2.0}, {"range": "auto", "per_column": True}, {"range": 2.0, "noise": 0.0}])
def test_noise_of_cells_and_converter_is_one_gaussian_of_the_summed_variance(given, spec):
    """False alarms: 9 cases of at most 3 columns at alpha 1e-6."""
    batch, lines = 3000, 3
    converter = Adc(AdcSpec(**{"noise": 0.05, **spec}), lines, STREAMS)
    converter.set_range(np.array([1.0, 2.0, 4.0], np.float32))
    variance = {
        "none": None,
        "of every vector": np.full((batch, 1), 0.02, np.float32),
        "of every output": np.broadcast_to(np.float32([0.0, 0.01, 0.03]), (batch, lines)).copy(),
    }[given]
    own = np.square(converter.spec.noise * converter.full_range)
    expected = np.sqrt(own + (0.0 if variance is None else variance[0]))
    out = np.empty((batch, lines), np.float32)
    current = np.zeros((batch, lines), np.float32)
    converter.convert(current, np.ones(batch, np.float32), out, accumulate=False, variance=variance)
    for j in range(lines):
        if expected[j] == 0.0:
            assert not out[:, j].any()
        else:
            stats.assert_std(out[:, j], float(expected[j]), 1e-6)


@pytest.mark.jit
@pytest.mark.parametrize("given", [False, True])
def test_noise_in_groups_is_the_noise_of_one_draw(given):
    """Two groups and some, at a place in the stream where no chunk begins: the bits of drawing first and converting then."""
    shape = (70, 121)
    current = Streams(4).stream("i").normals(shape)
    variance = np.square(Streams(5).stream("v").normals(shape)) if given else None
    row_scale = np.linspace(1, 2, 70, dtype=np.float32)
    noisy, quiet = (
        Adc(AdcSpec(bits=6, range=3.0, noise=0.02), 121, STREAMS),
        Adc(AdcSpec(bits=6, range=3.0), 121, STREAMS),
    )
    for converter in (noisy, quiet):
        converter.noise.normals(100)
    grouped, expected = np.empty(shape, np.float32), np.empty(shape, np.float32)
    noisy.convert(current.copy(), row_scale, grouped, accumulate=False, variance=variance)
    add_noise(quiet.noise, current, variance, std=0.06)
    quiet.convert(current, row_scale, expected, accumulate=False)
    np.testing.assert_array_equal(grouped, expected)
    assert noisy.noise.position == quiet.noise.position


def test_a_dynamic_range_follows_the_noisy_currents():
    converter = adc(AdcSpec(range="dynamic", noise=0.01), 2)
    out = np.empty((500, 2), np.float32)
    variance = np.full((500, 1), 4.0, np.float32)
    converter.convert(
        np.zeros((500, 2), np.float32), np.ones(500, np.float32), out, accumulate=False, variance=variance
    )
    assert converter.full_range[0] == pytest.approx(np.abs(out).max(), rel=0.05)


def test_adc_range_follows_the_specification():
    currents = np.array([1.0, 2.0, 4.0], np.float32)
    shared, own, fixed = adc(AdcSpec(headroom=1.5), 3), adc(AdcSpec(per_column=True), 3), adc(AdcSpec(range=5.0), 3)
    for converter in (shared, own, fixed):
        converter.set_range(currents)
    np.testing.assert_allclose(shared.full_range, 6.0)
    np.testing.assert_allclose(own.full_range, currents)
    np.testing.assert_allclose(fixed.full_range, 5.0)


def test_a_dead_column_keeps_a_finite_range():
    converter = adc(AdcSpec(bits=4, per_column=True), 3)
    converter.set_range(np.array([0.0, 1.0, 2.0], np.float32))
    out = np.empty((1, 3), np.float32)
    converter.convert(np.array([[0.0, 1.0, 2.0]], np.float32), np.ones(1, np.float32), out, accumulate=False)
    np.testing.assert_allclose(out, [[0.0, 1.0, 2.0]])


def test_bit_serial_planes_add_up_to_the_quantised_input():
    spec = DacSpec(bits=6, bit_serial=True)
    dac, parallel = Dac(spec, 7, 0.2, STREAMS), Dac(DacSpec(bits=6), 7, 0.2, STREAMS)
    scale = dac.full_scale(X)
    volts, weights = dac.bit_planes(X, scale)
    assert set(np.unique(volts)) <= {np.float32(-0.2), np.float32(0.0), np.float32(0.2)}
    np.testing.assert_allclose(np.tensordot(weights, volts, 1), parallel.convert(X, scale), atol=1e-7)


@pytest.mark.parametrize("field", ["gain_spread", "offset_spread", "inl"])
def test_every_static_error_moves_the_output_and_belongs_to_the_line(field):
    ideal, real = Dac(DacSpec(bits=8), 7, 1.0, STREAMS), Dac(DacSpec(bits=8, **{field: 0.05}), 7, 1.0, STREAMS)
    scale = np.full(5, 3.0, np.float32)
    difference = real.convert(X, scale) - ideal.convert(X, scale)
    assert np.abs(difference).max() > 1e-3
    np.testing.assert_array_equal(difference, real.convert(X, scale) - ideal.convert(X, scale))
    again = Dac(DacSpec(bits=8, **{field: 0.05}), 7, 1.0, STREAMS)
    np.testing.assert_array_equal(again.convert(X, scale), real.convert(X, scale))


def test_inl_bow_has_the_stated_peak():
    dac = Dac(DacSpec(inl=0.02), 1000, 1.0, STREAMS)
    x = np.linspace(-1, 1, 401, dtype=np.float32)[:, None] * np.ones((1, 1000), np.float32)
    bow = dac.convert(x, np.ones(401, np.float32)) - x
    assert np.abs(bow).max() == pytest.approx(0.02, rel=1e-3)
    np.testing.assert_allclose(bow[[0, 200, 400]], 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (AdcSpec, {"bits": 0}, "bits"),
        (AdcSpec, {"bits": 33}, "bits"),
        (AdcSpec, {"range": -1e-6}, "range"),
        (AdcSpec, {"range": "clibrated"}, "range"),
        (DacSpec, {"bit": 8}, "did you mean 'bits'"),
        (DacSpec, {"scaling": 0.0}, "scaling"),
        (DacSpec, {"inl": -0.1}, "inl"),
    ],
)
def test_bad_configuration_is_refused(model, data, message):
    with pytest.raises(ConfigError, match=message):
        validate(data, model)
