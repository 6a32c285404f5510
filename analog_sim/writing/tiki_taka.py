"""Tiki-taka: noisy gradients go to a fast array A, which is read column by column, filtered digitally, and moved on to the weights.

TTv1 Gokmen & Haensch 2020, doi:10.3389/fnins.2020.00103; TTv2 (digital filter H) Gokmen 2021, doi:10.3389/frai.2021.699148;
choppers and the dynamic reference (c-TTv2, AGAD) Rasch, Carta, Fagbohungbe & Gokmen, Nat. Commun. 15, 7133 (2024),
doi:10.1038/s41467-024-51221-z.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from analog_sim.cells.cell_model import CellModel
from analog_sim.config import at_key
from analog_sim.random.streams import Stream, Streams
from analog_sim.writing.clipping import MOST_PULSES
from analog_sim.writing.proposal import OuterProduct, Proposal
from analog_sim.writing.pulsed import PulsedScheme, Refresher, net_step, send_counts
from analog_sim.writing.scheme import Writer, WriteTarget
from analog_sim.writing.stochastic_pulse import StochasticPulse, StochasticPulseWriter

F32 = npt.NDArray[np.float32]


class TikiTaka(PulsedScheme):
    """Gradients by way of a second array.

    Attributes:
        fast_length: slots of the pulse trains on A.
        fast_rate: learning rate on A relative to that on the weights; A only has to hold a recent gradient, so it may be large.
        every: updates between two transfers of one input line (column of W).
        transfer: gain of a transfer, in steps of the weights per step read from A.
        chopper: probability that an input line's sign on A is flipped after its transfer (0 for none): what A adds by itself then
            averages out.
        reference: what is subtracted from a reading of A: "zero" (A starts at the symmetric point of the mean cell) or "dynamic",
            the average of the readings of the last chopper period (AGAD; needs a chopper).
        memory: weight of the newest reading in the dynamic reference.
    """

    kind: Literal["tiki_taka"] = "tiki_taka"
    needs: ClassVar[frozenset[str]] = frozenset({"pulsed", "parallel_pulse", "programmable"})
    immediate: ClassVar[bool] = False

    fast_length: Annotated[int, Field(ge=1, le=63)] = 31
    fast_rate: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    every: Annotated[int, Field(ge=1, le=10**9)] = 1
    transfer: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    chopper: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    reference: Literal["zero", "dynamic"] = "zero"
    memory: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1

    @model_validator(mode="after")
    def _dynamic_needs_choppers(self) -> Self:
        if self.reference == "dynamic" and self.chopper == 0.0:
            raise at_key(
                "reference", "'dynamic' is renewed when a chopper flips: set chopper above 0, for instance 0.1 (got 0)"
            )
        return self

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return TikiTakaWriter(self, target, streams)


class TikiTakaWriter(Writer):
    """Holds the array A, the digital filter H, the choppers and the references; (n_out, n_in) each but the choppers (n_in,)."""

    def __init__(self, scheme: TikiTaka, target: WriteTarget, streams: Streams) -> None:
        self._scheme = scheme
        self._target = target
        self._refresher = Refresher(scheme.refresh, target)
        self._fast = target.new_arrays("fast")
        self._start_fast_array()
        fast_scheme = StochasticPulse(length=scheme.fast_length, pair=scheme.pair)
        self._fast_writer = StochasticPulseWriter(fast_scheme, self._fast, streams.child("fast"))
        self._flips: Stream = streams.stream("chopper")
        n_out, n_in = target.shape
        self._steps_per_weight = target.scale / net_step(target.cell, target.mapping, scheme.pair)
        self._filter: F32 = np.zeros((n_out, n_in), np.float32)
        self._chopper: F32 = np.ones(n_in, np.float32)
        self._reference: F32 = np.zeros((n_out, n_in), np.float32)
        self._average: F32 = np.zeros((n_out, n_in), np.float32)
        self._line = 0
        self._transfers = 0
        self._pulses = 0

    def _start_fast_array(self) -> None:
        """Bring the cells of A to the state at which up and down steps are alike, where random pulses leave them on average."""
        g = symmetric_conductance(self._fast.cell)
        for block in self._fast.blocks:
            info = block.crossbar.info
            block.crossbar.program(np.full((info.planes, info.rows, info.cols), g, np.float32))

    def update(self, proposal: Proposal, rate: float) -> None:
        """Pulse the gradient into A with the choppers' signs; transfer a line when it is time."""
        scheme = self._scheme
        if isinstance(proposal, OuterProduct):
            chopped: Proposal = OuterProduct(proposal.x * self._chopper, proposal.d)
        else:
            chopped = type(proposal)(proposal.dw * self._chopper)
        self._fast_writer.update(chopped, rate * scheme.fast_rate)
        if (self._refresher.updates + 1) % scheme.every == 0:
            self._move(self._line)
            self._line = (self._line + 1) % self._target.shape[1]
        self._refresher.count()

    def _move(self, line: int) -> None:
        """Read one input line of A, filter it, and send what has become whole steps to the weights."""
        scheme = self._scheme
        reading = self._fast.read_line(line)
        sign = self._chopper[line]
        gain = np.float32(scheme.transfer * self._steps_per_weight)
        self._filter[:, line] += gain * sign * (reading - self._reference[:, line])
        worth = self._target.gain  # what a step of a cell counts for: the digital gain of the drift compensation
        due = np.clip(
            np.trunc(self._filter[:, line] / worth), -MOST_PULSES, MOST_PULSES
        )  # the rest stays in the filter
        self._filter[:, line] -= due * worth
        self._transfers += 1
        self._pulse_line(line, due.astype(np.int16))
        if scheme.reference == "dynamic":
            self._average[:, line] += np.float32(scheme.memory) * (reading - self._average[:, line])
        if scheme.chopper and self._flips.uniforms(1)[0] < scheme.chopper:
            self._chopper[line] = -sign
            self._reference[:, line] = self._average[:, line]

    def _pulse_line(self, line: int, due: npt.NDArray[np.int16]) -> None:
        for block in self._target.blocks:
            if block.rows.start <= line < block.rows.stop:
                part = due[block.cols]
                if part.any():
                    counts = np.zeros((block.rows.stop - block.rows.start, len(part)), np.int16)
                    counts[line - block.rows.start] = part
                    self._pulses += send_counts(block, counts, self._scheme.pair)

    def state(self) -> dict[str, Any]:
        """Array A, filter, choppers, references, counters."""
        arrays = (self._filter, self._chopper, self._reference, self._average)
        return {
            "fast": self._fast.state(),
            "fast_writer": self._fast_writer.state(),
            "flips": self._flips.state(),
            "arrays": [a.copy() for a in arrays],
            "counters": [self._line, self._transfers, self._pulses],
            "refresher": self._refresher.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        self._fast.restore(state["fast"])
        self._fast_writer.restore(state["fast_writer"])
        self._flips.restore(state["flips"])
        mine = (self._filter, self._chopper, self._reference, self._average)
        for array, saved in zip(mine, state["arrays"], strict=True):
            array[...] = saved
        self._line, self._transfers, self._pulses = (int(n) for n in state["counters"])
        self._refresher.restore(state["refresher"])

    def helpers(self) -> dict[str, WriteTarget]:
        """Array A."""
        return {"fast": self._fast}

    def statistics(self) -> dict[str, float]:
        """Transfers, pulses sent to the weights, and the clipping on A."""
        own = {"transfers": float(self._transfers), "pulses": float(self._pulses)}
        return own | {f"fast_{name}": value for name, value in self._fast_writer.statistics().items()}


def symmetric_conductance(cell: CellModel) -> float:
    """Conductance in siemens at which the mean steps up and down cancel; the nearest end of the window when they never do."""
    assert cell.pulse is not None
    up, down = cell.pulse.up_mean.mean(axis=0), cell.pulse.down_mean.mean(axis=0)
    nodes = max(len(up), len(down), 257)
    u = np.linspace(0.0, 1.0, nodes)
    total = np.interp(u, np.linspace(0, 1, len(up)), up) + np.interp(u, np.linspace(0, 1, len(down)), down)
    return cell.g_min + cell.window * float(u[np.abs(total).argmin()])
