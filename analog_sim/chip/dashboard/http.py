"""The page and its data over HTTP, in the server's own loop: small, total, for this machine only. It takes no order of any kind."""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files
from typing import cast
from urllib.parse import parse_qs, urlsplit

from analog_sim.chip.dashboard.state import ShownState
from analog_sim.chip.dashboard.watch import Watch
from analog_sim.chip.server.serve import Instrument
from analog_sim.config import UserError

LONGEST = 8192
"""Bytes of a request."""
PATIENCE = 10.0
"""Seconds that a request or the reading of its answer may take."""
CONNECTIONS = 32
_HOST = re.compile(
    rb"^host:[ \t]*(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"


class Dashboard:
    """The page of one served chip.

    Args:
        instrument: what is served; its chip tells the page of every operation from now on.
    """

    def __init__(self, instrument: Instrument) -> None:
        watch = Watch()
        instrument.chip.watch = watch
        self._instrument = instrument
        self._state = ShownState(instrument.chip, watch, instrument.identity)
        self._page = files(__package__).joinpath("page.html").read_bytes()
        self.open = 0

    async def start(self, port: int) -> asyncio.Server:
        """Listen on the loopback. Raises UserError when the port is not available."""
        try:
            return await asyncio.get_running_loop().create_server(lambda: DashboardConnection(self), "127.0.0.1", port)
        except OSError as error:
            raise UserError(f"--dashboard: cannot listen on 127.0.0.1:{port} ({error.strerror or error})") from error

    def answer(self, request: bytes) -> bytes:
        """The answer to a whole request."""
        found = re.match(rb"(GET|HEAD) (\S{1,2000}) HTTP/1\.[01]\r?\n", request)
        if found is None:
            return _response("405 Method Not Allowed", b"only GET and HEAD\n", "text/plain")
        if _HOST.search(request) is None:  # a page from elsewhere that has its own name point to this machine
            return _response("403 Forbidden", b"this page is for this machine only\n", "text/plain")
        try:
            path = urlsplit(found[2].decode("latin-1"))
        except ValueError:  # http://[
            return _response("400 Bad Request", b"this is no address\n", "text/plain")
        if path.path == "/":
            whole = _response("200 OK", self._page, "text/html; charset=utf-8")
        elif path.path == "/state.json":
            first = parse_qs(path.query).get("first", ["0"])[0]
            number = int(first) if re.fullmatch(r"\d{1,6}", first) else 0
            whole = _response("200 OK", self._state.json(number, len(self._instrument.connections)), "application/json")
        else:
            whole = _response("404 Not Found", b"nothing here\n", "text/plain")
        return whole if found[1] == b"GET" else whole[: whole.index(b"\r\n\r\n") + 4]


class DashboardConnection(asyncio.Protocol):
    """One request and its answer.

    Args:
        dashboard: that answers.
    """

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, but not for ever."""
        self._transport = cast(asyncio.Transport, transport)
        self._dashboard.open += 1
        self._end = asyncio.get_running_loop().call_later(PATIENCE, self._transport.abort)
        if self._dashboard.open > CONNECTIONS:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answer when the request is whole."""
        self._request += data
        whole = b"\r\n\r\n" in self._request or b"\n\n" in self._request
        if whole:
            self._transport.write(self._dashboard.answer(self._request))
        if whole or len(self._request) > LONGEST:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Free its place."""
        self._end.cancel()
        self._dashboard.open -= 1


def _response(status: str, body: bytes, kind: str) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nCache-Control: no-store\r\n"
        f"Content-Security-Policy: {_POLICY}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
