"""Whether a network knows more than the most frequent class: a chip that loses nothing of nothing looks perfect. It never runs one."""

from __future__ import annotations

import math

import numpy as np

from learning.data.dataset import Answers
from learning.experiments.monte_carlo.score import Score

MARGIN = 2.0
"""Standard deviations of the share of right answers by which a network must beat chance, so that the samples can tell."""


def chance_note(score: Score, value: float, answers: Answers, who: str) -> tuple[str, ...]:
    """A sentence when the score of `who` on samples with these answers is no better than that of a constant output.

    The best constant class is right as often as the most frequent one, a share p of N samples, within ``2 sqrt(p (1 - p) / N)``; the best
    constant number has R2 = 0.
    """
    if score.counts:
        p = float(np.unique(np.asarray(answers), return_counts=True)[1].max() / len(answers))
        known, constant = (
            value > p + MARGIN * math.sqrt(p * (1.0 - p) / len(answers)),
            f"always naming the most frequent class: {score.shown(p)}",
        )
    else:
        known, constant = value > 0.0, f"always naming the mean: {score.shown(0.0)}"
    if known:
        return ()
    return (
        f"{who}: {score.name} {score.shown(value)} is no better than chance ({constant}), so that what a chip loses of it says nothing; "
        "look at the training, at the weights, and at the scale of the inputs.",
    )
