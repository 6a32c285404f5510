"""What a checkpoint held is looked at key by key: one line says what does not fit."""

from typing import Any, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import pytest

from analog_sim.saved_state import State, put, taken


class Inner(TypedDict):
    position: int
    name: str


class Whole(TypedDict):
    weights: npt.NDArray[np.float32]
    counts: list[int]
    rate: float
    seen: Inner | None
    parts: dict[str, Inner]
    of_another: State
    on: bool
    later: NotRequired[npt.NDArray[Any]]


INNER: dict[str, Any] = {"position": 3, "name": "read"}
GOOD: dict[str, Any] = {
    "weights": np.zeros(3, np.float32),
    "counts": [1, 2],
    "rate": 1,
    "seen": None,
    "parts": {"a": INNER},
    "of_another": {"x": object()},
    "on": True,
}


def test_what_fits_is_returned_as_it_is() -> None:
    assert taken(Whole, GOOD) is GOOD
    assert (
        taken(Whole, {**GOOD, "counts": (1, np.int64(2)), "seen": INNER, "later": np.zeros(2, bool)})["seen"] == INNER
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": None}, r"^tile\.rate: must be float \(got None\)$"),
        ({"rate": True}, r"^tile\.rate: must be float \(got True\)$"),
        ({"on": 1}, r"^tile\.on: must be bool \(got 1\)$"),
        ({"counts": [1, "2"]}, r"^tile\.counts\[1\]: must be int \(got 2\)$"),
        ({"counts": 3}, r"^tile\.counts: must be a list \(got 3\)$"),
        ({"weights": np.zeros(3)}, r"^tile\.weights: must be an array of float32 \(got float64\)$"),
        ({"weights": [0.0]}, r"^tile\.weights: must be an array \(got list\)$"),
        ({"seen": {"position": 3}}, r"^tile\.seen\.name: is missing$"),
        ({"seen": {**INNER, "key": 1}}, r"^tile\.seen\.key: is not known here; allowed: position, name$"),
        ({"parts": {"a": {**INNER, "position": 1.5}}}, r"^tile\.parts\.a\.position: must be int \(got 1.5\)$"),
        ({"of_another": 3}, r"^tile\.of_another: must be a record \(got 3\)$"),
        ({"more": 3}, r"^tile\.more: is not known here"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        taken(Whole, {**GOOD, **change}, "tile")


def test_every_key_must_be_there() -> None:
    for name in GOOD:
        with pytest.raises(ValueError, match=f"^{name}: is missing$"):
            taken(Whole, {key: value for key, value in GOOD.items() if key != name})


def test_an_array_of_another_shape_is_not_spread() -> None:
    into = np.zeros((2, 3), np.float32)
    put(into, np.ones((2, 3)), "sum")
    assert into.all()
    with pytest.raises(ValueError, match=r"sum: saved with shape \(3,\), here \(2, 3\)"):
        put(into, np.ones(3), "sum")
