"""Reader of step distributions as text: quantiles of the change per pulse at each state (CrossSim lookup tables). Never raw pulses."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from devices.measurements.columns.reader import Reader
from devices.measurements.table.distribution import StepDistribution
from devices.measurements.table.plausible import LARGEST_S
from devices.measurements.table.sink import Sink
from devices.measurements.text.delimiters import fields_of
from devices.measurements.text.header_units import resolve_unit
from devices.measurements.text.lines import Line, LineReader
from devices.measurements.text.numbers import NumberColumn
from devices.measurements.text.problems import failure

F64 = npt.NDArray[np.float64]


class StepDistributionText(Reader):
    """Lines: a comment, the states, the cumulative probabilities, then one line of changes per probability, one column per state.

    Blank lines are skipped. Every file is one device, unless `device` says otherwise, and one direction.

    Attributes:
        direction: of the pulses. unit: of states and changes. skip_lines: lines before the states.
        orientation: whether a line of changes belongs to one probability or to one state.
    """

    kind: Literal["step_distribution"] = "step_distribution"
    direction: Literal["up", "down"]
    unit: str = "S"
    skip_lines: Annotated[int, Field(ge=0, le=10**9)] = 1
    orientation: Literal["line_is_probability", "line_is_state"] = "line_is_probability"

    def read(self, sink: Sink) -> None:
        """Read each file as one distribution."""
        for path in self.path:
            with LineReader(path, sink.log) as lines:
                for _ in range(self.skip_lines):
                    next(lines, None)
                rows = [(line, self._row(line, path, sink)) for line in lines if line.text.strip()]
            sink.distribution(self._distribution(path, rows, sink))
            sink.log.add_rows(path, len(rows))

    def _row(self, line: Line, path: Path, sink: Sink) -> F64:
        delimiter = "," if "," in line.text else (";" if ";" in line.text else " ")
        texts = [text for text in fields_of(line.text, delimiter) if text]
        column = NumberColumn(0, "", None)
        return np.array([column.text_value(text, path, line.number, sink.log, ".") for text in texts])

    def _distribution(self, path: Path, rows: list[tuple[Line, F64]], sink: Sink) -> StepDistribution:
        if len(rows) < 4:
            raise failure(
                path,
                f"needs states, probabilities and at least two lines of changes after line {self.skip_lines}: got {len(rows)}",
            )
        (at_g, g), (at_p, p), *body = rows
        unit = NumberColumn(0, "dG", "conductance", resolve_unit(path, "dG", "conductance", self.unit, None)).scale
        wanted, lines_wanted = (len(g), len(p)) if self.orientation == "line_is_probability" else (len(p), len(g))
        for line, values in body:
            if len(values) != wanted:
                raise failure(path, f"has {len(values)} numbers, expected {wanted}", line=line.number)
        if len(body) != lines_wanted:
            raise failure(path, f"{len(body)} lines of changes, expected {lines_wanted}", line=body[-1][0].number)
        dg = np.array([values for _, values in body])
        if self.orientation == "line_is_state":
            dg = dg.T
        return checked(
            path,
            g * unit,
            p,
            dg * unit,
            1 if self.direction == "up" else -1,
            self.device_of(path, sink),
            sink,
            lines=(at_g.number, at_p.number),
        )


def checked(
    path: Path,
    g: F64,
    p: F64,
    dg: F64,
    direction: int,
    device: int,
    sink: Sink,
    *,
    lines: tuple[int | None, int | None] = (None, None),
) -> StepDistribution:
    """Return a distribution whose states and probabilities ascend; changes out of order along the probability are sorted and counted.

    Raises MeasurementError for anything that is no distribution.
    """
    for name, values, line in (("states", g, lines[0]), ("probabilities", p, lines[1])):
        if not np.isfinite(values).all():
            raise failure(path, f"{name}: value {int(np.argmin(np.isfinite(values))) + 1} is not a number", line=line)
    if not np.isfinite(dg).all():
        row, column = np.argwhere(~np.isfinite(dg))[0]
        raise failure(path, f"the change at probability {row + 1}, state {column + 1} is not a number")
    if (np.diff(p) <= 0).any() or p[0] < 0 or p[-1] > 1:
        hint = "; percent? divide by 100" if 1 < p[-1] <= 100 else ""
        raise failure(path, f"probabilities must ascend within [0, 1] (got {p[0]} ... {p[-1]}){hint}", line=lines[1])
    if (g < 0).any():
        raise failure(path, f"negative conductance among the states ({g.min()} S)", line=lines[0])
    for name, values in (("states", g), ("changes", np.abs(dg))):
        if values.max() > LARGEST_S:
            raise failure(
                path, f"{name} of {values.max():.4g} S: more than {LARGEST_S:g} S is no memory cell; check unit"
            )
    order = np.argsort(g, kind="stable")
    g, dg = g[order], dg[:, order]
    if (np.diff(g) <= 0).any():
        raise failure(path, "the same state twice", line=lines[0])
    ordered = np.sort(dg, axis=0)
    mean = direction * np.trapezoid(ordered, p, axis=0)
    if (mean < 0).all():
        word, moved = ("up", "lower") if direction > 0 else ("down", "raise")
        raise failure(
            path, f"changes of direction {word} {moved} the conductance at every state: is it the other direction?"
        )
    sink.log.count(path, "change out of order along the probability, sorted", times=int((ordered != dg).sum()))
    return StepDistribution(device, direction, g, p, ordered, str(path))
