"""The record of a chip that keeps its cells when the program ends, as hardware does: no pulse is sent twice, even after a crash.

Before pulses are sent, the operations so far are in the record's file and the number of the coming one in a file beside it. A run that was
killed between sending and recording finds the number there and takes these pulses as sent. All else may be done again: reads change
nothing, programming goes to the same target.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.record.operations import Request
from analog_sim.chip.record.tape import Tape, TapedOperation
from analog_sim.chip.record.taped import TapedFabric, recording
from analog_sim.config import UserError

UNDER_WAY = "last_pulses.txt"
"""File beside a record: number and digest of the pulses that were sent last."""


class UnderWay:
    """The pulses that are being sent.

    Args:
        path: of the file. tape: the record; where it ends now, the run was killed.
    """

    def __init__(self, path: Path, tape: Tape) -> None:
        self._path, self._tape = path, tape
        self._found = self._read()

    def announce(self, request: Request) -> None:
        """Before an operation is sent: note it in the file, in case the program is killed before it is recorded. Raises UserError."""
        if request.kind != "pulse":
            return
        self._tape.sync()
        try:
            self._path.write_text(f"{self._tape.length} {request.digest()}\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"{self._path}: cannot be written ({error.strerror})") from error

    def again(self, request: Request, on: Crossbar) -> TapedOperation | None:
        """Pulses that were sent and not recorded, as done; None for all else.

        Raises:
            UserError: others were under way than are asked for.
        """
        found, self._found = self._found, None
        if found is None or found[0] != self._tape.length:
            return None
        if found[1] != request.digest():
            raise UserError(
                f"{self._path}: when the run was killed, other pulses were under way than it asks for now ({request.kind} on "
                f"'{request.array}'), so that nobody knows what the cells hold; delete the folder to train anew"
            )
        warnings.warn(
            f"{self._tape.path}: operation {found[0]}, pulses on '{request.array}', was under way when the run was killed; it is taken as "
            "done and not repeated",
            stacklevel=2,
        )
        counts = request.arrays.get("counts")
        units = 0 if counts is None else int(np.abs(counts.astype(np.int64)).sum())
        return TapedOperation(request, {}, on.time, 0.0, units, 0.0)

    def _read(self) -> tuple[int, str] | None:
        """Number and digest in the file; None without one, or where it was cut short: then nothing had been sent."""
        try:
            number, digest = self._path.read_text(encoding="utf-8").split()
            return int(number), digest
        except (OSError, ValueError):
            return None


def recording_kept(chip: Fabric, path: Path, settings: dict[str, Any]) -> TapedFabric:
    """Record a chip that keeps its cells, or go on with the record that is there. Raises UserError."""
    taped = recording(chip, path, settings, remembers=True)
    under_way = UnderWay(path.with_name(UNDER_WAY), taped.record)
    taped.session.resumption = under_way
    taped.session.announce = under_way.announce
    return taped
