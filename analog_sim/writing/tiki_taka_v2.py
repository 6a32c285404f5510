"""TTv2: what is read from the fast array gathers in a digital filter H, and a cell is pulsed when a whole step is due.

Gokmen, Front. Artif. Intell. 4, 699148 (2021), doi:10.3389/frai.2021.699148, Algorithm 1.
"""

from typing import Annotated, Literal

from pydantic import Field

from analog_sim.random.streams import Streams
from analog_sim.writing.buffered_transfer import BufferedScheme, BufferedWriter
from analog_sim.writing.scheme import Writer, WriteTarget


class TikiTakaV2(BufferedScheme):
    """Low-pass filtered transfer, no choppers.

    Attributes:
        zero_shift: as in `TransferScheme`, but done by default: the filter keeps noise out of the weights, not symmetric points of A.
    """

    kind: Literal["tiki_taka_v2"] = "tiki_taka_v2"
    zero_shift: Annotated[int, Field(ge=0, le=10**6)] = 100

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return BufferedWriter(self, target, streams)
