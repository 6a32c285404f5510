"""An ArC TWO by duck type: signs, slices, limits before anything is sent, outputs at zero whatever fails."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformance import arc2_fake
from conformance.arc2_fake import FakeArc2, PanicError

from analog_sim.chip.backends.arc2 import BITS, WORDS, Arc2
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.lab.bench_array import NotReachedWarning
from analog_sim.config import UserError, validate
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from devices.card import load_card

CELL = load_card("ecram").compile()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Crossbar]:
    arc2_fake.install(monkeypatch)
    (tmp_path / "arc2.bin").write_bytes(b"firmware")

    def made(**more: Any) -> Crossbar:
        fields = {"kind": "arc2", "firmware": tmp_path / "arc2.bin", "v_max": 0.3, "v_up": 2.0, "v_down": -2.5, **more}
        chip = validate(fields, Arc2).fabric(CELL, Streams(0), Clock(), None)
        assert chip.largest is not None
        return chip.crossbar(("w",), *chip.largest, pair=False)

    return made


def cells(array: Crossbar) -> np.ndarray:
    """Of the fake, as the first array lays them out."""
    return FakeArc2.made[0].cells[np.ix_(WORDS, BITS[: array.info.cols])]


@pytest.mark.parametrize("transpose", [False, True])
def test_vectors_and_cells_are_read_with_their_sign(make: Callable[..., Crossbar], transpose: bool) -> None:
    array = make()
    assert (array.info.rows, array.info.cols) == (32, 16)
    arc, rng = FakeArc2.made[0], np.random.default_rng(3)
    arc.cells[np.ix_(WORDS, BITS)] = rng.uniform(1e-6, 1e-5, (32, 32))
    np.testing.assert_allclose(array.read_conductance()[0], cells(array), rtol=1e-5)
    np.testing.assert_allclose(array.read_conductance(slice(3, 5), slice(2, 9))[0], cells(array)[3:5, 2:9], rtol=1e-5)
    v = rng.uniform(-0.3, 0.3, (3, 16 if transpose else 32)).astype(np.float32)
    g = cells(array).T if transpose else cells(array)
    np.testing.assert_allclose(array.mvm(v, transpose=transpose), v @ g, rtol=1e-4, atol=1e-12)
    assert not arc.volts.any(), "grounded after every read"


def test_counts_are_sent_as_they_are(make: Callable[..., Crossbar]) -> None:
    array = make()
    FakeArc2.made[0].cells[np.ix_(WORDS, BITS)] = 6e-6
    counts = np.random.default_rng(4).integers(-3, 4, (1, 32, 16)).astype(np.int16)
    array.pulse(PulseCounts(counts))
    np.testing.assert_allclose((cells(array) - 6e-6) / arc2_fake.STEP, counts[0], atol=1e-6)
    assert FakeArc2.made[0].queue == []
    array.wait(0.01)
    assert array.time >= 0.01
    array.flush()


def test_cells_that_do_not_reach_their_target_are_told(make: Callable[..., Crossbar]) -> None:
    array = make(rounds=1, most=1, tolerance=0.001)
    target = np.full((1, 32, 16), 9e-6, np.float32)
    mask = np.zeros(target.shape, np.bool_)
    mask[0, 2, 3:5] = True
    with pytest.warns(NotReachedWarning, match="ArC TWO: 2 of 2 cells are not within 0.001 of the window"):
        array.program(target, mask)
    untouched = cells(array)[~mask[0]]
    assert (untouched == arc2_fake.LOW).all()


def test_limits_are_kept_before_anything_is_sent(make: Callable[..., Crossbar]) -> None:
    array = make()
    sent = FakeArc2.made[0].commands
    with pytest.raises(ValueError, match=r"within \+-0.3 V"):
        array.mvm(np.full((1, 32), 11.0, np.float32))
    assert FakeArc2.made[0].commands == sent
    for wrong, message in (
        ({"v_up": 12.0}, "v_up"),
        ({"v_max": 3.0}, r"below the pulses \(got 3 V\)"),
        ({"v_down": 1.0}, "other sign of v_up"),
        ({"words": [1, 2], "bits": [2, 3]}, "stands twice"),
        ({"arrays": 3}, "32 columns cannot be shared by 3 arrays"),
        ({"port": -1}, "port"),
        ({"firmware": "nowhere.bin"}, "no such file"),
    ):
        with pytest.raises(UserError, match=message):
            make(**wrong)


@pytest.mark.parametrize(
    "failure", [PanicError("index out\nof range"), KeyboardInterrupt(), OSError("USB device is gone")]
)
def test_what_fails_puts_the_outputs_to_zero(make: Callable[..., Crossbar], failure: BaseException) -> None:
    array = make()
    arc = FakeArc2.made[0]
    arc.volts[:], arc.fail, grounded = 0.3, failure, arc.grounded
    kind = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else UserError
    for operation in (
        lambda: array.mvm(np.zeros((1, 32), np.float32)),
        lambda: array.pulse(PulseCounts(np.ones((1, 32, 16), np.int16))),
        array.read_conductance,
        lambda: array.wait(1e-3),
    ):
        with pytest.raises(kind) as caught:
            operation()
        assert "\n" not in str(caught.value)
        grounded += 1
        assert arc.grounded == grounded
        assert not arc.volts.any()
    assert array.log.totals == {}


def test_an_instrument_that_is_not_there_is_one_line(
    make: Callable[..., Crossbar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeArc2, "refuses", True)
    with pytest.raises(UserError, match=r"cannot be opened \(PanicError: no device at port\)"):
        make()
    monkeypatch.setattr(sys.modules["pyarc2"], "find_ids", list)
    with pytest.raises(UserError, match="no ArC TWO is connected"):
        make()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install pyarc2"):
        make()
