"""Joins the pulse kernels to the cells of a crossbar: unpacks the plan, hands over the arrays the card needs, counts what was sent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analog_sim.cell import QUANTILE_Z_MAX, CellModel
from analog_sim.chip import PulseCounts, PulseTrain
from analog_sim.rng import Stream
from analog_sim.state import GAIN_UNIT, CellState

F32 = npt.NDArray[np.float32]


def apply_pulses(
    cell: CellModel, state: CellState, plan: PulseCounts | PulseTrain, stream: Stream, present: F32 | None, now: float
) -> tuple[int, int]:
    """Pulse the cells of a crossbar in place.

    Args:
        cell: the compiled card; needs a pulse model.
        state: changed in place.
        plan: signed counts or outer-product trains.
        stream: cycle-to-cycle noise.
        present: conductances at chip time when the card ages (a pulse acts on those and restarts the clock), else None.
        now: chip time in seconds.

    Returns:
        Pulses sent to healthy cells, and pulse slots used (what the operation takes in time).
    """
    if cell.pulse is None:
        raise ValueError(f"{cell.name}: this card has no pulse response; write it by programming instead")
    if isinstance(plan, PulseCounts):
        counts = np.asarray(plan.counts)
        slots = int(np.abs(counts).max(initial=0))
        return _apply_counts(cell, state, counts, stream, present, now), slots
    sent = 0
    for row_bits, col_bits, row_sign, col_sign in zip(
        plan.row_bits, plan.col_bits, plan.row_sign, plan.col_sign, strict=True
    ):
        hits = np.bitwise_count(row_bits[:, None] & col_bits[None, :]).astype(np.int16)
        signed = hits * (row_sign[:, None] * col_sign[None, :])
        if state.g.shape[0] == 1:
            counts = signed[None]
        elif plan.mode == "both":
            counts = np.stack([signed, -signed])
        else:
            counts = np.stack([np.maximum(signed, 0), np.maximum(-signed, 0)])
        sent += _apply_counts(cell, state, counts, stream, present, now)
        present = None if present is None else np.where(counts != 0, state.g, present)
    return sent, plan.length * len(plan.row_bits)


def _apply_counts(
    cell: CellModel, state: CellState, counts: np.ndarray, stream: Stream, present: F32 | None, now: float
) -> int:
    healthy = state.healthy()
    if healthy is not None:
        counts = np.where(healthy, counts, 0)
    touched = counts != 0
    g = state.g if present is None else np.where(touched, present, state.g)
    lo, hi = state.bounds(cell)
    for k in range(int(np.abs(counts).max(initial=0))):
        step = _step(cell, state, g, lo, hi, counts > 0, stream.normals(g.shape))
        g = np.where(np.abs(counts) > k, np.clip(g + step, lo, hi), g)
    state.g[...] = g
    if state.t_written is not None:
        state.t_written[touched] = now
    sent = np.abs(counts)
    if state.count is not None:
        state.count += sent.astype(np.uint32)
    return int(sent.sum())


def _step(
    cell: CellModel, state: CellState, g: F32, lo: np.ndarray, hi: np.ndarray, up: npt.NDArray[np.bool_], z: F32
) -> F32:
    assert cell.pulse is not None
    law = cell.pulse
    nodes = law.up_mean.shape[1] - 1
    x = np.clip((g - lo) / (hi - lo), 0, 1) * nodes
    k = np.minimum(x.astype(np.int64), nodes - 1)
    f = (x - k).astype(np.float32)
    table = np.zeros(g.shape, np.uint8) if state.table is None else state.table

    def at(up_table: F32, down_table: F32) -> F32:
        left = np.where(up, up_table[table, k], down_table[table, k])
        return left + f * (np.where(up, up_table[table, k + 1], down_table[table, k + 1]) - left)

    if law.up_quantiles is None or law.down_quantiles is None:
        step = at(law.up_mean, law.down_mean) + at(law.up_std, law.down_std) * z
    else:
        last = law.up_quantiles.shape[2] - 1
        y = np.clip((z + QUANTILE_Z_MAX) / (2 * QUANTILE_Z_MAX), 0, 1) * last
        j = np.minimum(y.astype(np.int64), last - 1)
        e = (y - j).astype(np.float32)
        low = _quantile(law.up_quantiles, law.down_quantiles, table, k, f, j, up)
        step = low + e * (_quantile(law.up_quantiles, law.down_quantiles, table, k, f, j + 1, up) - low)
    gain_up = 1.0 if state.gain_up is None else state.gain_up / np.float32(GAIN_UNIT)
    gain_down = 1.0 if state.gain_down is None else state.gain_down / np.float32(GAIN_UNIT)
    return (np.where(up, gain_up, gain_down) * step).astype(np.float32)


def _quantile(
    up_q: F32, down_q: F32, table: np.ndarray, k: np.ndarray, f: np.ndarray, j: np.ndarray, up: np.ndarray
) -> np.ndarray:
    left = np.where(up, up_q[table, k, j], down_q[table, k, j])
    return left + f * (np.where(up, up_q[table, k + 1, j], down_q[table, k + 1, j]) - left)
