"""The twin of a chip that was measured: emulated cells of the measured card, stuck where the chip's are, behind its amplifiers and wires.

What the loop believes of the cells (`cell`, which maps weights to conductances) need not be what they are: a chip that is driven by a
nominal card has a twin that is driven by it too. Written by the calibration; it measures nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.archive import read_archive
from analog_sim.cells.cell_file import cell_arrays, cell_of
from analog_sim.cells.cell_model import CellModel, FaultModel
from analog_sim.cells.state import Fault
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.chip.fabric import PLAIN, Fabrication
from analog_sim.chip.periphery import AmplifiedCrossbar, LineAmplifiers
from analog_sim.config import UserError
from analog_sim.json_text import parse_json
from analog_sim.random.streams import Name, Streams
from analog_sim.wires import WiresSpec

F32 = npt.NDArray[np.float32]
TWIN = "twin.npz"
"""File of a calibration's folder that makes its twin."""
_REMEDY = "scripts/calibrate.py writes it"


@dataclass(frozen=True)
class MeasuredArray:
    """What was measured of one array.

    Attributes:
        stuck: (planes, rows, cols) siemens of cells that do not answer, NaN for all others.
        amplifiers: of the bit lines; None where no difference from 1 and 0 was found.
    """

    stuck: F32
    amplifiers: LineAmplifiers | None = None


@dataclass(frozen=True)
class MeasuredChip:
    """What makes a twin.

    Attributes:
        cell: the measured card, compiled. arrays: by full name. wires: None for ideal ones.
    """

    cell: CellModel
    arrays: Mapping[str, MeasuredArray] = field(default_factory=dict)
    wires: WiresSpec | None = None


def save_measured(measured: MeasuredChip) -> dict[str, np.ndarray]:
    """The arrays of a twin's file."""
    names = list(measured.arrays)
    about = {
        "arrays": names,
        "wires": None if measured.wires is None else measured.wires.model_dump(mode="json", exclude_defaults=True),
    }
    arrays: dict[str, np.ndarray] = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    arrays |= {f"cell/{key}": value for key, value in cell_arrays(measured.cell).items()}
    for k, array in enumerate(measured.arrays.values()):
        arrays[f"{k}/stuck"] = array.stuck
        if array.amplifiers is not None:
            arrays[f"{k}/gain"], arrays[f"{k}/offset"] = array.amplifiers.gain, array.amplifiers.offset
    return arrays


def load_measured(folder: Path) -> MeasuredChip:
    """The twin in a calibration's folder, or in a file. Raises UserError when it is missing, damaged or of another kind."""
    path = folder / TWIN if folder.is_dir() else folder
    try:
        about = path.stat()
    except OSError:
        return _load(path, None)  # says what is wrong
    return _load(path, (about.st_mtime_ns, about.st_size, about.st_ino))


@lru_cache(maxsize=8)
def _load(path: Path, version: tuple[int, ...] | None) -> MeasuredChip:
    """Read once for all seeds of a process: composing the pulse tables of a measured card takes seconds, and is kept for a card."""
    arrays = read_archive(path, "a twin's file", _REMEDY)
    try:
        about = parse_json(arrays["about"].tobytes())
        found = {}
        for k, name in enumerate(about["arrays"]):
            amplifiers = LineAmplifiers(arrays[f"{k}/gain"], arrays[f"{k}/offset"]) if f"{k}/gain" in arrays else None
            found[str(name)] = MeasuredArray(arrays[f"{k}/stuck"], amplifiers)
        wires = None if about["wires"] is None else WiresSpec.model_validate(about["wires"], strict=False)
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: is no twin's file ({type(error).__name__}: {error}); {_REMEDY}") from error
    cell = cell_of({key[5:]: value for key, value in arrays.items() if key.startswith("cell/")}, str(path))
    return MeasuredChip(cell, found, wires)


def full_name(*parts: Name) -> str:
    """Name of an array on the whole chip."""
    return json.dumps(list(parts))


@dataclass(frozen=True)
class TwinFabric:
    """Fabricates the arrays of a twin.

    Attributes:
        cell: what the loop believes of the cells. measured: what they are. streams: of what was not measured cell by cell. clock: chip
            time. place: names on the way here. largest, record: arrays of any size, no record.
    """

    cell: CellModel
    measured: MeasuredChip
    streams: Streams
    clock: Clock
    place: tuple[Name, ...] = ()
    largest: None = None
    record: None = None

    def at(self, *place: Name) -> TwinFabric:
        """The part of the twin at `place`."""
        return replace(self, place=(*self.place, *place), streams=self.streams.child(*place))

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> Crossbar:
        """An array: as measured, or of cells of the measured card where it was not. Raises UserError for another shape."""
        full = full_name(*self.place, *name)
        found = self.measured.arrays.get(full)
        shape = (2 if pair else 1, rows, cols)
        if found is not None and found.stuck.shape != shape:
            raise UserError(f"chip: the twin's array {full} was measured as {found.stuck.shape}, {shape} was asked for")
        cell = self.measured.cell
        if found is not None:  # its faults are known, and so no further ones are drawn
            cell = replace(cell, faults=FaultModel())
        faults = wishes.fault_map
        if found is not None:
            broken = np.isfinite(found.stuck)
            faults = np.where(broken, int(Fault.STUCK_RANDOM), 0 if faults is None else faults).astype(np.uint8)
        array = EmulatedCrossbar(
            cell,
            rows,
            cols,
            pair=pair,
            streams=self.streams.child(*name),
            clock=self.clock,
            fault_map=faults,
            count_pulses=wishes.count_pulses,
            wires=self.measured.wires if wishes.wires is None else wishes.wires,
        )
        if found is None:
            return array
        np.copyto(array.cells.g, found.stuck, where=broken)
        return array if found.amplifiers is None else AmplifiedCrossbar(array, found.amplifiers)
