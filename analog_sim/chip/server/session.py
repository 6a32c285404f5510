"""One client of a served chip: its settings, its status, its arrays. It knows no command and no socket."""

from __future__ import annotations

import numpy as np

from analog_sim.chip.record.operations import Arrays, Request
from analog_sim.chip.server.chip import Report, Served, ServedChip
from analog_sim.chip.server.errors import ScpiError
from analog_sim.chip.server.memory import SharedArea
from analog_sim.chip.server.parameters import Parameters
from analog_sim.chip.server.status import Status

Answer = list[bytes | memoryview]


class Session:
    """What belongs to one client.

    Args:
        chip: shared by all. identity: answer to *IDN?. local: the client is on this machine, and may share memory.

    Attributes:
        status: registers and errors. swapped: FORM:BORD SWAP. ascii: FORM ASC. selected: name of the array that commands without a name
            are for, None for the first. last: what the last operation was. frame_seconds: of the frame that was closed last.
        memory: shared with the client.
    """

    chip: ServedChip
    identity: str
    status: Status
    swapped: bool
    ascii: bool
    selected: str | None
    frame_seconds: float
    last: Report

    def __init__(self, chip: ServedChip, identity: str, *, local: bool = False) -> None:
        self.chip, self.identity = chip, identity
        self.status = Status()
        self.frame_seconds = 0.0
        self.last = Report()
        self.memory: SharedArea | None = None
        self.local = local
        self.reset()

    def reset(self) -> None:
        """*RST: this client's settings; cells keep what they hold."""
        self.swapped, self.ascii = False, False
        self.selected = None

    def close(self) -> None:
        """The client has gone: its place is free."""
        self.chip.release(self)
        self.memory = None

    def refuse(self, error: ScpiError) -> None:
        """Note an error for this client, and for whoever watches."""
        self.status.add(error)
        if self.chip.watch is not None:
            self.chip.watch.erred(error)

    def array(self, parameters: Parameters) -> Served:
        """The array that a command names, or else the selected one."""
        name = parameters.optional_string()
        return self.chip.array(self.selected if name is None else name)

    def do(self, served: Served, request: Request, parameters: Parameters) -> Arrays:
        """Carry out an operation when the command has no more parameters."""
        parameters.end()
        self.last = Report()
        results, self.last = self.chip.do(served, request)
        return results

    def numbers(self, values: np.ndarray, *, shared: bool = False) -> Answer:
        """Numbers as this client wants them: float32 in a block, decimals, or in shared memory when what was asked stood there."""
        if shared and self.memory is not None:
            if 4 * values.size > self.memory.half:
                raise ScpiError(-223, f"the shared memory has room for {self.memory.half // 4} numbers of an answer")
            self.memory.put(values, self.memory.half)
            return [b"@%d:%d" % (self.memory.half, 4 * values.size)]
        if self.ascii:
            return [",".join(repr(float(v)) for v in values.ravel()).encode() or b'""']
        data = np.ascontiguousarray(values, "<f4" if self.swapped else ">f4")
        length = str(data.nbytes).encode()
        return [b"#%d%s" % (len(length), length), data.reshape(-1).view(np.uint8).data]
