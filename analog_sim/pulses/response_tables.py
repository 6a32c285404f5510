"""Compiles the pulse response of a card into the tables that the kernels read. Plain numpy, done once; never pulses a cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import QUANTILE_Z_MAX, PulseModel
from analog_sim.pulses.kernels.laws import BINS, LINEAR, NODES, Axis, Law
from analog_sim.pulses.kernels.noise import BINS as BINS_OF_SCORE
from analog_sim.pulses.kernels.noise import bins_of_halves

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


def compile_pulses(pulse: PulseModel) -> Law:
    """Tables of the kernels, in siemens per pulse on the axis ``y = base + (K - 1) u``, base the power of two from K - 1 on.

    A power of two so that the node below y stands in the leading bits of its mantissa. Linear Gaussian laws of one device keep y = u.
    Raises ValueError when the tables of the two directions have different shapes, or are too many for the index.
    """
    if pulse.up_mean.shape != pulse.down_mean.shape:
        raise ValueError(f"pulse tables: up has shape {pulse.up_mean.shape}, down {pulse.down_mean.shape}")
    noisy = pulse.up_quantiles is not None or bool(pulse.up_std.any() or pulse.down_std.any())
    scores, history = _scores().astype(np.float32), _history(pulse)
    if pulse.linear and pulse.tables == 1:
        line = np.stack([_line(pulse.up_mean, pulse.up_std), _line(pulse.down_mean, pulse.down_std)])
        z = _scores()[:, None]
        steps = np.stack(
            [m0_m1 + s0_s1 * z for m0_m1, s0_s1 in ((row[:2], row[2:]) for row in line.astype(np.float64))]
        )
        place = (np.float32(0), np.float32(1), np.uint32(0), np.uint32(31), 2, 1)
        axis = Axis(LINEAR, noisy, *place, stride=2 * BINS_OF_SCORE)
        return Law(axis, steps.astype(np.float32).ravel(), line, line, scores, history)
    last = pulse.up_mean.shape[1] - 1
    base, shift = grid_of(last)
    first_bits = np.uint32(np.float32(base).view(np.uint32))
    place = (np.float32(base), np.float32(last), first_bits, np.uint32(shift), last + 1, pulse.tables)
    means = np.stack([_lines(table, base).reshape(-1) for table in (pulse.up_mean, pulse.down_mean)])
    no_line = np.zeros((2, 4), np.float32)
    if pulse.up_quantiles is None or pulse.down_quantiles is None:
        both = ((pulse.up_mean, pulse.up_std), (pulse.down_mean, pulse.down_std))
        tables = np.stack([np.concatenate([_lines(m, base), _lines(s, base)], axis=2).reshape(-1) for m, s in both])
        return Law(Axis(NODES, noisy, *place, 4 * (last + 1)), tables.ravel(), means, no_line, scores, history)
    weights = _bin_weights(pulse.up_quantiles.shape[2])
    tables = np.stack([_bins(q, weights, base) for q in (pulse.up_quantiles, pulse.down_quantiles)])
    if tables.shape[1] >= 2**32:
        raise ValueError(f"pulse tables: {pulse.tables} tables of {last + 1} nodes are too many for a 32-bit index")
    return Law(
        Axis(BINS, noisy, *place, 2 * BINS_OF_SCORE * (last + 1)), tables.ravel(), means, no_line, scores, history
    )


def _history(pulse: PulseModel) -> F32:
    """Terms of a reversal, up and down, (2, 3); (0, 3) without."""
    if pulse.history is None:
        return np.empty((0, 3), np.float32)
    return np.array([pulse.history.up, pulse.history.down], np.float32)


def grid_of(intervals: int) -> tuple[int, int]:
    """Base of the coordinate y of a table of so many intervals, and the places of y's mantissa below the node."""
    doublings = max(intervals - 1, 0).bit_length()
    return 2**doublings, 23 - doublings


def _line(mean: F32, std: F32) -> F32:
    """Tables (1, 2) as (m0, m1, s0, s1): value at u = 0 and slope."""
    return np.array([mean[0, 0], mean[0, 1] - mean[0, 0], std[0, 0], std[0, 1] - std[0, 0]], np.float32)


def lines_of(table: F32 | F64, base: int) -> F64:
    """Tables (..., K) as intercept and slope in y from each node on, (..., K, 2); constant from the last node on."""
    padded = np.concatenate([table, table[..., -1:]], axis=-1).astype(np.float64)
    slope = np.diff(padded, axis=-1)
    intercept = padded[..., :-1] - slope * (base + np.arange(slope.shape[-1]))
    return np.stack([intercept, slope], axis=-1)


def _lines(table: F32 | F64, base: int) -> F32:
    return lines_of(table, base).astype(np.float32)


def _bins(quantiles: F32, weights: F64, base: int) -> F32:
    """Mean step within every bin of the normal score as intercept and slope in y, flat (T, K, bins, 2)."""
    means = np.einsum("bz,tkz->tbk", weights, quantiles.astype(np.float64))
    return _lines(means, base).swapaxes(1, 2).reshape(-1)


def _halves(*, measured: bool) -> tuple[npt.NDArray[np.int64], F64]:
    """Bin and normal score of every value of 16 random bits."""
    from scipy.special import ndtri

    which, probability = bins_of_halves(measured=measured)
    return which, ndtri(probability)


def _scores() -> F64:
    """Mean normal score of every bin, scaled to unit variance over the bins; 0 for the bins that are never drawn."""
    which, z = _halves(measured=False)
    number = np.bincount(which, minlength=BINS_OF_SCORE)
    mean = np.bincount(which, z, minlength=BINS_OF_SCORE) / np.maximum(number, 1)
    return mean / np.sqrt(np.average(mean**2, weights=number))


def _bin_weights(nodes: int) -> F64:
    """Weights of `score_weights` for the bins of a measured step; 0 for the bins that are never drawn."""
    which, z = _halves(measured=True)
    return score_weights(which, z, nodes)


def score_weights(which: npt.NDArray[np.int64], z: F64, nodes: int) -> F64:
    """Mean over groups of the linear interpolation between `nodes` normal scores, (groups, nodes).

    which: group of each normal score z, both (N,).
    """
    x = np.clip((z + QUANTILE_Z_MAX) / (2 * QUANTILE_Z_MAX), 0, 1) * (nodes - 1)
    k = np.minimum(x.astype(np.int64), nodes - 2)
    weights = np.zeros((int(which.max()) + 1, nodes))
    np.add.at(weights, (which, k), 1 - (x - k))
    np.add.at(weights, (which, k + 1), x - k)
    return weights / np.maximum(np.bincount(which), 1)[:, None]
