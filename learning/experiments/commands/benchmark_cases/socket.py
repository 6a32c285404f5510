"""A served chip against the same sealed chip in this process."""

from __future__ import annotations

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


def cases() -> Iterator[Case]:
    """Yield the read of one vector and of a batch, over the socket and in this process."""
    cell, streams = load_card("ecram").compile(), Streams(0).child("chip")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "chip.yaml"
        config.write_text("schema: serve/1\ndevice: ecram\n", encoding="utf-8")
        command = [sys.executable, "-m", "analog_hil", "serve", str(config), "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = server.stdout.readline().rsplit(":", 1)[1].strip()
            client = Scpi(address=f"scpi://127.0.0.1:{port}", timeout=600.0)
            there = client.fabric(cell, streams, Clock(), None).crossbar(("w",), SIZE, SIZE, pair=True)
            here = SealedFabric(EmulatedFabric(cell, streams, Clock())).crossbar(("w",), SIZE, SIZE, pair=True)
            yield from (_case(there, here, batch) for batch in BATCHES)
        finally:
            server.terminate()
            server.wait()


def _case(there: Crossbar, here: Crossbar, batch: int) -> Case:
    v = (here.info.v_max * Streams(1).stream("v").uniforms((batch, SIZE)) - here.info.v_max / 2).astype(np.float32)
    return Case(
        "socket/mvm",
        SIZE,
        batch,
        ours=lambda: there.mvm(v),
        reference=lambda: here.mvm(v),
        reference_name="the same sealed chip in this process",
    )
