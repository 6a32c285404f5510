"""The page of a served chip: what it shows, that the chip does not notice, and that nobody is held up by it."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_helpers import dom, laid_out

from analog_sim.chip.backends.scpi import Scpi
from analog_sim.chip.client.remote import RemoteFabric
from analog_sim.chip.clock import Clock
from analog_sim.chip.dashboard import state as state_module
from analog_sim.chip.dashboard.http import CONNECTIONS, Dashboard
from analog_sim.chip.dashboard.watch import SHOWN
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.chip.fabric import EmulatedFabric, Fabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.serve import Instrument, in_thread
from analog_sim.config import UserError
from analog_sim.random.streams import Streams
from devices.card import load_card

CELL = load_card("ecram").compile()


@contextmanager
def shown(*, sealed: bool) -> Iterator[tuple[RemoteFabric, int]]:
    """A served chip with its page: our client of it, and the port of the page."""
    made = EmulatedFabric(CELL, Streams(3).child("chip"), Clock())
    fabric: Fabric = SealedFabric(made) if sealed else made
    instrument = Instrument(ServedChip(fabric), "analog-hil,<b>test</b>,0,0")
    dashboard = Dashboard(instrument)
    starts = [lambda: instrument.start("127.0.0.1", 0), lambda: dashboard.start(0)]
    with in_thread(starts, instrument.drop_all) as (port, page):
        client = Scpi(address=f"scpi://127.0.0.1:{port}", timeout=120.0).fabric(CELL, Streams(0), Clock(), None)
        assert isinstance(client, RemoteFabric)
        yield client, page
        client.link.close()


def get(page: int, path: str = "/state.json", method: str = "GET", host: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", page, timeout=60.0)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def cells(state: dict[str, Any], number: int = 0) -> np.ndarray:
    """Siemens as the page shows them, NaN for unknown."""
    array = state["arrays"][number]
    shape, code = array["map"]["shape"], base64.b64decode(array["map"]["cells"])
    codes = np.frombuffer(code, np.uint8).reshape(shape).astype(float)
    return np.where(codes == 0, np.nan, array["g_min"] + (codes - 1) / 254 * (array["g_max"] - array["g_min"]))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """States are made anew whenever they are asked for."""
    monkeypatch.setattr(state_module, "LEAST", 0.0)
    monkeypatch.setattr(state_module, "BUSY", 0.0)


def test_a_state_is_made_at_most_so_often() -> None:
    with shown(sealed=True) as (chip, page):
        chip.crossbar(("w",), 2, 2, pair=False)
        first = get(page)[1]
        assert all(get(page)[1] == first for _ in range(3))


@pytest.mark.usefixtures("at_once")
def test_a_sealed_chip_shows_what_was_written_then_what_was_read() -> None:
    with shown(sealed=True) as (chip, page):
        assert json.loads(get(page)[1])["arrays"] == []
        array = chip.at("fc1").crossbar(("block", 0), 5, 4, pair=True)
        target = np.linspace(CELL.g_min, CELL.g_max, 40, dtype=np.float32).reshape(2, 5, 4)
        array.program(target, target > np.median(target))
        v = np.full((3, 5), 0.1, np.float32)
        current = array.mvm(v)
        with pytest.raises(UserError, match="-113"):
            chip.link.command("NOT:THERE")
        state = json.loads(get(page)[1])
        (entry,) = state["arrays"]
        assert (entry["name"], entry["map"]["source"]) == ('["fc1", "block", 0]', "written")
        half = (CELL.g_max - CELL.g_min) / 254 / 2 * 1.001
        seen = cells(state)
        np.testing.assert_array_equal(np.isnan(seen), target <= np.median(target))
        assert np.nanmax(np.abs(seen - target)) <= half
        np.testing.assert_allclose(entry["read"]["amperes"], current[-1], rtol=1e-6)
        assert [o[3] for o in state["operations"]] == ["mvm", "program"]
        assert state["errors"][0][1].startswith("-113")
        before = chip.clock.now
        g = array.read_conductance(slice(1, 3))
        seen = cells(json.loads(get(page)[1]))
        assert np.isnan(seen[:, [0, 3, 4]]).all()
        assert np.abs(seen[:, 1:3] - np.clip(g, CELL.g_min, CELL.g_max)).max() <= half
        assert chip.clock.now == pytest.approx(before + 2 * CELL.cost.t_read, rel=1e-12)


def test_an_open_chip_shows_its_cells_and_a_large_array_some_of_them() -> None:
    with shown(sealed=False) as (chip, page):
        array = chip.crossbar(("w",), 3 * SHOWN - 1, 2, pair=False)
        assert not array.info.inspectable
        state = json.loads(get(page)[1])
        assert state["arrays"][0]["map"]["source"] == "now"
        assert cells(state).shape == (1, SHOWN, 2)
        assert state["arrays"][0]["steps"] == [3, 1]


@pytest.mark.parametrize("card", ["pcm", "reram_wan2022"])
def test_glances_leave_no_trace_in_cells_that_age(card: str) -> None:
    cell = load_card(card).compile()

    def history(glances: bool) -> list[np.ndarray]:
        array, found = EmulatedCrossbar(cell, 6, 5, pair=True, streams=Streams(2)), []
        array.program(np.full((2, 6, 5), (cell.g_min + cell.g_max) / 2, np.float32))
        for seconds in (1.0, 100.0, 3.0, 1e5):
            array.wait(seconds)
            if glances:
                seen = array.glance(2, 3)
                assert seen.shape == (2, 3, 2)
                np.testing.assert_array_equal(seen, array._ageing.conductance(array.cells, array.time)[:, ::2, ::3])
            found.append(array.mvm(np.full((2, 6), 0.1, np.float32)))
            found.append(array.read_conductance())
        return found

    for one, other in zip(history(False), history(True), strict=True):
        np.testing.assert_array_equal(one, other)


def test_requests_that_are_wrong_are_answered_and_hold_nobody_up() -> None:
    with shown(sealed=True) as (chip, page):
        assert get(page, "/")[0] == 200
        assert get(page, "/", "HEAD") == (200, b"")
        assert get(page, "/etc/passwd")[0] == 404
        with socket.create_connection(("127.0.0.1", page), 60.0) as it:
            it.sendall(b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert it.recv(100).startswith(b"HTTP/1.1 400 ")
        assert get(page, "/", "POST")[0] == 405
        assert get(page, "/", host="evil.example")[0] == 403
        assert get(page, "/", host="localhost:1")[0] == 200
        assert get(page, "/state.json?first=-1&first=%ff")[0] == 200
        with socket.create_connection(("127.0.0.1", page), 60.0) as it:
            it.sendall(b"GET / HTTP/1.1\r\nX: " + bytes(20_000))
            with suppress(ConnectionResetError):
                assert it.recv(100) == b""
        held = [socket.create_connection(("127.0.0.1", page), 60.0) for _ in range(CONNECTIONS)]  # that say nothing
        assert chip.link.query("*OPC?") == "1"
        for each in held:
            each.close()
        while True:  # their places are freed
            try:
                assert get(page)[0] == 200
                break
            except ConnectionError:
                pass


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    with shown(sealed=True) as (chip, page):
        for name in ("a layer with a long name of many words and_one_word_that_is_far_too_long_for_a_phone", "fc2"):
            array = chip.at(name).crossbar(("block", 0), 70, 3, pair=True)
            array.program(np.full((2, 70, 3), CELL.g_max, np.float32))
            array.mvm(np.full((1, 70), 0.1, np.float32))
        with pytest.raises(UserError):
            chip.link.command("NOT:THERE" + ":NOT" * 100)
        shown_page = dom(f"http://127.0.0.1:{page}/", width=1280)
    assert "analog-hil,&lt;b&gt;test&lt;/b&gt;,0,0" in shown_page
    assert "fc2 / block / 0" in shown_page
    assert shown_page.count('class="map"') == 4
    assert "-113: Undefined header" in shown_page
    assert 'role="alert" hidden' in shown_page, "the server answers"
    saved = tmp_path / "page.html"
    saved.write_text(shown_page.replace("poll();\n", "\n"), encoding="utf-8")
    found = laid_out({"dashboard": saved}, tmp_path, sizes=("desk", "phone"))
    assert found == {"dashboard at desk": [], "dashboard at phone": []}
