"""Noise below the states that were measured: a power law where measured states ask for one, else held."""

import numpy as np
import pytest

from analog_sim.config import ConfigError, validate
from devices.card import DeviceCard
from devices.measurements.card_files.card_file import CardParts
from devices.measurements.fit.noise.below import noise_below
from devices.measurements.fit.noise.fit import fit_noise
from devices.measurements.fit.noise.series import Series
from devices.measurements.pipeline.noise_stage import _add
from devices.tables_file import DeviceTables
from devices.window import Window

US = 1e-6
G = np.linspace(8.0, 40.0, 9) * US


def variances(seed: int, exponent: float) -> np.ndarray:
    """Of groups whose noise scatters by 10 % from one to the next."""
    std = 0.2 * US * (G / G[-1]) ** exponent * np.exp(0.1 * np.random.default_rng(seed).normal(size=len(G)))
    return np.asarray(std**2)


def test_a_power_law_is_found_at_its_size() -> None:
    """100 draws of exponent 1: found in 75 or more (87 expected; chance 0.0005), within four standard errors of the lower half."""
    found = [noise_below(G, variances(seed, 1.0)) for seed in range(100)]
    exponents = np.array([one.exponent for one in found if one.exponent > 0.0])
    assert len(exponents) >= 75
    assert np.abs(exponents - 1.0).max() < 4.0 * 0.1 / (np.log(G[:5]).std() * np.sqrt(5.0))
    assert any("the power" in one.note() for one in found)


def test_none_is_invented() -> None:
    """200 draws of a noise that is the same at every state: two at most get a power law, and none that matters."""
    found = [noise_below(G, variances(1000 + seed, 0.0)).exponent for seed in range(200)]
    assert sum(exponent > 0.0 for exponent in found) <= 2
    assert max(found) < 0.3


def test_too_few_states_hold_the_noise() -> None:
    few = noise_below(G[:5], variances(1, 1.0)[:5])
    assert (few.exponent, few.lowest) == (0.0, G[0])
    assert "too few states were measured to tell" in few.note()
    assert noise_below(np.append(0.0, G), np.append(1.0, variances(1, 1.0))).exponent == 0.0


def test_from_series_to_a_card() -> None:
    """Series from 8 uS on in a window from 1 uS: the card's noise at 2 uS is that of the law, not that at 8 uS."""
    rng = np.random.default_rng(3)
    series = [Series(g + 0.02 * g * rng.normal(size=1024), 0.01, k) for k, g in enumerate(np.repeat(G, 3))]
    window = Window(1 * US, 42 * US)
    fitted = fit_noise(series, window)
    assert fitted.below is not None
    assert fitted.below.exponent == pytest.approx(1.0, abs=0.1)
    parts = CardParts("x", "", window)
    _add(parts, fitted)
    card = parts.card()
    for g in (2.0, 4.0, 8.0, 20.0):
        assert float(card.read_std(g * US, 0.0)) == pytest.approx(0.02 * g * US, rel=0.15)
    cell = card.compile()
    assert cell.read.white.shape == (1, 257)
    whole = fit_noise(series, Window(8 * US, 42 * US))
    assert whole.below is None, "the window begins where the measurement does"


def test_a_scaled_card_keeps_the_law() -> None:
    arrays = {"read_noise.white": [0.1 * US, 0.1 * US], "read_noise.flicker": [0.0, 0.0], "read_noise.t_read": 1e-6}
    tables = DeviceTables.of("x", Window(0.0, 20 * US), arrays)
    for g_max in (20.0, 40.0):
        noise = {"kind": "measured", "file": tables, "lowest": "4 uS", "exponent": 2.0}
        card = validate({"name": "x", "g_max": g_max, "read_noise": noise}, DeviceCard)
        at = 0.1 * g_max * US  # half of the least state, which is a fifth of the window
        assert float(card.read_std(at, 0.0)) == pytest.approx(0.25 * 0.1 * US * g_max / 20.0)
    with pytest.raises(ConfigError, match="needs lowest, the conductance below which it holds"):
        validate(
            {"name": "x", "g_max": 20, "read_noise": {"kind": "measured", "file": tables, "exponent": 1.0}}, DeviceCard
        )
