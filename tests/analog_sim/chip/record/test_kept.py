"""The record of a chip that keeps its cells: pulses under way when the run was killed are neither sent twice nor lost."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from conformance.resistors import ResistorChip

from analog_sim.chip.clock import Clock
from analog_sim.chip.record.kept import UNDER_WAY, recording_kept
from analog_sim.chip.record.tape import Tape, TapedOperation
from analog_sim.chip.record.taped import TapedCrossbar, TapedFabric
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts
from devices.card import load_card

CELL = load_card("ecram").compile()
ONE = PulseCounts(np.ones((1, 3, 2), np.int16))


class Killed(Exception):
    """Stands for a kill."""


class Bench:
    """A chip, and the runs on it: each has a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "operations.record"
        self.chip = ResistorChip(CELL, Clock(), {})

    def run(self) -> tuple[TapedFabric, TapedCrossbar]:
        fabric = recording_kept(self.chip, self.path, {"chip": "resistors"})
        return fabric, fabric.crossbar(("a",), 3, 2, pair=False)

    @property
    def cells(self) -> np.ndarray:
        return self.chip.made[("a",)]._g[0] / self.chip.made[("a",)]._step


def killed_at(kind: str, monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    """A pulse that is recorded, then one operation of a kind that the chip does and the record lacks."""
    fabric, array = bench.run()
    array.pulse(ONE)
    append = Tape.append

    def dying(self: Tape, done: TapedOperation) -> None:
        if done.request.kind == kind:
            raise Killed
        append(self, done)

    with monkeypatch.context() as patch:
        patch.setattr(Tape, "append", dying)
        with pytest.raises(Killed):
            array.pulse(ONE) if kind == "pulse" else array.read_conductance()
    fabric.record.close()


def test_pulses_under_way_are_taken_as_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    killed_at("pulse", monkeypatch, bench)
    before = bench.cells.copy()
    fabric, array = bench.run()
    array.pulse(ONE)
    with pytest.warns(UserWarning, match=r"operation 2, pulses on 'a', was under way"):
        array.pulse(ONE)
    np.testing.assert_array_equal(bench.cells, before)
    assert array.log.units("pulse") == 12
    array.pulse(ONE)
    np.testing.assert_allclose(bench.cells, before + 1.0, rtol=1e-5)
    fabric.record.close()
    _, again = bench.run()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            again.pulse(ONE)
    np.testing.assert_allclose(bench.cells, before + 1.0, rtol=1e-5)


def test_a_read_under_way_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    killed_at("read_conductance", monkeypatch, bench)
    _, array = bench.run()
    array.pulse(ONE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        g = array.read_conductance()
        array.pulse(ONE)
    np.testing.assert_array_equal(g[0] + bench.chip.made[("a",)]._step, bench.chip.made[("a",)]._g[0])


def test_others_than_were_under_way_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    killed_at("pulse", monkeypatch, bench)
    _, array = bench.run()
    array.pulse(ONE)
    with pytest.raises(UserError, match="other pulses were under way than it asks for now"):
        array.pulse(PulseCounts(np.full((1, 3, 2), 2, np.int16)))


@pytest.mark.parametrize("text", ["", "2", "x y", "2 3 4"])
def test_a_note_that_was_cut_short_says_that_nothing_was_sent(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    killed_at("read_conductance", monkeypatch, bench)
    (tmp_path / UNDER_WAY).write_text(text)
    before = bench.cells.copy()
    _, array = bench.run()
    array.pulse(ONE)
    array.pulse(ONE)
    np.testing.assert_allclose(bench.cells, before + 1.0, rtol=1e-5)
