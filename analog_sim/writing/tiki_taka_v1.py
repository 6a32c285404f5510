"""Tiki-Taka (TTv1): lines of the fast array are read in turn and pulsed into the weights, without a digital filter.

Gokmen & Haensch, Front. Neurosci. 14, 103 (2020), doi:10.3389/fnins.2020.00103, with the weights of the network in C alone (gamma = 0).
"""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, taken
from analog_sim.writing.proposal import OuterProduct
from analog_sim.writing.scheme import Writer, WriteTarget
from analog_sim.writing.stochastic_pulse import StochasticPulse, StochasticPulseWriter
from analog_sim.writing.transfer import TransferScheme, TransferState, TransferWriter


class TikiTakaV1(TransferScheme):
    """``C_i <- C_i + transfer rate A_i`` in stochastic pulses, for one input line i after the other; rate: the learning rate.

    Attributes:
        zero_shift: as in `TransferScheme`, but done by default: nothing else keeps the symmetric points of A out of the weights.
    """

    kind: Literal["tiki_taka_v1"] = "tiki_taka_v1"
    zero_shift: Annotated[int, Field(ge=0, le=10**6)] = 100

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return TikiTakaV1Writer(self, target, streams)


class SlowState(TransferState):
    """As the base, with the writer of the weights."""

    slow_writer: State


class TikiTakaV1Writer(TransferWriter):
    """Sends every line as a train: its row fires in every slot, the columns in proportion to what was read."""

    kept: ClassVar[Any] = SlowState

    def __init__(self, scheme: TikiTakaV1, target: WriteTarget, streams: Streams) -> None:
        super().__init__(scheme, target, streams)
        self._scheme = scheme
        slow = StochasticPulse(length=scheme.fast_length, pair=scheme.pair)
        self._slow_writer = StochasticPulseWriter(slow, target, streams.child("slow"))

    def _move(self, lines: npt.NDArray[np.int64], rate: float) -> None:
        one_line = np.zeros((len(lines), self._target.shape[1]), np.float32)
        one_line[np.arange(len(lines)), lines] = 1.0
        self._slow_writer.update(OuterProduct(one_line, -self._read(lines)), abs(rate) * self._scheme.transfer)

    def state(self) -> SlowState:
        """As the base, with the streams of the transfers."""
        return {**super().state(), "slow_writer": self._slow_writer.state()}

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        super().restore(state)
        self._slow_writer.restore(taken(SlowState, state, "writer")["slow_writer"])

    def statistics(self) -> dict[str, float]:
        """As the base; the pulses of the weights are not counted one by one here."""
        own = super().statistics()
        del own["pulses"]
        return own | {f"slow_{name}": value for name, value in self._slow_writer.statistics().items()}
