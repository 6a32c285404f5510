"""A recorded chip: replay answers the same calls with the same bits and names every difference; a chip that ended goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backends.sealed import Sealed
from analog_sim.chip.backends.twin import TwinBackend
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.record.taped import replay
from analog_sim.chip.twin import MeasuredChip, save_measured
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Streams
from devices.card import load_card


@pytest.fixture(scope="module")
def cell() -> CellModel:
    return load_card("ecram").compile()


def session(fabric: Fabric, volts: float = 0.1) -> list[np.ndarray]:
    """One call of every kind; what came back."""
    array = fabric.at("layer").crossbar(("block", 0), 3, 2, pair=True)
    info = array.info
    array.program(np.full((2, 3, 2), (info.g_min + info.g_max) / 2, np.float32))
    mask = np.zeros((2, 3, 2), np.bool_)
    mask[0] = True
    array.program(np.full((2, 3, 2), info.g_max, np.float32), mask)
    back = [array.mvm(np.full((2, 3), volts, np.float32)), array.mvm(np.full((1, 2), 0.1, np.float32), transpose=True)]
    array.pulse(PulseCounts(np.full((2, 3, 2), 3, np.int16)))
    bits = np.full((1, 3), 7, np.uint64), np.full((1, 2), 5, np.uint64)
    array.pulse(PulseTrain(*bits, np.ones((1, 3), np.int8), -np.ones((1, 2), np.int8), 3))
    array.wait(2.0)
    back += [array.read_conductance(), array.read_conductance(slice(0, 1))]
    return [*back, np.array([array.time, array.log.units("pulse"), array.log.units("mvm")])]


def record(cell: CellModel, folder: Path) -> Fabric:
    return Sealed().fabric(cell, Streams(1), Clock(), folder)


def test_a_replay_answers_with_the_same_bits(cell: CellModel, tmp_path: Path) -> None:
    chip = record(cell, tmp_path)
    first = session(chip)
    assert chip.record is not None
    chip.record.close()
    again = session(replay(tmp_path / "operations.record", cell, Clock()))
    for mine, its in zip(first, again, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_another_call_is_named(cell: CellModel, tmp_path: Path) -> None:
    chip = record(cell, tmp_path)
    session(chip)
    assert chip.record is not None
    chip.record.close()
    path = tmp_path / "operations.record"
    with pytest.raises(
        UserError, match=r"operation 3: mvm on 'layer/block/0': v: 6 of 6 values differ, first at \(0, 0\)"
    ):
        session(replay(path, cell, Clock()), volts=0.05)
    with pytest.raises(UserError, match=r"recorded: crossbar on 'layer/block/0', asked: crossbar on 'other/block/0'"):
        replay(path, cell, Clock()).at("other").crossbar(("block", 0), 3, 2, pair=True)
    fabric = replay(path, cell, Clock())
    session(fabric)
    with pytest.raises(UserError, match="ends after 10 operations"):
        fabric.at("layer").crossbar(("block", 1), 3, 2, pair=True)


def test_a_chip_that_ended_goes_on_where_it_was(cell: CellModel, tmp_path: Path) -> None:
    """The second process asks again for what the first did, gets its answers, and the chip then answers as if nothing had happened."""
    whole = record(cell, tmp_path / "whole")
    session(whole)
    array = whole.at("layer").crossbar(("block", 1), 2, 2, pair=False)
    wanted = array.read_conductance()
    first = record(cell, tmp_path / "cut")
    session(first)
    assert first.record is not None
    first.record.close()
    second = record(cell, tmp_path / "cut")
    session(second)
    np.testing.assert_array_equal(
        second.at("layer").crossbar(("block", 1), 2, 2, pair=False).read_conductance(), wanted
    )
    assert second.clock.now == whole.clock.now


def test_cells_that_age_are_as_old_as_before(tmp_path: Path) -> None:
    """Arrays that are written side by side have all been written when the first was, also when the chip does it again."""

    def aged(folder: Path, *, cut: bool = False) -> list[np.ndarray]:
        fabric = record(load_card("pcm").compile(), folder)
        arrays = [fabric.crossbar(("block", k), 3, 2, pair=True) for k in range(2)]
        target = np.full((2, 3, 2), 2e-5, np.float32)
        with fabric.clock.parallel():
            for array in arrays:
                array.program(target)
        arrays[0].program(target)
        arrays[0].wait(1e-3)  # not long after the arrays were written, so that their ages show
        found = [] if cut else [array.mvm(np.full((2, 3), 0.1, np.float32)) for array in arrays]
        assert fabric.record is not None
        fabric.record.close()
        return [*found, np.array(fabric.clock.now)]

    wanted = aged(tmp_path / "whole")
    aged(tmp_path / "cut", cut=True)
    for mine, its in zip(aged(tmp_path / "cut"), wanted, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_the_record_of_another_chip_is_refused(cell: CellModel, tmp_path: Path) -> None:
    chip = record(cell, tmp_path)
    assert chip.record is not None
    chip.record.close()
    with pytest.raises(UserError, match="another chip: seed was 1, now 2"):
        Sealed().fabric(cell, Streams(2), Clock(), tmp_path)
    with pytest.raises(UserError, match="another chip: card was ecram, now pcm"):
        Sealed().fabric(load_card("pcm").compile(), Streams(1), Clock(), tmp_path)


def test_a_position_beyond_the_record_is_refused(cell: CellModel, tmp_path: Path) -> None:
    chip = record(cell, tmp_path)
    assert chip.record is not None
    with pytest.raises(UserError, match="do not belong together"):
        chip.record.seek(4)


def test_a_twin_that_ended_goes_on(cell: CellModel, tmp_path: Path) -> None:
    np.savez(tmp_path / "twin.npz", **save_measured(MeasuredChip(cell)))
    twin = TwinBackend(folder=tmp_path / "twin.npz", record=True)
    whole = twin.fabric(cell, Streams(1), Clock(), tmp_path / "whole")
    session(whole)
    wanted = whole.at("layer").crossbar(("block", 1), 2, 2, pair=False).read_conductance()
    first = twin.fabric(cell, Streams(1), Clock(), tmp_path / "cut")
    session(first)
    assert first.record is not None
    first.record.close()
    second = twin.fabric(cell, Streams(1), Clock(), tmp_path / "cut")
    session(second)
    np.testing.assert_array_equal(
        second.at("layer").crossbar(("block", 1), 2, 2, pair=False).read_conductance(), wanted
    )
    assert twin.fabric(cell, Streams(1), Clock(), None).record is None
