"""What a command that cannot be carried out is answered: a number and a text of the SCPI standard (SCPI-99, volume 2, chapter 21)."""

from __future__ import annotations

TEXTS = {
    -100: "Command error",
    -101: "Invalid character",
    -103: "Invalid separator",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -203: "Command protected",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -241: "Hardware missing",
    -300: "Device-specific error",
    -350: "Queue overflow",
    -363: "Input buffer overrun",
}
LONGEST = 255
"""Characters of an error's text, as the standard has it."""


class ScpiError(Exception):
    """A command that is refused; nothing of the chip has changed.

    Args:
        code: number of the standard, a key of `TEXTS`. detail: what was wrong, in words.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        self.code = code
        self.text = (TEXTS[code] + (f";{detail}" if detail else ""))[:LONGEST]
        super().__init__(f"{code}: {self.text}")

    @property
    def event(self) -> int:
        """The bit of the standard event register (IEEE 488.2, 11.5.1): command, execution or device-dependent error."""
        if -200 < self.code <= -100:
            return 32
        return 16 if -300 < self.code <= -200 else 8
