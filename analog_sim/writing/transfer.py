"""What the Tiki-Taka schemes share: gradients go to a fast array A, whose lines are read in turn and moved on to the weights C.

One input line (a row of the arrays, a column of W) is moved for every `every` samples, as in the papers: TTv1 Gokmen & Haensch 2020,
doi:10.3389/fnins.2020.00103; TTv2 Gokmen 2021, doi:10.3389/frai.2021.699148; choppers and the dynamic reference Rasch, Carta,
Fagbohungbe & Gokmen, Nat. Commun. 15, 7133 (2024), doi:10.1038/s41467-024-51221-z. The lines that are due in a batch are read and
written after its last sample, all in one product; a batch is cut so that no line is due twice in it. So a line is read up to a
batch later than if samples and transfers alternated, always by the same number of samples for a line whose turn comes at the same
place of a batch. Never sees a loss.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, TypedDict

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.cells.cell_model import CellModel
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, put, taken
from analog_sim.writing.proposal import Dense, OuterProduct, Proposal
from analog_sim.writing.pulsed import PulsedScheme, Refresher, driven_cell, net_step
from analog_sim.writing.scheme import Writer, WriteTarget
from analog_sim.writing.stochastic_pulse import StochasticPulse, StochasticPulseWriter

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


class TransferScheme(PulsedScheme, ABC):
    """Gradients by way of a second array.

    Attributes:
        fast_length: slots of the pulse trains on A (BL).
        auto_scale: follow the size of the gradients, so that A always gets about the same number of pulses: the learning rate on A is
            ``fast_rate BL step / (m_x m_d)``, with m_x and m_d the running means of the largest input and error of a sample.
        fast_rate: with auto_scale, share of the slots in which an average sample's largest product makes a pulse; without, learning
            rate on A relative to that on the weights.
        auto_momentum: what the running means keep at each batch.
        every: samples between two transfers of one input line; "auto": at least 1, and so many that a sweep through all lines takes as
            many samples as a cell of A has states (full weights of both signs over the step): A must have the time to follow.
        transfer: gain of a transfer.
        zero_shift: pairs of pulses, one up and one down, that bring every cell of A to its own symmetric point before A is read as
            zero (zero-shifting, Kim et al. 2019, arXiv:1907.10228); 0: all are programmed to the symmetric point of the mean cell.
        zero_reads: reads whose mean is that zero: converters are coarse beside the states of A, and its error never averages out.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pulsed", "parallel_pulse", "programmable"})
    immediate: ClassVar[bool] = False

    fast_length: Annotated[int, Field(ge=1, le=63)] = 31
    auto_scale: bool = True
    fast_rate: Annotated[float, Field(gt=0.0, le=1e6)] = 0.1
    auto_momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    every: Literal["auto"] | Annotated[int, Field(ge=1, le=10**9)] = "auto"
    transfer: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    zero_shift: Annotated[int, Field(ge=0, le=10**6)] = 0
    zero_reads: Annotated[int, Field(ge=1, le=10**4)] = 20


class TransferState(TypedDict):
    """Choppers, references, counters; array A is kept by the tile."""

    fast_writer: State
    zero: F32
    chopper: F32
    size: npt.NDArray[np.float64]
    fast_rate: float
    counters: list[int]
    refresher: list[int]


