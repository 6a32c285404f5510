"""How the cells of an array with wires lie on physical arrays, and what of their currents is the output. It solves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.wires import WiresSpec, arranged, smooth_modes

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


class LineLayout:
    """Reads in one direction: which arrays carry the cells, how they are driven, and what of their currents is the output.

    Args:
        spec: the wires. pair: whether cross points hold two cells. transpose: bit lines are driven.
    """

    def __init__(self, spec: WiresSpec, pair: bool, transpose: bool) -> None:
        self.topology = spec.backward() if transpose else spec.forward()
        self._place = spec.pair if pair else "single"
        self._transpose = transpose
        self._opposed = self._place == ("columns" if transpose else "rows")
        self._beside = self._place == ("rows" if transpose else "columns")

    def arrays(self, planes: F32) -> list[F64]:
        """Values of the cells (planes, rows, cols) as they lie on the arrays, (driven, sensed) each."""
        if self._place == "single":
            placed: tuple[F64, ...] = (np.asarray(planes[0], np.float64),)
        else:
            placed = arranged(planes[0], planes[1], self._place)
        return [np.ascontiguousarray(a.T if self._transpose else a) for a in placed]

    def driven(self, v: npt.NDArray[Any]) -> F64:
        """Volts on the driven lines of an array, (B, lines), for inputs v (B, inputs)."""
        volts = np.asarray(v, np.float64)
        return np.stack([volts, -volts], 2).reshape(len(volts), -1) if self._opposed else volts

    def output(self, each: list[F64], sign: float = -1.0) -> F64:
        """Plus and `sign` times minus of what the arrays' sensed lines give, (B, lines) each."""
        if self._place == "separate":
            return each[0] + sign * each[1]
        [found] = each
        return found[:, 0::2] + sign * found[:, 1::2] if self._beside else found

    def matrix(self, each: list[F64]) -> F32:
        """Effective matrix (inputs, outputs) from those of the arrays."""
        total = self.output(each)
        if self._opposed:
            total = total[0::2] - total[1::2]
        return np.ascontiguousarray(total, np.float32)

    def modes(self, lines: int) -> tuple[F64, F64]:
        """Smooth inputs (modes, inputs) and what they drive the lines of an array with (modes, driven), orthonormal both."""
        inputs = smooth_modes(lines)
        drives = self.driven(inputs)
        return inputs, drives / np.sqrt((drives * drives).sum(1))[:, None]

    def planes(self, each: list[F64], signed: bool = False) -> F64:
        """Values (..., driven, sensed) of the cells on the arrays by planes, (planes, ..., inputs, outputs).

        signed: they are volts across cells for the drives of `modes`; turned into those for its inputs.
        """
        if self._place in ("separate", "single"):
            return np.stack(each)
        [a] = each
        if self._opposed:
            factor = np.sqrt(2.0) if signed else 1.0
            return np.stack([factor * a[..., 0::2, :], (-factor if signed else factor) * a[..., 1::2, :]])
        return np.stack([a[..., 0::2], a[..., 1::2]])
