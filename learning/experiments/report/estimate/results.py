"""What a report of an estimate needs, in memory and in the files of a run's folder. It never computes a statistic.

One task of the Monte Carlo is one chip at one point of one study and gives one row per time after programming:

    study "nominal", value ""           the card and periphery as configured: accuracy against time
    study "adc_bits", value "6"         one setting changed, numeric: drawn as a curve over the value
    study "without", value "drift"      one non-ideality switched off; "only": only this one left: drawn as bars
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.config import UserError
from learning.experiments.monte_carlo.score import ACCURACY, SCORES, Score
from learning.experiments.runs.files import JsonRecord, checked_record, take
from learning.experiments.runs.result_log import Row, read_rows
from learning.experiments.runs.run_folder import RunDirectory

F32 = npt.NDArray[np.float32]
KEY = ("study", "value", "chip")
NOMINAL = {"study": "nominal", "value": ""}
LAYER_ERROR = "mvm_error:"
Value = Annotated[float, Field(le=1.0, allow_inf_nan=False)]


class TransferEntry(JsonRecord):
    """A `WeightTransfer` in summary.json; its arrays are beside it."""

    layer: str
    times: list[float]


class MapEntry(JsonRecord):
    """A `ConductanceMap` in summary.json; its array is beside it."""

    layer: str
    label: str


class DropEntry(JsonRecord):
    """A `DropMap` in summary.json; its arrays are beside it."""

    layer: str
    label: str


class PointEntry(JsonRecord):
    """Study, value and chips of one point."""

    study: str
    value: str
    chips: list[int]


class EstimateSummary(JsonRecord):
    """summary.json of an estimate; digital: column -> value of the digital network (an older version: digital_accuracy alone)."""

    kind: Literal["estimate"]
    title: str
    layers: list[str]
    points: list[PointEntry]
    digital_accuracy: Value | None = None
    digital: dict[str, float] | None = None
    n_test: Annotated[int, Field(ge=1)]
    threshold: Value
    score: Literal["accuracy", "r2"] = "accuracy"
    costs: dict[str, float]
    notes: list[str]
    converged: bool | None = None
    assumed: dict[str, dict[str, str]] = Field(default_factory=dict)
    transfer: list[TransferEntry]
    maps: list[MapEntry]
    drops: list[DropEntry] = Field(default_factory=list)


def estimate_columns(layers: Sequence[str], score: Score = ACCURACY) -> dict[str, type]:
    """Columns of `metrics.csv`: key, seconds since programming, accuracy in [0, 1] (or r2 and mse), error of each layer's output.

    The error of a layer is ``rms(y - y_ideal) / rms(y_ideal)`` on test inputs, empty where not measured.
    """
    errors = {f"{LAYER_ERROR}{layer}": float for layer in layers}
    measured = dict.fromkeys(score.columns, float)
    return {"study": str, "value": str, "chip": int, "time_s": float, **measured, **errors}


@dataclass(frozen=True)
class WeightTransfer:
    """Target weights of one layer, and the weights read back from one chip.

    Attributes:
        layer: name. target: (n,) weights. times: (T,) seconds since programming. read_back: (T, n) weights.
    """

    layer: str
    target: F32
    times: tuple[float, ...]
    read_back: F32


@dataclass(frozen=True)
class ConductanceMap:
    """Conductances of one crossbar.

    Attributes:
        layer: name. label: what is shown (`chip 0, 1 h after programming`). conductance: (planes, rows, cols) siemens.
    """

    layer: str
    label: str
    conductance: F32


@dataclass(frozen=True)
class DropMap:
    """What the wires of one crossbar leave of a read with all word lines at the read voltage.

    Attributes:
        layer, label: as in `ConductanceMap`. shares: (planes, rows, cols) volts across the cells over the read voltage.
        amperes: (planes, rows, cols) through the cells.
    """

    layer: str
    label: str
    shares: F32
    amperes: F32


@dataclass(frozen=True)
class EstimateResults:
    """All that the report of an estimate shows, beside the configuration and the environment of its run.

    Attributes:
        title: heading of the report. rows: of `metrics.csv`, columns as in `estimate_columns`. layers: names, in order.
        digital: column -> value of the ideal digital network on the same test samples. n_test: number of test samples.
        threshold: accuracy, or R2, from which a chip counts as good. transfer, maps, drops: see there; no drops without wires.
        costs: quantity with unit (`energy per inference (J)`) -> value. notes: sentences that a reader must know.
        converged: whether the digital network's training had; None when its weights were given.
        assumed: card -> key -> value, of what has no source. score: what chips are judged by.
    """

    title: str
    rows: Sequence[Row]
    layers: tuple[str, ...]
    digital: Mapping[str, float]
    n_test: int
    threshold: float
    transfer: tuple[WeightTransfer, ...] = ()
    maps: tuple[ConductanceMap, ...] = ()
    drops: tuple[DropMap, ...] = ()
    costs: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    converged: bool | None = None
    assumed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    score: Score = ACCURACY

    @property
    def digital_score(self) -> float:
        """Accuracy, or R2, of the ideal digital network."""
        return self.digital[self.score.key]

    def save(self, run: RunDirectory) -> None:
        """Write summary.json and the arrays; the rows are in metrics.csv already."""
        run.save_json(
            "summary",
            {
                "kind": "estimate",
                "title": self.title,
                "layers": list(self.layers),
                "points": _points(self.rows),
                "digital": dict(self.digital),
                "score": self.score.key,
                "n_test": self.n_test,
                "threshold": self.threshold,
                "costs": dict(self.costs),
                "notes": list(self.notes),
                "converged": self.converged,
                "assumed": {card: dict(values) for card, values in self.assumed.items()},
                "transfer": [{"layer": t.layer, "times": list(t.times)} for t in self.transfer],
                "maps": [{"layer": m.layer, "label": m.label} for m in self.maps],
                "drops": [{"layer": m.layer, "label": m.label} for m in self.drops],
            },
        )
        arrays = {f"target{k}": t.target for k, t in enumerate(self.transfer)}
        arrays |= {f"read_back{k}": t.read_back for k, t in enumerate(self.transfer)}
        arrays |= {f"conductance{k}": m.conductance for k, m in enumerate(self.maps)}
        arrays |= {f"share{k}": m.shares for k, m in enumerate(self.drops)}
        arrays |= {f"ampere{k}": m.amperes for k, m in enumerate(self.drops)}
        run.save_arrays("summary", arrays)

    @classmethod
    def load(cls, run: RunDirectory) -> EstimateResults:
        """Read what `save` wrote, and the rows it was made of; metrics.csv may hold more, of earlier starts with more chips or studies.

        Raises UserError when the run has no finished estimate.
        """
        found, arrays = run.load_json("summary"), run.load_arrays("summary")
        if found is None or arrays is None or found.get("kind") != "estimate":
            raise UserError(f"{run.path}: holds no finished estimate (summary.json); resume the run first")
        summary = checked_record(run.path / "summary.json", found, EstimateSummary, run.again)
        path = run.path / "arrays" / "summary.npz"
        score = SCORES[summary.score]
        digital = {"accuracy": summary.digital_accuracy} if summary.digital is None else summary.digital
        if not all(isinstance(digital.get(column), float) for column in score.columns):
            raise UserError(f"{run.path / 'summary.json'}: digital: needs {', '.join(score.columns)}; {run.again}")
        rows = read_rows(run.path / "metrics.csv", estimate_columns(summary.layers, score), KEY)
        return cls(
            title=summary.title,
            rows=_rows_of(rows, summary.points, run, score),
            layers=tuple(summary.layers),
            digital={name: float(value or 0.0) for name, value in digital.items()},
            score=score,
            n_test=summary.n_test,
            threshold=summary.threshold,
            transfer=tuple(
                WeightTransfer(
                    t.layer,
                    take(arrays, f"target{k}", 1, path, run.again),
                    tuple(t.times),
                    take(arrays, f"read_back{k}", 2, path, run.again),
                )
                for k, t in enumerate(summary.transfer)
            ),
            maps=tuple(
                ConductanceMap(m.layer, m.label, take(arrays, f"conductance{k}", 3, path, run.again))
                for k, m in enumerate(summary.maps)
            ),
            drops=tuple(
                DropMap(
                    m.layer,
                    m.label,
                    take(arrays, f"share{k}", 3, path, run.again),
                    take(arrays, f"ampere{k}", 3, path, run.again),
                )
                for k, m in enumerate(summary.drops)
            ),
            costs=summary.costs,
            notes=tuple(summary.notes),
            converged=summary.converged,
            assumed=summary.assumed,
        )


def _points(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Study, value and chips of every point, as summary.json keeps them."""
    chips: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        chips.setdefault((str(row["study"]), str(row["value"])), set()).add(int(row["chip"] or 0))
    return [{"study": study, "value": value, "chips": sorted(found)} for (study, value), found in chips.items()]


