"""In real time chip time follows the wall clock, and a client waits for what takes the chip long; virtual time does neither."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.serve import running
from analog_sim.chip.server.wall_clock import WallClock
from analog_sim.random.streams import Streams

from .conftest import Terminal


@pytest.fixture
def real(cell: CellModel) -> Iterator[Terminal]:
    chip = ServedChip(SealedFabric(EmulatedFabric(cell, Streams(0), WallClock(1000.0))))
    chip.define("w", 2, 3, True, 0)
    with running(chip) as port:
        it = Terminal(port)
        yield it
        it.close()


def test_chip_time_is_the_wall_s(real: Terminal) -> None:
    assert real.ask("TIME:MODE?") == "REAL"
    before, wall = float(real.ask("TIME?")), time.monotonic()
    assert before >= 1000.0
    time.sleep(0.2)
    after, passed = float(real.ask("TIME?")), time.monotonic() - wall
    assert 0.2 <= after - before <= passed + 1e-3


def test_a_client_waits_for_what_takes_the_chip_long(real: Terminal) -> None:
    start, wall = float(real.ask("TIME?")), time.monotonic()
    done = float(real.ask("WAIT 0.4;:TIME?"))
    assert done >= start + 0.4
    assert float(real.ask("TIME?")) >= done
    assert time.monotonic() - wall >= 0.4, "the next command waits until the chip is through"


def test_what_converters_take_passes_by_itself(real: Terminal) -> None:
    before = float(real.ask("TIME?"))
    assert float(real.ask("TIME:ADV 1000;:TIME?")) < before + 500.0
    assert real.errors() == []


def test_others_are_not_held_up_by_a_client_that_waits(cell: CellModel) -> None:
    chip = ServedChip(SealedFabric(EmulatedFabric(cell, Streams(0), WallClock())))
    chip.define("w", 2, 3, True, 0)
    with running(chip) as port:
        slow, other = Terminal(port), Terminal(port)
        slow.write("WAIT 30")
        slow.write("*IDN?")
        begun = time.monotonic()
        assert other.ask("*IDN?").startswith("analog-hil")
        assert time.monotonic() - begun < 20.0
        slow.close()
        other.close()
