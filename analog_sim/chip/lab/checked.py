"""A chip of somebody's own code, looked after: what it hands out and answers is checked, and what it raises becomes one line.

Between the framework and code that it does not know. It changes no number and asks the chip for nothing of its own.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import ChipInfo, Crossbar, Inspectable
from analog_sim.chip.fabric import PLAIN, Fabric, Fabrication, Record
from analog_sim.chip.operation_log import OperationLog
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Name

F32 = npt.NDArray[np.float32]
NEEDED = tuple(name for name in vars(Crossbar) if not name.startswith("_"))
"""What an array must have."""


@contextmanager
def told_in_one_line(what: str) -> Iterator[None]:
    """Within the block unknown code runs. Raises UserError for whatever it raises, with the place in its file."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # unknown code may raise anything
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}".removesuffix(": ")
        raise UserError(f"{what} failed: {said} ({Path(place.filename).name}:{place.lineno})") from error


class CheckedCrossbar:
    """An array whose answers are looked at.

    Args:
        array: of the user's code. where: its name, for messages. rows, cols, pair: what was asked for.

    Raises:
        UserError: it is no `Crossbar`, or another one than was asked for.
    """

    def __init__(self, array: Crossbar, where: str, rows: int, cols: int, pair: bool) -> None:
        missing = sorted(set(NEEDED) - set(dir(array)))
        if missing:
            raise UserError(f"{where} is a {type(array).__name__} without {', '.join(missing)}, which a Crossbar has")
        self._array, self._where = array, where
        info = array.info
        if not isinstance(info, ChipInfo):
            raise UserError(f"{where}: info must be a ChipInfo (got {type(info).__name__})")
        if (info.rows, info.cols, info.pair) != (rows, cols, pair):
            got = f"{info.rows} x {info.cols}, pair: {info.pair}"
            raise UserError(f"{where}: asked for {rows} x {cols}, pair: {pair}; its info says {got}")

    @property
    def info(self) -> ChipInfo:
        """Shape, limits and capabilities."""
        return self._array.info

    @property
    def log(self) -> OperationLog:
        """What the array was asked to do so far."""
        return self._array.log

    @property
    def inside(self) -> Inspectable | None:
        """The truth of the cells where the user's code shows it."""
        return self._array.inside

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        with told_in_one_line(f"{self._where}: time"):
            return float(self._array.time)

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read currents; see `Crossbar`."""
        with told_in_one_line(f"{self._where}: mvm"):
            found = self._array.mvm(v, transpose=transpose)
        lines = self.info.rows if transpose else self.info.cols
        return self._answer("mvm", found, (len(v), lines), "amperes")

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> F32:
        """Read cells."""
        with told_in_one_line(f"{self._where}: read_conductance"):
            found = self._array.read_conductance(rows, cols)
        info = self.info
        lines = [len(range(*(part or slice(None)).indices(n))) for part, n in ((rows, info.rows), (cols, info.cols))]
        return self._answer("read_conductance", found, (info.planes, *lines), "siemens")

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Write cells to a target."""
        with told_in_one_line(f"{self._where}: program"):
            self._array.program(target, mask)

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Send pulses."""
        with told_in_one_line(f"{self._where}: pulse"):
            self._array.pulse(plan)

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        with told_in_one_line(f"{self._where}: wait"):
            self._array.wait(seconds)

    def flush(self) -> None:
        """Wait for queued commands."""
        with told_in_one_line(f"{self._where}: flush"):
            self._array.flush()

    def _answer(self, kind: str, found: object, shape: tuple[int, ...], unit: str) -> F32:
        """An answer as float32. Raises UserError for one of another shape, or with values that are not finite."""
        array = found if isinstance(found, np.ndarray) else None
        if array is None or array.shape != shape or array.dtype.kind != "f":
            got = type(found).__name__ if array is None else f"{array.dtype} {array.shape}"
            raise UserError(f"{self._where}: {kind} must return {unit}, an array of floats {shape} (got {got})")
        if not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            raise UserError(f"{self._where}: {kind} returned {count} of {array.size} values that are not finite")
        return array.astype(np.float32, copy=False)


@dataclass(frozen=True)
class CheckedFabric:
    """Hands out arrays of a user's chip, each of which is looked after.

    Attributes:
        chip: the user's. name: of the function that made it, for messages. place: names on the way here.
    """

    chip: Fabric
    name: str
    place: tuple[Name, ...] = ()

    @property
    def cell(self) -> CellModel:
        """What is known of the cells."""
        return self.chip.cell

    @property
    def clock(self) -> Clock:
        """Chip time."""
        return self.chip.clock

    @property
    def largest(self) -> tuple[int, int] | None:
        """Rows and columns of the largest array."""
        return self.chip.largest

    @property
    def record(self) -> Record | None:
        """As of the chip."""
        return self.chip.record

    def at(self, *place: Name) -> CheckedFabric:
        """The part of the chip at `place`."""
        with told_in_one_line(f"{self.name}: at"):
            return replace(self, chip=self.chip.at(*place), place=(*self.place, *place))

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> CheckedCrossbar:
        """An array of the chip. Raises UserError when the chip does not give one."""
        where = f"{self.name}: array '{'/'.join(str(part) for part in (*self.place, *name))}'"
        with told_in_one_line(where):
            array = self.chip.crossbar(name, rows, cols, pair=pair, wishes=wishes)
        return CheckedCrossbar(array, where, rows, cols, pair)
