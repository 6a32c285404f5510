"""A served chip, by our client and by PyVISA unmodified, against the same sealed chip in this process."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from analog_sim.chip.backends.scpi import Scpi
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.random.streams import Streams
from devices.card import load_card
from learning.experiments.commands.benchmark_cases._case import Case

SIZE = 256
BATCHES = (1, 256)
REFERENCE = "the same sealed chip in this process"


def cases() -> Iterator[Case]:
    """Yield reads of one vector and of a batch: over the socket, by PyVISA over HiSLIP and a bare socket, and in this process."""
    cell, streams = load_card("ecram").compile(), Streams(0).child("chip")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "chip.yaml"
        config.write_text("schema: serve/1\ndevice: ecram\n", encoding="utf-8")
        command = [sys.executable, "-m", "analog_hil", "serve", str(config), "--port", "0", "--hislip", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            hislip = re.search(r"hislip0,(\d+)", server.stdout.readline())[1]
            port = server.stdout.readline().rsplit(":", 1)[1].strip()
            client = Scpi(address=f"scpi://127.0.0.1:{port}", timeout=600.0)
            there = client.fabric(cell, streams, Clock(), None).crossbar(("w",), SIZE, SIZE, pair=True)
            here = SealedFabric(EmulatedFabric(cell, streams, Clock())).crossbar(("w",), SIZE, SIZE, pair=True)
            yield from (_case(there, here, batch) for batch in BATCHES)
            yield from _visa_cases(here, port, hislip)
        finally:
            server.terminate()
            server.wait()


def _case(there: Crossbar, here: Crossbar, batch: int) -> Case:
    v = _volts(here, batch)
    return Case(
        "socket/mvm",
        SIZE,
        batch,
        ours=lambda: there.mvm(v),
        reference=lambda: here.mvm(v),
        reference_name=REFERENCE,
    )


def _visa_cases(here: Crossbar, port: str, hislip: str) -> Iterator[Case]:
    """PyVISA with pyvisa-py, where it is installed."""
    if importlib.util.find_spec("pyvisa_py") is None:
        return
    import pyvisa

    v, manager = _volts(here, 256), pyvisa.ResourceManager("@py")
    count, answer = len(str(v.nbytes)), 256 * SIZE * 4
    head = b"READ:MVM? '[\"w\"]',#%d%d" % (count, v.nbytes)  # the array of our client, who has the writer's place
    lines = {"read_termination": "\n", "write_termination": "\n"}
    for name, address, terms in (
        ("socket/hislip", f"TCPIP::127.0.0.1::hislip0,{hislip}::INSTR", {}),
        ("socket/visa", f"TCPIP::127.0.0.1::{port}::SOCKET", lines),
    ):
        resource = manager.open_resource(address, timeout=60_000, chunk_size=1 << 20, **terms)
        resource.write("FORM:BORD SWAP")

        def read(resource=resource) -> np.ndarray:
            resource.write_raw(head + v.tobytes() + b"\n")
            got = resource.read_bytes(2 + count + answer + 1, break_on_termchar=False)
            return np.frombuffer(got, "<f4", answer // 4, 2 + count).reshape(256, SIZE)

        read()
        yield Case(name, SIZE, 256, ours=read, reference=lambda: here.mvm(v), reference_name=REFERENCE)
        resource.close()


def _volts(here: Crossbar, batch: int) -> np.ndarray:
    return (here.info.v_max * Streams(1).stream("v").uniforms((batch, SIZE)) - here.info.v_max / 2).astype(np.float32)
