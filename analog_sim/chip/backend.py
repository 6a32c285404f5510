"""Section `chip:` of an experiment: what the loop drives. One backend is one file in `analog_sim/chip/backends`."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabric
from analog_sim.config import Part
from analog_sim.random.streams import Streams

RECORD = "operations.record"
"""File of a run's folder that holds the record of a chip."""


class ChipBackend(Part, ABC):
    """Configuration of a chip.

    Class attributes:
        snapshots: the chip can be put back as it was, so that measuring it leaves no trace.
        shared: every arm, seed and chip number of a run gets this one chip, so that they use it one after the other.
    """

    snapshots: ClassVar[bool] = False
    shared: ClassVar[bool] = False

    @property
    def of_estimates(self) -> bool:
        """Whether each chip of an estimate has a folder, for its record, or whose name tells which record of another run it plays."""
        return False

    def check(self) -> None:
        """What can be told before any work: whether what the section names is there. It opens no chip.

        Raises:
            UserError: the chip is not available.
        """

    def reach(self) -> None:
        """Before long work that comes ahead of the chip: whether it answers. Nothing is done to it.

        Raises:
            UserError: it does not.
        """

    @abstractmethod
    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """The chip.

        Args:
            cell: the compiled card: for an emulated chip its cells, for a real one what the user believes of them.
            streams: identity of the chip. clock: chip time. folder: where a record may be kept; None to keep none.

        Raises:
            UserError: the chip is not available.
        """

    def release(self, fabric: Fabric) -> None:
        """Let go of a chip that `fabric` returned: nobody asks it for anything any more."""


def record_path(folder: Path) -> Path:
    """Where a chip is recorded; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / RECORD


LATER = {"read_noise": 0.0, "amplitude": None, "width": None, "history": None, "returning": 0.0}
"""Fields of a cell's tables that came later, and their values for cards without them: these keep the digest that older records hold."""


def identity(cell: CellModel, streams: Streams) -> dict[str, Any]:
    """What a record says of its chip: the card by name and digest of its tables, seed and place of the chip."""
    return {"card": cell.name, "tables": _digest(asdict(cell)), "seed": streams.seed, "place": list(streams.path)}


def _digest(value: Any) -> str:
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        elif isinstance(part, dict):
            for key in sorted(part):
                if key in LATER and part[key] == LATER[key]:
                    continue
                digest.update(f"{key}:".encode())
                add(part[key])
        elif isinstance(part, list | tuple):
            digest.update(f"[{len(part)}".encode())
            for item in part:
                add(item)
        else:
            digest.update(repr(part).encode())

    add(value)
    return digest.hexdigest()
