"""A decorrelating matrix on its tile, and what a method that trains it must offer. It never reads the matrix back to learn.

``y = g (R z)``: z (B, n) centred input, R (n, n) on a tile, g (n,) digital output gains (all equal where a method asks for one
scalar gain gamma). The matrix that counts is ``diag(g) R``. With a bypass the tile holds M = R - I and the identity is added digitally,
``R z = z + M z``: all equations stay, and the cells' window is spent on what is learned.
"""

import math
import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.config import Part
from analog_sim.saved_state import State, put
from learning.common.kernels import mean_norm
from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.common.weight_tile import WeightTile
from learning.decorrelation.kernels import all_rows, bypass_and_scale, scale_columns

F32 = npt.NDArray[np.float32]

NORM_ROWS = 256
"""Memory, in rows, of the running norms behind the scalar gain: long enough for single samples, short enough to follow R."""


class ClippedMatrixWarning(UserWarning):
    """A matrix was programmed that does not fit the window of its cells; said once for each matrix."""


@dataclass(frozen=True)
class Passed:
    """What went through the matrix: z (B, n) centred input, r = R z as the tile returned it, y = g r."""

    z: F32
    r: F32
    y: F32

    def rows(self, index: npt.NDArray[np.int64]) -> "Passed":
        """A subset of the batch."""
        return Passed(self.z[index], self.r[index], self.y[index])


class MatrixState(TypedDict):
    """What a decorrelating matrix keeps."""

    tile: State
    gain: F32
    norm_z: float
    norm_r: float


class Matrix:
    """R on its tile with the digital gains g.

    Attributes:
        tile: (n, n), programmed with the identity at the start, with zeros when there is a bypass. gain: (n,).
        refold: a gain that leaves [1/refold, refold] is written into R (one programming); None: never.
        bypass: the identity is added digitally. where: the tile's name, for messages.
    """

    def __init__(
        self, tile: WeightTile, refold: float | None, *, bypass: bool = False, where: str = "a matrix"
    ) -> None:
        self.tile = tile
        self.where = where
        self.bypass = bypass
        self.gain: F32 = np.ones(tile.shape[0], np.float32)
        self.refold = refold
        self._norm_z = 0.0
        self._norm_r = 0.0
        self._warned = False

    @property
    def size(self) -> int:
        """n."""
        return self.tile.shape[0]

    def forward(self, z: F32) -> Passed:
        """``y = g (R z)``, z (B, n)."""
        z = np.ascontiguousarray(z, np.float32)
        r = self.tile.forward(z)
        y = np.empty_like(r)
        if self.bypass:
            bypass_and_scale(*all_rows(r, self.size), z, self.gain, r, y)
        else:
            scale_columns(*all_rows(r, self.size), r, self.gain, y)
        return Passed(z, r, y)

    def backward(self, d: F32) -> F32:
        """``R^T (g d)``, d (B, n): one transposed read."""
        d = np.ascontiguousarray(d, np.float32)
        scaled = np.empty_like(d)
        scale_columns(*all_rows(d, self.size), d, self.gain, scaled)
        back = self.tile.backward(scaled)
        if self.bypass:
            back += scaled
        return back

    def restore_norm(self, passed: Passed) -> None:
        """``g <- <|z|> / <|R z|>`` for every output, both means running over the last `NORM_ROWS` rows or so."""
        norm_z, norm_r = float(mean_norm(passed.z)), float(mean_norm(passed.r))
        keep = math.exp(-len(passed.z) / NORM_ROWS) if self._norm_r > 0.0 else 0.0
        self._norm_z = keep * self._norm_z + (1.0 - keep) * norm_z
        self._norm_r = keep * self._norm_r + (1.0 - keep) * norm_r
        if self._norm_r > 0.0:
            self.gain[:] = self._norm_z / self._norm_r

    def program(self, effective: F32) -> None:
        """Write ``diag(g) R`` = `effective` as R, with gains 1."""
        held = effective - np.eye(self.size, dtype=np.float32) if self.bypass else effective
        self.tile.program(held)
        self._warn_of_clipping(np.abs(held))
        self.gain[:] = 1.0
        self._norm_z = self._norm_r = 0.0

    def _warn_of_clipping(self, size: F32) -> None:
        full = self.tile.full_weight
        clipped = int(np.count_nonzero(size > full))
        if clipped and not self._warned:
            self._warned = True
            warnings.warn(
                f"decorrelation: {clipped} of {size.size} entries of {self.where} exceed the window of its cells and are clipped at "
                f"{full:g} (largest: {float(size.max()):.3g}); raise decorrelation.full_scale, or the method's ridge",
                ClippedMatrixWarning,
                stacklevel=2,
            )

    def fold(self) -> None:
        """Write the gains into R when one of them has left [1/refold, refold]."""
        if self.refold is None or (self.gain.max() <= self.refold and self.gain.min() >= 1.0 / self.refold):
            return
        folded = self.effective(exact=False)
        if np.isfinite(folded).all():  # a run that has diverged is stopped by its loss, which says where
            self.program(folded)

    def effective(self, *, exact: bool = True) -> F32:
        """``diag(g) R`` (n, n) by reading the tile back; exact: the emulator's truth, for metrics."""
        return self.gain[:, None] * self.read(exact=exact)

    def read(self, *, exact: bool = True) -> F32:
        """R (n, n) without the gains, as in `effective`."""
        r = self.tile.read_weights(exact=exact)
        if self.bypass:
            r += np.eye(self.size, dtype=np.float32)
        return r

    def state(self) -> MatrixState:
        """What a checkpoint keeps."""
        return {"tile": self.tile.state(), "gain": self.gain.copy(), "norm_z": self._norm_z, "norm_r": self._norm_r}

    def restore(self, state: MatrixState) -> None:
        """Put back what `state` returned."""
        self.tile.restore(state["tile"])
        put(self.gain, state["gain"], "decorrelator.gain")
        self._norm_z, self._norm_r = float(state["norm_z"]), float(state["norm_r"])


class Method(Part):
    """How R learns.

    Attributes:
        needs: of the tile of R. whitens: it converges where C = <y y^T> is a multiple of the identity; otherwise where C is diagonal.
        stands_still: R is the identity for good, so that no matrix is built.
    """

    needs: ClassVar[Needs]
    whitens: ClassVar[bool] = False
    stands_still: ClassVar[bool] = False

    @abstractmethod
    def learn(self, matrix: Matrix, passed: Passed, memory: Memory, factor: float = 1.0) -> None:
        """Teach R from one batch that went through it.

        Args:
            matrix: R. passed: the batch. memory: kept between batches. factor: of the method's `rate` now, 1 at the start of a schedule.
        """
