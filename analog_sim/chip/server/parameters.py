"""Parameters of a command, taken one after the other and checked: every wrong one is a refusal of the standard."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from analog_sim.chip.server.errors import ScpiError
from analog_sim.chip.server.memory import SharedArea
from analog_sim.chip.server.messages import MessageText, Parameter

_IN_MEMORY = re.compile(r"@(\d{1,12}):(\d{1,12})")
"""First byte and number of bytes in the shared memory."""


class Parameters:
    """What stood behind a header.

    Args:
        values: in order. swapped: blocks are little-endian (FORM:BORD SWAP). memory: shared with the client.

    Attributes:
        shared: numbers were taken from shared memory.
    """

    def __init__(self, values: Sequence[Parameter], swapped: bool, memory: SharedArea | None = None) -> None:
        self._values = list(values)
        self._memory = memory
        self.shared = False
        self._order = "<" if swapped else ">"

    @property
    def left(self) -> int:
        """How many are left."""
        return len(self._values)

    def optional_string(self) -> str | None:
        """The next parameter if it is a quoted string."""
        return self.string() if self._values and isinstance(self._values[0], MessageText) else None

    def string(self) -> str:
        """A quoted string."""
        value = self._take("a quoted string")
        if not isinstance(value, MessageText):
            raise ScpiError(-104, "a quoted string is needed")
        return value.value

    def number(self) -> float:
        """A finite decimal number."""
        return _number(self._take("a number"))

    def whole(self, least: int, most: int) -> int:
        """A whole number within least ... most."""
        value = self.number()
        if value != int(value) or not least <= value <= most:
            raise ScpiError(-222, f"a whole number from {least} to {most} is needed (got {value:g})")
        return int(value)

    def word(self, *allowed: str) -> str:
        """One of some words; the capitals of each are its short form. Returns the short form."""
        value = self._take("a word")
        for word in allowed:
            short = "".join(c for c in word if not c.islower())
            if isinstance(value, str) and value.upper() in (short, word.upper()):
                return short
        raise ScpiError(-104, f"one of {', '.join(allowed)} is needed")

    def switch(self) -> bool:
        """ON, OFF, 1 or 0."""
        return self.word("ON", "OFF", "1", "0") in ("ON", "1")

    def block(self, kind: str) -> np.ndarray:
        """Numbers of a block. kind: NumPy's name of the type without its byte order, for example "f4"."""
        value = self._take("a block")
        if not isinstance(value, memoryview):
            raise ScpiError(-104, "a definite-length block is needed")
        source = np.dtype(self._order + kind)
        if value.nbytes % source.itemsize:
            raise ScpiError(-161, f"{value.nbytes} bytes are not whole numbers of {source.itemsize} bytes")
        return np.frombuffer(value, source).astype(np.dtype(kind), copy=False)

    def as_many(self, kinds: Sequence[str], count: int) -> np.ndarray:
        """A block of so many numbers, of the one of some types that has as many bytes."""
        value = self._values[0] if self._values else None
        sizes = {np.dtype(kind).itemsize * count: kind for kind in kinds}
        if isinstance(value, memoryview) and value.nbytes not in sizes:
            needed = " or ".join(str(size) for size in sizes)
            raise ScpiError(-222, f"a block of {needed} bytes is needed (got {value.nbytes})")
        return self.block(sizes[value.nbytes] if isinstance(value, memoryview) else kinds[0])

    def numbers(self, kind: str) -> np.ndarray:
        """A block, or all parameters that are left as decimal numbers."""
        if self._values and isinstance(self._values[0], memoryview):
            return self.block(kind)
        if self._memory is not None and self._values:
            found = _IN_MEMORY.fullmatch(str(self._values[0]))
            if found is not None:
                self._values.pop(0)
                self.shared = True
                return self._from_memory(self._memory, int(found[1]), int(found[2]), kind)
        values = np.array([_number(value) for value in self._values])
        self._values.clear()
        target = np.dtype(kind)
        if target.kind in "iu":
            bounds = np.iinfo(target)
            if (values != np.round(values)).any() or ((values < bounds.min) | (values > bounds.max)).any():
                raise ScpiError(-222, f"whole numbers from {bounds.min} to {bounds.max} are needed")
        with np.errstate(over="ignore"):
            return values.astype(target)

    def _from_memory(self, memory: SharedArea, begin: int, count: int, kind: str) -> np.ndarray:
        size = np.dtype(kind).itemsize
        if begin % size or count % size or begin + count > memory.half:
            raise ScpiError(
                -222, f"numbers of {size} bytes within the first {memory.half} bytes of the shared memory are needed"
            )
        return memory.take(begin, count, kind)

    def end(self) -> None:
        """Raise ScpiError unless all were taken."""
        if self._values:
            raise ScpiError(-108, f"{len(self._values)} more than the command takes")

    def _take(self, what: str) -> Parameter:
        if not self._values:
            raise ScpiError(-109, f"{what} is needed")
        return self._values.pop(0)


def _number(value: Parameter) -> float:
    if not isinstance(value, str):
        raise ScpiError(-104, "a decimal number is needed")
    try:
        number = float(value)
    except ValueError:
        raise ScpiError(-104, f"a decimal number is needed (got {value[:16]!r})") from None
    if not math.isfinite(number):
        raise ScpiError(-222, "a finite number is needed")
    return number
