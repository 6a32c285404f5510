"""One client of a served chip: its settings, its status, its commands carried out in order. Bytes in and out, no socket."""

from __future__ import annotations

import numpy as np

from analog_sim.chip.record.operations import Arrays, Request
from analog_sim.chip.server.chip import Report, Served, ServedChip
from analog_sim.chip.server.errors import ScpiError
from analog_sim.chip.server.memory import SharedArea
from analog_sim.chip.server.messages import Message, MessageUnit, units_of
from analog_sim.chip.server.parameters import Parameters
from analog_sim.chip.server.status import Status
from analog_sim.chip.server.table import find
from analog_sim.config import UserError

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

    def execute(self, message: Message | ScpiError) -> Answer:
        """Carry a message out; the parts of the answer, none for a message without queries."""
        try:
            if isinstance(message, ScpiError):
                raise message
            units = units_of(message)
        except ScpiError as error:
            self._refused(error)
            return []
        answer: Answer = []
        path = ""
        for unit in units:
            parts, path = self._one(unit, path)
            if parts:
                answer += [b";", *parts] if answer else parts
        return [*answer, b"\n"] if answer else []

    def _one(self, unit: MessageUnit, path: str) -> tuple[Answer, str]:
        """Carry one command out: its answer, and the path that the next header may be relative to."""
        try:
            command, path = find(unit.header, path)
            if command.writes:
                self.chip.may_write(self)
            parameters = Parameters(unit.parameters, self.swapped, self.memory)
            answer = command.run(self, parameters)
            parameters.end()
        except ScpiError as error:
            self._refused(error)
        except UserError as error:
            self._refused(ScpiError(-221, str(error)))
        except (ValueError, OverflowError) as error:
            self._refused(ScpiError(-222, str(error)))
        except Exception as error:  # a fault of ours must not end the other clients' sessions
            self._refused(ScpiError(-300, f"{type(error).__name__}: {error}"))
        else:
            return ([answer.encode()] if isinstance(answer, str) else answer or []), path
        return [], path

    def _refused(self, error: ScpiError) -> None:
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
