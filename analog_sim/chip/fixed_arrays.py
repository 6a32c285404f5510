"""A chip whose arrays exist already: fixed sizes, known bad cells. Matrices are laid out over them, and refused where they do not suffice.

Emulated and real chips share it; it never makes an array of another size and never joins two arrays into one larger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.checks import check_plan, check_target, check_voltages, span
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import ChipInfo, Crossbar
from analog_sim.chip.fabric import PLAIN, Fabrication
from analog_sim.chip.operation_log import OperationLog
from analog_sim.chip.pairs import PairOfArrays
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Name

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PhysicalArray:
    """One array of the chip.

    Attributes:
        name: as the chip calls it. crossbar: the array. bad: (planes, rows, cols), cells known not to work.
    """

    name: str
    crossbar: Crossbar
    bad: npt.NDArray[np.bool_]


class Corner:
    """The first rows and columns of a larger array, used as an array of its own; the other lines are held at 0 V and never written.

    Args:
        whole: the array. rows, cols: how much of it.
    """

    inside: None = None

    def __init__(self, whole: Crossbar, rows: int, cols: int) -> None:
        self._whole, self._rows, self._cols = whole, rows, cols
        self.info: ChipInfo = replace(whole.info, rows=rows, cols=cols, inspectable=False)

    @property
    def log(self) -> OperationLog:
        """Operations of the whole array: this corner is all of it that is used."""
        return self._whole.log

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self._whole.time

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read currents of the corner's lines."""
        check_voltages(self.info, v, transpose)
        info = self._whole.info
        driven, sensed = (info.cols, self._rows) if transpose else (info.rows, self._cols)
        padded = np.zeros((len(v), driven), np.float32)
        padded[:, : v.shape[1]] = v
        return np.ascontiguousarray(self._whole.mvm(padded, transpose=transpose)[:, :sensed])

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> F32:
        """Read cells one by one."""
        return self._whole.read_conductance(span(rows, self._rows, "rows"), span(cols, self._cols, "cols"))

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Write cells of the corner; the rest of the array is masked."""
        check_target(self.info, target, mask)
        full = (self.info.planes, self._whole.info.rows, self._whole.info.cols)
        where = np.zeros(full, np.bool_)
        where[self._here] = True if mask is None else mask
        padded = np.full(full, self.info.g_min, np.float32)
        padded[self._here] = target
        self._whole.program(padded, where)

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Send pulses to the corner; other lines do not fire."""
        check_plan(self.info, plan)
        info = self._whole.info
        if isinstance(plan, PulseCounts):
            counts = np.zeros((info.planes, info.rows, info.cols), plan.counts.dtype)
            counts[self._here] = plan.counts
            # The numbers of rows and cells are those of the corner.
            self._whole.pulse(replace(plan, counts=counts, rows=None, cells=None))
            return
        row, col = (0, info.rows - self._rows), (0, info.cols - self._cols)
        self._whole.pulse(
            replace(
                plan,
                row_bits=np.pad(plan.row_bits, ((0, 0), row)),
                col_bits=np.pad(plan.col_bits, ((0, 0), col)),
                row_sign=np.pad(plan.row_sign, ((0, 0), row), constant_values=1),
                col_sign=np.pad(plan.col_sign, ((0, 0), col), constant_values=1),
            )
        )

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        self._whole.wait(seconds)

    def flush(self) -> None:
        """Wait for queued commands."""
        self._whole.flush()

    @property
    def _here(self) -> tuple[slice, slice, slice]:
        return slice(None), slice(0, self._rows), slice(0, self._cols)


@dataclass
class Stock:
    """The arrays of a chip and who has them.

    Attributes:
        free: arrays not handed out yet. size: rows and columns of each. holders: place -> names of its arrays.
    """

    free: list[PhysicalArray]
    size: tuple[int, int]
    holders: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, arrays: Sequence[PhysicalArray]) -> Stock:
        """All arrays free. Raises UserError without any, or when they differ in size."""
        shapes = {(array.crossbar.info.rows, array.crossbar.info.cols) for array in arrays}
        if len(shapes) != 1:
            raise UserError(f"chip: needs arrays of one size (got {sorted(shapes) or 'none'})")
        return cls(list(arrays), shapes.pop())

    def take(self, holder: str, rows: int, cols: int, count: int, together: int) -> list[PhysicalArray]:
        """The free arrays with the fewest bad cells among their first rows x cols.

        Args:
            holder: who gets them. rows, cols: cross points that are used. count: arrays for each of them. together: times that `count`
                are needed for the whole matrix, if none of them was taken yet.

        Raises:
            UserError: there are too few, now or for the whole matrix.
        """
        need = count * (1 if holder in self.holders else together)
        if len(self.free) < need:
            used = Counter({place: len(names) for place, names in self.holders.items()})
            total = sum(used.values()) + len(self.free)
            by_place = ", ".join(f"{place} has {n}" for place, n in used.items()) or "none is in use"
            pairs = " (two for each differential pair)" if count == 2 else ""
            size = "x".join(str(n) for n in self.size)
            raise UserError(
                f"chip: '{holder}' needs {need} arrays of {size} cells{pairs}, but {len(self.free)} of the chip's {total} are left "
                f"({by_place}); choose a smaller network or a chip with more or larger arrays"
            )
        order = sorted(self.free, key=lambda array: (int(array.bad[:, :rows, :cols].sum()), array.name))
        taken = order[:count]
        self.free = [array for array in self.free if array not in taken]
        self.holders.setdefault(holder, []).extend(array.name for array in taken)
        return taken


@dataclass(frozen=True)
class FixedArrays:
    """A fabric that hands out arrays that exist; a pair of cells takes two arrays when the chip does not subtract.

    Attributes:
        cell: the card: what is known of the cells. clock: chip time. stock: the arrays, shared by all places. shape: of one array.
        paired: arrays subtract the currents of two cells themselves. place: for messages. record: none is kept here.
        end: lets go of the chip; None where there is nothing to let go of.
    """

    cell: CellModel
    clock: Clock
    stock: Stock
    shape: tuple[int, int]
    paired: bool = False
    place: tuple[Name, ...] = ()
    record: None = None
    end: Callable[[], None] | None = None

    def let_go(self) -> None:
        """Let go of the chip."""
        if self.end is not None:
            self.end()

    @property
    def largest(self) -> tuple[int, int]:
        """Rows and columns of one array."""
        return self.shape

    def at(self, *place: Name) -> FixedArrays:
        """The same stock; the place names who takes from it."""
        return replace(self, place=(*self.place, *place))

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> Crossbar:
        """Hand out an array, or two for a pair. Raises UserError when none is left or fits, and for a fault map or wires."""
        if wishes.fault_map is not None:
            raise UserError("tile.fault_map: the arrays of this chip exist already and have their own faults")
        if wishes.wires is not None:
            raise UserError(
                "tile.wires: the arrays of this chip exist already and have their own wires (leave tile.wires out)"
            )
        if rows > self.shape[0] or cols > self.shape[1]:
            raise UserError(f"chip: arrays are {self.shape[0]} x {self.shape[1]}, {rows} x {cols} were asked for")
        if self.paired and not pair:
            raise UserError(
                "chip: its arrays hold pairs; single cells (tile.mapping.kind: reference) are not available"
            )
        holder = "/".join(str(part) for part in self.place) or "the matrix"
        count = 2 if pair and not self.paired else 1
        stock = self.stock.take(holder, rows, cols, count, wishes.together)
        taken = [Corner(array.crossbar, rows, cols) for array in stock]
        return PairOfArrays(*taken) if count == 2 else taken[0]
