"""Weights to conductances and back: differential pair, reference column or bit slices, and the cut into blocks. Knows no converter."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from analog_sim.cells.cell_model import CellModel
from analog_sim.config import StrictModel, UserError
from analog_sim.mapping.kernels import weight_mapping as kernels
from analog_sim.threads import in_parts

F32 = npt.NDArray[np.float32]

COPIED_BY_A_THREAD = 1 << 16
"""Weights that take longer to map than a thread to begin."""

A_LINE = 16
"""Numbers in a line of the cache."""


class MappingSpec(StrictModel):
    """How a weight is held by conductances.

    Attributes:
        kind: "differential": a pair of cells, w ~ G+ - G-; "reference": one cell against a column of cells at mid conductance.
        sides: "one": one cell of the pair carries the weight and the other stays at g_min; "two": both move around the middle; "auto":
            "two" on a tile whose write scheme pulses both cells of a pair, since a cell at g_min cannot be depressed and half of every
            update would be lost, else "one".
        weight_max: weight at the edge of the window: "absmax" of the programmed matrix, or a number. Weights beyond it are clipped.
        slices: number of arrays that share a weight, most significant digits first in value, each digitised by itself.
        slice_bits: bits held by one slice.
        max_rows, max_cols: largest array; a larger matrix is cut, and every partial sum is digitised.
    """

    kind: Literal["differential", "reference"] = "differential"
    sides: Literal["auto", "one", "two"] = "auto"
    weight_max: Literal["absmax"] | Annotated[float, Field(ge=1e-30, le=1e6)] = "absmax"
    slices: Annotated[int, Field(ge=1, le=8)] = 1
    slice_bits: Annotated[int, Field(ge=1, le=8)] = 4
    max_rows: Annotated[int, Field(ge=1, le=10**6)] = 1024
    max_cols: Annotated[int, Field(ge=1, le=10**6)] = 1024

    @model_validator(mode="after")
    def _slices_need_pairs(self) -> "MappingSpec":
        if self.slices > 1 and self.kind != "differential":
            raise ValueError("slices need kind: differential (a signed digit is a pair)")
        return self

    @property
    def pair(self) -> bool:
        """Whether every cross point holds two cells."""
        return self.kind == "differential"


@dataclass(frozen=True)
class Cut:
    """One block of the matrix: which inputs drive its rows, which outputs its columns make."""

    rows: slice
    cols: slice


def cut(shape: tuple[int, int], spec: MappingSpec, largest: tuple[int, int] | None = None) -> list[Cut]:
    """Cut a weight matrix (n_out, n_in) into blocks of nearly equal size that fit the largest array.

    largest: rows and columns of the largest array that the chip has, a column of reference cells included; None when it has any.
    """
    n_out, n_in = shape
    max_rows, max_cols = spec.max_rows, spec.max_cols
    if largest is not None:
        max_rows, max_cols = min(max_rows, largest[0]), min(max_cols, largest[1] - (spec.kind == "reference"))
        if max_cols < 1:
            raise UserError(
                "tile.mapping.kind: reference needs a column for the reference cells; the chip's arrays have one column"
            )
    return [Cut(r, c) for c in _even(n_out, max_cols) for r in _even(n_in, max_rows)]


def _even(n: int, largest: int) -> list[slice]:
    parts = -(-n // largest)
    edges = [n * k // parts for k in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def full_weight(largest: float, spec: MappingSpec) -> float:
    """Weight that is mapped on the edge of the window, of a matrix whose largest magnitude is `largest`; 1 for a matrix of zeros."""
    return (largest or 1.0) if isinstance(spec.weight_max, str) else spec.weight_max


def fractions(w: F32, where: Cut, full: float) -> F32:
    """Weights (n_out, n_in) of one block as fractions of the full weight, in the layout of its array: (rows, cols)."""
    fraction = np.empty((where.rows.stop - where.rows.start, where.cols.stop - where.cols.start), np.float32)
    block, factor = w[where.cols, where.rows], np.float32(1.0 / full)
    least = max(1, -(-COPIED_BY_A_THREAD // max(1, fraction.shape[1])))
    in_parts(
        lambda first, last: kernels.scaled_transpose(block, factor, fraction, first, last), len(fraction), least, A_LINE
    )
    return fraction


def targets(fraction: F32, spec: MappingSpec, cell: CellModel) -> F32:
    """Target conductances, siemens (planes, rows, cols), of weights in fractions of the full weight (rows, cols) in [-1, 1]."""
    low, window = np.float32(cell.g_min), np.float32(cell.window)
    if spec.kind == "reference":
        return (low + window * (1 + np.clip(fraction[None], -1, 1)) / 2).astype(np.float32)
    pair = np.empty((2, *fraction.shape), np.float32)
    share = kernels.two_sided_pair if spec.sides == "two" else kernels.one_sided_pair
    flat, plus, minus = np.ascontiguousarray(fraction, np.float32).ravel(), pair[0].ravel(), pair[1].ravel()
    in_parts(
        lambda first, last: share(flat[first:last], low, window, plus[first:last], minus[first:last]),
        flat.size,
        2 * COPIED_BY_A_THREAD,
    )
    return pair


def net_window(spec: MappingSpec, cell: CellModel) -> float:
    """Net conductance in siemens of the full weight: the window of a pair, half of it against a reference."""
    return cell.window / 2 if spec.kind == "reference" else cell.window


def digits(fraction: F32, spec: MappingSpec) -> list[tuple[F32, float]]:
    """Bit slices of weights in fractions of the full weight: (slice in [-1, 1], its coefficient), exact but for the last digit.

    ``fraction ~ sum_k c_k s_k`` with signed digits; one slice is the fraction itself, unrounded.
    """
    if spec.slices == 1:
        return [(fraction, 1.0)]
    base, top = 2**spec.slice_bits, 2 ** (spec.slice_bits * spec.slices) - 1
    whole = np.rint(np.clip(np.abs(fraction), 0, 1) * top).astype(np.int64)
    sign = np.sign(fraction).astype(np.float32)
    made = []
    for k in range(spec.slices):
        digit = (whole >> (spec.slice_bits * k)) & (base - 1)
        made.append((sign * digit.astype(np.float32) / np.float32(base - 1), base**k * (base - 1) / top))
    return made


def slice_coefficients(spec: MappingSpec) -> list[float]:
    """Coefficients c_k of `digits`."""
    return [c for _, c in digits(np.zeros((1, 1), np.float32), spec)]
