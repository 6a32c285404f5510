"""Slow, obvious twins of small array kernels: the same arguments as lists or arrays, plain loops, float64. The kernels must agree.

A kernel that writes into an array has a twin that returns what would be written.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
from naive import adc_reading, patches, philox, stream_normal, table_value

Rows = np.ndarray


# --- Programming and time (analog_sim/cells/kernels) ----------------------------------------------


def programmed(
    target: float, bounds: tuple[float, float], std: list[float], window: tuple[float, float], z: float
) -> tuple[float, int]:
    """Conductance of a cell that was written, and the code of the state that was aimed at, of 65534 steps from 1 on."""
    t = min(max(target, bounds[0]), bounds[1])
    u = min(max((t - window[0]) / (window[1] - window[0]), 0.0), 1.0)
    return max(0.0, t + table_value(std, u) * z), math.floor(u * 65534 + 1.5)


def forgotten(spans: Sequence[tuple[int, int]], t_written: list[float], now: float, decade: list[int]) -> list[int]:
    """Decades that are still known once cells in the spans were written at the time `now`."""
    within = {i for first, last in spans for i in range(first, last)}
    return [-1 if i in within and t_written[i] == now else known for i, known in enumerate(decade)]


# --- Mapping (analog_sim/mapping/kernels) ---------------------------------------------------------


def transposed(w: Rows, factor: float) -> list[list[float]]:
    """factor times the transpose."""
    return [[float(w[j, i]) * factor for j in range(w.shape[0])] for i in range(w.shape[1])]


def one_sided(fraction: float, low: float, window: float) -> tuple[float, float]:
    """Both cells of a pair, of which one stays at the lower end."""
    x = min(max(fraction, -1.0), 1.0)
    return (low + window * x, low) if x > 0 else (low, low - window * x)


def two_sided(fraction: float, low: float, window: float) -> tuple[float, float]:
    """Both cells of a pair that moves about the middle."""
    x = min(max(fraction, -1.0), 1.0)
    return low + window * (1 + x) / 2, low + window * (1 - x) / 2


# --- Counts and trains (analog_sim/pulses/kernels) ------------------------------------------------


def largest_counts(counts: Rows) -> list[int]:
    """Most pulses on any cell of each row."""
    return [max((abs(int(n)) for n in row), default=0) for row in counts]


def listed_pulses(counts: Rows, among: Iterable[int]) -> list[tuple[int, int]]:
    """Number of every cell in some rows that has pulses, counted through all rows, and its pulses."""
    return [(r * len(counts[r]) + j, int(n)) for r in among for j, n in enumerate(counts[r]) if n]


def parts(first: int, last: int, step: int, each: int, threads: int) -> list[tuple[int, int]]:
    """Where the parts of a shared kernel begin and end; those without anything are left out."""
    n = last - first
    number = max(1, min(each * threads, n // step))
    edges = [n * k // number // step * step for k in range(number)] + [n]
    return [(first + a, first + b) for a, b in pairwise(edges) if a < b]


def slots(largest: Sequence[int], planes: int) -> int:
    """Slots of counts, of which each row of each plane has so many on its busiest cell: row after row, both cells of a pair at once."""
    rows = len(largest) // planes
    return sum(max(largest[i + p * rows] for p in range(planes)) for i in range(rows))


def whole_steps(gathered: float, threshold: float, most: float) -> int:
    """Steps that are taken out of what has gathered: whole thresholds of it, at most `most`, to the nearest whole number."""
    return round(min(max(math.trunc(gathered / threshold) * threshold, -most), most))


def shared(x: Rows, d: Rows, pulses: float, longest: int, balance: bool, adapt: bool) -> tuple[int, float, float, bool]:
    """Slots of a sample's train; probability that a row fires for an input of one, a column for an error of one; whether any is cut."""
    largest_x, largest_d = float(np.abs(x).max()), float(np.abs(d).max())
    slots = min(max(math.ceil(pulses * largest_x * largest_d), 1), longest) if adapt else longest
    amplitude = math.sqrt(pulses / slots)
    ratio = math.sqrt(largest_d / largest_x) if balance and largest_x > 0 and largest_d > 0 else 1.0
    row, col = amplitude * ratio, amplitude / ratio
    return slots, row, col, max(row * largest_x, col * largest_d) > 1 + 1e-6


