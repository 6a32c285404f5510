"""A chip of the user's own code that is wrong somewhere: one line, with the array and what it should have answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conformance.resistors import ResistorChip, Resistors

from analog_sim.chip.clock import Clock
from analog_sim.chip.lab.checked import CheckedCrossbar, CheckedFabric
from analog_sim.config import UserError
from devices.card import load_card

CELL = load_card("ecram").compile()
V = np.full((2, 3), 0.1, np.float32)


class Broken(Resistors):
    """Answers what it is told to, or raises it."""

    answer: Any = None

    def mvm(self, v: np.ndarray, *, transpose: bool = False) -> np.ndarray:
        if isinstance(self.answer, Exception):
            raise self.answer
        return super().mvm(v) if self.answer is None else self.answer

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> np.ndarray:
        return super().read_conductance() if self.answer is not None else super().read_conductance(rows, cols)


def checked(answer: Any = None) -> CheckedCrossbar:
    array = Broken(CELL, 3, 2, True, Clock())
    array.answer = answer
    return CheckedCrossbar(array, "my chip: array 'a'", 3, 2, True)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            np.zeros((2, 3), np.float32),
            r"mvm must return amperes, an array of floats \(2, 2\) \(got float32 \(2, 3\)\)",
        ),
        ([[0.0, 0.0]] * 2, r"\(got list\)"),
        (np.zeros((2, 2), np.int64), r"\(got int64 \(2, 2\)\)"),
        (np.array([[0.0, np.nan], [np.inf, 0.0]]), "returned 2 of 4 values that are not finite"),
        (ConnectionError("cable\npulled"), r"mvm failed: ConnectionError: cable \(test_checked.py:\d+\)"),
        (UserError("the user's own words"), "^the user's own words$"),
    ],
)
def test_an_answer(answer: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        checked(answer).mvm(V)
    assert "\n" not in str(caught.value)


def test_what_is_right_passes_through() -> None:
    array = checked()
    plain = Resistors(CELL, 3, 2, True, Clock())
    target = np.full((2, 3, 2), 0.5 * CELL.g_max, np.float32)
    for each in (array, plain):
        each.program(target)
        each.wait(1.0)
        each.flush()
    np.testing.assert_array_equal(array.mvm(V), plain.mvm(V))
    np.testing.assert_array_equal(array.read_conductance(slice(1, 2)), plain.read_conductance(slice(1, 2)))
    assert (array.info, array.inside, array.time, array.log.units("program")) == (plain.info, None, plain.time, 12)


def test_a_double_becomes_single() -> None:
    assert checked(np.zeros((2, 2))).mvm(V).dtype == np.float32


def test_cells_of_another_part() -> None:
    with pytest.raises(UserError, match=r"read_conductance must return siemens, an array of floats \(2, 1, 2\)"):
        checked(np.zeros((2, 2), np.float32)).read_conductance(slice(0, 1))


def test_another_array_than_was_asked_for() -> None:
    array: Any = Resistors(CELL, 3, 2, True, Clock())
    with pytest.raises(UserError, match="asked for 4 x 2, pair: True; its info says 3 x 2, pair: True"):
        CheckedCrossbar(array, "my chip", 4, 2, True)
    array.info = {"rows": 3}
    with pytest.raises(UserError, match=r"info must be a ChipInfo \(got dict\)"):
        CheckedCrossbar(array, "my chip", 3, 2, True)


def test_what_is_no_array_and_what_cannot_be_had() -> None:
    class Odd(ResistorChip):
        def at(self, *place: Any) -> ResistorChip:
            raise KeyError(place)

        def crossbar(self, name: Any, rows: int, cols: int, **_: Any) -> Any:
            return object() if rows == 1 else 1 / 0

    chip = CheckedFabric(Odd(CELL, Clock(), {}), "mine.py:chip")
    with pytest.raises(UserError, match="array 'a' is a object without flush, info, inside, log, mvm"):
        chip.crossbar(("a",), 1, 1, pair=False)
    with pytest.raises(UserError, match=r"mine.py:chip: array 'a' failed: ZeroDivisionError: .* \(test_checked.py:"):
        chip.crossbar(("a",), 2, 1, pair=False)
    with pytest.raises(UserError, match="at failed: KeyError"):
        chip.at("a")
