"""Slow, obvious twin of the pulse kernels: one cell and one pulse at a time, in plain Python and float64. The kernels must agree.

It works from the card's tables (`PulseModel`), not from the compiled ones, and states the order in which a row uses its noise. Only the
composed tables of several pulses are taken as they are, word for word; tests compare those with pulses one by one.
"""

import math
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from naive import philox
from scipy.special import ndtri

from analog_sim.cells.cell_model import QUANTILE_Z_MAX, CellModel
from analog_sim.cells.state import GAIN_UNIT, MEMORY_UNIT, CellState
from analog_sim.pulses.composed_tables import compose_in_numpy, composed_of
from analog_sim.pulses.kernels.composed.merging import ComposedTables
from analog_sim.pulses.plans import PulseCounts, PulseTrain

LANES, STEPS = 32, 16
MOST_PARTS = 256
MOST, DENSE, FEW_COUNTED = 16, 1.5, 0.25


# --- Composed tables (analog_sim/pulses/kernels/composed/composing.py) -----------------------------------------------------------------


def levels_after_pulses(steps: np.ndarray, start: np.ndarray, base: int) -> np.ndarray:
    """State and level -> mean state after 1 ... MOST pulses, by NumPy's histograms and interpolation: what runs without the JIT."""
    return compose_in_numpy(steps, start, base, len(steps))


# --- Noise (analog_sim/pulses/kernels/noise.py) ------------------------------------------------------------------------------


def xorshift128(state: list[int]) -> list[int]:
    """The last four 32-bit words of Marsaglia's generator, one step on."""
    x, y, z, w = state
    t = x ^ (x << 11) % 2**32
    return [y, z, w, w ^ (w >> 19) ^ t ^ (t >> 8)]


def bin_of(half: int) -> int:
    """Bin of 16 random bits: 128 values each, 4 each among the first and the last 1024 values."""
    if half < 1024:
        return 512 + half // 4
    if half >= 64512:
        return 768 + (half - 64512) // 4
    return half // 128


def bin_of_step(half: int) -> int:
    """Bin of a measured step: as `bin_of` outside the middle three quarters, 512 values each within, counted without gaps."""
    if 8192 <= half < 57344:
        return 64 + (half - 8192) // 512
    if 57344 <= half < 64512:
        return 160 + (half - 57344) // 128
    return bin_of(half)


def halves_of_step(bin_: int) -> range:
    """All 16-bit values that fall into a bin of a measured step."""
    if 64 <= bin_ < 160:
        return range(8192 + 512 * (bin_ - 64), 8192 + 512 * (bin_ - 63))
    if 160 <= bin_ < 216:
        return range(57344 + 128 * (bin_ - 160), 57344 + 128 * (bin_ - 159))
    return halves_of(bin_)


def halves_of(bin_: int) -> range:
    """All 16-bit values that fall into a bin."""
    if bin_ >= 768:
        return range(64512 + 4 * (bin_ - 768), 64512 + 4 * (bin_ - 767))
    if bin_ >= 512:
        return range(4 * (bin_ - 512), 4 * (bin_ - 511))
    return range(128 * bin_, 128 * (bin_ + 1))


def scores_of(bin_: int) -> np.ndarray:
    """Normal scores at the middles of the 16-bit values of a bin."""
    return ndtri((np.array(halves_of(bin_)) + 0.5) / 2**16)


def scores_of_step(bin_: int) -> np.ndarray:
    """The same for a bin of a measured step."""
    return ndtri((np.array(halves_of_step(bin_)) + 0.5) / 2**16)


def signed(word: int) -> int:
    """The two's complement value of a 32-bit word."""
    return word - 2**32 if word >= 2**31 else word


