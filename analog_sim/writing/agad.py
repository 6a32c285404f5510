"""AGAD: choppers with a dynamic reference; a reading counts against the mean of the readings before the chopper flipped.

Rasch, Carta, Fagbohungbe & Gokmen, Nat. Commun. 15, 7133 (2024), doi:10.1038/s41467-024-51221-z. The symmetric point of a cell of A
need not be known: the reference contains it, and follows it.
"""

from math import ceil
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, put, taken
from analog_sim.writing.buffered_transfer import BufferedScheme, BufferedState, BufferedWriter
from analog_sim.writing.scheme import Writer, WriteTarget

F32 = npt.NDArray[np.float32]


class Agad(BufferedScheme):
    """TTv2 with regular choppers and a dynamic reference.

    Attributes:
        chopper: the sign of a line flips after every ceil(1 / chopper) of its transfers.
        tail: weight of the newest reading in the running mean that becomes the reference, times the readings of a chopper period.
    """

    kind: Literal["agad"] = "agad"

    chopper: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    tail: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return AgadWriter(self, target, streams)


class AgadState(BufferedState):
    """As the base, with means, references and counters of reads."""

    average: F32
    reference: F32
    reads: npt.NDArray[np.int64]


class AgadWriter(BufferedWriter):
    """Holds the running mean and the reference, (n_in, n_out), and how often each line was read, (n_in,)."""

    kept: ClassVar[Any] = AgadState

    def __init__(self, scheme: Agad, target: WriteTarget, streams: Streams) -> None:
        super().__init__(scheme, target, streams)
        self._period = max(ceil(1.0 / scheme.chopper), 2)
        self._newest = np.float32(min(scheme.tail / self._period, 1.0))
        self._average: F32 = np.zeros_like(self._filter)
        self._reference: F32 = np.zeros_like(self._filter)
        self._reads = np.zeros(len(self._filter), np.int64)

    def _move(self, lines: npt.NDArray[np.int64], rate: float) -> None:
        reading, sign = self._read(lines), self._chopper[lines]
        self._gather(lines, sign[:, None] * (reading - self._reference[lines]), rate)
        self._average[lines] += self._newest * (reading - self._average[lines])
        self._reads[lines] += 1
        flip = self._reads[lines] % self._period == 0
        self._chopper[lines] = np.where(flip, -sign, sign)
        self._reference[lines[flip]] = self._average[lines[flip]]

    def state(self) -> AgadState:
        """As the base, with means, references and counters."""
        return {
            **super().state(),
            "average": self._average.copy(),
            "reference": self._reference.copy(),
            "reads": self._reads.copy(),
        }

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        super().restore(state)
        saved = taken(AgadState, state, "writer")
        put(self._average, saved["average"], "writer.average")
        put(self._reference, saved["reference"], "writer.reference")
        put(self._reads, saved["reads"], "writer.reads")
