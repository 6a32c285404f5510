"""What an estimate and a sweep of estimates come to, in a sentence, and what was run. It never draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from learning.experiments.monte_carlo.metrics import Interval, mean_interval, yield_interval
from learning.experiments.monte_carlo.score import ACCURACY, Score
from learning.experiments.report.estimate.results import EstimateResults
from learning.experiments.report.head import (
    Link,
    PageHead,
    Tree,
    cards_of,
    chip_text,
    converter_text,
    data_text,
    device_text,
    network_text,
    part,
    plain,
    wires_text,
)
from learning.experiments.report.wording import time_label

F64 = npt.NDArray[np.float64]
Point = tuple[dict[str, str], F64, float]
"""Swept key -> value, score of every chip at the last time (chips,), score of the digital twin."""


def short(key: str) -> str:
    """Last two parts of a dotted key."""
    return ".".join(key.split(".")[-2:])


def estimate_head(tree: Tree, results: EstimateResults, times: F64, accuracy: F64) -> PageHead:
    """Head of an estimate's report.

    Args:
        tree: its configuration. results: what it found. times: (T,) seconds. accuracy: score (chips, T).
    """
    return PageHead(
        estimate_sentence(results, times, accuracy),
        _subject([tree], results, accuracy.shape[0]),
        cards=cards_of([tree]),
    )


def estimate_sentence(results: EstimateResults, times: F64, accuracy: F64) -> str:
    """Score at the last time with its interval, against the digital twin, and the yield."""
    last = accuracy[:, -1]
    score = results.score
    mean, good = score.mean(last), yield_interval(last, results.threshold)
    chips = f"of {last.size} chips" if last.size > 1 else "of one chip"
    lost = results.digital_score - mean.value
    beside = "as accurate as" if score.same(lost) else f"{score.gap(lost)} {'below' if lost > 0 else 'above'}"
    return (
        f"{time_label(float(times[-1])).capitalize()} after programming the mean {score.name} {chips} is {_value(mean, score)}, {beside} "
        f"the digital twin ({score.shown(results.digital_score)}{_errors(results, times)}); {round(good.value * last.size)} of "
        f"{last.size} reach the {score.limit(results.threshold)} that counts as good."
    )


def _errors(results: EstimateResults, times: F64) -> str:
    """Mean squared errors of the digital network and of the chips at the last time, for numbers that are predicted."""
    if "mse" not in results.score.columns:
        return ""
    rows = [row for row in results.rows if row["study"] == "nominal" and row["time_s"] == times[-1]]
    chips = float(np.mean([float(row["mse"] or 0.0) for row in rows]))
    return f"; mean squared error {results.digital['mse']:.4g}, on the chips {chips:.4g}"


def sweep_head(trees: Sequence[Tree], results: EstimateResults, points: Sequence[Point]) -> PageHead:
    """Head of a sweep's report.

    Args:
        trees: configurations of the points. results: of the first. points: in order.
    """
    chips = min(last.size for _, last, _ in points)
    values = {key: list(dict.fromkeys(label[key] for label, _, _ in points)) for key in points[0][0]}
    swept = "; ".join(f"{short(key)} = {', '.join(found)}" for key, found in values.items())
    subject = (*plain([("swept", swept)]), *_subject(trees, results, chips, tuple(values)))
    return PageHead(" ".join(sweep_sentences(points, results.score)), subject, cards=cards_of(trees))


def sweep_sentences(points: Sequence[Point], score: Score = ACCURACY) -> list[str]:
    """The best point with its interval and lead, and the key that moves the score most."""
    means = [float(last.mean()) for _, last, _ in points]
    order = sorted(range(len(points)), key=lambda k: -means[k])
    best, second = order[0], order[1] if len(order) > 1 else None
    found = [
        f"The best point at the last time is {_name(points[best][0])}: {_named(score)}{_value(score.mean(points[best][1]), score)}."
    ]
    if second is not None:
        found[0] = (
            found[0][:-1]
            + f", {_lead(points[best][1], points[second][1], score)} the next, {_name(points[second][0])}."
        )
    spans = {key: span for key in points[0][0] if (span := _span(points, means, key)) is not None}
    if spans:
        key = max(spans, key=lambda name: spans[name][0])
        size, low, high = spans[key]
        if 100 * size < 0.005:
            return [*found, "No swept key moves the mean accuracy."]
        found.append(
            f"What moves {score.name} most is {short(key)}: {score.gap(size)} between {low} and {high}"
            + (", averaged over the other keys." if len(spans) > 1 else ".")
        )
    return found


def _span(points: Sequence[Point], means: Sequence[float], key: str) -> tuple[float, str, str] | None:
    """Distance of the highest from the lowest mean over the values of a key, with these values; None for one value."""
    groups: dict[str, list[float]] = {}
    for (label, _, _), mean in zip(points, means, strict=True):
        groups.setdefault(label[key], []).append(mean)
    if len(groups) < 2:
        return None
    averaged = {value: float(np.mean(found)) for value, found in groups.items()}
    low, high = min(averaged, key=lambda v: averaged[v]), max(averaged, key=lambda v: averaged[v])
    return averaged[high] - averaged[low], low, high


def _lead(best: F64, other: F64, score: Score) -> str:
    """Lead of the best point, paired chip by chip where both have the same chips."""
    lead = float(best.mean() - other.mean())
    if best.size != other.size or best.size < 2:
        return f"{score.gap(lead)} ahead of"
    paired = mean_interval(best - other)
    span = score.within_change(paired)
    if paired.low <= 0.0 <= paired.high:
        return f"not told apart ({score.change(lead)}{score.points}, {span}) from"
    return f"{score.gap(lead)} ({span}) ahead of"


def _name(label: dict[str, str]) -> str:
    return ", ".join(f"{short(key)} = {value}" for key, value in label.items())


def _named(score: Score) -> str:
    return "" if score.unit else f"{score.name} "


def _value(mean: Interval, score: Score) -> str:
    text = score.shown(mean.value)
    return text if np.isnan(mean.low) else f"{text} ({score.within(mean)})"


def _subject(
    trees: Sequence[Tree], results: EstimateResults, chips: int, swept: tuple[str, ...] = ()
) -> tuple[tuple[str, tuple[Link, ...]], ...]:
    tree = trees[0]
    compensation = part(tree, "tile.compensation")
    return plain(
        [
            ("network", network_text(tree)),
            ("data set", data_text(tree, results.n_test)),
            ("device", device_text(cards_of(trees))),
            ("chip", chip_text(tree)),
            ("converters", converter_text(tree, swept)),
            ("wires", wires_text(tree, swept)),
            ("drift compensation", str(compensation) if compensation and "tile.compensation" not in swept else ""),
            ("chips", f"{chips}, the same at every point" if swept else str(chips)),
            ("seed", str(tree.get("seed", ""))),
        ]
    )
