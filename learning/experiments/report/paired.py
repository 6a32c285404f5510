"""Two runs side by side: which keys changed, and what that did, paired where they share chips or seeds. It never runs anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from analog_sim.config import UserError
from learning.experiments.monte_carlo.metrics import ALIKE, Interval, mean_interval
from learning.experiments.monte_carlo.score import Score
from learning.experiments.report.estimate.results import EstimateResults
from learning.experiments.report.tables import Table
from learning.experiments.report.training.results import TrainingResults
from learning.experiments.report.wording import readable, time_label
from learning.experiments.runs.run_folder import RunDirectory

NOT_COMPARED = ("name", "parallel")
"""Keys that decide nothing of the results."""
Values = dict[str, dict[object, float]]
"""Row -> chip or seed -> accuracy in [0, 1], or R2."""


@dataclass(frozen=True)
class RunPair:
    """Two finished runs of one kind.

    Attributes:
        keys: dotted key, value of the first, value of the second, for every key that differs. scores: row by row, with the difference.
    """

    keys: Table
    scores: Table


def compare_runs(first: RunDirectory, second: RunDirectory) -> RunPair:
    """Compare two estimates, or two trainings.

    Differences are of the accuracy (or R2), second minus first, with a 95 % interval: paired chip by chip (seed by seed) where both were
    fabricated from the same seed, else of two independent samples (Welch 1947).

    Raises:
        UserError: a run that is not finished, or two of different kinds, or of classes and of predicted numbers.
    """
    kinds = [run.kind for run in (first, second)]
    done = [run.load_json("summary") is not None for run in (first, second)]
    if kinds[0] != kinds[1] or kinds[0] not in ("estimate", "training") or not all(done):
        got = [
            f"{run.path}: {'' if ended or run.finished else 'unfinished '}{kind}"
            for run, kind, ended in zip((first, second), kinds, done, strict=True)
        ]
        raise UserError(f"compare: needs two finished estimates or two finished trainings (got {', '.join(got)})")
    (one, score), (two, other) = (_values(run, kinds[0]) for run in (first, second))
    if score != other:
        raise UserError(f"compare: {first.path} is judged by {score.name}, {second.path} by {other.name}")
    same_seed = kinds[0] == "training" or first.environment.seed == second.environment.seed
    names = [name for name in one if name in two]
    if not names:
        raise UserError(f"compare: the runs have no {'time' if kinds[0] == 'estimate' else 'arm'} in common")
    what = "chips" if kinds[0] == "estimate" else "seeds"
    rows = tuple(_row(name, one[name], two[name], score, paired=same_seed) for name in names)
    how = f"paired over common {what}" if same_seed else f"independent {what}: the seeds differ"
    caption = f"{score.heading}, mean over {what}; difference B - A with its 95 % interval, {how}"
    head = ("time" if kinds[0] == "estimate" else "arm", "A", "B", "B - A [95 %]", what)
    return RunPair(_changed(first, second), Table(head, rows, caption))


def _values(run: RunDirectory, kind: str) -> tuple[Values, Score]:
    found: Values = {}
    if kind == "estimate":
        estimate = EstimateResults.load(run)
        for row in estimate.rows:
            if row["study"] == "nominal":
                time = time_label(float(row["time_s"] or 0.0))
                found.setdefault(time, {})[row["chip"]] = float(row[estimate.score.key] or 0.0)
        return found, estimate.score
    last: dict[tuple[str, object], tuple[float, float]] = {}
    training = TrainingResults.load(run)
    for row in training.shown.curves:
        value = float(row[training.score.key] or 0.0)
        key, now = (str(row["arm"]), row["seed"]), (float(row["samples"] or 0), value)
        last[key] = max(last.get(key, now), now, key=lambda pair: pair[0])
    for (arm, seed), (_, value) in last.items():
        found.setdefault(arm, {})[seed] = value
    return found, training.score


def _row(
    name: str, one: Mapping[object, float], two: Mapping[object, float], score: Score, *, paired: bool
) -> tuple[str, ...]:
    common = [key for key in one if key in two] if paired else []
    if common:
        a, b = (np.array([values[key] for key in common]) for values in (one, two))
        found, count = mean_interval(b - a), f"{len(common)}"
    else:
        a, b = (np.array(list(values.values())) for values in (one, two))
        found, count = welch_interval(a, b), f"{a.size} and {b.size}"
    span = f" [{score.change_span(found, ', ')}]" if not found.alike else f" ({score.within_change(found)})"
    means = (score.number(float(each.mean())) for each in (a, b))
    return (name, *means, f"{score.change(found.value)}{'' if math.isnan(found.low) else span}", count)


def welch_interval(a: Any, b: Any, level: float = 0.95) -> Interval:
    """Difference of the means of two independent samples (n,) and (m,), b minus a, with Welch's (1947) interval.

    ``d -+ t s``, s^2 = s_a^2/n + s_b^2/m, degrees of freedom ``s^4 / ((s_a^2/n)^2/(n - 1) + (s_b^2/m)^2/(m - 1))``; nan with one value.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    value = float(y.mean() - x.mean())
    if min(x.size, y.size) < 2:
        return Interval(value, math.nan, math.nan, x.size + y.size, "single value", level)
    parts = [float(v.var(ddof=1)) / v.size for v in (x, y)]
    total = sum(parts)
    if total == 0.0:
        return Interval(value, value, value, x.size + y.size, ALIKE, level)
    freedom = total**2 / sum(part**2 / (v.size - 1) for part, v in zip(parts, (x, y), strict=True))
    half = float(stdtrit(freedom, 0.5 + level / 2)) * math.sqrt(total)
    return Interval(value, value - half, value + half, x.size + y.size, "Welch", level)


def _changed(first: RunDirectory, second: RunDirectory) -> Table:
    one, two = (_leaves(run) for run in (first, second))
    sections = list(dict.fromkeys(key.partition(".")[0] for key in (*one, *two)))
    keys = [key for key in dict.fromkeys([*one, *two]) if key.partition(".")[0] not in NOT_COMPARED]
    keys.sort(key=lambda key: sections.index(key.partition(".")[0]))
    rows = [
        (key, readable(one.get(key, "")), readable(two.get(key, ""))) for key in keys if one.get(key) != two.get(key)
    ]
    return Table(("key", "A", "B"), tuple(rows), "keys that differ" if rows else "the same configuration")


def _leaves(run: RunDirectory) -> dict[str, str]:
    """Dotted key -> value as text, of a resolved configuration. Raises UserError."""
    found: dict[str, str] = {}

    def walk(value: object, path: str) -> None:
        if isinstance(value, dict) and value:
            for name, item in value.items():
                walk(item, f"{path}.{name}" if path else str(name))
        else:
            found[path] = "null" if value is None else str(value)

    walk(run.configuration, "")
    return found
