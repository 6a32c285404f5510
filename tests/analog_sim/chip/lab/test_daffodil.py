"""A Daffodil board as our chip, and our cells as the devices of its simulator; against the library itself where it can be imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from conformance import daffodil_fake
from conformance.daffodil_fake import FakeBoard

from analog_sim.chip.backends.daffodil import Daffodil
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.lab.daffodil_device import DaffodilDevice, emulated_board
from analog_sim.config import UserError, validate
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Streams
from devices.card import load_card

CELL = load_card("ecram").compile()


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    daffodil_fake.install(monkeypatch)
    return


def kernel(backend: Daffodil | None = None, pair: bool = False) -> Crossbar:
    chip = (backend or Daffodil()).fabric(CELL, Streams(0), Clock(), None)
    assert chip.largest == (25, 25)
    return chip.crossbar(("k",), 25, 25, pair=pair)


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize("transpose", [False, True])
def test_no_read_clips_or_writes(transpose: bool) -> None:
    array = kernel()
    made = FakeBoard.made[0]
    made.cells[:] = np.linspace(daffodil_fake.LOW, daffodil_fake.HIGH, 625).reshape(25, 25)
    before = made.cells.copy()
    for v in (np.full((1, 25), array.info.v_max), np.full((1, 25), -array.info.v_max)):
        got = array.mvm(v.astype(np.float32), transpose=transpose)[0]
        wanted = v[0] @ (before[0].T if transpose else before[0])
        np.testing.assert_allclose(got, wanted, rtol=1e-5)
    np.testing.assert_array_equal(made.cells, before)
    with pytest.raises(ValueError, match=r"within \+-0.3 V"):
        array.mvm(np.full((1, 25), 0.8, np.float32))
    np.testing.assert_array_equal(made.cells, before)


@pytest.mark.usefixtures("board")
def test_a_train_gives_the_pulses_of_its_coincidences() -> None:
    array, rng = kernel(), np.random.default_rng(1)
    made = FakeBoard.made[0]
    made.cells[:] = 6e-6
    bits = [rng.integers(0, 32, (3, 25)).astype(np.uint64) for _ in range(2)]
    signs = [rng.choice([-1, 1], (3, 25)).astype(np.int8) for _ in range(2)]
    array.pulse(PulseTrain(*bits, *signs, 5))
    both = np.bitwise_count(bits[0][:, :, None] & bits[1][:, None, :]).astype(int)
    wanted = (both * signs[0][:, :, None] * signs[1][:, None, :]).sum(axis=0)
    np.testing.assert_allclose((made.cells[0] - 6e-6) / daffodil_fake.STEP, wanted, atol=1e-6)
    assert array.log.units("pulse") == both.sum()


@pytest.mark.usefixtures("board")
def test_a_pair_takes_two_kernels_and_kernels_can_be_chosen() -> None:
    array = kernel(Daffodil(kernels=(3, 7)), pair=True)
    target = np.stack([np.full((25, 25), 3e-6), np.full((25, 25), 8e-6)]).astype(np.float32)
    array.program(target)
    cells = FakeBoard.made[0].cells
    window = CELL.g_max - CELL.g_min
    assert np.abs(cells[3] - 3e-6).max() <= 0.02 * window
    assert np.abs(cells[7] - 8e-6).max() <= 0.02 * window
    assert (np.delete(cells, [3, 7], axis=0) == daffodil_fake.LOW).all()
    with pytest.raises(UserError, match="0 to 31"):
        kernel(Daffodil(kernels=(32,)))


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize("failure", [ValueError("input current\nat limit"), KeyboardInterrupt()])
def test_what_fails_puts_the_outputs_to_zero(failure: BaseException) -> None:
    array = kernel()
    made = FakeBoard.made[0]
    made.fail, made.zeroed = failure, 0
    kind = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else UserError
    with pytest.raises(kind) as caught:
        array.pulse(PulseCounts(np.ones((1, 25, 25), np.int16)))
    assert made.zeroed == 1
    assert made.COL_EN_tobe == made.ROW_EN_tobe == [0] * 25
    if kind is UserError:
        assert str(caught.value) == "Daffodil board (simulated): pulse failed: ValueError: input current"
    assert array.log.totals == {}


def test_what_cannot_be_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "daffodillib", None)
    for wrong in (Daffodil().check, lambda: kernel()):
        with pytest.raises(UserError, match="daffodillib is not installed; it is not on PyPI"):
            wrong()
    with pytest.raises(UserError, match=r"threshold of 0.2 V \(got 0.3 V\)"):
        validate({"kind": "daffodil", "threshold": "0.2 V"}, Daffodil)


def lines(device: DaffodilDevice, x: float, y: float, gate: float = 5.0) -> None:
    device.columnvoltages[:], device.rowvoltages[:] = [x] * 25, [y] * 25
    device.gatevoltages[:] = [gate] * 25


def test_our_cells_behind_its_board_read_and_write() -> None:
    device = DaffodilDevice(CELL, Streams(1), numkernel=2)
    device.selectkernel(1)
    on = [1] * 25
    before = np.array(device.retrievekernel())
    lines(device, 2.0, 1.7)
    device.event(on, on)
    assert device.clock.now == pytest.approx(CELL.cost.t_read)
    noise = 6 * 1e6 * float(np.max(CELL.read.white)) * 0.3 * 5
    np.testing.assert_allclose(device.rowcurrents, 0.3 * before.sum(axis=0), atol=noise)
    np.testing.assert_array_equal(np.array(device.retrievekernel()), before)
    lines(device, 1.7, 2.0)  # a pass back: current flows into the columns
    device.event(on, [1, 1, *[0] * 23])
    np.testing.assert_allclose(device.columncurrents, -0.3 * before[:, :2].sum(axis=1), atol=noise)
    lines(device, 2.0, 1.7, gate=1.7)
    device.event(on, on)
    assert device.rowcurrents == [0.0] * 25, "the gates are closed"
    begun, cost = device.clock.now, CELL.cost
    for _ in range(40):
        lines(device, 1.7, 2.5)
        device.event([1, *[0] * 24], on)
    assert device.clock.now - begun == pytest.approx(40 * (cost.t_pulse + cost.t_read)), (
        "an event is one slot of all lines"
    )
    raised = np.array(device.retrievekernel())
    assert (raised[0] > before[0]).all()
    np.testing.assert_array_equal(raised[1:], before[1:])
    for _ in range(20):
        lines(device, 2.5, 1.7)
        device.event([1, *[0] * 24], on)
    assert (np.array(device.retrievekernel())[0] < raised[0]).all()
    with pytest.raises(ValueError, match="kernel: 0 to 1"):
        device.selectkernel(2)
    with pytest.raises(UserError, match="no pulse response"):
        DaffodilDevice(load_card("pcm").compile(), Streams(1), numkernel=1)


def test_the_library_itself_reads_and_writes_our_cells() -> None:
    read_array = pytest.importorskip(
        "daffodillib.read_array", reason="daffodillib is not installed (it is not on PyPI)"
    )
    outerproduct = pytest.importorskip("daffodillib.outerproduct")
    board = emulated_board(CELL, Streams(1))
    board.set_dac_gain_mode(4093)
    board.set_dac_offset(0)
    board.set_dpot_D(board.invert_dpot_rout(10_000))
    board.set_compliance_control(1)
    g = 1e-6 * np.array(board.sim_device.retrievekernel(2))
    resolution = 5.0 / 4096 / 10_000 / 0.3
    np.testing.assert_allclose(read_array.read_kernel(board, 2, 0.3, 5, 1.7), g, atol=resolution)
    forward = read_array.vmm_kernel_forward(board, 2, [1.8] * 25, 5, 1.7, [25, 25], 0, 0)
    np.testing.assert_allclose(forward, 0.1 * g.sum(axis=0), atol=0.3 * resolution + 0.02 * 0.1 * g.sum(axis=0).max())
    board.set_kernel(2)
    for _ in range(10):
        outerproduct.outer_product(board, 0.8, 0.8, 5, [3] * 25, [-1] * 25)
    assert (1e-6 * np.array(board.sim_device.retrievekernel(2)) > g).mean() > 0.9


def test_the_library_s_own_simulator_is_driven() -> None:
    pytest.importorskip("daffodillib.read_array", reason="daffodillib is not installed (it is not on PyPI)")
    cell = replace(CELL, g_min=1.2e-4, g_max=2.4e-4)  # its ideal cells have 133 and 233 uS
    chip = Daffodil(v_max=0.2).fabric(cell, Streams(0), Clock(), None)
    array = chip.crossbar(("k",), 25, 25, pair=False)
    g = array.read_conductance()[0]
    truth = np.full((25, 25), 133e-6)
    np.testing.assert_allclose(g, truth, atol=5.0 / 4096 / 800 / 0.2)  # one step of its converter
    v = np.linspace(-0.1, 0.2, 25, dtype=np.float32)[None]
    for transpose in (False, True):
        wanted = truth.sum(axis=0) * v.mean()
        got = array.mvm(v, transpose=transpose)[0]
        np.testing.assert_allclose(
            got, wanted, atol=25 * 0.7e-3 * 133e-6 + 5.0 / 4096 / 800
        )  # its steps of volts and of current
    counts = np.zeros((1, 25, 25), np.int16)
    counts[0, 2, 3] = 1
    array.pulse(PulseCounts(counts))
    after = array.read_conductance()[0]
    assert after[2, 3] > g[2, 3], "a positive count sets the cell"
    counts[0, 2, 3] = -1
    array.pulse(PulseCounts(counts))
    np.testing.assert_array_equal(array.read_conductance()[0], g)
