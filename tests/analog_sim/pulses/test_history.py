"""Cells that remember the direction of their last pulses: the law in closed form, and nothing of it in cells without."""

from dataclasses import replace

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, HistoryModel, PulseFactor, PulseModel, constant_table
from analog_sim.cells.state import MEMORY_UNIT, fabricate
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.config import ConfigError, UserError, validate
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Streams
from analog_sim.wires import WiresSpec
from devices.card import DeviceCard

US = 1e-6
HISTORY = HistoryModel(up=(3.0, 3.0, 0.6), down=(-0.5, -0.5, 0.25))


def cell(std: float = 0.0, history: HistoryModel | None = HISTORY) -> CellModel:
    step, spread = constant_table(0.1 * US), constant_table(std * US)
    return CellModel("x", 2 * US, 40 * US, pulse=PulseModel(step, spread, -step, spread, history=history))


def chip(model: CellModel, side: int = 1) -> EmulatedCrossbar:
    made = EmulatedCrossbar(model, side, side, pair=False, streams=Streams(1))
    made.add_ideal(np.full((side, side), 18 * US, np.float32))
    return made


def moved(made: EmulatedCrossbar, sign: int) -> np.ndarray:
    before = made.conductance_now().astype(float).copy()
    made.pulse(PulseCounts(np.full(before.shape, sign, np.int16)))
    return (made.conductance_now() - before) / US


def test_the_pulses_after_a_reversal_follow_the_law() -> None:
    """To the rounding of a conductance (2e-6 uS) and of the memory (1/65535 of the largest excess)."""
    made, q = chip(cell()), 0.5
    for sign in [1] * 6 + [-1] * 4 + [1] * 3 + [-1, 1] * 3:
        a, _, kept = HISTORY.up if sign > 0 else HISTORY.down
        e = 1.0 - q if sign > 0 else q
        assert float(moved(made, sign)[0, 0, 0]) == pytest.approx(0.1 * sign * (1.0 + a * e), abs=2e-5)
        q = 1.0 - kept * e if sign > 0 else kept * e


def test_pulses_in_one_operation_are_those_one_by_one() -> None:
    one, other = chip(cell(), 4), chip(cell(), 4)
    for sign in (1, 1, 1, -1, -1):
        moved(one, sign)
    other.pulse(PulseCounts(np.full((1, 4, 4), 3, np.int16)))
    fires, signs = np.full((1, 4), 3, np.uint64), np.ones((1, 4), np.int8)
    other.pulse(PulseTrain(fires, fires, signs, -signs, 2))
    np.testing.assert_allclose(one.conductance_now(), other.conductance_now(), rtol=1e-5)
    assert one.cells.memory is not None
    assert other.cells.memory is not None
    np.testing.assert_allclose(one.cells.memory.astype(int), other.cells.memory.astype(int), atol=5)


def test_the_noise_has_a_factor_of_its_own() -> None:
    """1024 cells after a long run down: the first pulse up has 4 times the mean, and twice the noise, within 5 standard errors."""
    made = chip(cell(0.05, HistoryModel((3.0, 1.0, 0.6), (0.0, 0.0, 0.1))), 32)
    assert made.cells.memory is not None
    made.cells.memory[...] = 0
    step = moved(made, 1)
    assert step.mean() == pytest.approx(0.4, abs=5 * 0.1 / 32)
    assert step.std() == pytest.approx(0.1, rel=5 / np.sqrt(2 * 1024))


def test_programming_forgets_and_a_checkpoint_remembers() -> None:
    made = chip(cell(), 2)
    moved(made, 1)
    assert made.cells.memory is not None
    assert (made.cells.memory > 0.6 * MEMORY_UNIT).all()
    state = made.state()
    made.program(np.full((1, 2, 2), 20 * US, np.float32))
    np.testing.assert_allclose(made.cells.memory / MEMORY_UNIT, 0.5, atol=1e-4)
    made.restore(state)
    assert (made.cells.memory > 0.6 * MEMORY_UNIT).all()


def test_cells_without_history_keep_nothing() -> None:
    assert fabricate(cell(history=None), 1, 2, 2, Streams(1)).memory is None
    plain, none = chip(cell(history=None), 8), chip(cell(history=HistoryModel((0.0, 0.0, 0.5), (0.0, 0.0, 0.5))), 8)
    np.testing.assert_allclose(moved(plain, 1), moved(none, 1), atol=1e-5)
    up, down = cell().pulse.mean_step()  # type: ignore[union-attr]
    assert up == pytest.approx(0.1 * US * 2.5)
    assert down == pytest.approx(-0.1 * US * 0.75)


def test_pulses_that_see_wires_are_refused() -> None:
    factor = PulseFactor(1.5, *(np.array(x, np.float32) for x in ([1.5], [1.0], [1.0])))
    model = cell()
    assert model.pulse is not None
    both = replace(model, pulse=replace(model.pulse, amplitude=factor))
    with pytest.raises(UserError, match="do not know the memory of cells: leave one of the three out"):
        EmulatedCrossbar(both, 2, 2, pair=False, streams=Streams(1), wires=WiresSpec(word_line=2.0, bit_line=3.0))


def test_a_card_says_it() -> None:
    pulse = {"kind": "soft_bounds", "states": 50, "history": {"up": {"factor": 10, "noise": 2, "pulses": 4}}}
    made = validate({"name": "x", "g_max": 20, "pulse": pulse}, DeviceCard).compile().pulse
    assert made is not None
    assert made.history is not None
    assert made.history.up == (9.0, 1.0, pytest.approx(np.exp(-0.25)))
    assert made.history.down == (0.0, 0.0, pytest.approx(np.exp(-1.0)))
    assert replace(made, history=None).history is None
    for wrong, text in (({"factor": -1}, "must be >= 0"), ({"pulses": 0}, "must be > 0")):
        with pytest.raises(ConfigError, match=text):
            validate({"name": "x", "g_max": 20, "pulse": {**pulse, "history": {"up": wrong}}}, DeviceCard)
