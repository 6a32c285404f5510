"""What a network is judged by: the accuracy of classes, or R2 and the mean squared error of predicted numbers. And how it is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from learning.data.dataset import NumericTargets
from learning.experiments.monte_carlo.metrics import SHARE, Interval, accuracy, mean_interval, wilson_interval


@dataclass(frozen=True)
class Score:
    """One number for how well a network does: the higher the better, 1 is perfect.

    Attributes:
        key: its column in `metrics.csv`. name: in sentences. columns: all that an evaluation measures, this one first.
        factor, unit, points, digits: how a value and a difference are written, such as 97.31 % and 0.25 points. bounds: of a mean.
        counts: every sample is right or wrong, so that a value of n samples has an interval of its own.
    """

    key: str
    name: str
    columns: tuple[str, ...]
    factor: float
    unit: str
    points: str
    digits: int
    bounds: tuple[float, float]
    counts: bool

    @property
    def heading(self) -> str:
        """Of a column: `accuracy %`, `R2`."""
        return f"{self.name}{self.unit}"

    @property
    def title(self) -> str:
        """At the start of a sentence."""
        return self.name[0].upper() + self.name[1:]

    @property
    def axis(self) -> str:
        """Of an axis: `accuracy (%)`, `R2`."""
        return f"{self.name} ({self.unit.strip()})" if self.unit else self.name

    @property
    def lost(self) -> str:
        """What differences are in, behind a label of an axis: ` (points)`, or nothing."""
        return f" ({self.points.strip()})" if self.points else ""

    def number(self, value: float) -> str:
        """`97.31`, `0.9731`."""
        return f"{self.factor * value:.{self.digits}f}"

    def shown(self, value: float) -> str:
        """`97.31 %`, `0.9731`."""
        return self.number(value) + self.unit

    def limit(self, value: float) -> str:
        """A threshold as it was given: `96.5 %`, `0.965`."""
        return f"{self.factor * value:.4g}{self.unit}"

    def change(self, value: float) -> str:
        """`+0.25`, `-0.0025`."""
        return f"{self.factor * value:+.{self.digits}f}"

    def gap(self, value: float) -> str:
        """Size of a difference: `0.25 points`, `0.0025`."""
        return f"{self.factor * abs(value):.{self.digits}f}{self.points}"

    def same(self, difference: float) -> bool:
        """Whether a difference rounds to nothing."""
        return self.factor * abs(difference) < 0.5 * 10.0**-self.digits

    def text(self, interval: Interval) -> str:
        """`97.31 [97.10, 97.52]`."""
        return interval.text(percent=self.factor == 100.0, digits=self.digits)

    def span(self, interval: Interval) -> str:
        """`97.10 to 97.52`."""
        return f"{self.number(interval.low)} to {self.number(interval.high)}"

    def change_span(self, interval: Interval, between: str = " to ") -> str:
        """`-0.10 to +0.40`."""
        return f"{self.change(interval.low)}{between}{self.change(interval.high)}"

    def within(self, interval: Interval) -> str:
        """`95 % interval 97.10 to 97.52`; where the values show no spread that the samples could tell, `the same for all 3`."""
        return f"the same for all {interval.n}" if interval.alike else f"95 % interval {self.span(interval)}"

    def within_change(self, interval: Interval) -> str:
        """The same of a difference: `95 % interval -0.10 to +0.40`."""
        return f"the same for all {interval.n}" if interval.alike else f"95 % interval {self.change_span(interval)}"

    def mean(self, values: npt.ArrayLike) -> Interval:
        """Mean over chips or seeds with its interval."""
        return mean_interval(values, bounds=self.bounds)

    def of_one(self, value: float, n_test: int) -> Interval:
        """One network's value: of an accuracy with the interval of its `n_test` samples (Wilson), of R2 without one."""
        if self.counts:
            return wilson_interval(round(value * n_test), n_test)
        return Interval(value, math.nan, math.nan, n_test, "single value")


ACCURACY = Score("accuracy", "accuracy", ("accuracy",), 100.0, " %", " points", 2, SHARE, counts=True)
R2 = Score("r2", "R2", ("r2", "mse"), 1.0, "", "", 4, (-math.inf, 1.0), counts=False)
SCORES: Mapping[str, Score] = {score.key: score for score in (ACCURACY, R2)}


def score_of(targets: NumericTargets | None) -> Score:
    """What data with these targets (None: with classes) are judged by."""
    return ACCURACY if targets is None else R2


def evaluated(outputs: npt.ArrayLike, answers: npt.ArrayLike, targets: NumericTargets | None) -> dict[str, float]:
    """Column -> value of what a network gives out (N, n) for samples with these answers.

    Of classes the accuracy. Of numeric targets t, each with its own variance over the samples,
    ``R2 = mean_c (1 - sum_b (o_bc - t_bc)**2 / sum_b (t_bc - mean_b t_bc)**2)`` and ``mse = mean_bc s_c**2 (o_bc - t_bc)**2``, s the
    scale of the targets, so that the mean squared error is in the squared unit of the data.

    Raises:
        UserError: outputs that are to be numbers are not finite.
    """
    if targets is None:
        return {"accuracy": accuracy(outputs, answers)}
    o, t = np.asarray(outputs, np.float64), np.asarray(answers, np.float64)
    if o.shape != t.shape:
        raise ValueError(f"evaluated: outputs {o.shape} and targets {t.shape} differ in shape")
    if not np.isfinite(o).all():
        raise UserError("outputs of the network are not finite, so that R2 is not defined")
    squares = (o - t) ** 2
    share = squares.sum(axis=0) / ((t - t.mean(axis=0)) ** 2).sum(axis=0)
    return {
        "r2": float((1.0 - share).mean()),
        "mse": float((targets.scale.astype(np.float64) ** 2 * squares.mean(axis=0)).mean()),
    }
