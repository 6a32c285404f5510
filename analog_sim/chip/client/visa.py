"""Bytes to and from an instrument through PyVISA, which is imported only when one is opened. Knows no command."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from analog_sim.chip.client.wire import Wire
from analog_sim.config import UserError

MISSING = "PyVISA is not installed; python -m pip install 'analog-hil[instruments]'"


class VisaTransport:
    """A VISA resource with line feeds at the ends of messages.

    Args:
        resource: its address, for example "TCPIP::192.168.0.7::5025::SOCKET". timeout: seconds that an answer may take. library: of
            VISA; "@py" is pyvisa-py, "" the one that is installed.

    Raises:
        OSError: it cannot be opened. UserError: PyVISA is not installed.
    """

    def __init__(self, resource: str, timeout: float, library: str) -> None:
        try:
            import pyvisa
        except ModuleNotFoundError as error:
            raise UserError(f"{resource}: {MISSING}") from error
        self._errors = pyvisa.errors
        try:
            self._manager = pyvisa.ResourceManager(library)
            self._resource: Any = self._manager.open_resource(
                resource, read_termination="\n", write_termination="\n", timeout=1000.0 * timeout
            )
        except (pyvisa.errors.Error, ValueError, OSError) as error:
            raise OSError(str(error).splitlines()[0]) from error
        self._left = b""

    def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send all of them."""
        try:
            self._resource.write_raw(b"".join(parts))
        except self._errors.Error as error:
            raise OSError(str(error).splitlines()[0]) from error

    def receive_into(self, view: memoryview) -> int:
        """Take what comes next: up to a line feed, which may stand inside a block."""
        if not self._left:
            try:
                self._left = self._resource.read_raw()
            except self._errors.VisaIOError as error:
                timed_out = error.error_code == self._errors.StatusCode.error_timeout
                raise (TimeoutError if timed_out else OSError)(str(error).splitlines()[0]) from error
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        """End the connection."""
        self._resource.close()
        self._manager.close()


def visa_wire(resource: str, timeout: float, library: str) -> Wire:
    """A connection by VISA. Raises UserError."""
    return Wire(resource, partial(VisaTransport, resource, timeout, library), timeout)