class TransferWriter(Writer, ABC):
    """Holds the array A, what its lines read at the start, (n_in, n_out), and the choppers, (n_in,)."""

    kept: ClassVar[Any] = TransferState
    """Kind of record that `state` returns."""

    def __init__(self, scheme: TransferScheme, target: WriteTarget, streams: Streams) -> None:
        self._base = scheme
        self._target = target
        self._refresher = Refresher(scheme.refresh, target)
        self._fast = target.new_arrays("fast")
        n_out, n_in = target.shape
        self._zero: F32 = np.zeros((n_in, n_out), np.float32)
        self._start_fast_array()
        same_pulses = {"amplitude": scheme.amplitude, "width": scheme.width}
        fast_scheme = StochasticPulse(length=scheme.fast_length, pair=scheme.pair).model_copy(update=same_pulses)
        self._fast_writer = StochasticPulseWriter(
            fast_scheme, self._fast, streams.child("fast"), warn=not scheme.auto_scale
        )
        self._step = net_step(target.cell, target.mapping, scheme) / target.scale
        states = 2.0 * target.full_weight / self._step
        self._every = scheme.every if scheme.every != "auto" else max(1, round(states / n_in))
        self._chopper: F32 = np.ones(n_in, np.float32)
        self._size = np.zeros(2)
        self._fast_rate = 0.0
        self._samples = 0
        self._pulses = 0

    def _start_fast_array(self) -> None:
        """Bring the cells of A to the state at which up and down steps are alike, where random pulses leave them on average."""
        g = symmetric_conductance(driven_cell(self._fast.cell, self._base))
        strength = self._base.amplitude, self._base.width
        for block in self._fast.blocks:
            info = block.crossbar.info
            block.crossbar.program(np.full((info.planes, info.rows, info.cols), g, np.float32))
            up = np.ones((info.planes, info.rows, info.cols), np.int16)
            if block.reference:
                up[:, :, -1] = 0
            for _ in range(self._base.zero_shift):
                block.crossbar.pulse(PulseCounts(up, *strength))
                block.crossbar.pulse(PulseCounts(-up, *strength))
        if self._base.zero_shift:
            lines, reads = np.arange(self._target.shape[1]), self._base.zero_reads
            self._zero = sum((self._fast.read_lines(lines) for _ in range(reads)), self._zero) / np.float32(reads)

    def update(self, proposal: Proposal, rate: float) -> None:
        """Pulse the gradient into A with the choppers' signs; move the lines whose turn has come. A dense gradient counts as one sample."""
        for part, samples in _pieces(proposal, self._target.shape[1] * self._every):
            self._to_fast(part, rate)
            first = self._samples // self._every
            self._samples += samples
            last = self._samples // self._every
            if last > first:
                self._move(np.arange(first, last) % self._target.shape[1], rate)
        self._refresher.count()

    def _to_fast(self, part: Proposal, rate: float) -> None:
        scheme = self._base
        if isinstance(part, OuterProduct):
            chopped: Proposal = OuterProduct(part.x * self._chopper, part.d)
            largest = np.array([np.abs(part.x).max(axis=1).mean(), np.abs(part.d).max(axis=1).mean()])
        else:
            chopped = Dense(part.dw * self._chopper)
            largest = np.array([1.0, np.abs(part.dw).max()])
        # The first is taken as it is; nothing is learned from a batch without a gradient.
        seen = np.where(
            self._size > 0.0, scheme.auto_momentum * self._size + (1 - scheme.auto_momentum) * largest, largest
        )
        self._size = np.where(largest > 0.0, seen, self._size)
        self._fast_rate = abs(rate) * scheme.fast_rate
        if scheme.auto_scale:
            size = float(self._size.prod())
            self._fast_rate = scheme.fast_rate * scheme.fast_length * self._step / size if size > 0.0 else 0.0
        self._fast_writer.update(chopped, float(np.copysign(self._fast_rate, rate)))

    @abstractmethod
    def _move(self, lines: I64, rate: float) -> None:
        """Read these lines of A, no line twice, and bring what they hold to the weights."""

    def _read(self, lines: I64) -> F32:
        """Weights (k, n_out) that these lines of A stand for."""
        return self._fast.read_lines(lines) - self._zero[lines]

    def state(self) -> TransferState:
        """Filter, choppers, references, counters; array A is kept by the tile."""
        return {
            "fast_writer": self._fast_writer.state(),
            "zero": self._zero.copy(),
            "chopper": self._chopper.copy(),
            "size": self._size.copy(),
            "fast_rate": self._fast_rate,
            "counters": [self._samples, self._pulses],
            "refresher": self._refresher.state(),
        }

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        saved: TransferState = taken(self.kept, state, "writer")
        self._fast_writer.restore(saved["fast_writer"])
        put(self._zero, saved["zero"], "writer.zero")
        put(self._chopper, saved["chopper"], "writer.chopper")
        put(self._size, saved["size"], "writer.size")
        self._fast_rate = saved["fast_rate"]
        self._samples, self._pulses = saved["counters"]
        self._refresher.restore(saved["refresher"])

    def statistics(self) -> dict[str, float]:
        """Transfers, pulses sent to the weights, and the clipping on A."""
        own = {"transfers": float(self._samples // self._every), "pulses": float(self._pulses)}
        return own | {f"fast_{name}": value for name, value in self._fast_writer.statistics().items()}


def _pieces(proposal: Proposal, most: int) -> Iterator[tuple[Proposal, int]]:
    """The proposal cut into parts of at most so many samples, and how many each has."""
    if not isinstance(proposal, OuterProduct):
        yield proposal, 1
        return
    for start in range(0, len(proposal.x), most):
        part = OuterProduct(proposal.x[start : start + most], proposal.d[start : start + most])
        yield part, len(part.x)


def symmetric_conductance(cell: CellModel) -> float:
    """Conductance in siemens at which the mean steps up and down cancel; the nearest end of the window when they never do."""
    assert cell.pulse is not None
    up, down = cell.pulse.up_mean.mean(axis=0), cell.pulse.down_mean.mean(axis=0)
    nodes = max(len(up), len(down), 257)
    u = np.linspace(0.0, 1.0, nodes)
    total = np.interp(u, np.linspace(0, 1, len(up)), up) + np.interp(u, np.linspace(0, 1, len(down)), down)
    return cell.g_min + cell.window * float(u[np.abs(total).argmin()])
