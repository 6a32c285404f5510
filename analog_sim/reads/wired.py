"""Currents of an array whose wires have resistance, from the conductances of its cells. It draws nothing and moves no clock.

A few inputs are solved one by one; once a state of the cells has been read so often that this would cost more than its effective matrix,
the matrix is made and every further read is a plain product with it. Both are exact to the tolerance of the specification. What is held
follows from the cells, from how many inputs they were read with, and from the last base of the corrections (`update: tracked`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.reads.packed_matrix import PackedMatrix
from analog_sim.wires import (
    Effective,
    End,
    Line,
    Network,
    NoiseTransfer,
    Topology,
    Tracker,
    WiresSpec,
    arranged,
    currents,
    effective_matrix,
    factored,
    noise_transfer,
)

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

ROWS_PER_SOLVE = {"exact": 10, "tracked": 20}
"""Driven lines for which one solved input costs as much as the whole matrix, about (docs/wires.md, Speed)."""
_SLIGHT = 1e-6
"""Ohm in place of 0 at the terminals of lines without resistance: the noise transfer has no closed form for them."""


class _Direction:
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


@dataclass
class _Seen:
    """What is known of one state of the cells in one direction.

    Attributes:
        served: inputs read so far. due: the matrix had been made when a checkpoint was written.
        effective: of the arrays. panels: the matrix of the reads. networks, noise: of the arrays.
    """

    served: int = 0
    due: bool = False
    effective: list[Effective] | None = None
    panels: PackedMatrix | None = None
    networks: list[Network] | None = None
    noise: list[NoiseTransfer] | None = None


@dataclass
class WiresReport:
    """What reads under wires have cost and how well they are known, since the array was made.

    Attributes:
        solved: inputs solved one by one. matrices: effective matrices made anew. corrected: matrices corrected instead (`tracked`).
        error: largest measured error of a matrix, relative to the largest current of its probes.
    """

    solved: int = 0
    matrices: int = 0
    corrected: int = 0
    error: float = 0.0


@dataclass
class WiredReads:
    """Reads of one array with wires.

    Args:
        spec: the wires. pair: whether cross points hold two cells.

    Attributes:
        report: what they have cost.
    """

    spec: WiresSpec
    pair: bool
    report: WiresReport = field(default_factory=WiresReport)

    def __post_init__(self) -> None:
        self._directions = [_Direction(self.spec, self.pair, transpose) for transpose in (False, True)]
        self._mutual = self._directions[0].topology.reciprocal(self._directions[1].topology)
        self._trackers: list[list[Tracker]] = [[], []]
        self._seen = [_Seen(), _Seen()]

    def forget(self) -> None:
        """Cells have changed or aged."""
        self._seen = [_Seen(), _Seen()]

    def multiply(self, g: F32, v: F32, transpose: bool, out: F32 | None = None) -> F32:
        """Currents (B, outputs), amperes, for inputs v (B, inputs) volts; g: (planes, rows, cols) siemens, into `out` when given."""
        seen, way = self._seen[transpose], self._directions[transpose]
        most = v.shape[1] / ROWS_PER_SOLVE[self.spec.update]
        if seen.panels is None and not seen.due and seen.served + len(v) <= most and not _closed(way.topology):
            seen.served += len(v)
            self.report.solved += len(v)
            nets, volts = self._networks(g, transpose), way.driven(v)
            found = way.output([currents(net, volts, self.spec.tolerance) for net in nets])
            if out is None:
                return found.astype(np.float32)
            out[...] = found
            return out
        seen.served += len(v)
        return self._panels(g, transpose).multiply(v, out)

    def matrix(self, g: F32, transpose: bool = False) -> F32:
        """Effective net conductance (inputs, outputs), siemens, of cells g (planes, rows, cols)."""
        return self._panels(g, transpose).matrix()

    def variance(self, g: F32, cell: F32 | float, v: F32, transpose: bool) -> F32:
        """Variance (B, outputs), amperes squared, of the read noise of the currents, by one solve per input (`noise_transfer`).

        Args:
            g: (planes, rows, cols) siemens. cell: variance of one read of every cell, siemens squared, of that shape or one number.
            v: (B, inputs) volts. transpose: bit lines are driven.
        """
        seen, way, r = self._seen[transpose], self._directions[transpose], self.spec.selector
        if seen.noise is None:
            bare = replace(
                way.topology, selector=0.0, word=_resistive(way.topology.word), bit=_resistive(way.topology.bit)
            )
            seen.noise = [noise_transfer(a / (1.0 + a * r), bare) for a in way.arrays(g)]
        each = np.broadcast_to(np.float32(cell), g.shape) if isinstance(cell, float) else cell
        std = np.sqrt(each) / np.square(1.0 + g * np.float32(r))  # d(g / (1 + g R)) / dg
        volts = way.driven(v)
        found = [transfer.variance(a, volts) for transfer, a in zip(seen.noise, way.arrays(std), strict=True)]
        return way.output(found, 1.0).astype(np.float32)

    def _networks(self, g: F32, transpose: bool) -> list[Network]:
        seen, way = self._seen[transpose], self._directions[transpose]
        if seen.networks is None:
            seen.networks = [factored(a, way.topology) for a in way.arrays(g)]
        return seen.networks

    def _panels(self, g: F32, transpose: bool) -> PackedMatrix:
        seen = self._seen[transpose]
        if seen.panels is None:
            before = replace(self.report)
            seen.effective = self._effective(g, transpose)
            if seen.due:
                self.report = before  # has been counted
            self.report.error = max(self.report.error, *(e.error for e in seen.effective))
            seen.panels = PackedMatrix.of(self._directions[transpose].matrix([e.matrix for e in seen.effective]))
        return seen.panels

    def _effective(self, g: F32, transpose: bool) -> list[Effective]:
        way = self._directions[transpose]
        if transpose and self._mutual:
            self._panels(g, False)
            known = self._seen[False].effective
            assert known is not None
            return [replace(e, matrix=np.ascontiguousarray(e.matrix.T)) for e in known]
        arrays = way.arrays(g)
        if self.spec.update == "exact":
            self.report.matrices += len(arrays)
            return [effective_matrix(a, way.topology, self.spec.tolerance) for a in arrays]
        trackers = self._tracked(transpose, len(arrays))
        steps = [tracker.matrix(a) for tracker, a in zip(trackers, arrays, strict=True)]
        made = sum(step.refreshed for step in steps)
        self.report.matrices += made
        self.report.corrected += len(steps) - made
        return [Effective(step.matrix, step.error, "tracked") for step in steps]

    def _tracked(self, transpose: bool, count: int) -> list[Tracker]:
        if not self._trackers[transpose]:
            topology = self._directions[transpose].topology
            self._trackers[transpose] = [Tracker(topology, self.spec.tolerance) for _ in range(count)]
        return self._trackers[transpose]

    def state(self) -> dict[str, Any]:
        """For a checkpoint: what the bits of later reads depend on besides the cells."""
        return {
            "served": [seen.served for seen in self._seen],
            "made": [seen.due or seen.panels is not None for seen in self._seen],
            "bases": [[tracker.base for tracker in side] for side in self._trackers],
            "report": [self.report.solved, self.report.matrices, self.report.corrected, self.report.error],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned; matrices are made again when they are next asked for."""
        self.forget()
        for side, bases in enumerate(state["bases"]):
            if not bases:
                self._trackers[side] = []
            for tracker, base in zip(self._tracked(bool(side), len(bases)) if bases else [], bases, strict=True):
                tracker.rebase(base)
        for seen, served, made in zip(self._seen, state["served"], state["made"], strict=True):
            seen.served, seen.due = int(served), bool(made)
        solved, matrices, corrected, error = state["report"]
        self.report = WiresReport(int(solved), int(matrices), int(corrected), float(error))


def _closed(topology: Topology) -> bool:
    """Whether the matrix of such wires has a closed form, which costs less than a solve."""
    return topology.word.ideal or topology.bit.ideal


def _resistive(line: Line) -> Line:
    def end(e: End) -> End:
        return replace(e, resistance=_SLIGHT) if e.resistance == 0.0 else e

    return replace(line, first=end(line.first), last=end(line.last))
