"""Currents of an array whose wires have resistance, from the conductances of its cells. It draws nothing and moves no clock.

A few inputs are solved one by one; once a state of the cells has been read so often that this would cost more than its effective matrix,
the matrix is made and every further read is a plain product with it. Both are exact to the tolerance of the specification. What is held
follows from the cells, from how many inputs they were read with, and from the last base of the corrections (`update: tracked`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.reads.packed_matrix import PackedMatrix
from analog_sim.reads.wired_curved import curved_read
from analog_sim.reads.wired_layout import LineLayout
from analog_sim.reads.wired_noise import CellResponse, NoiseForm
from analog_sim.wires import (
    Effective,
    FirstOrder,
    Network,
    NoiseTransfer,
    Response,
    Step,
    Topology,
    Tracker,
    WiresError,
    WiresSpec,
    currents,
    effective_matrix,
    factored,
    noise_transfer,
    response,
)

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

ROWS_PER_SOLVE = {"exact": 10, "tracked": 20, "first_order": float("inf")}
"""Driven lines for which one solved input costs as much as the whole matrix, about (docs/wires.md, Speed)."""
FEW_NOISY = 4
"""Inputs whose read noise is solved one by one before the form of all inputs is made, which costs about as much."""


@dataclass
class _Seen:
    """What is known of one state of the cells in one direction.

    Attributes:
        served: inputs read so far; noisy: those of them whose noise was solved one by one. due: the matrix had been made when a checkpoint
            was written.
        effective: of the arrays. panels: the matrix of the reads. networks: of the arrays. each, form: noise per input and of all inputs.
    """

    served: int = 0
    noisy: int = 0
    due: bool = False
    effective: list[Effective] | None = None
    panels: PackedMatrix | None = None
    networks: list[Network] | None = None
    each: list[NoiseTransfer] | None = None
    form: NoiseForm | None = None


@dataclass
class WiresReport:
    """What reads under wires have cost and how well they are known, since the array was made.

    Attributes:
        solved: inputs solved one by one. matrices: effective matrices made anew. corrected: matrices corrected instead (`tracked`,
            `first_order`).
        error: largest measured error of a matrix, relative to the largest current of its probes.
        noise_error: largest measured relative error of a standard deviation of read noise (`noise: form`), against one solve per input.
        drop_error: largest measured error of a corrected matrix, relative to the IR drop (`first_order`).
    """

    solved: int = 0
    matrices: int = 0
    corrected: int = 0
    error: float = 0.0
    noise_error: float = 0.0
    drop_error: float = 0.0


class FollowerState(TypedDict):
    """Where corrections of one matrix to first order start from."""

    base: npt.NDArray[Any] | None
    modes: F64
    reached: float


class WiredState(TypedDict):
    """What the bits of later reads under wires depend on besides the cells; lists of two are of plain and of transposed reads."""

    served: list[int]
    noisy: list[int]
    made: list[bool]
    bases: list[list[npt.NDArray[Any] | None]]
    followed: list[list[FollowerState]]
    report: list[float]


@dataclass
class WiredReads:
    """Reads of one array with wires.

    Args:
        spec: the wires. pair: whether cross points hold two cells. alpha: 1/V, of cells with I = g sinh(alpha v) / alpha; 0: ohmic.

    Attributes:
        report: what they have cost.

    Raises WiresError for a selector in series with cells that are not ohmic.
    """

    spec: WiresSpec
    pair: bool
    alpha: float = 0.0
    report: WiresReport = field(default_factory=WiresReport)

    def __post_init__(self) -> None:
        self._layouts = [LineLayout(self.spec, self.pair, transpose) for transpose in (False, True)]
        self._mutual = self._layouts[0].topology.reciprocal(self._layouts[1].topology)
        self._trackers: list[list[Tracker]] = [[], []]
        self._followers: list[list[FirstOrder]] = [[], []]
        self._responses: list[tuple[tuple[int, ...], CellResponse, list[NoiseTransfer]] | None] = [None, None]
        self._even_forms: list[tuple[tuple[int, ...], float, NoiseForm] | None] = [None, None]
        self._seen = [_Seen(), _Seen()]
        if self.alpha and self.spec.selector:
            raise WiresError(
                f"tile.wires.selector: cells with a non-linear I-V curve (iv_alpha = {self.alpha:g} per volt) cannot have a resistance in "
                f"series (got {self.spec.selector:g} ohm, allowed: 0 ohm; make it part of the card's curve)"
            )

    def forget(self) -> None:
        """Cells have changed or aged."""
        self._seen = [_Seen(), _Seen()]

    def read(
        self, g: F32, cell: F32 | float, v: F32, transpose: bool, out: F32 | None = None
    ) -> tuple[F32, F32 | None]:
        """Currents as `multiply` gives them, and their variance as `variance` does, None for silent cells.

        Cells that are not ohmic are solved input by input, whatever the specification says of matrices and noise.
        """
        silent = isinstance(cell, float) and cell == 0.0
        if not self.alpha:
            current = self.multiply(g, v, transpose, out)
            return current, None if silent else self.variance(g, cell, v, transpose)
        std = (
            None if silent else np.sqrt(np.broadcast_to(np.float32(cell), g.shape) if isinstance(cell, float) else cell)
        )
        current, variance, residual = curved_read(
            self._layouts[transpose], self._bare(transpose), self.alpha, g, v, std
        )
        self.report.solved += len(v)
        self.report.error = max(self.report.error, residual)
        if out is not None:
            out[...] = current
        return (current if out is None else out), variance

    def multiply(self, g: F32, v: F32, transpose: bool, out: F32 | None = None) -> F32:
        """Currents (B, outputs), amperes, for inputs v (B, inputs) volts; g: (planes, rows, cols) siemens, into `out` when given."""
        seen, way = self._seen[transpose], self._layouts[transpose]
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
        """Variance (B, outputs), amperes squared, of the read noise of the currents.

        Args:
            g: (planes, rows, cols) siemens. cell: variance of one read of every cell, siemens squared, of that shape or one number.
            v: (B, inputs) volts. transpose: bit lines are driven.
        """
        seen = self._seen[transpose]
        r = np.float32(self.spec.selector)
        each = np.full(g.shape, cell, np.float32) if isinstance(cell, float) else cell
        if r:
            each = each / np.square(np.square(1.0 + g * r))  # d(g / (1 + g R)) / dg, squared
        few = self.spec.update != "first_order" and seen.form is None and seen.noisy + len(v) <= FEW_NOISY
        if self.spec.noise == "per_input" or few:
            seen.noisy += len(v)
            if seen.each is None:
                topology, way = self._bare(transpose), self._layouts[transpose]
                seen.each = [noise_transfer(a, topology) for a in way.arrays(self._in_series(g))]
            return self._each_variance(seen.each, each, v, transpose)
        if seen.form is None:
            seen.form = self._form(g, each, transpose, isinstance(cell, float))
        return seen.form.variance(np.ascontiguousarray(v, np.float32))

    def _each_variance(self, each: list[NoiseTransfer], cell: F32, v: F32, transpose: bool) -> F32:
        way = self._layouts[transpose]
        volts = way.driven(v)
        arrays = way.arrays(np.sqrt(cell))
        found = [transfer.variance(a, volts) for transfer, a in zip(each, arrays, strict=True)]
        return way.output(found, 1.0).astype(np.float32)

    def _form(self, g: F32, cell: F32, transpose: bool, even: bool) -> NoiseForm:
        """The quadratic form; its error is measured on one random input when the responses are new."""
        self._panels(g, transpose)
        known, new = self._responses[transpose], False
        marks = tuple(f.refreshes for f in self._followers[transpose and not self._mutual])
        if known is None or self._follows(transpose) is False or known[0] != marks:
            known, new = (marks, *self._response(g, transpose)), True
            self._responses[transpose] = known if self._follows(transpose) else None
        # Where all cells have one variance the form follows from the response alone, and is kept with it.
        kept, value = self._even_forms[transpose], float(cell[0, 0, 0])
        lasting = even and not self.spec.selector and self._follows(transpose)
        if lasting and not new and kept is not None and kept[:2] == (marks, value):
            return kept[2]
        placed = np.ascontiguousarray(cell.transpose(0, 2, 1) if transpose else cell)
        form = NoiseForm(known[1], placed, even)
        self._even_forms[transpose] = (marks, value, form) if lasting else None
        if new:
            v = np.random.default_rng(placed.shape[1]).uniform(0.0, 1.0, (1, placed.shape[1])).astype(np.float32)
            wanted, found = self._each_variance(known[2], cell, v, transpose), form.variance(v)
            there = wanted > 0.0
            if there.any():
                error = float(np.abs(np.sqrt(found[there] / wanted[there]) - 1.0).max())
                self.report.noise_error = max(self.report.noise_error, error)
        return form

    def _response(self, g: F32, transpose: bool) -> tuple[CellResponse, list[NoiseTransfer]]:
        way, followers = self._layouts[transpose], self._followers[transpose and not self._mutual]
        lines = g.shape[2 if transpose else 1]
        if not self._follows(transpose):
            found = self._responses_of(way.arrays(self._in_series(g)), transpose, lines)
        elif transpose and self._mutual:  # of the forward base, seen from its other end
            bases = [np.ascontiguousarray(follower.cells.T) for follower in followers]
            found = self._responses_of(bases, transpose, lines)
        else:
            found = [follower.response() for follower in followers]
        return CellResponse.of(way, lines, found), [NoiseTransfer.of(each) for each in found]

    def _responses_of(self, arrays: list[F64], transpose: bool, lines: int) -> list[Response]:
        drives = self._layouts[transpose].modes(lines)[1]
        return [response(a, self._bare(transpose), drives) for a in arrays]

    def _in_series(self, g: F32) -> F32:
        """Cells with their selectors."""
        return g / (np.float32(1.0) + g * np.float32(self.spec.selector)) if self.spec.selector else g

    def _bare(self, transpose: bool) -> Topology:
        """Wires without selector, and with a slight resistance where there is none."""
        return self._layouts[transpose].topology.bare()

    def _follows(self, transpose: bool) -> bool:
        """Whether matrices are corrected to first order."""
        return self.spec.update == "first_order" and not _closed(self._layouts[transpose].topology)

    def _networks(self, g: F32, transpose: bool) -> list[Network]:
        seen, way = self._seen[transpose], self._layouts[transpose]
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
            seen.panels = PackedMatrix.of(self._layouts[transpose].matrix([e.matrix for e in seen.effective]))
        return seen.panels

    def _effective(self, g: F32, transpose: bool) -> list[Effective]:
        way = self._layouts[transpose]
        if transpose and self._mutual:
            self._panels(g, False)
            known = self._seen[False].effective
            assert known is not None
            return [replace(e, matrix=np.ascontiguousarray(e.matrix.T)) for e in known]
        if self._follows(transpose):
            arrays = way.arrays(self._in_series(g))
            followers = self._followed(transpose, len(arrays), way.modes(g.shape[2 if transpose else 1])[1])
            steps = [follower.matrix(a) for follower, a in zip(followers, arrays, strict=True)]
            self.report.drop_error = max(self.report.drop_error, *(follower.drop_error for follower in followers))
            return self._counted(steps)
        arrays = way.arrays(g)
        if self.spec.update != "tracked":
            self.report.matrices += len(arrays)
            return [effective_matrix(a, way.topology, self.spec.tolerance) for a in arrays]
        trackers = self._tracked(transpose, len(arrays))
        return self._counted([tracker.matrix(a) for tracker, a in zip(trackers, arrays, strict=True)])

    def _counted(self, steps: list[Step]) -> list[Effective]:
        made = sum(step.refreshed for step in steps)
        self.report.matrices += made
        self.report.corrected += len(steps) - made
        return [Effective(step.matrix, step.error, self.spec.update) for step in steps]

    def _tracked(self, transpose: bool, count: int) -> list[Tracker]:
        if not self._trackers[transpose]:
            topology = self._layouts[transpose].topology
            self._trackers[transpose] = [Tracker(topology, self.spec.tolerance) for _ in range(count)]
        return self._trackers[transpose]

    def _followed(self, transpose: bool, count: int, drives: F64) -> list[FirstOrder]:
        if not self._followers[transpose]:
            self._followers[transpose] = [FirstOrder(self._bare(transpose), drives) for _ in range(count)]
        return self._followers[transpose]

    def state(self) -> WiredState:
        """For a checkpoint: what the bits of later reads depend on besides the cells."""
        return {
            "served": [seen.served for seen in self._seen],
            "noisy": [seen.noisy for seen in self._seen],
            "made": [seen.due or seen.panels is not None for seen in self._seen],
            "bases": [[tracker.base for tracker in side] for side in self._trackers],
            "followed": [
                [{"base": f.base, "modes": f.modes, "reached": f.reached} for f in side] for side in self._followers
            ],
            "report": list(asdict(self.report).values()),
        }

    def restore(self, state: WiredState) -> None:
        """Put back what `state` returned; matrices are made again when they are next asked for."""
        self.forget()
        for side, bases in enumerate(state["bases"]):
            if not bases:
                self._trackers[side] = []
            for tracker, base in zip(self._tracked(bool(side), len(bases)) if bases else [], bases, strict=True):
                tracker.rebase(base)
        self._responses, self._even_forms = [None, None], [None, None]
        for side, followed in enumerate(state["followed"]):
            self._followers[side] = []
            for one in followed:
                follower = FirstOrder(self._bare(bool(side)), one["modes"])
                follower.rebase(one["base"], one["reached"])
                self._followers[side].append(follower)
        for k, seen in enumerate(self._seen):
            seen.served, seen.due = int(state["served"][k]), bool(state["made"][k])
            seen.noisy = int(state["noisy"][k])
        values = [float(x) for x in state["report"]]
        self.report = WiresReport(*(int(x) for x in values[:3]), *values[3:])


def _closed(topology: Topology) -> bool:
    """Whether the matrix of such wires has a closed form, which costs less than a solve."""
    return topology.word.ideal or topology.bit.ideal
