"""Stochastic pulse update: all rows and columns fire random bit streams at once, and every coincidence is one pulse.

Gokmen & Vlasov, Front. Neurosci. 10, 333 (2016), doi:10.3389/fnins.2016.00333. The outer product is made by the array itself, in a
time that does not depend on its size; every sample of a batch acts on the state that the one before has left.
"""

from typing import Annotated, ClassVar, Literal, TypedDict

import numpy as np
from pydantic import Field

from analog_sim.random.streams import Stream, Streams, StreamState
from analog_sim.saved_state import State, taken
from analog_sim.writing.clipping import ClippingNote, whole_pulses
from analog_sim.writing.proposal import OuterProduct, Proposal, for_cells
from analog_sim.writing.pulsed import PulsedScheme, Refresher, net_step, send_counts
from analog_sim.writing.scheme import Writer, WriteTarget
from analog_sim.writing.trains import draw, train_for


class StochasticPulse(PulsedScheme):
    """Coincidences of random bit streams.

    Attributes:
        length: slots of the longest train (BL), 1 to 63.
        balance: share the strength between rows and columns so that both use their full range (update management).
        adapt_length: make every train only as long as its largest product needs (update BL management).
    """

    kind: Literal["stochastic_pulse"] = "stochastic_pulse"
    needs: ClassVar[frozenset[str]] = frozenset({"pulsed", "parallel_pulse"})

    length: Annotated[int, Field(ge=1, le=63)] = 31
    balance: bool = True
    adapt_length: bool = True

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return StochasticPulseWriter(self, target, streams)


class StochasticState(TypedDict):
    """Streams of rows, columns and rounding, and counters."""

    streams: list[StreamState]
    refresher: list[int]
    clipping: list[float]


class StochasticPulseWriter(Writer):
    """Draws the bits of every batch and sends the trains to all blocks; warn: say when a train is too short for what is asked."""

    def __init__(self, scheme: StochasticPulse, target: WriteTarget, streams: Streams, *, warn: bool = True) -> None:
        self._scheme = scheme
        self._target = target
        self._rows: Stream = streams.stream("row_bits")
        self._cols: Stream = streams.stream("col_bits")
        self._rounding: Stream = streams.stream("rounding")
        self._refresher = Refresher(scheme.refresh, target)
        self._pulses_per_weight = target.scale / net_step(target.cell, target.mapping, scheme)
        self._clipping = ClippingNote(scheme.kind, scheme.length, warn=warn)

    def update(self, proposal: Proposal, rate: float) -> None:
        """Send the pulses of a batch: trains for outer products, stochastically rounded counts for a dense gradient."""
        proposal = for_cells(proposal, self._target)
        if isinstance(proposal, OuterProduct):
            self._send_trains(proposal, rate)
        else:
            wanted = -rate * self._pulses_per_weight * proposal.dw
            counts, clipped = whole_pulses(wanted, self._rounding)
            self._clipping.counts(clipped)
            for block in self._target.blocks:
                send_counts(block, np.ascontiguousarray(counts[block.cols, block.rows].T), self._scheme)
        self._refresher.count()

    def _send_trains(self, gradient: OuterProduct, rate: float) -> None:
        scheme = self._scheme
        if rate < 0.0:
            gradient, rate = OuterProduct(gradient.x, -gradient.d), -rate
        # One word of a stream is set aside for each call.
        places = self._rows.reserve(1), self._cols.reserve(1)
        rows, cols, longest, clipped = draw(
            gradient, rate * self._pulses_per_weight, scheme.length, scheme.balance, scheme.adapt_length, places
        )
        self._clipping.trains(clipped, len(gradient.x))
        for block in self._target.blocks:
            block.crossbar.pulse(train_for(block, rows, cols, longest, scheme))

    def state(self) -> StochasticState:
        """Streams and counters."""
        return {
            "streams": [s.state() for s in (self._rows, self._cols, self._rounding)],
            "refresher": self._refresher.state(),
            "clipping": self._clipping.state(),
        }

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        saved = taken(StochasticState, state, "writer")
        for stream, held in zip((self._rows, self._cols, self._rounding), saved["streams"], strict=True):
            stream.restore(held)
        self._refresher.restore(saved["refresher"])
        self._clipping.restore(saved["clipping"])

    def statistics(self) -> dict[str, float]:
        """Share that was clipped, refreshes done."""
        return {"clipped": self._clipping.share, "refreshes": float(self._refresher.refreshes)}
