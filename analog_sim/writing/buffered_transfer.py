"""The digital filter H of TTv2 and what follows it: readings of the fast array gather until a whole pulse is due. Never reads a cell."""

from abc import ABC
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, put, taken
from analog_sim.writing.pulsed import send_lines
from analog_sim.writing.scheme import WriteTarget
from analog_sim.writing.transfer import TransferScheme, TransferState, TransferWriter

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


class BufferedScheme(TransferScheme, ABC):
    """A transfer scheme with the filter H, in pulses: ``H_i <- H_i + transfer k A_i / step`` for input line i, a pulse for |H| >= 1.

    Attributes:
        granularity: k, from what A holds to what C gets. A number gamma_0: ``k = rate period / gamma_0`` with the period of
            `every n_in` samples between two readings of a line, so that a line needs about ``gamma_0 / rate`` samples to cross the
            threshold when A holds one step (Rasch et al. 2024); "gradient": k = learning rate / learning rate on A, so that a reading
            moves C by the gradient that A has gathered.
        momentum: what stays in H after a pulse. forget: a pulse leaves ``momentum H``; otherwise ``H - (1 - momentum) pulses``.
        max_pulses: most pulses of a cell at a transfer.
    """

    granularity: Literal["gradient"] | Annotated[float, Field(gt=0.0, le=1e9)] = 1000.0
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    forget: bool = False
    max_pulses: Annotated[int, Field(ge=1, le=63)] = 1


class BufferedState(TransferState):
    """As the base, with the digital filter."""

    filter: F32


class BufferedWriter(TransferWriter):
    """Holds H, (n_in, n_out), in steps of the weights at a digital gain of 1."""

    kept: ClassVar[Any] = BufferedState

    def __init__(self, scheme: BufferedScheme, target: WriteTarget, streams: Streams) -> None:
        super().__init__(scheme, target, streams)
        self._buffered = scheme
        self._filter: F32 = np.zeros((target.shape[1], target.shape[0]), np.float32)

    def _move(self, lines: I64, rate: float) -> None:
        """Plain TTv2; schemes with choppers change what is read."""
        self._gather(lines, self._read(lines), rate)

    def _gather(self, lines: I64, reading: F32, rate: float) -> None:
        """Add readings (k, n_out) to the filter and send the pulses that are due."""
        scheme = self._buffered
        if scheme.granularity == "gradient":
            k = abs(rate) / self._fast_rate if self._fast_rate > 0.0 else 0.0
        else:
            k = abs(rate) * self._every * self._target.shape[1] / scheme.granularity
        held = self._filter[lines] + np.float32(scheme.transfer * k / self._step) * reading
        due = take_due(held, self._target.gain, scheme)
        self._filter[lines] = held
        for block in self._target.blocks:
            self._pulses += send_lines(block, lines, due, scheme)

    def state(self) -> BufferedState:
        """As the base, with the filter."""
        return {**super().state(), "filter": self._filter.copy()}

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        super().restore(state)
        put(self._filter, taken(self.kept, state, "writer")["filter"], "writer.filter")


def take_due(held: F32, worth: F32, scheme: BufferedScheme) -> npt.NDArray[np.int16]:
    """Take the pulses that are due out of the filter (k, n_out), in place, and return them.

    worth: (n_out,), what a step of a cell counts for: the digital gain of the drift compensation.
    """
    most = scheme.max_pulses
    due = np.clip(np.trunc(held / worth), -most, most)
    if scheme.forget:
        np.multiply(held, np.float32(scheme.momentum), out=held, where=due != 0.0)
    else:
        held -= np.float32(1.0 - scheme.momentum) * due * worth
    return due.astype(np.int16)
