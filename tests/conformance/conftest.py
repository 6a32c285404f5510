"""The chips that the conformance suite runs on: every backend of the project, or the one that `--chip` names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from catalogue import CHIPS
from catalogue_helpers import cases, name

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backend import ChipBackend
from analog_sim.chip.backends.arc2 import Arc2
from analog_sim.chip.backends.daffodil import Daffodil
from analog_sim.chip.backends.factory import FactoryChip
from analog_sim.chip.backends.scpi import Scpi
from analog_sim.chip.backends.twin import TwinBackend
from analog_sim.chip.backends.visa import VisaBackend
from analog_sim.chip.client.remote import RemoteFabric
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import EmulatedFabric, Fabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.serve import running
from analog_sim.chip.twin import MeasuredChip, save_measured
from analog_sim.config import Part, discover
from analog_sim.random.streams import Streams
from devices.card import load_card

from . import arc2_fake, daffodil_fake
from .foreign import ForeignChip, foreign

OWN: dict[str, Part] = {
    name(case): discover("analog_sim.chip.backends", Part)[case["kind"]].model_validate(case)
    for case in cases(CHIPS)
    if case["kind"] != "replay"  # it answers only what was recorded; tests/analog_sim/chip/record has its own tests
}


@pytest.fixture(scope="session")
def cell() -> CellModel:
    """Cells that can be programmed and pulsed; a user's chip has its own, of which this is what the computer believes."""
    return load_card("ecram").compile()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        named = metafunc.config.getoption("--chip")
        chips = {named: FactoryChip(factory=named)} if named else OWN
        metafunc.parametrize("backend", chips.values(), ids=chips)


@pytest.fixture
def chip(backend: ChipBackend, cell: CellModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fabric]:
    streams = Streams(3).child("chip")
    if isinstance(backend, Daffodil):
        daffodil_fake.install(monkeypatch)
    if isinstance(backend, Arc2):
        arc2_fake.install(monkeypatch)
        backend = backend.model_copy(update={"firmware": Path(__file__)})
    if isinstance(backend, TwinBackend):
        backend = backend.model_copy(update={"folder": tmp_path / "twin.npz"})
        np.savez(tmp_path / "twin.npz", **save_measured(MeasuredChip(cell)))
    if isinstance(backend, VisaBackend):
        pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed (pip install analog-hil[instruments])")
    if isinstance(backend, VisaBackend) and backend.commands is not None:
        with foreign(ForeignChip()) as port:
            client = backend.model_copy(update={"address": f"TCPIP::127.0.0.1::{port}::SOCKET"})
            yield client.fabric(cell, streams, Clock(), tmp_path)
        return
    if isinstance(backend, FactoryChip):
        yield backend.unchecked(cell, streams, Clock(), tmp_path)  # the suite looks at the chip itself
        return
    if not isinstance(backend, Scpi | VisaBackend):
        yield backend.fabric(cell, streams, Clock(), tmp_path)
        return
    served = ServedChip(SealedFabric(EmulatedFabric(cell, streams, Clock())))
    with running(served) as port:
        address = f"scpi://127.0.0.1:{port}" if isinstance(backend, Scpi) else f"TCPIP::127.0.0.1::{port}::SOCKET"
        client = backend.model_copy(update={"address": address})
        fabric = client.fabric(cell, streams, Clock(), tmp_path)
        assert isinstance(fabric, RemoteFabric)
        yield fabric
        fabric.link.close()
