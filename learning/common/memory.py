"""What a rule, a decorrelation method or an optimiser remembers between two updates: arrays, numbers and one random stream.

All of it goes into a checkpoint; nothing is redrawn when a run resumes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.random.streams import Stream, StreamState


class MemoryState(TypedDict):
    """What a rule, a method or an optimiser remembers."""

    stream: StreamState
    arrays: dict[str, npt.NDArray[Any]]
    numbers: dict[str, float | int]


@dataclass
class Memory:
    """Mutable state of one otherwise frozen part.

    Attributes:
        stream: its random numbers. arrays, numbers: whatever it keeps, by name.
    """

    stream: Stream
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    numbers: dict[str, float | int] = field(default_factory=dict)

    def state(self) -> MemoryState:
        """Copies for a checkpoint."""
        arrays = {name: array.copy() for name, array in self.arrays.items()}
        return {"stream": self.stream.state(), "arrays": arrays, "numbers": dict(self.numbers)}

    def restore(self, state: MemoryState) -> None:
        """Put back what `state` returned. Raises ValueError when the stream is another one."""
        self.stream.restore(state["stream"])
        self.arrays = {name: np.array(array) for name, array in state["arrays"].items()}
        self.numbers = dict(state["numbers"])