def firing(
    values: Sequence[float], strength: float, positive: int, sample: int, slots: int, key: tuple[int, int], call: int
) -> tuple[list[int], list[int]]:
    """Bit streams and signs of lines that fire with the probability |value| strength; word by word as `bits.draw_streams` states."""
    lines = len(values)

    def word(i: int, k: int) -> int:
        if slots == 1:
            quarter = (lines + 3) // 4
            return philox((i % quarter, sample, call, 0xB1), key)[i // quarter]
        if slots == 2:
            half = (lines + 1) // 2
            return philox((i % half, sample, call, 0xB1), key)[k + 2 * (i >= half)]
        return philox((i, sample + 2**28 * (k // 4), call, 0xB1), key)[k % 4]

    bounds = [math.floor(float(min(np.float32(abs(v)) * np.float32(strength), np.float32(1))) * 2**32) for v in values]
    streams = [sum((word(i, k) < bound) << k for k in range(slots)) for i, bound in enumerate(bounds)]
    return streams, [-positive if v < 0 else positive for v in values]


# --- Reads (analog_sim/reads/kernels) -------------------------------------------------------------


def largest_input(row: Rows) -> float:
    """What the inputs of a row are scaled by: the largest, 1 for a row of zeros, never so small that one over it overflows."""
    largest = max(abs(float(x)) for x in row)
    return max(largest, 2.0**-100) if largest > 0 else 1.0


def noisy_reading(
    current: float, variance: float, std: float, normal: float, full_range: float, bits: int | None, row_scale: float
) -> float:
    """A current with read noise through a converter, in amperes, times what its inputs were scaled by."""
    return adc_reading(current + math.sqrt(variance + std**2) * normal, full_range, bits) * row_scale


def net(plus: Rows, minus: Rows, rows: Sequence[int]) -> tuple[dict[int, list[float]], dict[int, float]]:
    """Net conductances, and what loads a word line, of each line of which a cell of either plane is named."""
    lines = {row % len(plus) for row in rows}
    return (
        {i: [float(a) - float(b) for a, b in zip(plus[i], minus[i], strict=True)] for i in lines},
        {i: sum(float(a) + float(b) for a, b in zip(plus[i], minus[i], strict=True)) for i in lines},
    )


def word_lines(rows: Sequence[int], lines: int) -> list[int]:
    """Word lines of rows of cells, which are counted through all planes."""
    return sorted({row % lines for row in rows})


def through_matrix(x: Rows, mean: Sequence[float], product: Rows, gain: Sequence[float]) -> list[list[float]]:
    """Outputs of a decorrelating matrix with a bypass: centred inputs and their product with the matrix, times the gain of each line."""
    return [
        [(float(v) - float(m) + float(r)) * float(g) for v, m, r, g in zip(row, mean, of_row, gain, strict=True)]
        for row, of_row in zip(x, product, strict=True)
    ]


def cleared(planes: np.ndarray, lines: Sequence[int]) -> list[list[list[int]]]:
    """Counts without those of some lines."""
    return [
        [[0] * len(row) if i in lines else [int(n) for n in row] for i, row in enumerate(plane)] for plane in planes
    ]


def walsh_product(
    volts: Sequence[float], labels: Sequence[int], patterns: Sequence[int], turns: Sequence[float], matrix: Rows
) -> list[list[float]]:
    """Currents of inputs that differ by the signs of a Walsh-Hadamard matrix."""
    inputs = [
        [float(t * v) * (-1) ** (int(p) & int(label)).bit_count() for v, label in zip(volts, labels, strict=True)]
        for p, t in zip(patterns, turns, strict=True)
    ]
    return [[sum(v * float(g) for v, g in zip(row, col, strict=True)) for col in matrix.T] for row in inputs]


def column_load(g: Rows) -> list[float]:
    """What loads a bit line: all its cells."""
    return [sum(float(row[j]) for row in g) for j in range(g.shape[1])]


def point_loads(plus: Rows, minus: Rows, points: Sequence[int]) -> list[float]:
    """What the pairs at some cross points load their lines with."""
    cols = plus.shape[1]
    return [float(plus[p // cols][p % cols]) + float(minus[p // cols][p % cols]) for p in points]


def power(v: Rows, g: Rows) -> float:
    """Watts in the cells of all lines, summed over the inputs."""
    return sum(float(volt) ** 2 * float(siemens) for row in v for volt, siemens in zip(row, g, strict=True))


def squares(v: Rows, factor: float) -> list[float]:
    """Sum of the squares of every row, times a factor."""
    return [factor * sum(float(volt) ** 2 for volt in row) for row in v]


def largest(numbers: Rows) -> float:
    """The largest magnitude; what is not a number is larger than all others."""
    magnitudes = [abs(float(x)) for row in numbers for x in row]
    return math.nan if any(math.isnan(x) for x in magnitudes) else max(magnitudes)


def product(v: Rows, matrix: Rows) -> list[list[float]]:
    """Currents of every input."""
    return [[sum(float(x) * float(g) for x, g in zip(row, col, strict=True)) for col in matrix.T] for row in v]


def changed(word: Callable[[], int], known: int, looks: int) -> bool:
    """Whether a word is another one than before, within so many looks."""
    return any(word() != known for _ in range(looks))


def with_outer_products(target: Rows, left: Rows, right: Rows, factor: float) -> list[list[float]]:
    """A matrix with a sum of outer products added to it."""
    return [
        [
            float(old) + factor * sum(float(x[i]) * float(d[j]) for x, d in zip(left, right, strict=True))
            for j, old in enumerate(row)
        ]
        for i, row in enumerate(target)
    ]


def panels(matrix: Rows, width: int) -> list[list[list[float]]]:
    """Columns in panels of `width`, filled up with zeros."""
    rows, cols = matrix.shape
    return [
        [[float(matrix[i, p + j]) if p + j < cols else 0.0 for j in range(width)] for i in range(rows)]
        for p in range(0, cols, width)
    ]


# --- Random numbers (analog_sim/random/kernels/philox.py) -----------------------------------------


def noisy(y: Rows, variance: Rows, key: tuple[int, int], offset: int) -> list[float]:
    """Every number plus a normal of its own from a stream."""
    return [
        float(a) + math.sqrt(float(b)) * stream_normal(key, offset + i)
        for i, (a, b) in enumerate(zip(y, variance, strict=True))
    ]


# --- Patches of images (learning/common/patches/kernels.py)


def scattered(rows: Rows, shape: tuple[int, ...], *window: tuple[int, int]) -> Rows:
    """Images (B, C, H, W) to whose pixels the numbers of all patches are added; window: as in `naive.patches`."""
    numbered = np.arange(1, math.prod(shape) + 1).reshape(shape)  # 0 is padding
    total = [0.0] * (math.prod(shape) + 1)
    for row, pixels in zip(rows, patches(numbered, *window), strict=True):
        for value, pixel in zip(row, pixels, strict=True):
            total[int(pixel)] += float(value)
    return np.reshape(total[1:], shape)


# --- Losses and optimisers (learning) -------------------------------------------------------------


def cross_entropy(outputs: list[float], target: int) -> tuple[float, list[float]]:
    """Loss of one sample, and its gradient."""
    weights = [math.exp(o - max(outputs)) for o in outputs]
    shares = [w / sum(weights) for w in weights]
    return -math.log(shares[target]), [share - (c == target) for c, share in enumerate(shares)]


def adam(g: float, m: float, v: float, beta1: float, beta2: float, t: int, eps: float) -> tuple[float, float, float]:
    """First and second moment, and the step, after t steps; Kingma & Ba, arXiv:1412.6980, algorithm 1."""
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return m, v, m / (1 - beta1**t) / (math.sqrt(v / (1 - beta2**t)) + eps)


# --- Rows of a batch (learning/common/kernels.py)


def norm(rows: Rows) -> float:
    """Mean length of the rows."""
    return math.fsum(math.sqrt(math.fsum(float(v) ** 2 for v in row)) for row in rows) / len(rows)


def difference(after: Rows, before: Rows, factor: float, samples: int) -> tuple[list[list[float]], list[float]]:
    """Scaled differences, and their squared length in each sample."""
    moved = [
        [factor * (float(a) - float(b)) for a, b in zip(one, other, strict=True)]
        for one, other in zip(after, before, strict=True)
    ]
    each = len(moved) // samples
    return moved, [math.fsum(v**2 for row in moved[b * each : (b + 1) * each] for v in row) for b in range(samples)]


def sums(rows: Rows, added: Sequence[float]) -> list[list[float]]:
    """Every row with one more row added."""
    return [[float(a) + float(b) for a, b in zip(row, added, strict=True)] for row in rows]


def rectified(numbers: Sequence[float]) -> list[float]:
    """Each number that is not below 0; what is not a number stays so."""
    return [0.0 if v < 0.0 else float(v) for v in numbers]


def passed_back(numbers: Sequence[float], grad: Sequence[float]) -> list[float]:
    """What comes back through the maximum of each number and 0."""
    return [float(g) * (1.0 if v > 0.0 else 0.0) for v, g in zip(numbers, grad, strict=True)]


def sum_of_rows(rows: Rows) -> list[float]:
    """The sum of each column."""
    return [sum(float(v) for v in column) for column in zip(*rows, strict=True)]


def taken_rows(rows: Rows, index: Sequence[int]) -> list[list[float]]:
    """Rows by their numbers."""
    return [[float(v) for v in rows[k]] for k in index]


def weighted(start: Rows, parts: Sequence[Rows], factor: Rows) -> list[list[float]]:
    """Rows, and every copy of them added with the factor of its sample."""
    each = len(start) // len(factor[0])
    return [
        [
            float(v) + math.fsum(float(factor[k][r // each]) * float(parts[k][r][j]) for k in range(len(parts)))
            for j, v in enumerate(row)
        ]
        for r, row in enumerate(start)
    ]
