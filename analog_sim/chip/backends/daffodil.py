"""NIST's Daffodil board: 32 arrays of 25 x 25 cells, simulated by its own library or physical. `--chip daffodil:simulated`."""

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
from analog_sim.chip.lab.bench import Bench
from analog_sim.chip.lab.daffodil import DaffodilKernel, DaffodilVerbs
from analog_sim.chip.lab.hardware import HardwareBackend
from analog_sim.chip.lab.write_by_pulses import PulsedWrite
from analog_sim.chip.record.taped import TapedFabric
from analog_sim.config import Q, UserError, at_key
from analog_sim.random.streams import Streams

MISSING = "daffodillib is not installed; it is not on PyPI: python -m pip install git+https://github.com/usnistgov/daffodil-lib"


class Daffodil(HardwareBackend):
    """Kernels of a Daffodil board; two of them make a differential pair. The range of their conductance is the card's.

    Attributes:
        board: the library's simulated board, or the physical one. kernels: numbers of those that may be used; null for all.
        v_max: largest read voltage. threshold: voltage from which a cell may change; v_max must stay below it.
        v_set, v_reset, v_gate: voltages of writing and of the gates, as the library takes them.
        tolerance: share of the conductance window within which a cell counts as programmed. rounds: of pulses and a read, at most.
        most: pulses of a cell in a round.
    """

    kind: Literal["daffodil"] = "daffodil"
    board: Literal["simulated", "physical"] = "simulated"
    kernels: Annotated[tuple[Annotated[int, Field(ge=0, le=1023)], ...], Field(min_length=1)] | None = None
    v_max: Annotated[float, Q("voltage", "V", gt=0, le=0.7)] = 0.3
    threshold: Annotated[float, Q("voltage", "V", gt=0)] = 0.7
    v_set: Annotated[float, Q("voltage", "V", gt=0, le=3.3)] = 0.8
    v_reset: Annotated[float, Q("voltage", "V", gt=0, le=3.3)] = 0.8
    v_gate: Annotated[float, Q("voltage", "V", gt=0, le=5)] = 5.0
    tolerance: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.02
    rounds: Annotated[int, Field(ge=1, le=10_000)] = 50
    most: Annotated[int, Field(ge=1, le=1000)] = 20

    @model_validator(mode="after")
    def _reads_do_not_write(self) -> Self:
        if self.v_max >= self.threshold:
            raise at_key("v_max", f"reads must stay below the threshold of {self.threshold:g} V (got {self.v_max:g} V)")
        return self

    def check(self) -> None:
        """Look for the library; the board is not opened."""
        if importlib.util.find_spec("daffodillib") is None:
            raise UserError(f"chip: {MISSING}")

    def opened(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Open the board. Raises UserError when it cannot be opened."""
        controller, read_array, outerproduct = (
            _part(name) for name in ("Board.controller", "read_array", "outerproduct")
        )
        try:
            board = controller.Daffodil_Sim("Generic") if self.board == "simulated" else controller.Daffodil_Phys()
        except Exception as error:  # the library raises plain Exceptions
            raise UserError(f"chip: the {self.board} Daffodil board cannot be opened ({error})") from error
        verbs = DaffodilVerbs(board, read_array, outerproduct, self.v_max, self.v_set, self.v_reset, self.v_gate)
        numbers = range(board.kernels) if self.kernels is None else self.kernels
        if any(k >= board.kernels for k in numbers):
            raise UserError(f"chip.kernels: 0 to {board.kernels - 1} (got {max(numbers)})")
        atexit.register(verbs.off)
        where = f"Daffodil board ({self.board})"
        with Bench(where, Clock(), verbs.off).operation("start", 0):
            verbs.start(cell.g_max)
        info = ChipInfo(board.xdim, board.ydim, False, cell.g_min, cell.g_max, v_max=self.v_max)
        write = PulsedWrite(self.tolerance, self.rounds, self.most)
        good = np.zeros((1, info.rows, info.cols), np.bool_)
        made = [
            PhysicalArray(f"kernel {k}", DaffodilKernel(k, info, verbs, Bench(where, clock, verbs.off), write), good)
            for k in numbers
        ]
        return FixedArrays(cell, clock, Stock.of(made), (info.rows, info.cols), end=verbs.off)

    def recorded(self, chip: Fabric, path: Path, cell: CellModel, streams: Streams) -> TapedFabric:
        """The board with its record. Raises UserError where there is one of a simulated board, whose cells ended with its process."""
        if self.board == "simulated" and path.exists():
            raise UserError(
                f"{path}: the simulated Daffodil board does not keep its cells when the program ends, so the run cannot go on; delete "
                "the folder to train anew"
            )
        return super().recorded(chip, path, cell, streams)

    def let_go(self, chip: Fabric) -> None:
        """Outputs to zero."""
        if isinstance(chip, FixedArrays):
            chip.let_go()


def _part(name: str) -> Any:
    try:
        return importlib.import_module(f"daffodillib.{name}")
    except ImportError as error:
        found = importlib.util.find_spec("daffodillib")
        raise UserError(f"chip: {MISSING if found is None else f'daffodillib cannot be imported ({error})'}") from error
