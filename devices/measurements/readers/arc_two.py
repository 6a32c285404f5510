"""Reader of ArC TWO files (HDF5, written by arc2control): the history of every cross-point. Needs h5py (extra `hdf5`).

It never reads the raster of last values, whose voltage is the pulse's after a pulse-read, and no row behind NROWS.
"""

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np

from devices.measurements.columns.reader import Reader
from devices.measurements.table.sink import Role, Sink
from devices.measurements.table.table import Op
from devices.measurements.text.problems import MeasurementError, failure

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
        try:
            import h5py
        except ImportError as error:
            raise MeasurementError("reading HDF5 files needs h5py: python -m pip install 'analog-hil[hdf5]'") from error
        for path in self.path:
            try:
                file = h5py.File(path, "r")
            except OSError as error:
                raise failure(path, f"not an HDF5 file: {error}") from error
            with file:
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
            for start in range(0, rows, _BLOCK):
                self._pour(path, series[start : min(rows, start + _BLOCK)], start, sequence, match, sink)

    def _pour(self, path: Path, data: Any, start: int, sequence: int, match: re.Match[str], sink: Sink) -> None:
        op = data["op_type"].astype(np.int64)
        known = np.isin(op, [int(kind) for kind in Op])
        if not known.all():
            k = int(np.argmin(known))
            raise failure(
                path, f"op_type {op[k]} at row {start + k + 1}; allowed: 1, 2, 3", column=f"{match[0]}/timeseries"
            )
        read_only = op == Op.READ
        sign = 1 if self.potentiation == "positive" else -1
        rows = {
            "sequence": sequence,
            "cell_row": int(match[1]),
            "cell_col": int(match[2]),
            "op": op,
            "direction": np.where(read_only, 0, sign * np.sign(np.nan_to_num(data["voltage"]))),
            "v_V": np.where(read_only, np.nan, data["voltage"]),
            "width_s": np.where(read_only, np.nan, data["pulse_width"]),
            "n_pulses": np.where(read_only, 0, 1),
            "v_read_V": data["read_voltage"].astype(np.float64),
            "i_A": data["current"].astype(np.float64),
        }
        sink.rows(self.role, path, start + 1 + np.arange(len(op)), rows, negative=self.negative)
