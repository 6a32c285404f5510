"""Every claim of every card, measured on emulated cells: programming, pulses, read noise, ageing.

One chip of 128 x 128 healthy, equal cells per card (12 x 12 without the JIT); spread between cells and faults are tested elsewhere.
A mean or a standard deviation may differ from the claim by chance (the budget of this file is TEST_ALPHA, shared by all checks) and by the
interpolation error of the tables, which `tests/devices/test_tables.py` measures: `SLACK` of the claimed value.
"""

import os

import numpy as np
import pytest
from cards_helpers import NAMES, ROWS, card_of
from statistics_helpers import TEST_ALPHA, assert_mean, assert_std, bonferroni, critical_z

from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from devices.card import DeviceCard
from devices.drift.none import NoDrift
from devices.faults import Faults
from devices.normal import below, density
from devices.programming.none import NoProgrammingError
from devices.variation import Variation
from devices.window import F32, F64

SIDE = 12 if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0") else 128
STATES = (0.0, 0.1, 0.5, 0.9, 1.0)
AGES = (0.0, 1.0, 3600.0, 3e7)
SLACK = 3e-3
CARDS = (*NAMES, *ROWS)
ALPHA = bonferroni(TEST_ALPHA, len(CARDS) * (2 * 5 + 2 * 2 * 5 + 4 * 5 + 3 * 4 * 5))


def chip(card: DeviceCard, seed: int, **parts: object) -> EmulatedCrossbar:
    equal = card.model_copy(update={"faults": Faults(), "variation": Variation(), **parts})
    return EmulatedCrossbar(equal.compile(), SIDE, SIDE, pair=False, streams=Streams(seed))


def written(card: DeviceCard, u: float, seed: int) -> EmulatedCrossbar:
    """A chip whose cells are all at state u exactly, just now."""
    crossbar = chip(card, seed, programming=NoProgrammingError(), levels=None)
    crossbar.add_ideal(np.full((SIDE, SIDE), card.window.conductance(u) - card.g_min, np.float32))
    return crossbar


def cut_normal(mean: float, std: float, low: float, high: float) -> tuple[float, float]:
    """Mean and standard deviation of a normal variable cut to [low, high], with std > 0."""
    a, b = max((low - mean) / std, -40.0), min((high - mean) / std, 40.0)
    low, high = mean + std * a, mean + std * b  # beyond 40 standard deviations nothing is cut
    inside = below(b) - below(a)
    first = low * below(a) + high * below(-b) + mean * inside + std * (density(a) - density(b))
    second = low**2 * below(a) + high**2 * below(-b) + (mean**2 + std**2) * inside
    second += std * ((mean + low) * density(a) - (mean + high) * density(b))
    return float(first), float(np.sqrt(max(second - first**2, 0.0)))


def check(samples: F32 | F64, mean: float, std: float, size: float, what: str, uncut: float = 0.0) -> None:
    """Mean and spread of float32 samples of order `size`; with std 0 they are exact to rounding."""
    if std < max(1e-6 * size, 0.1 * uncut):
        # Nothing varies, or only a tail is left of a cut normal, too rare for the central limit theorem.
        limit = 20.0 * std / np.sqrt(samples.size) + 2e-6 * size
        assert abs(float(samples.mean()) - mean) <= limit, what
        return
    assert_mean(samples, mean, ALPHA, std=std, slack=SLACK * std + 1e-7 * size, what=f"{what}: mean")
    assert_std(samples, std, ALPHA, slack=SLACK * std, what=f"{what}: standard deviation")


@pytest.mark.parametrize("name", CARDS)
def test_programming(name: str) -> None:
    card = card_of(name)
    for u in STATES:
        target = float(np.float32(card.window.conductance(u)))
        if card.levels is not None:
            levels = card.levels.compile(card.window)
            target = float(levels[round(u * (len(levels) - 1))])
        std = float(card.program_std(target))
        loops = card.programming.verify(card.window) is not None
        if loops and u < 0.4:
            continue  # the closed form of the loop knows no cut at 0 S
        crossbar = chip(card, 1)
        crossbar.program(np.full((1, SIDE, SIDE), target, np.float32))
        expected = (target, std) if loops or std == 0.0 else cut_normal(target, std, 0.0, np.inf)
        check(crossbar.conductance_now().astype(float), *expected, card.g_max, f"{name}, programmed to u = {u}")


@pytest.mark.parametrize("name", [name for name in CARDS if card_of(name).pulse is not None])
@pytest.mark.parametrize("up", [True, False])
def test_one_pulse(name: str, up: bool) -> None:
    card = card_of(name)
    for u in STATES:
        crossbar = written(card.model_copy(update={"drift": NoDrift()}), u, 2)
        before = crossbar.conductance_now().astype(float)
        crossbar.pulse(PulseCounts(np.full((1, SIDE, SIDE), 1 if up else -1, np.int16)))
        step = crossbar.conductance_now().astype(float) - before
        start = float(before.flat[0])
        mean, std = float(card.step_mean(u, up)), float(card.step_std(u, up))
        low, high = card.g_min - start, card.g_max - start
        expected = cut_normal(mean, std, low, high) if std > 0.0 else (min(max(mean, low), high), 0.0)
        check(step, *expected, card.g_max, f"{name}, {'up' if up else 'down'} pulse at u = {u}", std)


@pytest.mark.parametrize("name", CARDS)
def test_read_noise(name: str) -> None:
    card = card_of(name)
    for u in STATES:
        crossbar = written(card, u, 3)
        target = crossbar.conductance_now().copy()
        for age in AGES:
            crossbar.wait(max(age - crossbar.time, 0.0))
            seconds = crossbar.time
            truth = crossbar.conductance_now()
            noise = crossbar.read_conductance() - truth
            std = card.read_std(truth, seconds, target)
            what = f"{name}, read at u = {u}, age {age:g} s"
            if not std.any():
                assert not noise.any(), what
                continue
            silent = std == 0.0  # cells that have gone to 0 S, where a cell that fluctuates must end
            assert not noise[silent].any(), what
            assert (truth[silent] == 0.0).all(), what
            check(noise[~silent] / std[~silent], 0.0, 1.0, 1.0, what)


@pytest.mark.parametrize("name", CARDS)
def test_ageing(name: str) -> None:
    card = card_of(name)
    for u in STATES:
        crossbar = written(card, u, 4)
        start = crossbar.conductance_now().astype(float)
        np.testing.assert_allclose(start, card.window.conductance(u), rtol=2e-7, err_msg="exact at t = 0")
        for age in AGES[1:]:
            crossbar.wait(age - crossbar.time)
            now = crossbar.conductance_now().astype(float)
            mean, std = float(card.aged_mean(u, age)), float(card.aged_std(u, age))
            what = f"{name}, written to u = {u}, age {age:g} s"
            check(now, mean, std, card.g_max, what)
            median = start.flat[0] * float(card.drift_factor(u, age))
            # The error of a sample median, for a density that is near normal at its middle.
            error = critical_z(ALPHA) * 1.2533 * std / np.sqrt(now.size)
            assert abs(float(np.median(now)) - median) <= error + SLACK * median + 2e-6 * card.g_max, f"{what}: median"
