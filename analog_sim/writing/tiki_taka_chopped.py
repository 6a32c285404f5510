"""Chopped TTv2 (c-TTv2): the sign with which a line is written to the fast array flips at random, so that what A adds averages out.

Rasch, Carta, Fagbohungbe & Gokmen, Nat. Commun. 15, 7133 (2024), doi:10.1038/s41467-024-51221-z.
"""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.random.streams import Stream, Streams, StreamState
from analog_sim.saved_state import State, taken
from analog_sim.writing.buffered_transfer import BufferedScheme, BufferedState, BufferedWriter
from analog_sim.writing.scheme import Writer, WriteTarget


class TikiTakaChopped(BufferedScheme):
    """TTv2 with choppers on the input lines.

    Attributes:
        chopper: probability that a line's sign flips after its transfer.
    """

    kind: Literal["tiki_taka_chopped"] = "tiki_taka_chopped"

    chopper: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return ChoppedWriter(self, target, streams)


class ChoppedState(BufferedState):
    """As the base, with the stream of the choppers."""

    flips: StreamState


class ChoppedWriter(BufferedWriter):
    """Undoes the chopper's sign in what it reads."""

    kept: ClassVar[Any] = ChoppedState

    def __init__(self, scheme: TikiTakaChopped, target: WriteTarget, streams: Streams) -> None:
        super().__init__(scheme, target, streams)
        self._scheme = scheme
        self._flips: Stream = streams.stream("chopper")

    def _move(self, lines: npt.NDArray[np.int64], rate: float) -> None:
        sign = self._chopper[lines]
        self._gather(lines, sign[:, None] * self._read(lines), rate)
        self._chopper[lines] = np.where(self._flips.uniforms(len(lines)) < self._scheme.chopper, -sign, sign)

    def state(self) -> ChoppedState:
        """As the base, with the stream of the choppers."""
        return {**super().state(), "flips": self._flips.state()}

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        super().restore(state)
        self._flips.restore(taken(ChoppedState, state, "writer")["flips"])
