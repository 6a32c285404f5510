"""Reader of ArC TWO files (HDF5, written by arc2control): the history of every cross-point. Needs h5py (extra `hdf5`).

It never reads the raster of last values, whose voltage is the pulse's after a pulse-read, and no row behind NROWS.
"""

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np

from devices.measurements.columns.pulse_columns import LARGEST_VOLTAGE, LONGEST_PULSE
from devices.measurements.columns.reader import Reader
from devices.measurements.table.sink import Role, Sink
from devices.measurements.table.table import Flag, Op
from devices.measurements.text.archives import opened_hdf5
from devices.measurements.text.problems import failure

_CROSSPOINT = re.compile(r"W(\d+)B(\d+)")
_FIELDS = ("current", "voltage", "pulse_width", "read_voltage", "op_type")
_BLOCK = 65536


class ArcTwo(Reader):
    """`crosspoints/WxxByy/timeseries`: current A, voltage V, pulse_width s, read_voltage V, op_type; word line = row, bit line = column.

    Only the first NROWS rows of a time series are data. A conductance is current / read_voltage whatever the operation.

    Attributes:
        role: pulses, or retention when the session only read. potentiation: sign of the pulse voltage that potentiates.
    """

    kind: Literal["arc_two"] = "arc_two"
    role: Role = "pulses"
    potentiation: Literal["positive", "negative"] = "positive"

    def read(self, sink: Sink) -> None:
        """Read every cross-point of every file in blocks. Raises MeasurementError without h5py or for another format."""
        for path in self.path:
            sink.directed(path, "stated" if "potentiation" in self.model_fields_set else "voltage")
            with opened_hdf5(path) as file:
                self._read(path, file, sink)

    def _read(self, path: Path, file: Any, sink: Sink) -> None:
        if "crosspoints" not in file:
            raise failure(path, f"not an ArC TWO file: no group 'crosspoints' (it has: {', '.join(file) or 'nothing'})")
        for name, group in file["crosspoints"].items():
            match = _CROSSPOINT.fullmatch(name)
            if match is None or "timeseries" not in group:
                sink.log.count(path, "group without a time series, skipped", got=name)
                continue
            series = group["timeseries"]
            missing = [field for field in _FIELDS if field not in (series.dtype.names or ())]
            if missing:
                raise failure(
                    path, f"no field '{missing[0]}'; expected {', '.join(_FIELDS)}", column=f"{name}/timeseries"
                )
            if "NROWS" not in series.attrs:
                raise failure(
                    path, "has no attribute NROWS: which rows are data is not known", column=f"{name}/timeseries"
                )
            rows = int(series.attrs["NROWS"])
            if not 0 <= rows <= series.shape[0]:
                raise failure(path, f"NROWS is {rows} of {series.shape[0]} rows", column=f"{name}/timeseries")
            sequence = sink.new_sequences()
            place = (int(match[1]), int(match[2]))
            if self.device is None:
                sink.placed(path)
            else:
                place = (sink.device(f"{self.device}: {place}"), 0)
            for start in range(0, rows, _BLOCK):
                self._pour(path, series[start : min(rows, start + _BLOCK)], start, sequence, match[0], place, sink)

    def _pour(
        self, path: Path, data: Any, start: int, sequence: int, name: str, place: tuple[int, int], sink: Sink
    ) -> None:
        op = data["op_type"].astype(np.int64)
        known = np.isin(op, [int(kind) for kind in Op])
        if not known.all():
            k = int(np.argmin(known))
            raise failure(
                path, f"op_type {op[k]} at row {start + k + 1}; allowed: 1, 2, 3", column=f"{name}/timeseries"
            )
        read_only = op == Op.READ
        v, width = (data[field].astype(np.float64) for field in ("voltage", "pulse_width"))
        with np.errstate(invalid="ignore"):
            unknown = ~read_only & ~((np.abs(v) <= LARGEST_VOLTAGE) & (width >= 0) & (width <= LONGEST_PULSE))
        silent = read_only | unknown
        sign = 1 if self.potentiation == "positive" else -1
        rows = {
            "sequence": sequence,
            "cell_row": place[0],
            "cell_col": place[1],
            "op": op,
            "direction": np.where(silent, 0, sign * np.sign(np.where(silent, 0.0, v))),
            "v_V": np.where(silent, np.nan, v),
            "width_s": np.where(silent, np.nan, width),
            "flag": np.where(unknown, Flag.PULSE_UNKNOWN.value, 0),
            "n_pulses": np.where(read_only, 0, 1),
            "v_read_V": data["read_voltage"].astype(np.float64),
            "i_A": data["current"].astype(np.float64),
        }
        sink.rows(self.role, path, start + 1 + np.arange(len(op)), rows, negative=self.negative)
