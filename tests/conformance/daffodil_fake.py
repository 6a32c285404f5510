"""What the backend asks of `daffodillib`, by duck type: a board of ideal cells, and the verbs with the library's own signs and traps.

A pass forward gives +i, a pass back -i; a positive product of an outer product depresses; currents clip at the amplifiers; lines below
the board's ground are refused; and a read above the threshold of writing writes, because nothing in the library prevents it.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import pytest

LOW, HIGH, STEP, THRESHOLD = 1e-6, 11e-6, 2.5e-8, 0.75
"""Siemens, per pulse, volts."""


class FakeBoard:
    """The part of `Daffodil_Base` that the backend uses; made: every board that was made."""

    kernels, xdim, ydim, vground = 32, 25, 25, 1.7
    made: list[FakeBoard] = []  # noqa: RUF012 - the library makes the board

    def __init__(self, name: str = "") -> None:
        self.cells = np.full((self.kernels, self.xdim, self.ydim), LOW)
        self.kernel, self.events, self.zeroed = 0, 0, 0
        self.fail: BaseException | None = None
        self.COL_EN_tobe, self.ROW_EN_tobe = [1] * self.xdim, [1] * self.ydim
        self.pots = [-2000.0] * self.ydim
        FakeBoard.made.append(self)

    def dac_invertvout(self, v: float) -> float:
        return v

    def invert_dpot_rout(self, ohms: float) -> float:
        return float(np.rint(ohms / 391.0))

    def set_dpot_D(self, code: float) -> None:
        self.pots = [-(391.0 * code + 50.0)] * self.ydim

    def set_dac_gain_mode(self, mode: int) -> None: ...
    def set_dac_offset(self, offset: int) -> None: ...
    def set_compliance_control(self, bit: int) -> None: ...
    def setrefopamp(self, code: float) -> None: ...
    def setgatedacs(self, codes: list[float]) -> None: ...
    def setrowdacs(self, codes: list[float]) -> None: ...

    def setcoldacs(self, codes: list[float]) -> None:
        self.zeroed += max(codes) < self.vground + 0.1

    def set_kernel(self, kernel: int) -> None:
        self.kernel = kernel

    def sense(self, kernel: int, drop: np.ndarray, v_ref: float, axis: int) -> np.ndarray:
        """Amperes along an axis of the drops (x, y) across all cells; what is above the threshold writes."""
        self.events += 1
        if self.fail is not None:
            raise self.fail
        g = self.cells[kernel]
        current = (drop * g).sum(axis=axis)
        over = np.abs(drop) >= THRESHOLD
        g[over] = np.where(drop[over] > 0, LOW, HIGH)
        ohms = -np.array(self.pots[: len(current)])
        return (v_ref - np.clip(v_ref - current * ohms, 0.0, 3.3)) / ohms

    def write(self, kernel: int, counts: np.ndarray) -> None:
        """Pulses on every cell (x, y), negative ones depress."""
        self.events += 1
        if self.fail is not None:
            raise self.fail
        self.cells[kernel] = np.clip(self.cells[kernel] + STEP * counts, LOW, HIGH)


def _lines(board: FakeBoard, volts: list[float]) -> np.ndarray:
    if min(volts) < board.vground:
        raise ValueError("Column Bias cannot be lower than 1.7V.")
    return np.array(volts)


def vmm_kernel_forward(
    board: FakeBoard,
    kernel: int,
    volts: list[float],
    vgate: float,
    vref: float,
    weight_shape: list[int],
    xoffset: int,
    yoffset: int,
) -> list[float]:
    drop = (_lines(board, volts) - vref)[:, None] * np.ones(board.ydim)
    return board.sense(kernel, drop, vref, 0).tolist()


def vmm_kernel_backward(board: FakeBoard, kernel: int, volts: list[float], vgate: float, vref: float) -> list[float]:
    drop = np.ones(board.xdim)[:, None] * (_lines(board, volts) - vref)
    return (-board.sense(kernel, drop, vref, 1)).tolist()


def read_kernel(
    board: FakeBoard, kernel: int, vread: float, vgate: float, vref: float, weight_shape: list[int]
) -> list[list[float]]:
    each = np.eye(board.xdim) * vread
    return [(board.sense(kernel, one[:, None] * np.ones(board.ydim), vref, 0) / vread).tolist() for one in each]


def outer_product(
    board: FakeBoard, vset: float, vreset: float, vgate: float, row_update: list[int], col_update: list[int]
) -> None:
    assert all(isinstance(k, int) for k in row_update + col_update)
    board.write(board.kernel, -np.outer(col_update, row_update))


def install(patch: pytest.MonkeyPatch) -> None:
    """Make `daffodillib` importable for a test."""
    names = (
        "daffodillib",
        "daffodillib.Board",
        "daffodillib.Board.controller",
        "daffodillib.read_array",
        "daffodillib.outerproduct",
    )
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    for name, module in modules.items():
        module.__spec__ = ModuleSpec(name, None)
        module.__path__ = []
        patch.setitem(sys.modules, name, module)
    modules["daffodillib.Board.controller"].Daffodil_Sim = FakeBoard
    for verb in (vmm_kernel_forward, vmm_kernel_backward, read_kernel):
        setattr(modules["daffodillib.read_array"], verb.__name__, verb)
    modules["daffodillib.outerproduct"].outer_product = outer_product
    FakeBoard.made.clear()
