"""Known traces of emulated cells, and a writer for every lab format: the other half of a round trip. It never reads or fits."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams

F64 = npt.NDArray[np.float64]

V_READ, V_PULSE, WIDTH = 0.2, 1.5, 1e-7


@dataclass(frozen=True)
class Lab:
    """What a lab would have recorded: cells pulsed up, then down, read after every pulse.

    Attributes:
        g: (cells, reads) siemens as read. direction: (reads,) of the pulse before a read, 0 for the first.
    """

    g: F64
    direction: npt.NDArray[np.int8]


def measure(cell: CellModel, *, cells: int, up: int, down: int, start: float, seed: int, repeats: int = 1) -> Lab:
    """Pulse fabricated cells `up` times up and `down` times down, `repeats` times over, from state `start`."""
    crossbar = EmulatedCrossbar(cell, 1, cells, pair=False, streams=Streams(seed))
    lo, hi = (np.broadcast_to(bound, (1, 1, cells)) for bound in crossbar.cells.bounds(cell))
    crossbar.add_ideal(((lo + np.float32(start) * (hi - lo)) - crossbar.conductance_now())[0])
    reads, direction = [crossbar.read_conductance()[0, 0]], [0]
    for side in ([1] * up + [-1] * down) * repeats:
        crossbar.pulse(PulseCounts(np.full((1, 1, cells), side, np.int16)))
        reads.append(crossbar.read_conductance()[0, 0])
        direction.append(side)
    return Lab(np.array(reads, np.float64).T, np.array(direction, np.int8))


def _rows(lab: Lab) -> list[tuple[int, int, float, int]]:
    """(cell, read number, conductance, direction), cell after cell."""
    return [
        (c, k, float(lab.g[c, k]), int(lab.direction[k])) for c in range(lab.g.shape[0]) for k in range(lab.g.shape[1])
    ]


def _write(path: Path, rows: list[list[object]], delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)


def write_csv(path: Path, lab: Lab) -> dict[str, object]:
    """Generic CSV with units in the header; return the reader's configuration."""
    rows: list[list[object]] = [["cell", "V pulse (V)", "width (ns)", "I read (uA)"]]
    for cell, _, g, side in _rows(lab):
        rows.append([f"c{cell}", V_PULSE * side, WIDTH * 1e9, repr(g * V_READ * 1e6)])
    _write(path, rows)
    columns = {"cell": "cell", "v": "V pulse", "width": "width (ns)", "i": "I read"}
    return {"kind": "csv", "path": str(path), "role": "pulses", "columns": columns, "v_read": f"{V_READ} V"}


def write_pulse_ramps(path: Path, lab: Lab) -> dict[str, object]:
    """One column per ramp: the up part and the down part of every cell, in ohms."""
    turn = int(np.argmax(lab.direction < 0))
    ramps = [part.tolist() for g in lab.g for part in (g[:turn], g[turn - 1 :])]
    longest = max(map(len, ramps))
    rows: list[list[object]] = [[f"rmp{k + 1} (kOhm)" for k in range(len(ramps))]]
    rows += [[repr(1e-3 / ramp[k]) if k < len(ramp) else "" for ramp in ramps] for k in range(longest)]
    _write(path, rows)
    return {
        "kind": "pulse_ramps",
        "path": str(path),
        "value": "resistance",
        "direction": ["up", "down"],
        "device": "one",
    }


def write_arc_one(path: Path, lab: Lab) -> dict[str, object]:
    """Session file: two preamble lines, word and bit lines from 1, ohms, empty ReadVoltage of some lines."""
    rows: list[list[object]] = [["session"], ["Mon Jan  1 00:00:00 2024"]]
    rows.append(
        ["Wordline", "Bitline", "Resistance", "Amplitude (V)", "Pulse width (s)", "Tag", "ReadTag", "ReadVoltage"]
    )
    for cell, _, g, side in _rows(lab):
        amplitude, width, tag = (V_READ, 0, "S R2 V=0.2") if side == 0 else (V_PULSE * side, WIDTH, "P")
        rows.append([cell + 1, 3, repr(1.0 / g), amplitude, width, tag, "R2 V=0.2", V_READ])
    _write(path, rows)
    return {"kind": "arc_one", "path": str(path)}