def _rows_of(rows: Iterable[Row], points: Iterable[PointEntry], run: RunDirectory, score: Score) -> list[Row]:
    """The rows that belong to `points`. Raises UserError when a chip has none, or a score that cannot be."""
    wanted = {(point.study, point.value, chip) for point in points for chip in point.chips}
    found = [row for row in rows if (row["study"], row["value"], row["chip"]) in wanted]
    path = run.path / "metrics.csv"
    if missing := sorted(wanted - {(row["study"], row["value"], row["chip"]) for row in found}):
        raise UserError(f"{path}: has no rows of {missing[0]}, which summary.json tells of; {run.again}")
    for row in found:
        value, (low, high) = row[score.key], score.bounds
        if not isinstance(value, float) or not low <= value <= high:
            allowed = "0 to 1" if low == 0.0 else f"at most {high:g}"
            raise UserError(f"{path}: {score.name} of chip {row['chip']} must be {allowed} (got {value}); {run.again}")
    return found


def by_chip_and_time(
    rows: Iterable[Row], quantity: str = "accuracy"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Times (T,) in seconds, ascending, and `quantity` as (chips, T), chips ascending, of one point's rows.

    Raises:
        UserError: a chip lacks a time that another has.
    """
    table = {(int(row["chip"] or 0), float(row["time_s"] or 0.0)): row[quantity] for row in rows}
    chips = sorted({chip for chip, _ in table})
    times = sorted({time for _, time in table})
    missing = [(chip, time) for chip in chips for time in times if table.get((chip, time)) is None]
    if missing:
        raise UserError(f"results: no {quantity} for chip {missing[0][0]} at {missing[0][1]} s")
    values = [[float(table[chip, time] or 0.0) for time in times] for chip in chips]
    return np.asarray(times, np.float64), np.asarray(values, np.float64).reshape(len(chips), len(times))