@dataclass
class RowNoise:
    """What a row of cells draws from at one operation."""

    key: tuple[int, int]
    row: int
    call: int
    measured: bool = False
    state: list[list[int]] = field(init=False)
    bins: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        low, high = self.call % 2**32, self.call // 2**32
        self.state = [list(philox((lane + 32 * high, self.row, low, 0xA5), self.key)) for lane in range(LANES)]

    def words(self, steps: int) -> list[int]:
        """One word of every generator at each step."""
        out = []
        for _ in range(steps):
            self.state = [xorshift128(s) for s in self.state]
            out += [s[3] for s in self.state]
        return out

    def next_bin(self, listed: int) -> int:
        """The bin of the next listed pulse, of which `listed` are known to come (this one included)."""
        if not self.bins:
            of = bin_of_step if self.measured else bin_of
            for word in self.words(min(STEPS, -(-listed // (2 * LANES)))):
                self.bins += [of(word % 2**16), of(word >> 16)]
        return self.bins.pop(0)

    def normals(self, number: int) -> list[float]:
        """Normals for a row of `number` cells, in pieces of at most STEPS steps."""
        steps, out = -(-number // (2 * LANES)), []
        while steps > 0:
            words = self.words(min(STEPS, steps))
            out += [quantile(signed(w) * 2.0**-31) for w in words]
            out += [quantile(signed((w << 16) % 2**32) * 2.0**-31 + 2.0**-17) for w in words]
            steps -= STEPS
        return out[:number]

    def halves(self, number: int) -> list[int]:
        """16 bits for each of a row of `number` cells, in pieces of at most STEPS steps."""
        steps = -(-number // (2 * LANES))
        words = [w for done in range(0, steps, STEPS) for w in self.words(min(STEPS, steps - done))]
        return [half for w in words for half in (w % 2**16, w >> 16)][:number]


def quantile(y: float) -> float:
    """The approximate normal quantile at (1 + y)/2: y times a polynomial in an approximate log2(1 - y**2)."""
    t = float(np.float32(1.0 + 2.0**-23 - y * y))
    mantissa, exponent = math.frexp(t)  # mantissa in [1/2, 1)
    m = 2 * mantissa
    log2 = exponent - 1 + (m - 1) + np.polyval([0.15825037, -1.05188477, 2.04790187, -1.15363085], m)
    coefficients = [1.8262222e-06, 8.987000e-05, 0.0016002306, 0.008395865, -0.2280866, 1.2524613]
    return y * float(np.polyval(coefficients, log2))


# --- One cell ------------------------------------------------------------------------------------------------------------------------


@dataclass
class Cell:
    """One cell in its own window: u in [0, 1], gains in windows per siemens."""

    model: CellModel
    table: int
    u: float
    low: float
    width: float
    gain: dict[bool, float]
    pulses: int = 0
    memory: float = 0.5

    def mean(self, up: bool) -> float:
        """Mean step at the present state, siemens."""
        law = self.model.pulse
        assert law is not None
        row = (law.up_mean if up else law.down_mean)[self.table]
        return float(np.interp(self.u, np.linspace(0, 1, len(row)), row))

    def std(self, up: bool) -> float:
        """Standard deviation of a step at the present state, siemens."""
        law = self.model.pulse
        assert law is not None
        row = (law.up_std if up else law.down_std)[self.table]
        return float(np.interp(self.u, np.linspace(0, 1, len(row)), row))

    def quantile_step(self, up: bool, bin_: int) -> float:
        """Mean of the quantile table over a bin, at the present state, siemens."""
        law = self.model.pulse
        assert law is not None
        quantiles = law.up_quantiles if up else law.down_quantiles
        assert quantiles is not None
        axis = np.linspace(-QUANTILE_Z_MAX, QUANTILE_Z_MAX, quantiles.shape[2])
        at_nodes = [np.interp(scores_of_step(bin_), axis, q).mean() for q in quantiles[self.table]]
        return float(np.interp(self.u, np.linspace(0, 1, len(at_nodes)), at_nodes))

    def pulse(self, up: bool, bin_: int | None, factor: float = 1.0) -> None:
        """One pulse with the noise of a bin, None for none; factor: on its step."""
        law = self.model.pulse
        assert law is not None
        self.pulses += 1
        if bin_ is None:
            step = self.mean(up)
        elif law.up_quantiles is not None:
            step = self.quantile_step(up, bin_)
        else:
            step = self.mean(up) + self.std(up) * scores_of(bin_).mean() / _score_rms()
        if law.history is not None:
            a, b, kept = law.history.up if up else law.history.down
            e = 1.0 - self.memory if up else self.memory
            step = (1.0 + a * e) * self.mean(up) + (1.0 + b * e) * (step - self.mean(up))
            self.memory = 1.0 - kept * e if up else kept * e
        self.u = min(max(self.u + self.gain[up] * factor * step, 0.0), 1.0)

    def ratio(self, up: bool) -> float:
        """Gain over that of the composed tables."""
        windows = self.model.windows
        width = self.model.window if windows is None else float(np.diff(windows[self.table])[0])
        return self.gain[up] * width

    def composed(self, n: int, half: int, tables: ComposedTables) -> int:
        """Up to MOST of the n pulses (n < 0: down) at once, if the cell may; returns how many are left."""
        law = self.model.pulse
        assert law is not None
        now, up = min(max(n, -MOST), MOST), n > 0
        base = 2 ** max(law.up_mean.shape[1] - 2, 0).bit_length()
        intervals = law.up_mean.shape[1] - 1
        y = base + intervals * self.u
        state = min(int(self.u * (tables.states - 1)), tables.states - 1)
        cell, x = cell_of(half)
        word = int(tables.words[((self.table * tables.states + state) * (2 * MOST + 1) + now + MOST) * 128 + cell])
        intercept, slope, rise = (float32_of(b) for b in (word >> 32, word % 2**32, (word << 16) % 2**32))
        ratio = self.ratio(up)
        if (60 * (1 + abs(ratio - 1)) if abs(ratio - 1) > 1e-3 else 1) > (word >> 32) % 256:
            return n
        step, k = intercept + slope * y + rise * x, abs(now)
        moved = ratio * k * step * (1 + (k - 1) / 2 * (ratio - 1) * slope)
        self.u = min(max(self.u + moved / intervals, 0.0), 1.0)
        self.pulses += k
        return n - now

    def disturb(self, times: float) -> None:
        """A number of mean steps, positive up, of a half-selected cell."""
        up = times > 0
        self.u = min(max(self.u + self.gain[up] * abs(times) * self.mean(up), 0.0), 1.0)

    def may_merge(self, n: int) -> bool:
        """Whether n pulses (n < 0: down) may be taken in one step; see `merged`."""
        if abs(n) <= 1:
            return True
        b, s1 = self._slopes(n > 0)
        if abs(n) * abs(b) > 0.1 or abs(n) * s1 * s1 > 1e-4:
            return False
        mean, spread = self.merged(n)
        return spread == 0.0 or 5 * abs(spread) <= min(self.u, 1 - self.u, mean, 1 - mean)

    def _slopes(self, up: bool) -> tuple[float, float]:
        law = self.model.pulse
        assert law is not None
        mean, std = (law.up_mean, law.up_std) if up else (law.down_mean, law.down_std)
        return self.gain[up] * float(mean[0, 1] - mean[0, 0]), self.gain[up] * float(std[0, 1] - std[0, 0])

    def merged(self, n: int) -> tuple[float, float]:
        """Mean and standard deviation of u after |n| pulses: closed form of the mean, spread at the middle of its path."""
        up, k = n > 0, abs(n)
        b, s1 = self._slopes(up)
        step, std = self.gain[up] * self.mean(up), self.gain[up] * self.std(up)
        growth = ((1 + b) ** k - 1) / b if b else float(k)
        h = (k - 1) / 2
        half_growth = ((1 + b) ** h - 1) / b if b else h
        return self.u + step * growth, math.sqrt(k) * (std + s1 * step * half_growth) * (1 + b) ** h


def cell_of(half: int) -> tuple[int, float]:
    """Cell of a composed table for 16 random bits, and x in 1 to 5/4: quarters of the octaves of the distance from the bound."""
    t = 2 * (half % 2**15) + 1
    octave = t.bit_length() - 1
    quarters = 4 * (t / 2**octave - 1)
    cell = 4 * octave + int(quarters)
    return (cell if half < 2**15 else 127 - cell), 1 + (quarters - int(quarters)) / 4


def float32_of(bits: int) -> float:
    """The float32 of 32 bits."""
    return float(np.uint32(bits).view(np.float32))


@cache
def _score_rms() -> float:
    """Root mean square of the bins' mean scores."""
    bins = [b for b in range(8, 1024) if not 504 <= b < 512]
    return math.sqrt(sum(len(halves_of(b)) * scores_of(b).mean() ** 2 for b in bins) / 2**16)


# --- A crossbar ----------------------------------------------------------------------------------------------------------------------


def pulse(
    model: CellModel,
    state: CellState,
    plan: PulseTrain | PulseCounts,
    key: tuple[int, int],
    call: int,
    present: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Pulse all cells of a crossbar.

    Returns conductances and pulses of every cell, (planes, rows, cols), and the pulses sent.
    """
    law = model.pulse
    assert law is not None
    planes, rows, cols = state.g.shape
    linear = law.up_quantiles is None and law.up_mean.shape == (1, 2)
    noisy = law.up_quantiles is not None or law.up_std.any() or law.down_std.any()
    start = state.g if present is None else present
    g, pulses = state.g.copy(), np.zeros(state.g.shape, int)
    for plane in range(planes):
        for i in range(rows):
            line = [_cell(model, state, start, (plane, i, j)) for j in range(cols)]
            before = [c.u for c in line]
            noise = RowNoise(key, plane * rows + i, call, law.up_quantiles is not None)
            if isinstance(plan, PulseCounts):
                counts = [int(n) for n in plan.counts[plane, i]]
                _counts(line, counts, noise, linear, noisy, dense=sum(map(abs, counts)) > FEW_COUNTED * cols)
                _disturb_by_counts(line, plan.counts[plane], i, model.half_select)
            else:
                _train(line, plan, plane, planes, i, noise, linear, noisy)
            for j, c in enumerate(line):
                pulses[plane, i, j] = c.pulses
                if c.u != before[j]:
                    g[plane, i, j] = c.low + c.u * c.width
                elif c.pulses:
                    g[plane, i, j] = start[plane, i, j]
    return g, pulses, int(pulses.sum())


def _cell(model: CellModel, state: CellState, start: np.ndarray, at: tuple[int, int, int]) -> Cell:
    low, high = (float(np.broadcast_to(b, start.shape)[at]) for b in state.bounds(model))
    width = high - low
    if state.count is not None:
        closed = width / (1 + float(state.count[at]) / model.endurance)
        low, width = low + (width - closed) / 2, closed
    gains = [1.0 if a is None else float(a[at]) / GAIN_UNIT for a in (state.gain_up, state.gain_down)]
    healthy = state.fault is None or state.fault[at] == 0
    gain = {up: healthy * value / width for up, value in zip((True, False), gains, strict=True)}
    table = 0 if state.table is None else int(state.table[at])
    cell = Cell(model, table, min(max((float(start[at]) - low) / width, 0.0), 1.0), low, width, gain)
    if state.memory is not None:
        cell.memory = float(state.memory[at]) / MEMORY_UNIT
    return cell


def _train(
    line: list[Cell],
    plan: PulseTrain,
    plane: int,
    planes: int,
    i: int,
    noise: RowNoise,
    linear: bool,
    noisy: bool,
) -> None:
    """The samples of a train on row i: dense ones of a linear law merged, runs of the others listed together."""
    samples, cols = plan.col_bits.shape
    parts: list[tuple[list[int], bool]] = []
    half = line[0].model.half_select
    # Without tables, or once they left too many cells of the row alone, a law that is not linear is never merged.
    remembers = line[0].model.pulse is not None and line[0].model.pulse.history is not None
    poor = remembers or (not linear and not composed_of(line[0].model).words.size)

    def flush() -> None:
        listed = sum(len(columns) for columns, _ in parts)
        for columns, up in parts:
            for j in columns:
                line[j].pulse(up, noise.next_bin(listed) if noisy else None)
                listed -= 1
        parts.clear()

    for s in range(samples):
        row = int(plan.row_bits[s, i])
        acts = [_act(int(plan.row_sign[s, i]) * int(c), plane, planes, plan.mode) for c in plan.col_sign[s]]
        firing = sum(int(b).bit_count() for b in plan.col_bits[s])
        if row and not poor and row.bit_count() * firing > 1.5 * cols * plan.length:
            flush()
            hits = [(row & int(b)).bit_count() * act for b, act in zip(plan.col_bits[s], acts, strict=True)]
            poor = 4 * _counts(line, hits, noise, linear, noisy) > cols and not linear
        else:
            for k in range(plan.length):
                if row >> k & 1:
                    for sign in (1, -1):
                        columns = [j for j in range(cols) if plan.col_bits[s, j] >> np.uint64(k) & np.uint64(1)]
                        columns = [j for j in columns if plan.col_sign[s, j] == sign and acts[j]]
                        if columns:
                            parts.append((columns, acts[columns[0]] > 0))
            if len(parts) >= MOST_PARTS:
                flush()
        if half:
            flush()
            for j in range(cols):
                line[j].disturb(half * (row ^ int(plan.col_bits[s, j])).bit_count() * acts[j])
    flush()


def _act(product: int, plane: int, planes: int, mode: str) -> int:
    """What a cell does at a product of signs: 1 up, -1 down, 0 nothing."""
    if planes == 1:
        return product
    mine = product if plane == 0 else -product
    return mine if mode == "both" else max(mine, 0)


def _counts(line: list[Cell], counts: list[int], noise: RowNoise, linear: bool, noisy: bool, dense: bool = True) -> int:
    """Signed pulses on the cells of a row: merged where they may be, the rest (whose number is returned) as first, second, ... pulses."""
    if not any(counts):
        if linear and noisy and dense:
            noise.normals(len(line))
        return 0
    counts = list(counts)
    alone = list(range(len(line)))
    if line[0].model.pulse is not None and line[0].model.pulse.history is not None:
        alone, linear, dense = [j for j, n in enumerate(counts) if n], True, False
    if linear and not dense:
        alone = [j for j, n in enumerate(counts) if n]
    elif linear:
        z = noise.normals(len(line)) if noisy else [0.0] * len(line)
        alone = []
        for j, (c, n) in enumerate(zip(line, counts, strict=True)):
            if not c.may_merge(n):
                alone.append(j)
            elif n:
                mean, spread = c.merged(n)
                c.u = min(max(mean + spread * z[j], 0.0), 1.0)
                c.pulses += abs(n)
    else:
        sent, before = sum(map(abs, counts)), math.inf
        while composed_of(line[0].model).words.size and before > sent > DENSE * len(line):
            halves = noise.halves(len(line)) if noisy else [0] * len(line)
            tables = composed_of(line[0].model)
            counts = [c.composed(n, half, tables) if n else 0 for c, n, half in zip(line, counts, halves, strict=True)]
            before, sent = sent, sum(map(abs, counts))
        alone = [j for j, n in enumerate(counts) if n]
    listed = sum(abs(counts[j]) for j in alone)
    for k in range(max((abs(counts[j]) for j in alone), default=0)):
        for up in (True, False):
            for j in alone:
                if abs(counts[j]) > k and (counts[j] > 0) == up:
                    line[j].pulse(up, noise.next_bin(listed) if noisy else None)
                    listed -= 1
    return len(alone)


def _disturb_by_counts(line: list[Cell], counts: np.ndarray, i: int, half: float) -> None:
    """After pulses on single cells: every pulse half-selects the others of its row and of its column."""
    if half:
        for j, c in enumerate(line):
            others = int(counts[i].sum()) + int(counts[:, j].sum()) - 2 * int(counts[i, j])
            if others:
                c.disturb(half * others)
