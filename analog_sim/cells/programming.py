"""Writing cells to a target conductance: finite levels, programming error, iterative write-verify. Never pulses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.ageing import interleave
from analog_sim.cells.cell_model import CellModel
from analog_sim.cells.kernels.ageing import read_variance
from analog_sim.cells.kernels.programming import CHUNK, program_cells
from analog_sim.random.streams import Stream
from analog_sim.threads import in_parts

F32 = npt.NDArray[np.float32]
WORTH_A_THREAD = 2**15
"""Cells that take longer to write than a thread to wake."""

_NO_BOUNDS = np.zeros(1, np.float32), np.full(1, np.inf, np.float32)


@dataclass(frozen=True)
class Written:
    """Result of a programming operation.

    Attributes:
        g: siemens, shape of the target.
        attempts: write attempts over all cells (what energy and latency are charged for).
        rounds: write-verify rounds of the slowest cell.
    """

    g: F32
    attempts: int
    rounds: int


def nearest_level(target: F32, levels: F32) -> F32:
    """Round every target to the nearest of the ascending `levels` (siemens)."""
    edges = (levels[1:] + levels[:-1]) / 2
    return levels[np.searchsorted(edges, target)]


def program(cell: CellModel, target: F32, lo: F32, hi: F32, stream: Stream) -> Written:
    """Programme every cell once: ``g = max(0, t + sigma(u) z)``, ``t = clip(target, lo, hi)``.

    Args:
        cell: gives levels, the error table and the write-verify loop.
        target: siemens, any shape.
        lo, hi: the cells' own bounds, siemens, of the same shape or one number for all.
        stream: programming noise.
    """
    target = np.asarray(target, np.float32)
    if cell.levels is None and cell.verify is None:
        return Written(_shoot(cell, target, _final_std(cell), stream, (lo, hi)), attempts=target.size, rounds=1)
    aim = np.clip(target, lo, hi)
    if cell.levels is not None:
        aim = nearest_level(aim, cell.levels)
    if cell.verify is not None:
        return _relaxed(cell, _write_verify(cell, aim, stream), stream)
    return Written(_shoot(cell, aim, _final_std(cell), stream), attempts=aim.size, rounds=1)


def _final_std(cell: CellModel) -> F32:
    """Error table of a one-step write; fast relaxation that the first read already sees is part of it."""
    if cell.relaxation is None or not cell.relaxation.initial_std.any():
        return cell.program_std[0]
    both = interleave(cell.program_std, cell.relaxation.initial_std)
    return np.hypot(both[:, 0], both[:, 1])


def _relaxed(cell: CellModel, written: Written, stream: Stream) -> Written:
    """What the loop accepted, after the fast relaxation that no verifying read has seen, because it comes after the last attempt."""
    if cell.relaxation is None:
        return written
    return replace(written, g=_shoot(cell, written.g, cell.relaxation.initial_std[0], stream))


def _shoot(cell: CellModel, aim: F32, std: F32, stream: Stream, bounds: tuple[F32, F32] = _NO_BOUNDS) -> F32:
    if not std.any():
        return np.clip(aim, *bounds)
    aim = np.ascontiguousarray(aim, np.float32)
    out = np.empty_like(aim)
    lo, hi = (np.ascontiguousarray(bound, np.float32).ravel() for bound in bounds)
    law = np.ascontiguousarray(std), np.float32(cell.g_min), np.float32(1.0 / cell.window)
    key0, key1, offset = stream.reserve(aim.size)
    flat, written = aim.ravel(), out.ravel()

    def part(first: int, last: int) -> None:
        low, high = (bound if bound.size == 1 else bound[first:last] for bound in (lo, hi))
        drawn = key0, key1, offset + np.uint64(first)
        program_cells(flat[first:last], low, high, *law, *drawn, written[first:last])

    in_parts(part, aim.size, WORTH_A_THREAD, CHUNK)
    return out


def _write_verify(cell: CellModel, aim: F32, stream: Stream) -> Written:
    """Repeat one-shot writes of the cells whose reading is outside the tolerance."""
    assert cell.verify is not None
    loop = cell.verify
    g = np.empty_like(aim)
    open_cells = np.ones(aim.shape, bool)
    attempts = rounds = 0
    variance = np.empty_like(aim)
    scale = np.float32(cell.g_min), np.float32(1.0 / cell.window)
    tables = interleave(cell.read.white, cell.read.flicker)
    ageless, no_faults = np.empty(0, np.float64), np.empty(0, np.uint8)
    for _ in range(loop.max_iterations):
        # Every round draws for the whole array, so that the numbers do not depend on which cells are still open.
        shot = _shoot(cell, aim, loop.shot_std[0], stream)
        g = np.where(open_cells, shot, g)
        attempts += int(open_cells.sum())
        rounds += 1
        read_variance(g.ravel(), ageless, 0.0, cell.read.t_read, tables, *scale, no_faults, variance.ravel())
        reading = g + np.sqrt(variance) * stream.normals(aim.shape)
        open_cells &= np.abs(reading - aim) > loop.tolerance
        if not open_cells.any():
            break
    return Written(g, attempts, rounds)
