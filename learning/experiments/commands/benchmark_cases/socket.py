"""A served chip, by our client and by PyVISA unmodified, against the same sealed chip in this process."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numba
import numpy as np

from analog_sim.chip.backends.scpi import Scpi
from analog_sim.chip.backends.sealed import Sealed
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.random.streams import Streams
from analog_sim.threads import worker_environment
from devices.card import load_card
from learning.experiments.commands.benchmark_cases._case import Case
from learning.experiments.commands.benchmark_cases.train_epoch import PERTURBED, mnist_data, training_experiment
from learning.experiments.training.trainer import Trainer

SIZE = 256
BATCHES = (1, 256)
STEPS, BEFORE = 9, 40
"""Of training: those that are timed together, and those before the first."""
REFERENCE = "the same sealed chip in this process"


def cases() -> Iterator[Case]:
    """Yield reads of one vector and of a batch: over the socket, by PyVISA over HiSLIP and a bare socket, then training."""
    cell, streams = load_card("ecram").compile(), Streams(0).child("chip")
    with _served() as (port, hislip):
        client = Scpi(address=f"scpi://127.0.0.1:{port}", timeout=600.0)
        there = client.fabric(cell, streams, Clock(), None).crossbar(("w",), SIZE, SIZE, pair=True)
        here = SealedFabric(EmulatedFabric(cell, streams, Clock())).crossbar(("w",), SIZE, SIZE, pair=True)
        yield from (_case(there, here, batch) for batch in BATCHES)
        yield from _visa_cases(here, port, hislip)
    with _served() as (port, _), tempfile.TemporaryDirectory() as folder:
        yield _training_case(port, Path(folder))


@contextmanager
def _served() -> Iterator[tuple[str, str]]:
    """A server in a process of its own, with as many threads as this one may use; its ports by TCP and by HiSLIP."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "chip.yaml"
        config.write_text("schema: serve/1\ndevice: ecram\n", encoding="utf-8")
        command = [sys.executable, "-m", "analog_hil", "serve", str(config), "--port", "0", "--hislip", "0"]
        environment = {**os.environ, **worker_environment(numba.get_num_threads())}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert server.stdout is not None
            hislip = re.search(r"hislip0,(\d+)", server.stdout.readline())[1]
            yield server.stdout.readline().rsplit(":", 1)[1].strip(), hislip
        finally:
            server.terminate()
            server.wait()


def _training_case(port: str, folder: Path) -> Case:
    """Steps of configs/mnist_node_perturbation.yaml, behind those after which converters are calibrated often."""
    data = mnist_data()
    chips = {"there": Scpi(address=f"scpi://127.0.0.1:{port}", timeout=600.0), "here": Sealed(record=False)}
    trainers = []
    for name, chip in chips.items():
        (folder / name).mkdir()
        experiment = training_experiment("ecram", {**PERTURBED, "learning_rate": 0.2}).model_copy(update={"chip": chip})
        trainers.append(Trainer(experiment, data, 0, folder / name))

    def steps(trainer: Trainer, count: int) -> None:
        for _ in range(count):
            trainer.step()
        _ = trainer.clock.now  # what was sent is done

    for trainer in trainers:
        steps(trainer, BEFORE)
    there, here = trainers
    return Case(
        "socket/training",
        data.x.shape[1],
        64,
        ours=lambda: steps(there, STEPS),
        reference=lambda: steps(here, STEPS),
        reference_name=REFERENCE,
        per_call={"step": STEPS},
    )


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
