"""Card `pcm` on the emulator against the published formulas in plain numpy: read noise, drift and the error of a product, to a year.

Source of the formulas: Nandakumar et al., ICECS 2019, doi:10.1109/ICECS46596.2019.8964852 (model of Joshi et al., Nat. Commun. 11, 2473,
2020, doi:10.1038/s41467-020-16108-9), all coefficients functions of the target. None of the card's code is used for what is expected.
"""

import numpy as np
import pytest

from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.random.kernels.options import JIT_OFF
from analog_sim.random.streams import Streams
from devices.card import load_card

G_MAX, T_C, T_READ = 25.0, 20.0, 250e-9  # uS, s, s
AGES = {"1 s": 1.0, "1 h": 3600.0, "1 day": 86400.0, "1 month": 30 * 86400.0, "1 year": 365 * 86400.0}
STATES = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.85, 1.0])
SIDE = 24 if JIT_OFF else 256


def programmed(target, z):
    x = target / G_MAX
    return np.maximum(target + np.maximum(-1.1731 * x**2 + 1.9650 * x + 0.2635, 0.0) * z, 0.0)


def exponent(target, z):
    log = np.log(np.maximum(target / G_MAX, 1e-7))
    mean, std = np.clip(-0.0155 * log + 0.0244, 0.049, 0.1), np.clip(-0.0125 * log - 0.0059, 0.008, 0.045)
    return np.abs(mean + std * z)


def drifted(g_prog, nu, t):
    return g_prog * (max(t, T_C) / T_C) ** -nu


def read_std(g, target, t):
    q = np.minimum(0.0088 / np.maximum(target / G_MAX, 1e-3) ** 0.65, 0.2)
    return g * q * np.sqrt(np.log((t + T_READ) / (2.0 * T_READ)))


def chip(target):
    """A chip of card pcm, programmed to targets (planes, rows, cols) in uS."""
    pair = len(target) == 2
    array = EmulatedCrossbar(load_card("pcm").compile(), *target.shape[1:], pair=pair, streams=Streams(3))
    array.program((1e-6 * target).astype(np.float32))
    return array


def test_read_noise_of_ten_states_at_five_ages() -> None:
    """Every cell on its own, within 2 %: Q belongs to its target, the factor to its conductance of the moment."""
    target = np.broadcast_to(G_MAX * STATES[:, None], (1, len(STATES), 20)).copy()
    array = chip(target)
    for name, age in AGES.items():
        array.wait(max(age - (array.time - array.cells.t_written.max()), 0.0))
        now = array.conductance_now()
        t = array.time - array.cells.t_written.max()
        std = 1e6 * np.sqrt(array._ageing.read_variance(now, array.cells, array.time))
        np.testing.assert_allclose(std, read_std(1e6 * now, target, t), rtol=0.02, err_msg=name)


@pytest.mark.jit
@pytest.mark.parametrize("x", [0.02, 0.05, 0.1, 0.5, 1.0])
def test_spread_of_the_conductance_after_a_year(x: float) -> None:
    """65,536 cells at one target against a million draws: mean within 0.5 %, standard deviation within 1.5 % (5 standard errors)."""
    target = np.full((1, SIDE, SIDE), G_MAX * x)
    array = chip(target)
    array.wait(AGES["1 year"])
    draw = np.random.default_rng(0)
    aim = G_MAX * x * np.ones(1_000_000)
    g = drifted(
        programmed(aim, draw.standard_normal(aim.size)), exponent(aim, draw.standard_normal(aim.size)), array.time
    )
    now = 1e6 * array.conductance_now()
    assert now.mean() == pytest.approx(g.mean(), rel=0.005 + 5 * g.std() / g.mean() / SIDE)
    assert now.std() == pytest.approx(g.std(), rel=0.015)


@pytest.mark.jit
def test_error_of_a_product_after_a_year() -> None:
    """256 x 256 weights in pairs, one cell idle, 200 inputs, relative error of the product without compensation: within 1 %."""
    draw = np.random.default_rng(1)
    w = np.clip(draw.standard_normal((SIDE, SIDE)) / 3.0, -1.0, 1.0)
    target = G_MAX * np.stack([np.maximum(w, 0.0), np.maximum(-w, 0.0)])
    v = draw.uniform(-1.0, 1.0, (200, SIDE))
    exact = G_MAX * v @ w

    def error(y):
        """Relative error behind the best common factor, which is what a perfect drift compensation leaves."""
        gain = np.sum(exact * y) / np.sum(y * y)
        return float(np.sqrt(np.mean((gain * y - exact) ** 2) / np.mean(exact**2))), gain

    array = chip(target)
    array.wait(AGES["1 year"])
    emulated, gain = error(1e6 * array.mvm(v.astype(np.float32)))
    expected = []
    for _ in range(8):
        g = programmed(target, draw.standard_normal(target.shape))
        g = drifted(g, exponent(target, draw.standard_normal(target.shape)), AGES["1 year"])
        variance = np.sum(read_std(g, target, AGES["1 year"]) ** 2, axis=0)
        expected.append(error(v @ (g[0] - g[1]) + np.sqrt(v**2 @ variance) * draw.standard_normal((200, SIDE))))
    mean_error, mean_gain = np.mean(expected, axis=0)
    assert emulated == pytest.approx(mean_error, rel=0.01)
    assert gain == pytest.approx(mean_gain, rel=0.01)