def write_arc_two(path: Path, lab: Lab) -> dict[str, object]:
    """Time series per cross-point with rows behind NROWS that are no data, and the raster of last values."""
    import h5py

    fields = [
        ("current", "<f4"),
        ("voltage", "<f4"),
        ("pulse_width", "<f4"),
        ("read_voltage", "<f4"),
        ("op_type", "<u4"),
    ]
    cells, reads = lab.g.shape
    with h5py.File(path, "w") as file:
        file.attrs["words"], file.attrs["bits"] = cells, 8
        for name in ("crosspoints", "crossbar", "synthetics"):
            file.create_group(name)
        raster = file["crossbar"].create_dataset("current", shape=(8, cells), dtype="<f4")
        voltage = file["crossbar"].create_dataset("voltage", shape=(8, cells), dtype="<f4")
        for c in range(cells):
            series = (
                file["crosspoints"]
                .create_group(f"W{c:02d}B05")
                .create_dataset("timeseries", shape=(reads + 7,), dtype=fields)
            )
            for k in range(reads):
                side = int(lab.direction[k])
                series[k] = (
                    lab.g[c, k] * V_READ,
                    V_PULSE * side if side else V_READ,
                    WIDTH if side else 0,
                    V_READ,
                    3 if side else 1,
                )
            series.attrs["NROWS"] = reads
            raster[5, c], voltage[5, c] = lab.g[c, -1] * V_READ, V_PULSE * float(lab.direction[-1])
    return {"kind": "arc_two", "path": str(path)}


def write_keysight_b1500(path: Path, lab: Lab) -> dict[str, object]:
    """EasyEXPERT CSV in cp1252 with settings around one block per cell."""
    lines = ["SetupTitle, Puls µ-test", "TestParameter, Channel.UnitType, SMU"]
    for c in range(lab.g.shape[0]):
        lines += ["AnalysisSetup, Analysis.Setup.Title", "DataName, Index, Vpulse, Imeas"]
        for k, side in enumerate(lab.direction):
            lines.append(f"DataValue, {k}, {V_PULSE * side}, {float(lab.g[c, k]) * V_READ!r}")
        lines.append("")
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp1252"))
    return {
        "kind": "keysight_b1500",
        "path": str(path),
        "columns": {"v": "Vpulse", "i": "Imeas"},
        "v_read": f"{V_READ} V",
    }


def write_keithley(path: Path, lab: Lab) -> dict[str, object]:
    """Sheet as TSV: user-named columns and a status column; every hundredth read is in compliance and worthless."""
    rows: list[list[object]] = [["Run", "PulseV", "ReadI(mA)", "Status"]]
    for n, (cell, _, g, side) in enumerate(_rows(lab)):
        bad = n % 100 == 99
        rows.append([cell, V_PULSE * side, repr(1.0 if bad else g * V_READ * 1e3), "C" if bad else ""])
    _write(path, rows, "\t")
    columns = {"cell": "Run", "v": "PulseV", "i": "ReadI", "status": "Status"}
    return {"kind": "keithley", "path": str(path), "columns": columns, "v_read": f"{V_READ} V"}


def write_neurosim(path: Path, lab: Lab) -> dict[str, object]:
    """Pulse number and conductance, potentiation and depression of each cell one after another."""
    turn = int(np.argmax(lab.direction < 0))
    rows: list[list[object]] = []
    for g in lab.g:
        rows += [[k, repr(value * 1e6)] for k, value in enumerate(g[:turn].tolist())]
        rows += [[k, repr(value * 1e6)] for k, value in enumerate(g[turn - 1 :].tolist())]
    _write(path, rows, "\t")
    return {"kind": "neurosim", "path": str(path), "unit": "uS"}


