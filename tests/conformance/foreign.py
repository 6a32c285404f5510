"""A lab's instrument that is nothing like ours: ASCII lines, ohms, single cells, rows counted from 1, no transposed read."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

ROWS, COLS, NAMES = 8, 8, ("north", "south", "east", "west")
LOW, HIGH, STEP = 1e-6, 11e-6, 2.5e-8
"""Siemens, and per pulse."""
COMMANDS: dict[str, Any] = {
    "read": "CELL:RES? {array},{row},{col}",
    "reads": "ohms",
    "write": "CELL:SET {array},{row},{col},{value}",
    "writes": "ohms",
    "up": "CELL:SET:PULSE {array},{row},{col},{count}",
    "down": "CELL:RESET:PULSE {array},{row},{col},{count}",
    "most": 16,
    "errors": "FAULT?",
    "no_error": "NONE",
    "off": "OUTPUT:ZERO",
    "first": 1,
    "joined": 8,
}
"""What a user writes in YAML."""
SECTION: dict[str, Any] = {
    "address": "TCPIP::127.0.0.1::5025::SOCKET",
    "timeout": 120.0,
    "commands": COMMANDS,
    "arrays": {"names": NAMES, "rows": ROWS, "cols": COLS, "v_max": 0.2},
}


class ForeignChip:
    """Cells and what was asked of them; said: every command."""

    def __init__(self) -> None:
        self.cells = {name: np.full((ROWS, COLS), LOW) for name in NAMES}
        self.fault = "NONE"
        self.said: list[str] = []

    def answer(self, line: str) -> str:
        """Answers of one message, joined as they were asked."""
        return ";".join(text for text in (self._one(part) for part in line.split(";")) if text is not None)

    def _one(self, command: str) -> str | None:
        self.said.append(command)
        verb, _, rest = command.partition(" ")
        if verb == "FAULT?":
            fault, self.fault = self.fault, "NONE"
            return fault
        if verb == "OUTPUT:ZERO":
            return None
        array, row, col, *value = rest.split(",")
        g, at = self.cells[array], (int(row) - 1, int(col) - 1)
        if verb == "CELL:RES?":
            return f"{1.0 / g[at]:.6e}"
        if verb == "CELL:SET":
            g[at] = np.clip(1.0 / float(value[0]), LOW, HIGH)
        elif verb in ("CELL:SET:PULSE", "CELL:RESET:PULSE") and int(value[0]) <= 16:
            g[at] = np.clip(g[at] + STEP * int(value[0]) * (1 if verb == "CELL:SET:PULSE" else -1), LOW, HIGH)
        else:
            self.fault = f"REFUSED {command}"
        return None


@contextmanager
def foreign(chip: ForeignChip) -> Iterator[int]:
    """The instrument on the loopback; gives its port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                said = chip.answer(line.decode().strip())
                if said:
                    self.wfile.write(said.encode() + b"\n")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
