"""Facts about the laws that hold whatever the numbers: exact at t = 0 and at the reference time, scaled with g_max, known limits."""

import numpy as np
import pytest

from analog_sim.cells.state import Fault, fabricate
from analog_sim.config import validate
from analog_sim.random.streams import Streams
from devices.card import DeviceCard, load_card
from devices.drift.power_law import Exponent, PowerLawDrift
from devices.faults import Faults
from devices.programming.write_verify import WriteVerifyProgramming
from devices.pulse.linear_step import LinearStep
from devices.pulse.power_step import PowerStep
from devices.pulse.soft_bounds import SoftBounds
from devices.variation import Variation
from devices.window import Window

U = np.linspace(0.0, 1.0, 101)
WINDOW = Window(1e-6, 21e-6)
SCALED = ["pcm", "pcm_accumulate", "reram_wan2022", "reram_milo2021", "generic_pcm"]


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("factor", [0.4, 3.0])
def test_a_card_with_another_g_max_is_the_same_device_scaled(name: str, factor: float) -> None:
    """Coefficients are stated at one g_max: errors and noise keep their size relative to it, exponents their state."""
    card = load_card(name)
    other = card.model_copy(update={"g_min": card.g_min * factor, "g_max": card.g_max * factor})
    g = card.window.conductance(U)
    for age in (0.0, 1.0, 1e5):
        np.testing.assert_allclose(other.read_std(factor * g, age), factor * card.read_std(g, age), rtol=1e-9)
        np.testing.assert_allclose(other.drift_factor(U, age), card.drift_factor(U, age), rtol=1e-9)
        np.testing.assert_allclose(other.aged_mean(U, age), factor * card.aged_mean(U, age), rtol=1e-9)
        np.testing.assert_allclose(other.aged_std(U, age), factor * card.aged_std(U, age), rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(other.program_std(factor * g), factor * card.program_std(g), rtol=1e-9)
    a, b = card.compile(), other.compile()
    np.testing.assert_allclose(b.program_std, factor * a.program_std, rtol=1e-6)
    np.testing.assert_allclose(b.read.flicker, factor * a.read.flicker, rtol=1e-6)
    if a.drift is not None and b.drift is not None:
        np.testing.assert_allclose(b.drift.nu_mean, a.drift.nu_mean, rtol=1e-6)


def test_pcm_is_the_published_model() -> None:
    """Values worked out by hand from Nandakumar et al. 2019 (see the card)."""
    pcm = load_card("pcm")
    assert pcm.program_std(25e-6) == pytest.approx((0.2635 + 1.9650 - 1.1731) * 1e-6)
    assert pcm.program_std(0.0) == pytest.approx(0.2635e-6)
    hour = np.sqrt(np.log((3600.0 + 250e-9) / 500e-9))
    assert pcm.read_std(25e-6, 3600.0) == pytest.approx(25e-6 * 0.0088 * hour)
    assert pcm.read_std(25e-9, 3600.0) == pytest.approx(25e-9 * 0.2 * hour), "Q is capped near 0 S"
    assert pcm.drift_factor(1.0, 2000.0) == pytest.approx(100.0**-0.049)
    assert pcm.drift_factor(0.1, 2000.0) == pytest.approx(100.0 ** -(0.0244 + 0.0155 * np.log(10.0)))


def test_pcm_agrees_with_the_figure_of_joshi() -> None:
    """A quadratic fit to Fig. 3b of Joshi et al. 2020, published with Sandia's CrossSim, is within 0.1 uS everywhere."""
    g = np.linspace(0.0, 25.0, 51)
    figure = -0.00178767 * g**2 + 0.07585724 * g + 0.28638599
    np.testing.assert_allclose(load_card("pcm").program_std(g * 1e-6) * 1e6, figure, atol=0.1)


def test_wan_relaxation_predicts_the_second_day() -> None:
    """The card is made from the curves at 1 s and 1 day; the published fit at 2 days was not used."""
    card = load_card("reram_wan2022")
    x = np.linspace(0.05, 1.0, 96)
    g = 40e-6 * x
    for seconds, coefficients, tolerance in (
        (1.0, [0.348, 16.030, -43.853, 45.393, -16.815], 0.01),
        (86400.0, [0.701, 22.086, -50.773, 47.095, -16.458], 0.02),
        (172800.0, [0.782, 20.274, -43.507, 37.062, -11.934], 0.15),
    ):
        # Without the cut at 0 S, which the published curves do not have.
        decades = np.log10(1.0 + seconds)
        diffusion = np.polynomial.polynomial.polyval(x, np.array(card.drift.std)) * 1e6  # type: ignore[attr-defined]
        total = np.hypot(card.programming.program_std(g, card.window) * 1e6, diffusion * np.sqrt(decades))
        np.testing.assert_allclose(total, np.polynomial.polynomial.polyval(x, coefficients), atol=tolerance)


@pytest.mark.parametrize("low", [-0.5, 0.0])
def test_power_law_is_exact_at_zero_and_at_the_reference_time(low: float) -> None:
    law = PowerLawDrift(mean=Exponent(level=0.05, slope=-0.02), std=Exponent(level=0.03), low=low, t_ref=20.0)
    window = Window(0.0, 25e-6)  # g = 0 included: the logarithm of the state must not reach the result
    for t in (0.0, 1e-9, 19.0, 20.0):
        np.testing.assert_array_equal(law.drift_factor(U, t, window), 1.0)
        np.testing.assert_allclose(law.aged_mean(U, t, window), window.conductance(U), rtol=1e-12)
        np.testing.assert_allclose(law.aged_std(U, t, window), 0.0, atol=1e-12)
    assert np.isfinite(law.aged_mean(U, 3e9, window)).all()
    assert (np.diff(law.drift_factor(0.7, np.logspace(1.5, 9, 40), window)) < 0).all()


def test_power_law_moments_against_numbers() -> None:
    law = PowerLawDrift(mean=Exponent(level=0.05), std=Exponent(level=0.04), low=0.0, high=0.1, t_ref=1.0)
    z = (np.arange(2_000_000) + 0.5) / 2_000_000
    from scipy.special import ndtri

    g = 5e-6 * 1e6 ** -np.clip(0.05 + 0.04 * ndtri(z), 0.0, 0.1)
    u = WINDOW.state(5e-6)
    assert law.aged_mean(u, 1e6, WINDOW) == pytest.approx(g.mean(), rel=1e-6)
    assert law.aged_std(u, 1e6, WINDOW) == pytest.approx(g.std(), rel=1e-5)
    assert law.drift_factor(u, 1e6, WINDOW) == pytest.approx(np.median(g) / 5e-6, rel=1e-5)


def test_flicker_noise_is_finite_and_starts_after_one_read() -> None:
    pcm = load_card("pcm")
    assert pcm.read_std(0.0, 1.0) == 0.0
    assert pcm.read_std(10e-6, 0.0) == pcm.read_std(10e-6, 250e-9) == 0.0
    growth = pcm.read_std(10e-6, np.logspace(-6, 8, 30))
    assert (np.diff(growth) > 0).all()


def test_soft_bounds_are_the_limits_of_the_other_laws() -> None:
    soft = SoftBounds(states=40, asymmetry=0.2, noise=0.3)
    same = LinearStep(states=40, asymmetry=0.2, noise=0.3, gamma_up=1.0, gamma_down=1.0)
    power = PowerStep(states=40, asymmetry=0.2, noise=0.3, gamma_up=1.0, gamma_down=1.0)
    for law in (same, power):
        for up in (True, False):
            np.testing.assert_allclose(law.step_mean(U, up, WINDOW), soft.step_mean(U, up, WINDOW), atol=1e-18)
            np.testing.assert_allclose(law.step_std(U, up, WINDOW), soft.step_std(U, up, WINDOW), atol=1e-18)


def test_three_ways_to_give_a_step() -> None:
    by_states, by_fraction, by_step = SoftBounds(states=40), SoftBounds(fraction=0.025), SoftBounds(step=0.5)
    assert by_states.size(WINDOW) == pytest.approx(by_fraction.size(WINDOW)) == pytest.approx(by_step.size(WINDOW))


def test_symmetry_point_of_the_gong_card() -> None:
    """Up and down cancel where the published fit says: weight 0 of a range from -0.75 to 1.25."""
    card = load_card("reram_soft_bounds")
    net = card.step_mean(U, True) + card.step_mean(U, False)
    assert np.interp(0.0, -net, U) == pytest.approx(0.375, abs=1e-6)
    exponential = load_card("reram_exp_step")
    assert exponential.step_mean(0.0, True) / exponential.step_mean(1.0, True) == pytest.approx(
        2.18445 / (1 + 1.18445 * np.exp(-5))
    )


def test_write_verify_limits() -> None:
    shot, window = 1e-6, Window(0.0, 50e-6)
    one = WriteVerifyProgramming(shot_std=1.0, tolerance=0.3, max_iterations=1)
    assert one.program_std(20e-6, window) == pytest.approx(shot), "one attempt is kept whatever it is"
    loose = WriteVerifyProgramming(shot_std=1.0, tolerance=50.0)
    assert loose.program_std(20e-6, window) == pytest.approx(shot), "all is accepted"
    tight = WriteVerifyProgramming(shot_std=1.0, tolerance=0.05, max_iterations=1000)
    assert tight.program_std(20e-6, window) == pytest.approx(0.05e-6 / np.sqrt(3), rel=0.01), "uniform in the tolerance"
    assert tight.program_std(20e-6, window, 5e-6) > 0.9 * shot, "a noisy reading verifies nothing"


def test_spread_between_cells() -> None:
    """Standard deviations of the fabricated gains and bounds, 40,000 cells: 6 standard errors of 0.35 %."""
    spread = Variation(step=0.1, step_up=0.05, step_down=0.02, g_min=0.03, g_max=0.04)
    card = validate(
        {"name": "x", "g_min": 10, "g_max": 20, "pulse": {"kind": "soft_bounds", "states": 9}, "variation": spread},
        DeviceCard,
    )
    cell = card.compile()
    state = fabricate(cell, 1, 200, 200, Streams(5))
    low, high = state.bounds(cell)
    assert state.gain_up is not None
    assert state.gain_down is not None
    for values, expected in (
        (state.gain_up / 8192.0, spread.gain_std(True)),
        (state.gain_down / 8192.0, spread.gain_std(False)),
        (low / card.window.width, spread.g_min),
        (high / card.window.width, spread.g_max),
    ):
        assert values.std() == pytest.approx(expected, rel=0.022)
    shared = np.corrcoef(state.gain_up.ravel(), state.gain_down.ravel())[0, 1]
    assert shared == pytest.approx(0.1**2 / (spread.gain_std(True) * spread.gain_std(False)), abs=0.01)


def test_yield() -> None:
    """Fraction of healthy cells of a fabricated chip: the drawn lines are few, so only cells are compared here."""
    faults = Faults(stuck_low=0.02, stuck_high=0.03, stuck_random=0.05)
    card = validate({"name": "x", "g_max": 20, "faults": faults}, DeviceCard)
    state = fabricate(card.compile(), 1, 200, 200, Streams(6))
    assert state.fault is not None
    assert np.mean(state.fault == Fault.HEALTHY) == pytest.approx(faults.cell_yield, abs=6 * np.sqrt(0.09 / 40000))
    assert Faults(dead_rows=0.1, dead_cols=0.2).cell_yield == pytest.approx(0.72)


@pytest.mark.parametrize("g_min", [2.0, 5.0, 20.0])
def test_lower_bounds_spread_as_stated_although_they_end_at_0_siemens(g_min: float) -> None:
    """15 % of 40 uS around 2, 5 and 20 uS: mean and standard deviation of 40,000 fabricated bounds."""
    part = {"pulse": {"kind": "soft_bounds", "states": 9}, "variation": {"g_min": 0.15}}
    card = validate({"name": "x", "g_min": g_min, "g_max": g_min + 40.0, **part}, DeviceCard)
    low = np.asarray(fabricate(card.compile(), 1, 200, 200, Streams(5)).bounds(card.compile())[0], float)
    assert low.min() >= 0.0
    assert low.mean() == pytest.approx(1e-6 * g_min, rel=0.06)
    assert low.std() == pytest.approx(
        6e-6, rel=0.04 if g_min > 2 else 0.25
    )  # of a tail of 3 standard deviations at 2 uS


def test_an_asymmetry_is_added_up_and_subtracted_down() -> None:
    """Both gains of 40,000 cells: the antisymmetric draw cancels in their sum, and in their difference it counts twice."""
    spread = {"step": 0.1, "asymmetry": 0.05, "down_share": 1.5}
    part = {"pulse": {"kind": "soft_bounds", "states": 9}, "variation": spread}
    card = validate({"name": "x", "g_min": 10, "g_max": 20, **part}, DeviceCard)
    state = fabricate(card.compile(), 1, 200, 200, Streams(5))
    assert state.gain_up is not None
    assert state.gain_down is not None
    up, down = state.gain_up / 8192.0 - 1.0, (state.gain_down / 8192.0 - 1.0) / 1.5
    assert (0.5 * (up + down)).std() == pytest.approx(0.1, rel=0.022)
    assert (0.5 * (up - down)).std() == pytest.approx(0.05, rel=0.022)
    assert up.std() == pytest.approx(card.variation.gain_std(True), rel=0.022)
    assert 1.5 * down.std() == pytest.approx(card.variation.gain_std(False), rel=0.022)


def test_reflected_exponents_in_closed_form() -> None:
    """Median and moments of drift with nu = |mean + std z| against a million draws."""
    law = PowerLawDrift(
        mean=Exponent(level=0.03), std=Exponent(level=0.04), low=0.0, high=0.1, below="reflect", t_ref=1.0
    )
    z = (np.arange(1_000_000) + 0.5) / 1_000_000
    from scipy.special import ndtri

    g = 5e-6 * 1e6 ** -np.minimum(np.abs(0.03 + 0.04 * ndtri(z)), 0.1)
    u = WINDOW.state(5e-6)
    assert law.aged_mean(u, 1e6, WINDOW) == pytest.approx(g.mean(), rel=1e-5)
    assert law.aged_std(u, 1e6, WINDOW) == pytest.approx(g.std(), rel=1e-4)
    assert law.drift_factor(u, 1e6, WINDOW) == pytest.approx(np.median(g) / 5e-6, rel=1e-4)
