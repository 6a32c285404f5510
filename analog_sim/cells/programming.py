"""Writing cells to a target conductance: finite levels, programming error, iterative write-verify. Never pulses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.ageing import interleave, largest_relative
from analog_sim.cells.cell_model import CellModel
from analog_sim.cells.kernels.ageing import read_variance
from analog_sim.cells.kernels.programming import CHUNK, program_cells
from analog_sim.cells.state import TARGET_STEPS
from analog_sim.random.kept_room import AT_ONCE, kept_room
from analog_sim.random.kernels.philox import fill_normals
from analog_sim.random.streams import Stream
from analog_sim.threads import in_parts

F32 = npt.NDArray[np.float32]
U16 = npt.NDArray[np.uint16]
WORTH_A_THREAD = 2**15
"""Cells that take longer to write than a thread to wake."""

_NO_CODES = np.empty(0, np.uint16)
_NO_BOUNDS = np.zeros(1, np.float32), np.full(1, np.inf, np.float32)


@dataclass(frozen=True)
class Written:
    """Result of a programming operation.

    Attributes:
        g: siemens, shape of the target.
        codes: what the cells aimed at (clipped to their bounds, or the nearest level), as `CellState.target`; None where no law asks.
        attempts: write attempts over all cells (what energy and latency are charged for).
        rounds: write-verify rounds of the slowest cell.
    """

    g: F32
    codes: U16 | None
    attempts: int
    rounds: int


def nearest_level(target: F32, levels: F32) -> F32:
    """Round every target to the nearest of the ascending `levels` (siemens)."""
    edges = (levels[1:] + levels[:-1]) / 2
    return levels[np.searchsorted(edges, target)]


def program(cell: CellModel, target: F32, lo: F32, hi: F32, stream: Stream, read_gains: F32 | None = None) -> Written:
    """Programme every cell once: ``g = max(0, t + sigma(u) z)``, ``t = clip(target, lo, hi)``.

    Args:
        cell: gives levels, the error table and the write-verify loop.
        target: siemens, any shape.
        lo, hi: the cells' own bounds, siemens, of the same shape or one number for all.
        stream: programming noise. read_gains: read noise of every cell over that of the tables, for a verifying read; None for 1.
    """
    target = np.asarray(target, np.float32)
    codes = np.empty(target.shape, np.uint16) if cell.needs_target else None
    if cell.levels is None and cell.verify is None:
        g = _shoot(cell, target, _final_std(cell), stream, (lo, hi), codes)
        return Written(g, codes, attempts=target.size, rounds=1)
    aim = np.clip(target, lo, hi)
    if cell.levels is not None:
        aim = nearest_level(aim, cell.levels)
    if cell.verify is not None:
        if codes is not None:
            codes[...] = codes_of(cell, aim)
        return _relaxed(cell, _write_verify(cell, aim, codes, stream, read_gains), aim, stream)
    g = _shoot(cell, aim, _final_std(cell), stream, codes=codes)
    return Written(g, codes, attempts=aim.size, rounds=1)


def codes_of(cell: CellModel, g: F32) -> U16:
    """Conductances in siemens as codes of `CellState.target`; states outside the nominal window count as its ends."""
    u = np.clip((g - np.float32(cell.g_min)) / np.float32(cell.window), 0.0, 1.0)
    return (1.5 + TARGET_STEPS * u).astype(np.uint16)


def _final_std(cell: CellModel) -> F32:
    """Error table of a one-step write; fast relaxation that the first read already sees is part of it."""
    if cell.relaxation is None or not cell.relaxation.initial_std.any():
        return cell.program_std[0]
    both = interleave(cell.program_std, cell.relaxation.initial_std)
    return np.hypot(both[:, 0], both[:, 1])


def _relaxed(cell: CellModel, written: Written, aim: F32, stream: Stream) -> Written:
    """What the loop accepted, after the fast relaxation that no verifying read has seen, because it comes after the last attempt."""
    law = cell.relaxation
    if law is None:
        return written
    if law.state == "written":
        return replace(written, g=_shoot(cell, written.g, law.initial_std[0], stream))
    table = law.initial_std[0]
    if not table.any():
        return written
    u = (aim - np.float32(cell.g_min)) / np.float32(cell.window)
    std = np.interp(u, np.linspace(0.0, 1.0, len(table)), table).astype(np.float32)
    return replace(written, g=np.maximum(written.g + std * stream.normals(aim.shape), np.float32(0.0)))


def _shoot(
    cell: CellModel,
    aim: F32,
    std: F32,
    stream: Stream,
    bounds: tuple[F32, F32] = _NO_BOUNDS,
    codes: U16 | None = None,
) -> F32:
    """``max(0, t + std(u) z)``, ``t = clip(aim, bounds)``; fills the codes of t."""
    if not std.any():
        exact = np.clip(aim, *bounds)
        if codes is not None:
            codes[...] = codes_of(cell, exact)
        return exact
    aim = np.ascontiguousarray(aim, np.float32)
    out = np.empty_like(aim)
    lo, hi = (np.ascontiguousarray(bound, np.float32).ravel() for bound in bounds)
    law = np.ascontiguousarray(std), np.float32(cell.g_min), np.float32(1.0 / cell.window)
    key0, key1, offset = stream.reserve(aim.size)
    flat, written = aim.ravel(), out.ravel()
    coded = _NO_CODES if codes is None else codes.ravel()

    def part(begin: int, end: int) -> None:
        room = kept_room(AT_ONCE)
        for first in range(begin, end, AT_ONCE):
            last = min(first + AT_ONCE, end)
            z = room[: last - first]
            fill_normals(z, key0, key1, offset + np.uint64(first))
            low, high = (bound if bound.size == 1 else bound[first:last] for bound in (lo, hi))
            own = coded[first:last] if coded.size else coded
            program_cells(flat[first:last], low, high, *law, z, written[first:last], own)

    in_parts(part, aim.size, WORTH_A_THREAD, CHUNK)
    return out


def _write_verify(cell: CellModel, aim: F32, codes: U16 | None, stream: Stream, read_gains: F32 | None) -> Written:
    """Repeat one-shot writes of the cells whose reading is outside the tolerance."""
    assert cell.verify is not None
    loop = cell.verify
    g = np.empty_like(aim)
    open_cells = np.ones(aim.shape, bool)
    attempts = rounds = 0
    variance = np.empty_like(aim)
    scale = np.float32(cell.g_min), np.float32(1.0 / cell.window)
    law = cell.read.t_read, interleave(cell.read.white, cell.read.flicker), largest_relative(cell.read)
    nothing = aim.ravel(), _NO_CODES, np.float32(0.0), np.empty(0, np.float64)
    no_faults = np.empty(0, np.uint8)
    own = np.float32(1.0) if read_gains is None else read_gains
    for _ in range(loop.max_iterations):
        # Every round draws for the whole array, so that the numbers do not depend on which cells are still open.
        shot = _shoot(cell, aim, loop.shot_std[0], stream)
        g = np.where(open_cells, shot, g)
        attempts += int(open_cells.sum())
        rounds += 1
        read_variance(g.ravel(), *nothing, 0.0, *law, *scale, no_faults, variance.ravel())
        reading = g + own * np.sqrt(variance) * stream.normals(aim.shape)
        open_cells &= np.abs(reading - aim) > loop.tolerance
        if not open_cells.any():
            break
    return Written(g, codes, attempts, rounds)
