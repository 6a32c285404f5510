"""What a served chip answered lately, for a client whose run was killed before it had written the answers down. Knows no SCPI."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from analog_sim.chip.record.operations import Arrays, Request
from analog_sim.chip.server.errors import ScpiError

KEPT = 512
"""Operations: more than a client has under way (`client.link.WAITING`) and unwritten (`record.frames.WAITING`) together."""


@dataclass
class Answers:
    """The last operations with their answers.

    Attributes:
        limit: bytes of inputs and answers, beyond which older ones are dropped. position: number of the next operation.
        wanted: a client has asked to be able to go on; until then nothing is kept. begun: chip time at the start of the last operation.
    """

    limit: int
    position: int = 0
    wanted: bool = False
    begun: float = 0.0
    _kept: deque[tuple[Request, Arrays, Any, int]] = field(default_factory=deque)
    _bytes: int = 0

    def add(self, request: Request, results: Arrays, report: Any, begun: float) -> None:
        """An operation was done; begun: chip time at its start."""
        self.position += 1
        self.begun = begun
        if not self.wanted:
            return
        size = sum(a.nbytes for a in (*request.arrays.values(), *results.values()))
        self._kept.append((request, results, report, size))
        self._bytes += size
        while len(self._kept) > KEPT or (self._bytes > self.limit and len(self._kept) > 1):
            self._bytes -= self._kept.popleft()[3]

    def of(self, position: int, digest: str) -> tuple[Arrays, Any]:
        """The answer and the report of an operation. Raises ScpiError when it is gone, has not been done, or was another one."""
        first = self.position - len(self._kept)
        if not first <= position < self.position:
            raise ScpiError(-221, f"operations {first} to {self.position - 1} are remembered, not {position}")
        request, results, report, _ = self._kept[position - first]
        if request.digest() != digest:
            raise ScpiError(-221, f"operation {position} was another one: {request.kind} on {request.array}")
        return results, report
