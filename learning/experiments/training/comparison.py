"""The comparison of all arms at the end of a training run, as a table. It never trains and never reads a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from learning.common.convergence import STILL_TO_GAIN, to_gain
from learning.data.dataset import Answers
from learning.experiments.monte_carlo.chance import chance_note
from learning.experiments.monte_carlo.score import Score
from learning.experiments.report.tables import Table
from learning.experiments.report.training.results import TrainingResults
from learning.experiments.report.wording import count_text, time_label
from learning.experiments.runs.result_log import Row


def comparison(title: str, results: TrainingResults, arms: Sequence[str], targets: Sequence[float]) -> Table:
    """One row per arm: accuracy (or R2 and MSE) at the end, mean and standard deviation over seeds, best, samples to each target.

    Seeds that diverged are in the last column only, which is there when any did.

    Args:
        title: of the run. results: of all arms. arms: names, in order. targets: accuracies, or R2, in [0, 1].
    """
    score = results.score
    header = ["arm", "seeds", score.heading, "sd", f"best{score.unit}", *map(str.upper, score.columns[1:]), "vs twin"]
    header += ["pulses", "chip time"]
    named = "" if score.unit else f"{score.name} "
    header += [f"samples to {named}{score.limit(target)}" for target in targets]
    header += ["diverged"] if results.diverged else []
    curves = results.shown.curves
    ends = {arm: last_rows(curves, arm) if results.ended(arm) else [] for arm in arms}
    rows = []
    for arm in arms:
        end, twin = ends[arm], results.twins.get(arm)
        cells = [arm, results.seeds_text(arm, len(end)), *_score_cells(score, curves, end, ends.get(twin or "", []))]
        cells += [_mean_text(end, "pulses", count_text), _mean_text(end, "chip_time_s", time_label)]
        cells += [_needed(curves, end, target, score.key) for target in targets]
        rows.append((*cells, *([results.diverged_text(arm)] if results.diverged else [])))
    return Table(
        tuple(header),
        tuple(rows),
        f"{title}: at the end of training; sd over seeds; best: the highest evaluation, picked afterwards",
    )


def _score_cells(score: Score, curves: Sequence[Row], end: Sequence[Row], twin: Sequence[Row]) -> list[str]:
    """Score, its standard deviation, the best, what else was measured, and the distance to the twin."""
    others = score.columns[1:]
    if not end:
        return ["diverged", "", "", *[""] * len(others), ""]
    values = _numbers(end, score.key)
    best = [_numbers(_of_seed(curves, row), score.key).max() for row in end]
    return [
        score.number(values.mean()),
        score.number(values.std(ddof=1)) if len(values) > 1 else "",
        score.number(np.mean(best)),
        *(f"{mean(end, column):.4g}" for column in others),
        score.change(values.mean() - _numbers(twin, score.key).mean()) if twin else "",
    ]


def _needed(curves: Sequence[Row], end: Sequence[Row], target: float, key: str) -> str:
    """Mean samples to a target over the seeds that reached it."""
    needed = [first_reaching(curves, str(row["arm"]), row["seed"], target, key) for row in end]
    reached = [n for n in needed if n is not None]
    share = "" if len(reached) == len(needed) else f" ({len(reached)} of {len(needed)} seeds)"
    return f"{count_text(float(np.mean(reached)))}{share}" if reached else "not reached"


def first_reaching(curves: Sequence[Row], arm: str, seed: object, target: float, key: str = "accuracy") -> float | None:
    """Samples at which an arm's score, in the column `key`, first reaches `target`, linear between evaluations; None when it never does."""
    points = [
        (float(row["samples"] or 0), float(row[key] or 0.0))
        for row in curves
        if row["arm"] == arm and row["seed"] == seed
    ]
    before: tuple[float, float] | None = None
    for samples, value in sorted(points):
        if value >= target:
            if before is None or value == before[1]:
                return samples
            return before[0] + (samples - before[0]) * (target - before[1]) / (value - before[1])
        before = (samples, value)
    return None


def of_the_twins(curves: Sequence[Row], twins: Iterable[str], answers: Answers, score: Score) -> tuple[str, ...]:
    """Sentences on digital twins that had not converged, or learned nothing: nobody knows how far a chip stays behind them.

    Judged by the evaluations, mean over seeds (`learning.common.convergence`); half is the last evaluation until there.
    """
    found: list[str] = []
    for twin in twins:
        end = last_rows(curves, twin)
        halves = [_until(_of_seed(curves, row), float(row["samples"] or 0) / 2) for row in end]
        if not end or not all(np.isfinite(_numbers(end, score.key))):
            continue
        before, after = mean(halves, score.key), mean(end, score.key)
        found += chance_note(score, after, answers, twin)
        if to_gain(before, after) > STILL_TO_GAIN:
            found.append(
                f"{twin}: had not converged: {score.name} {score.shown(before)} after {mean(halves, 'samples'):.0f} samples, "
                f"{score.shown(after)} after {mean(end, 'samples'):.0f}; longer training may change every figure, 'vs twin' too."
            )
    return tuple(found)


def _until(rows: Sequence[Row], samples: float) -> Row:
    """The last evaluation until so many samples; there is one at the start."""
    return max(
        (row for row in rows if float(row["samples"] or 0) <= samples), key=lambda row: float(row["samples"] or 0)
    )


def last_rows(curves: Sequence[Row], arm: str) -> list[Row]:
    """Last evaluation of every seed of an arm."""
    last: dict[object, Row] = {}
    for row in curves:
        known = last.get(row["seed"], row)
        if row["arm"] == arm and float(row["samples"] or 0) >= float(known["samples"] or 0):
            last[row["seed"]] = row
    return list(last.values())


def mean(rows: Sequence[Row], column: str) -> float:
    """Mean of a column over rows, an empty cell counted as nothing."""
    return float(_numbers(rows, column).mean())


def _mean_text(rows: Sequence[Row], column: str, text: Callable[[float], str]) -> str:
    return "" if not rows or rows[0][column] is None else text(mean(rows, column))


def _numbers(rows: Sequence[Row], column: str) -> np.ndarray:
    return np.array([float(row[column] or 0.0) for row in rows])


def _of_seed(curves: Sequence[Row], like: Row) -> list[Row]:
    return [row for row in curves if row["arm"] == like["arm"] and row["seed"] == like["seed"]]
