"""Pulses of another amplitude or width: the card's factor on every step, within what card and chip allow."""

from dataclasses import replace

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, PulseFactor, PulseModel
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.chip.record import operations
from analog_sim.config import UserError
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Streams
from analog_sim.writing.pulsed import net_step
from analog_sim.writing.sign import Sign

US = 1e-6
AMPLITUDE = PulseFactor(1.5, *(np.array(x, np.float32) for x in ([1.0, 1.5, 2.0], [0.25, 1.0, 3.0], [0.5, 1.0, 2.0])))
WIDTH = PulseFactor(1e-7, *(np.array(x, np.float32) for x in ([1e-8, 1e-7], [0.5, 1.0], [0.25, 1.0])))


def cell(noise: float = 0.0, nodes: int = 2, quantiles: bool = False) -> CellModel:
    up = np.linspace(0.4, 0.2, nodes, dtype=np.float32)[None] * np.float32(US)
    std = np.full_like(up, noise * US)
    score = np.linspace(-4, 4, 9, dtype=np.float32)
    spread = (up[..., None] + np.float32(noise * US) * score).astype(np.float32) if quantiles else None
    pulse = PulseModel(up, std, -up, std, spread, None if spread is None else -spread[..., ::-1], AMPLITUDE, WIDTH)
    return CellModel("x", 2 * US, 40 * US, pulse=pulse)


def steps(
    model: CellModel, up: bool, amplitude: float | None = None, width: float | None = None, side: int = 64
) -> np.ndarray:
    chip = EmulatedCrossbar(model, side, side, pair=False, streams=Streams(1))
    chip.add_ideal(np.full((side, side), 18 * US, np.float32))
    before = chip.conductance_now().copy()
    chip.pulse(PulseCounts(np.full((1, side, side), 1 if up else -1, np.int16), amplitude, width))
    return (chip.conductance_now() - before).astype(float)


@pytest.mark.parametrize(
    "form", [(0.05, 2, False), (0.05, 17, False), (0.05, 17, True)], ids=["line", "nodes", "quantiles"]
)
@pytest.mark.parametrize("up", [True, False])
def test_every_step_is_the_factor_times_as_large(form: tuple[float, int, bool], up: bool) -> None:
    """With the same noise: the very step times the factor, to the rounding of a conductance."""
    model = cell(*form)
    plain = steps(model, up)
    for amplitude, width, factors in (
        (1.5, None, (1.0, 1.0)),
        (1.25, None, (0.625, 0.75)),
        (2.0, None, (3.0, 2.0)),
        (0.5, None, (0.125, 0.25)),
        (None, 1e-8, (0.5, 0.25)),
        (2.0, 1e-8, (1.5, 0.5)),
    ):
        factor = factors[0] if up else factors[1]
        np.testing.assert_allclose(steps(model, up, amplitude, width), factor * plain, atol=4e-6 * US * 40)


def test_a_train_has_its_strength_too() -> None:
    one = np.ones((1, 8))
    bits, sign = one.astype(np.uint64), one.astype(np.int8)
    moved = []
    for amplitude in (None, 2.0):
        chip = EmulatedCrossbar(cell(), 8, 8, pair=False, streams=Streams(1))
        chip.add_ideal(np.full((8, 8), 18 * US, np.float32))
        before = chip.conductance_now().copy()
        chip.pulse(PulseTrain(bits, bits, sign, sign, 1, amplitude=amplitude))
        moved.append(chip.conductance_now() - before)
    np.testing.assert_allclose(moved[1], 3.0 * moved[0], rtol=1e-4)


def test_what_card_or_chip_does_not_know_is_refused_and_changes_nothing() -> None:
    chip = EmulatedCrossbar(cell(), 2, 2, pair=False, streams=Streams(1))
    assert (chip.info.pulse_volts, chip.info.pulse_seconds) == (2.0, pytest.approx(1e-7))
    before = chip.conductance_now().copy()
    counts = np.ones((1, 2, 2), np.int16)
    for strength, text in (
        ({"amplitude": 2.1}, r"amplitude must be above 0 and at most 2 V \(got 2\.1 V\)"),
        ({"amplitude": float("nan")}, "amplitude must be above 0"),
        ({"width": 2e-7}, r"width must be above 0 and at most 1e-07 s \(got 2e-07 s\)"),
        ({"width": 0.0}, "width must be above 0"),
    ):
        with pytest.raises(ValueError, match=text):
            chip.pulse(PulseCounts(counts, **strength))
    plain = replace(cell(), pulse=replace(cell().pulse, amplitude=None, width=None))
    silent = EmulatedCrossbar(plain, 2, 2, pair=False, streams=Streams(1))
    with pytest.raises(ValueError, match=r"pulses of one amplitude only: leave it out \(got 1 V\)"):
        silent.pulse(PulseCounts(counts, amplitude=1.0))
    np.testing.assert_array_equal(chip.conductance_now(), before)
    assert chip.log.units("pulse") == 0


def test_a_record_keeps_the_strength() -> None:
    plan = PulseCounts(np.ones((1, 2, 2), np.int16), 1.2, 3e-8)
    assert operations.plan_of(operations.pulse("a", plan)).amplitude == 1.2
    one = np.ones((1, 2))
    bits, sign = one.astype(np.uint64), one.astype(np.int8)
    train = operations.plan_of(operations.pulse("a", PulseTrain(bits, bits, sign, sign, 1, width=3e-8)))
    assert (train.amplitude, train.width) == (None, 3e-8)
    told = operations.pulse("a", PulseCounts(plan.counts)).difference(operations.pulse("a", plan))
    assert told == "pulse on 'a': amplitude was None, asked: 1.2"


def test_more_pulses_than_a_record_can_say_are_refused() -> None:
    """They were wrapped to negative counts in silence, on the chip too."""
    with pytest.raises(ValueError, match=r"at most 32767 pulses of a cell are recorded at once .got 40000"):
        operations.pulse("a", PulseCounts(np.full((1, 2, 2), 40000)))
    counts = np.full((1, 2, 2), -32767)
    np.testing.assert_array_equal(operations.pulse("a", PulseCounts(counts)).arrays["counts"], counts)


def test_a_scheme_knows_the_step_of_its_pulses() -> None:
    mapping = MappingSpec()
    plain = net_step(cell(), mapping, Sign())
    scheme = Sign().model_copy(update={"amplitude": 2.0})
    assert net_step(cell(), mapping, scheme) == pytest.approx(plain * 2.5)  # 3 up, 2 down
    with pytest.raises(
        UserError, match=r"writing: amplitude must be above 0 and at most 2 V, where card x ends \(got 3 V\)"
    ):
        net_step(cell(), mapping, scheme.model_copy(update={"amplitude": 3.0}))
    with pytest.raises(UserError, match="does not say what the width of a pulse does"):
        net_step(
            replace(cell(), pulse=replace(cell().pulse, width=None)), mapping, Sign().model_copy(update={"width": 1e-8})
        )
