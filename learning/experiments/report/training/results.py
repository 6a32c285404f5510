"""What a report of on-chip training needs, in memory and in the files of a run's folder. It never computes a statistic.

An arm is one thing compared: a rule, with or without decorrelation, on a card (`node_perturbation + natural, ecram`).
Every arm runs on one or more seeds. The ideal digital twin is an arm as well, marked by its name in `twins`.

    metrics.csv  one row per arm, seed and evaluation (curve_columns)
    layers.csv   one row per arm, seed, evaluation and layer (LAYER_COLUMNS)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.config import UserError
from learning.experiments.monte_carlo.score import ACCURACY, SCORES, Score
from learning.experiments.runs.files import JsonRecord, checked_record, take
from learning.experiments.runs.result_log import Row, read_rows
from learning.experiments.runs.run_folder import RunDirectory


def curve_columns(score: Score) -> dict[str, type]:
    """Columns of metrics.csv, beside `arm` and `seed`."""
    return {
        "samples": int,  # training samples seen so far
        "epoch": float,
        "loss": float,  # mean training loss since the last row
        **dict.fromkeys(score.columns, float),  # on the test samples: accuracy in [0, 1], or r2 and mse
        "pulses": float,  # sent to all cells of all crossbars so far; empty for a digital arm
        "chip_time_s": float,  # chip time so far; empty for a digital arm
        "energy_J": float,  # by the card's cost model, so far; empty where unknown
    }


OF_AN_ARM: Mapping[str, type] = MappingProxyType({"arm": str, "seed": int})
"""First columns of metrics.csv of a run: which arm, on which seed."""
LAYER_COLUMNS: Mapping[str, type] = MappingProxyType(
    {
        "arm": str,
        "seed": int,
        "samples": int,
        "layer": str,
        "gradient_cosine": float,  # of the rule's update with the true gradient; or empty
        "decorrelation_loss": float,  # mean squared off-diagonal correlation of the layer's input; or empty
        "pulses_mean": float,  # per cell of the layer's weights, so far
        "pulses_max": float,
    }
)


class HistoryEntry(JsonRecord):
    """A `ConductanceHistory` in summary.json; its arrays are beside it."""

    arm: str
    layer: str


class DivergenceEntry(JsonRecord):
    """A `Divergence` in summary.json."""

    arm: str
    seed: int
    sample: int
    message: str


class TrainingSummary(JsonRecord):
    """summary.json of a training run; rows: of metrics.csv and layers.csv (an older version does not tell)."""

    kind: Literal["training"]
    title: str
    n_test: Annotated[int, Field(ge=1)]
    twins: dict[str, str]
    costs: dict[str, dict[str, float]]
    notes: list[str]
    assumed: dict[str, dict[str, str]] = Field(default_factory=dict)
    diverged: list[DivergenceEntry]
    conductances: list[HistoryEntry]
    rows: list[int] | None = None
    score: Literal["accuracy", "r2"] = "accuracy"


@dataclass(frozen=True)
class ConductanceHistory:
    """Histogram of the conductances of one layer over training.

    Attributes:
        arm, layer: names. samples: (S,) training samples seen. edges: (K + 1,) siemens. counts: (S, K) cells.
    """

    arm: str
    layer: str
    samples: npt.NDArray[np.int64]
    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Divergence:
    """Where the loss of an arm on one seed was no longer finite.

    Attributes:
        arm, seed: which. sample: training samples seen until then. message: what broke, and where the checkpoint is.
    """

    arm: str
    seed: int
    sample: int
    message: str


@dataclass(frozen=True)
class TrainingResults:
    """All that the report of a training run shows, beside the configuration and the environment of its run.

    Attributes:
        title: heading of the report. curves: rows of metrics.csv. layers: rows of layers.csv.
        twins: arm -> name of the arm that is its ideal digital twin. conductances: see there.
        n_test: number of test samples. costs: arm -> quantity with unit -> value. notes: sentences a reader must know.
        diverged: seeds of arms that did not come to their end; their rows stop before.
        assumed: card -> key -> value, of what has no source. score: what the arms are judged by.
    """

    title: str
    curves: Sequence[Row]
    layers: Sequence[Row]
    n_test: int
    twins: Mapping[str, str] = field(default_factory=dict)
    conductances: tuple[ConductanceHistory, ...] = ()
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    diverged: tuple[Divergence, ...] = ()
    assumed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    score: Score = ACCURACY

    def divergences(self, arm: str) -> list[Divergence]:
        """Those of an arm."""
        return [found for found in self.diverged if found.arm == arm]

    def ended(self, arm: str) -> bool:
        """Whether any seed of an arm came to its end."""
        return bool(self._seeds(arm) - {found.seed for found in self.divergences(arm)})

    @property
    def shown(self) -> TrainingResults:
        """The same without the seeds that diverged of arms of which another seed ended: they would bend its means."""
        left_out = {(found.arm, found.seed) for found in self.diverged if self.ended(found.arm)}
        curves, layers = (
            [row for row in rows if (row["arm"], row["seed"]) not in left_out] for rows in (self.curves, self.layers)
        )
        return replace(self, curves=curves, layers=layers)

    def seeds_text(self, arm: str, ended: int) -> str:
        """`3`, or `2 of 3` when one diverged."""
        diverged = len(self.divergences(arm))
        return f"{ended} of {ended + diverged}" if diverged else str(ended)

    def diverged_text(self, arm: str) -> str:
        """`at sample 640`, or `1 seed, at sample 640` beside others that ended; empty when none diverged."""
        found = self.divergences(arm)
        if not found:
            return ""
        first = f"at sample {min(each.sample for each in found)}"
        if len(found) == 1 and not self.ended(arm):
            return first
        return f"{len(found)} seed{'s' if len(found) > 1 else ''}, {'first ' if len(found) > 1 else ''}{first}"

    def _seeds(self, arm: str) -> set[object]:
        return {row["seed"] for row in self.curves if row["arm"] == arm}

    def save(self, run: RunDirectory) -> None:
        """Write summary.json and the arrays; the rows are in metrics.csv and layers.csv already."""
        run.save_json(
            "summary",
            {
                "kind": "training",
                "title": self.title,
                "n_test": self.n_test,
                "twins": dict(self.twins),
                "costs": {arm: dict(costs) for arm, costs in self.costs.items()},
                "notes": list(self.notes),
                "assumed": {card: dict(values) for card, values in self.assumed.items()},
                "diverged": [asdict(found) for found in self.diverged],
                "conductances": [{"arm": c.arm, "layer": c.layer} for c in self.conductances],
                "rows": [len(self.curves), len(self.layers)],
                "score": self.score.key,
            },
        )
        arrays = {f"samples{k}": c.samples for k, c in enumerate(self.conductances)}
        run.save_arrays(
            "summary",
            arrays
            | {f"edges{k}": c.edges for k, c in enumerate(self.conductances)}
            | {f"counts{k}": c.counts for k, c in enumerate(self.conductances)},
        )

    @classmethod
    def load(cls, run: RunDirectory) -> TrainingResults:
        """Read what `save` wrote. Raises UserError when the run has no finished training."""
        found, arrays = run.load_json("summary"), run.load_arrays("summary")
        if found is None or arrays is None or found.get("kind") != "training":
            raise UserError(f"{run.path}: holds no finished training (summary.json); resume the run first")
        summary = checked_record(run.path / "summary.json", found, TrainingSummary, run.again)
        path = run.path / "arrays" / "summary.npz"
        score = SCORES[summary.score]
        curves = read_rows(run.path / "metrics.csv", {**OF_AN_ARM, **curve_columns(score)}, ("arm", "seed"))
        layers = read_rows(run.path / "layers.csv", LAYER_COLUMNS)
        for name, rows, count in zip(("metrics", "layers"), (curves, layers), summary.rows or [], strict=False):
            if len(rows) != count:
                raise UserError(
                    f"{run.path / name}.csv: has {len(rows)} rows, summary.json tells of {count}; {run.again}"
                )
        return cls(
            title=summary.title,
            curves=curves,
            layers=layers,
            n_test=summary.n_test,
            twins=summary.twins,
            conductances=tuple(
                ConductanceHistory(
                    c.arm,
                    c.layer,
                    take(arrays, f"samples{k}", 1, path, run.again),
                    take(arrays, f"edges{k}", 1, path, run.again),
                    take(arrays, f"counts{k}", 2, path, run.again),
                )
                for k, c in enumerate(summary.conductances)
            ),
            costs=summary.costs,
            notes=tuple(summary.notes),
            assumed=summary.assumed,
            diverged=tuple(Divergence(d.arm, d.seed, d.sample, d.message) for d in summary.diverged),
            score=score,
        )
