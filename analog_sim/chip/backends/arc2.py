"""An ArC TWO of ArC Instruments through pyarc2: arrays between channels that the file names."""

import atexit
import importlib
import importlib.util
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.fixed_arrays import FixedArrays, PhysicalArray, Stock
from analog_sim.chip.lab.arc2 import CHANNELS, Arc2Array, Arc2Driver
from analog_sim.chip.lab.bench import Bench
from analog_sim.chip.lab.hardware import HardwareBackend
from analog_sim.chip.lab.write_by_pulses import PulsedWrite
from analog_sim.config import NamedPath, Q, UserError, at_key
from analog_sim.random.streams import Streams

MISSING = "pyarc2 is not installed; python -m pip install pyarc2"
Channel = Annotated[int, Field(ge=0, lt=CHANNELS)]
WORDS = (*range(16), *range(32, 48))
BITS = (*range(16, 32), *range(48, 64))
"""Channels of the rows and columns of the instrument's own 32 x 32 package."""


class Arc2(HardwareBackend):
    """Cells at the crossings of two sets of channels. The range of their conductance is the card's.

    Attributes:
        firmware: of the board. port: its number; null for the first that is found.
        words, bits: channels of the rows and of the columns.
        arrays: that share the columns; two make a differential pair.
        v_max: largest volts of a vector. v_read: of reads of single cells.
        v_up, v_down: of a pulse that potentiates, that depresses. width: of a pulse.
        tolerance: share of the conductance window within which a cell counts as programmed. rounds: of pulses and a read, at most.
        most: pulses of a cell in a round.
    """

    kind: Literal["arc2"] = "arc2"
    firmware: NamedPath
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    words: Annotated[tuple[Channel, ...], Field(min_length=1)] = WORDS
    bits: Annotated[tuple[Channel, ...], Field(min_length=1)] = BITS
    arrays: Annotated[int, Field(ge=1, le=CHANNELS)] = 2
    v_max: Annotated[float, Q("voltage", "V", gt=0, le=10)]
    v_read: Annotated[float, Q("voltage", "V", gt=0, le=10)] = 0.2
    v_up: Annotated[float, Q("voltage", "V", ge=-10, le=10)]
    v_down: Annotated[float, Q("voltage", "V", ge=-10, le=10)]
    width: Annotated[float, Q("time", "s", ge=40e-9, le=10)] = 1e-6
    tolerance: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.02
    rounds: Annotated[int, Field(ge=1, le=10_000)] = 50
    most: Annotated[int, Field(ge=1, le=1000)] = 20

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len({*self.words, *self.bits}) < len(self.words) + len(self.bits):
            raise at_key("bits", "a channel stands twice among words and bits")
        if len(self.bits) % self.arrays:
            raise at_key("arrays", f"{len(self.bits)} columns cannot be shared by {self.arrays} arrays")
        if self.v_up * self.v_down >= 0.0:
            raise at_key("v_down", f"must have the other sign of v_up (got {self.v_down:g} V and {self.v_up:g} V)")
        for name in ("v_max", "v_read"):
            if getattr(self, name) >= min(abs(self.v_up), abs(self.v_down)):
                raise at_key(name, f"reads must stay below the pulses (got {getattr(self, name):g} V)")
        return self

    def check(self) -> None:
        """Look for the library and the firmware; the instrument is not opened."""
        if importlib.util.find_spec("pyarc2") is None:
            raise UserError(f"chip: {MISSING}")
        if not self.firmware.is_file():
            raise UserError(f"chip.firmware: no such file: {self.firmware}")

    def opened(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Open the instrument. Raises UserError when it cannot be opened."""
        self.check()
        pyarc2 = importlib.import_module("pyarc2")
        arc, width = self._open(pyarc2), len(self.bits) // self.arrays
        levels = self.v_read, self.v_up, self.v_down, round(self.width * 1e9)
        drivers = [
            Arc2Driver(arc, pyarc2.IdleMode.SoftGnd, self.words, self.bits[k * width : (k + 1) * width], *levels)
            for k in range(self.arrays)
        ]
        atexit.register(Bench("ArC TWO", clock, drivers[0].off).off)
        with Bench("ArC TWO", Clock(), drivers[0].off).operation("start", 0):
            drivers[0].off()
        info = ChipInfo(
            rows=len(self.words),
            cols=width,
            pair=False,
            g_min=cell.g_min,
            g_max=cell.g_max,
            v_max=self.v_max,
            parallel_pulse=False,
        )
        write = PulsedWrite(self.tolerance, self.rounds, self.most)
        good = np.zeros((1, info.rows, info.cols), np.bool_)
        made = [
            PhysicalArray(f"array {k}", Arc2Array(info, driver, Bench("ArC TWO", clock, driver.off), write), good)
            for k, driver in enumerate(drivers)
        ]
        return FixedArrays(cell, clock, Stock.of(made), (info.rows, info.cols), end=drivers[0].off)

    def let_go(self, chip: Fabric) -> None:
        """Outputs to zero."""
        if isinstance(chip, FixedArrays):
            chip.let_go()

    def _open(self, pyarc2: Any) -> Any:
        """The instrument; its driver may raise what is no Exception."""
        try:
            ports = pyarc2.find_ids() if self.port is None else [self.port]
            if not ports:
                raise UserError("chip: no ArC TWO is connected")
            return pyarc2.Instrument(ports[0], str(self.firmware))
        except (UserError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            told = (str(error).splitlines() or [""])[0]
            raise UserError(f"chip: the ArC TWO cannot be opened ({type(error).__name__}: {told})") from error
