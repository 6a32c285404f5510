"""What every reader is: a part of a measurement configuration that pours the rows of its files into a sink."""

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Literal

from analog_sim.config import Part, Q
from devices.measurements.columns.files import MeasuredFiles
from devices.measurements.table.sink import Negative, Sink

NOMINAL_READ_VOLTAGE = 0.1
"""Volts that turn conductances of files without a read voltage into the table's currents; conductance itself does not depend on it."""


class Reader(Part):
    """One format. A new format is a new file in `devices/measurements/readers/` with a concrete reader.

    Attributes:
        path: a file, a pattern or a list, beside the YAML file or in the folder of ANALOG_SIM_DATA.
        device: label of the device for files that name no cell; files with one label are one device; default: as `devices_are`.
            Where a file names cells, those of another label are other cells.
        devices_are: what one device is, without a label: a file, or the files of a folder; auto: a folder where all files of a reader have
            one name and lie in folders of their own (`*/up.txt`), which the report says, else a file.
        v_read: read voltage, when the file does not hold it.
        negative: what to do with reads below 0 S: exclude from fits (and count), take the magnitude, or keep (noise around 0).
    """

    path: MeasuredFiles
    device: str | None = None
    devices_are: Literal["auto", "files", "folders"] = "auto"
    v_read: Annotated[float, Q("voltage", "V", gt=0)] | None = None
    negative: Negative = "exclude"

    @abstractmethod
    def read(self, sink: Sink) -> None:
        """Pour the rows of all files into the sink, in blocks. Raises MeasurementError naming file, line and column."""

    def device_of(self, path: Path, sink: Sink) -> int:
        """Number of the device a whole file belongs to."""
        if self.device is not None:
            return sink.device(self.device)
        one_name = len(self.path) > 1 and len({other.name for other in self.path}) == 1
        if self.devices_are == "folders" or (self.devices_are == "auto" and one_name):
            if self.devices_are == "auto":
                sink.log.note(
                    f"{len(self.path)} files called {path.name}: a device is named by its folder (devices_are: files, if each is its own)"
                )
            return sink.device(str(path.parent))
        return sink.device(str(path))

    @property
    def read_voltage(self) -> float:
        """Volts; a nominal 0.1 V when not given."""
        return self.v_read if self.v_read is not None else NOMINAL_READ_VOLTAGE
