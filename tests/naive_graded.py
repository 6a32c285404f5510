"""Slow, obvious twin of the kernels of pulses at other voltages: every phase of every slot from the lines that are driven in it.

Voltages are formed here cell by cell from the shares of `Reached`; factors from the card's `PulseFactor`. Steps: `naive_pulses`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from naive_pulses import Cell, RowNoise, _cell

from analog_sim.cells.cell_model import CellModel
from analog_sim.cells.state import CellState
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.pulses.reached import Reached

Lines = dict[tuple[int, int], int]
"""(plane, line) that is driven."""


def pulse(
    model: CellModel,
    state: CellState,
    plan: PulseTrain | PulseCounts,
    reached: Reached,
    key: tuple[int, int],
    call: int,
) -> np.ndarray:
    """Conductances (planes, rows, cols) after a plan whose voltages reach the cells as `reached` says."""
    planes, rows, cols = state.g.shape
    g = state.g.copy()
    for plane in range(planes):
        for i in range(rows):
            line = [_cell(model, state, state.g, (plane, i, j)) for j in range(cols)]
            before = [c.u for c in line]
            noise = RowNoise(
                key, plane * rows + i, call, model.pulse is not None and model.pulse.up_quantiles is not None
            )
            row = _Row(model, plan, reached, plane, i, line, noise)
            if isinstance(plan, PulseTrain):
                for driven in _phases(plan, reached, planes, int(reached.col_turn[plane])):
                    row.phase(*driven)
            else:
                row.counts(plan)
            for j, c in enumerate(line):
                if c.u != before[j]:
                    g[plane, i, j] = c.low + c.u * c.width
    return g


def _phases(
    plan: PulseTrain, reached: Reached, planes: int, turn: int
) -> Iterator[tuple[bool, set[tuple[int, int]], set[tuple[int, int]]]]:
    """Direction (up?) of every phase, and the (plane, word line) and (plane, bit line) that are driven in it.

    turn: of the bit lines of the plane that is looked at; those of positive sign fire first.
    """
    shape = len(plan.row_bits), plan.row_bits.shape[1], plan.col_bits.shape[1]
    for s in range(shape[0]):
        for k in range(plan.length):
            for a in (1, -1):
                for b in (turn, -turn):
                    if a * b < 0 and plan.mode == "one_sided" and planes == 2:
                        continue
                    words = {
                        (q, i)
                        for q in range(planes)
                        for i in range(shape[1])
                        if plan.row_bits[s, i] >> np.uint64(k) & np.uint64(1)
                        and plan.row_sign[s, i] * reached.row_turn[q] == a
                    }
                    bits = {
                        (q, j)
                        for q in range(planes)
                        for j in range(shape[2])
                        if plan.col_bits[s, j] >> np.uint64(k) & np.uint64(1)
                        and plan.col_sign[s, j] * reached.col_turn[q] == b
                    }
                    yield a * b > 0, words, bits


class _Row:
    """Cells of one row at work."""

    def __init__(
        self,
        model: CellModel,
        plan: PulseTrain | PulseCounts,
        reached: Reached,
        plane: int,
        i: int,
        line: list[Cell],
        noise: RowNoise,
    ) -> None:
        assert model.pulse is not None
        assert model.pulse.amplitude is not None
        self.law, self.reached, self.plane, self.i, self.line, self.noise = model.pulse, reached, plane, i, line, noise
        self.factor = model.pulse.amplitude
        self.amplitude = self.factor.nominal if plan.amplitude is None else plan.amplitude
        self.stretch = np.ones(2)
        if plan.width is not None and model.pulse.width is not None:
            self.stretch = model.pulse.width.factors(plan.width)
        one = len(reached.array) == 2 and reached.array[0] == reached.array[1]
        self.shared = one and reached.col_turn[1] < 0, one and reached.row_turn[1] < 0  # word lines, bit lines
        self.noisy = bool(self.law.up_std.any() or self.law.down_std.any()) or self.law.up_quantiles is not None

    def phase(self, up: bool, words: set[tuple[int, int]], bits: set[tuple[int, int]]) -> None:
        """Selected cells first, with noise, then all others by mean steps."""
        here = self.reached.array[self.plane]
        words, bits = ({(q, n) for q, n in lines if self.reached.array[q] == here} for lines in (words, bits))
        if not words or not bits:
            return
        mine = (self.plane, self.i) in words
        selected = [j for j in range(len(self.line)) if mine and (self.plane, j) in bits]
        for q, j in enumerate(selected):
            v = self.volts(j, words, bits)
            factor = self.factor.factors(max(v, 0.0)) * self.stretch
            bin_ = self.noise.next_bin(len(selected) - q) if self.noisy else None
            self.line[j].pulse(up, bin_, float(factor[0 if up else 1]))
        for j, cell in enumerate(self.line):
            if j not in selected:
                v = self.volts(j, words, bits) * (1 if up else -1)
                factor = self.factor.factors(abs(v)) * self.stretch
                cell.disturb(float(factor[0]) if v >= 0 else -float(factor[1]))

    def volts(self, j: int, words: set[tuple[int, int]], bits: set[tuple[int, int]]) -> float:
        """Volts across cell j in the direction of the pulse."""
        r, plane = self.reached, self.plane
        rows = r.word_modes.shape[2]
        at = plane * rows + self.i
        shares_words, shares_bits = self.shared
        share = 0.0
        for q, i in words:
            if q == plane or not shares_words:  # a shared line is driven once
                share += float(r.word_modes[q, :, i] @ r.word[at, :, j])
        for q, k in bits:
            if q == plane or not shares_bits:
                share += float(r.bit_modes[q, :, k] @ r.bit[at, :, j])
        share += float(r.own_word[at, j]) * ((plane, self.i) in words) + float(r.own_bit[at, j]) * ((plane, j) in bits)
        return self.amplitude * share

    def counts(self, plan: PulseCounts) -> None:
        """This row's own pulses, then what those of the other rows cost."""
        n, r = np.asarray(plan.counts, int), self.reached
        most = int(np.abs(n).max())
        shares_bits = self.shared[1]
        for k in range(most):
            for up in (True, False):
                self.phase(up, *self._driven(n, self.plane, self.i, k, up))
        for j, cell in enumerate(self.line):
            times = 0.0
            for up in (True, False):
                seen = []
                for q in range(len(n)) if shares_bits else [self.plane]:
                    for i in range(n.shape[1]):
                        for k in range(most):
                            if (n[q, i, j] if up else -n[q, i, j]) > k:
                                words, bits = self._driven(n, q, i, k, up)
                                own = (self.plane, self.i) in words
                                seen.append((own, self.volts(j, words - {(self.plane, self.i)}, bits), words))
                if not seen:
                    continue
                # The mean of what the driven lines do, over all events; a row's own ones count in it, but cost it nothing here.
                r_at = self.plane * n.shape[1] + self.i
                mean = 0.0
                for own, v, _ in seen:
                    mean += v
                    if own:
                        mean += self.amplitude * float(r.word_modes[self.plane, :, self.i] @ r.word[r_at, :, j])
                mean *= (1 if up else -1) / len(seen)
                factor = self.factor.factors(abs(mean)) * self.stretch
                others = sum(not own for own, _, _ in seen)
                times += others * (float(factor[0]) if mean >= 0 else -float(factor[1]))
            cell.disturb(times)

    def _driven(
        self, n: np.ndarray, plane: int, i: int, k: int, up: bool
    ) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        """Lines of the k-th pulses in a direction of one word line; a shared line goes by the names of both planes."""
        shares_words, shares_bits = self.shared
        planes = range(len(n)) if shares_words else [plane]
        bits = {(q, j) for q in planes for j in range(n.shape[2]) if (n[q, i, j] if up else -n[q, i, j]) > k}
        if shares_bits:
            bits = {(q, j) for q in range(len(n)) for _, j in bits}
        return {(q, i) for q in planes}, bits
