"""Size of the mean step by likelihood, where single steps scatter too much to show it and the reads of whole ramps do. It never refutes.

The Kalman filter of `fit.statespace` scores held-out reads under the card's law with its mean step made larger and smaller. It uses the
drift of whole ramps, which the comparison of steps at equal states cannot where the state itself is hidden by read noise. It takes the
law for granted, and steps that change with the direction before them for read noise: so it counts only for ramps of one direction.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from devices.measurements.fit.spread import FEWEST_DEVICES, likeliest_gains
from devices.measurements.fit.statespace import StepTables
from devices.measurements.read_noise import ReadNoise
from devices.measurements.shown import Shown
from devices.measurements.traces import Traces

MOST_TURNS = 0.05
"""Share of pulses right after one of the other direction up to which traces are ramps."""


def scale_rows(
    rows: tuple[Shown, ...], parts: Sequence[tuple[Traces, StepTables, ReadNoise]], *, several: bool
) -> tuple[Shown, ...]:
    """Put the likelihood's ratio in the place of a mean step that is neither shown nor refuted, where that is allowed.

    Args:
        rows: of the comparison at equal states. parts: held-out traces of every fold, law and noise of its card.
        several: whether the claim is about a population of devices; then nothing is replaced.
    """
    if several or max(len(np.unique(traces.cell)) for traces, _, _ in parts) >= FEWEST_DEVICES or _turns(parts):
        return rows
    found = []
    for row in rows:
        side = {"depression": 0, "potentiation": 1}.get(row.place)
        open_ = row.quantity == "mean step" and row.required and not row.shown and not row.refuted
        other = _by_likelihood(row, parts, side) if open_ and side is not None else None
        found.append(row if other is None else other)
    return tuple(found)


def _turns(parts: Sequence[tuple[Traces, StepTables, ReadNoise]]) -> bool:
    """Whether pulses come in turns."""
    turns, pulses = 0, 0
    for traces, _, _ in parts:
        _, at, side = traces.changes()
        turns += int((traces.inside()[at - 1] & (traces.direction[at - 1] == -side)).sum())
        pulses += len(at)
    return turns > MOST_TURNS * pulses


def _by_likelihood(row: Shown, parts: Sequence[tuple[Traces, StepTables, ReadNoise]], side: int) -> Shown | None:
    """The row of one direction with the ratio of the likelihood; None where that says nothing."""
    gains, errors = [], []
    for traces, law, noise in parts:
        _, gain, std = likeliest_gains(traces, law, noise)
        known = np.isfinite(gain[:, side]) & (std[:, side] > 0)
        gains += gain[known, side].tolist()
        errors += std[known, side].tolist()
    if not gains:
        return None
    weight = 1.0 / np.square(errors)
    mean = float(np.average(gains, weights=weight))
    error = float(1.0 / np.sqrt(weight.sum()))
    if len(gains) > 1:  # where the folds disagree by more than their errors say, these are too small
        error *= max(1.0, float(np.sqrt(np.sum(weight * (np.array(gains) - mean) ** 2) / (len(gains) - 1))))
    ratio, relative = 1.0 / mean, error / mean
    return replace(
        row,
        place=f"{row.place} (by likelihood)",
        ratio=ratio,
        half=1.96 * ratio * relative,
        wide=2.81 * ratio * relative,
    )