def write_pymeasure(path: Path, lab: Lab) -> dict[str, object]:
    """Results file: preamble with the read voltage, headers with units."""
    lines = ["#Procedure: <__main__.Pulses>", "#Parameters:", f"#\tRead voltage: {1e3 * V_READ} mV", "#Data:"]
    lines.append("Cell,Pulse (V),Current (nA)")
    lines += [f"{cell},{V_PULSE * side},{g * V_READ * 1e9!r}" for cell, _, g, side in _rows(lab)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    columns = {"cell": "Cell", "v": "Pulse", "i": "Current"}
    return {"kind": "pymeasure", "path": str(path), "columns": columns, "parameters": {"v_read": "Read voltage"}}


PULSE_FORMATS = {
    "csv": (write_csv, ".csv"),
    "pulse_ramps": (write_pulse_ramps, ".csv"),
    "arc_one": (write_arc_one, ".csv"),
    "arc_two": (write_arc_two, ".h5"),
    "keysight_b1500": (write_keysight_b1500, ".csv"),
    "keithley": (write_keithley, ".tsv"),
    "neurosim": (write_neurosim, ".txt"),
    "pymeasure": (write_pymeasure, ".csv"),
}
"""Reader kind -> writer and suffix, for every format that holds pulses."""


def write_distribution(path: Path, g: F64, p: F64, dg: F64) -> None:
    """Lookup table as text: comment, states, probabilities, one line of changes per probability."""
    lines = ["states; probabilities; changes", ", ".join(map(repr, g.tolist())), ", ".join(map(repr, p.tolist())), ""]
    lines += [",".join(map(repr, row)) for row in dg.tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_retention_long(path: Path, t: F64, g: F64, level: npt.NDArray[np.int64]) -> dict[str, object]:
    """Gzipped TSV without a header, time after time: address, seconds, siemens, level; g is (cells, times)."""
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for k, seconds in enumerate(t.tolist()):
            for c in range(len(g)):
                file.write(f"{7 * c}\t{seconds}\t{float(g[c, k])!r}\t{level[c]}\n")
    return {
        "kind": "retention",
        "path": str(path),
        "header_row": False,
        "columns": {"cell": 0, "t": {"name": 1, "unit": "s"}, "g": {"name": 2, "unit": "S"}},
        "levels": {"column": 3, "step": "1 uS", "first": "0.5 uS"},
    }


def write_retention_wide(path: Path, t: F64, g: F64) -> dict[str, object]:
    """CSV with one line per cell and one column per time, in microsiemens."""
    rows: list[list[object]] = [["addr", *(f"G (uS) t={seconds:g} s" for seconds in t)]]
    rows += [[f"A{c}", *(repr(1e6 * value) for value in g[c].tolist())] for c in range(len(g))]
    _write(path, rows)
    return {"kind": "retention", "path": str(path), "layout_is": "wide", "unit": "uS"}


def write_noise_lines(path: Path, g: F64, rate: float) -> dict[str, object]:
    """One series per line after two leading fields."""
    text = "".join("\t".join([str(k), "0", *map(repr, row)]) + "\n" for k, row in enumerate(g.tolist()))
    path.write_text(text, encoding="utf-8")
    return {"kind": "noise_series", "path": str(path), "sample_rate": f"{rate} Hz", "leading": 2}


def write_noise_columns(path: Path, g: F64, rate: float) -> dict[str, object]:
    """One series per column behind a time column."""
    rows: list[list[object]] = [["t (s)", *(f"cell {k} (uS)" for k in range(len(g)))]]
    rows += [[k / rate, *(repr(1e6 * value) for value in g[:, k].tolist())] for k in range(g.shape[1])]
    _write(path, rows)
    return {
        "kind": "noise_series",
        "path": str(path),
        "sample_rate": f"{rate} Hz",
        "leading": 1,
        "series_are": "columns",
    }
