"""Reader of step distributions in a NumPy archive: several devices, both directions. Never raw pulses, never pickled objects."""

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from devices.measurements.columns.reader import Reader
from devices.measurements.readers.step_distribution import checked
from devices.measurements.table.sink import Sink
from devices.measurements.text.archives import npz_arrays, numbers_of
from devices.measurements.text.header_units import resolve_unit
from devices.measurements.text.numbers import NumberColumn
from devices.measurements.text.problems import failure

F64 = npt.NDArray[np.float64]


class StepDistributionNpz(Reader):
    """Arrays of an .npz: probabilities (P,), states (D, S) or (S,), changes (D, P, S) or (P, S) per direction; one table per device.

    Attributes:
        probabilities, states, up, down: names of the arrays. unit: of states and changes.
    """

    kind: Literal["step_distribution_npz"] = "step_distribution_npz"
    probabilities: str = "cdf"
    states: str = "G"
    up: str | None = "dG_inc"
    down: str | None = "dG_dec"
    unit: str = "S"

    def read(self, sink: Sink) -> None:
        """Read each archive as one distribution per device and direction."""
        for path in self.path:
            self._read(path, sink)

    def _read(self, path: Path, sink: Sink) -> None:
        wanted = {name for name in (self.probabilities, self.states, self.up, self.down) if name is not None}
        try:
            arrays = numbers_of(npz_arrays(path, wanted))
        except ValueError as error:
            raise failure(path, str(error)) from error
        unit = NumberColumn(0, "dG", "conductance", resolve_unit(path, "dG", "conductance", self.unit, None)).scale
        if arrays[self.states].ndim not in (1, 2) or not arrays[self.states].size:
            shape = arrays[self.states].shape
            raise failure(path, f"array {self.states!r} has shape {shape}, expected (states,) or (devices, states)")
        p, g = arrays[self.probabilities], np.atleast_2d(arrays[self.states]) * unit
        for direction, name in ((1, self.up), (-1, self.down)):
            if name is None:
                continue
            dg = arrays[name] * unit
            dg = dg[None] if dg.ndim == 2 else dg
            if p.ndim != 1 or dg.shape != (g.shape[0], p.shape[0], g.shape[1]):
                raise failure(
                    path,
                    f"array {name!r} has shape {dg.shape}, expected (devices, probabilities, states)"
                    f" = {(g.shape[0], p.shape[0], g.shape[1])}",
                )
            for k in range(g.shape[0]):
                label = f"{self.device or path}:{k}"
                sink.distribution(checked(path, g[k], p, dg[k], direction, sink.device(label), sink))
        sink.log.add_rows(path, int(np.prod(arrays[self.states].shape)))
