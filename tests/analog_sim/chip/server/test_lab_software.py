"""PyMeasure and QCoDeS drive the served chip unchanged; docs/instrument.md shows such sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs: deprecations inside the packages
VOLTS, CELLS = np.full(3, 0.1, np.float32), np.linspace(2e-6, 1e-5, 12, dtype=np.float32)


@pytest.fixture
def resource(port: int) -> str:
    pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed (pip install analog-hil[instruments])")
    return f"TCPIP::127.0.0.1::{port}::SOCKET"


@pytest.fixture
def pymeasure_chip(resource: str) -> Iterator[Any]:
    instruments = pytest.importorskip(
        "pymeasure.instruments", reason="PyMeasure is not installed (pip install analog-hil[lab])"
    )

    class Chip(instruments.SCPIMixin, instruments.Instrument):  # type: ignore[misc, name-defined]
        """A served chip, as a lab would describe it to PyMeasure."""

        rows = instruments.Instrument.measurement("ARR:ROWS?", "word lines", cast=int)
        chip_time = instruments.Instrument.measurement("TIME?", "chip time, seconds")

        def __init__(self, adapter: str) -> None:
            super().__init__(
                adapter, "chip", read_termination="\n", write_termination="\n", timeout=60_000, visa_library="@py"
            )

    chip = Chip(resource)
    yield chip
    chip.adapter.close()


def test_pymeasure_reads_and_writes(pymeasure_chip: Any) -> None:
    chip = pymeasure_chip
    assert chip.id == "analog-hil,test,0,0"
    assert chip.rows == 4
    # PyMeasure's own binary read waits for its timeout; its VISA connection does not.
    visa = chip.adapter.connection
    chip.write("FORM:BORD SWAP")
    visa.write_binary_values("PROG ", np.tile(CELLS, 2))
    visa.write_binary_values("READ:MVM? ", np.full(4, 0.1, np.float32))
    assert len(visa.read_binary_values()) == 3
    before = chip.chip_time
    chip.write("WAIT 2.5")
    assert chip.chip_time >= before + 2.5
    assert chip.check_errors() == []


def test_a_pymeasure_procedure_writes_its_results_file(pymeasure_chip: Any, tmp_path: Path) -> None:
    experiment = pytest.importorskip("pymeasure.experiment")
    chip = pymeasure_chip

    class Ramp(experiment.Procedure):  # type: ignore[misc, name-defined]
        """Potentiation of all cells, a read after every pulse."""

        pulses = experiment.IntegerParameter("Pulses", default=5)
        DATA_COLUMNS = ["Pulse", "Conductance (S)"]  # noqa: RUF012 - PyMeasure's own form

        def execute(self) -> None:
            for pulse in range(self.pulses):
                chip.write("PULS:COUN " + ",".join(["1"] * 24))
                chip.write("FORM ASC")
                values = [float(text) for text in chip.ask("READ:COND?").split(",")]
                self.emit("results", {"Pulse": pulse, "Conductance (S)": float(np.mean(values))})

    procedure = Ramp()
    results = experiment.Results(procedure, str(tmp_path / "ramp.csv"))
    worker = experiment.Worker(results)
    worker.run()
    data = results.data
    assert list(data["Pulse"]) == [0, 1, 2, 3, 4]
    assert data["Conductance (S)"].iloc[-1] > data["Conductance (S)"].iloc[0]
    assert chip.ask("SYST:ERR?").strip() == '0,"No error"'


def test_qcodes_reads_and_writes(resource: str) -> None:
    instrument = pytest.importorskip(
        "qcodes.instrument", reason="QCoDeS is not installed (pip install analog-hil[lab])"
    )

    chip = instrument.VisaInstrument("chip", resource, visalib="@py", terminator="\n", timeout=60)
    try:
        chip.add_parameter("chip_time", get_cmd="TIME?", get_parser=float, unit="s")
        chip.add_parameter("rows", get_cmd="ARR:ROWS?", get_parser=int)
        chip.add_parameter("selected", set_cmd="ARR:SEL '{}'", get_cmd="ARR:SEL?")
        assert chip.get_idn()["vendor"] == "analog-hil"
        assert chip.rows() == 4
        chip.selected("w")
        chip.write("FORM:BORD SWAP")
        chip.visa_handle.write_binary_values("READ:MVM? ", np.full(4, 0.1, np.float32))
        assert len(chip.visa_handle.read_binary_values()) == 3
        before = chip.chip_time()
        for _ in range(3):
            chip.write("WAIT 1")
        assert chip.chip_time() == pytest.approx(before + 3.0)
        assert chip.ask("SYST:ERR?") == '0,"No error"'
    finally:
        chip.close()


@pytest.fixture
def chip(cell: Any) -> Any:
    """A chip with one array of 4 x 3 pairs."""
    from analog_sim.chip.clock import Clock
    from analog_sim.chip.fabric import EmulatedFabric
    from analog_sim.chip.sealed import SealedFabric
    from analog_sim.chip.server.chip import ServedChip
    from analog_sim.random.streams import Streams

    served = ServedChip(SealedFabric(EmulatedFabric(cell, Streams(3).child("chip"), Clock())))
    served.define("w", 4, 3, True, 0)
    return served
