"""What a training comes to, in a sentence: the best arm that is truly on a chip, its distance to its twin, what it cost. It never draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learning.experiments.monte_carlo.metrics import mean_interval
from learning.experiments.monte_carlo.score import ACCURACY, Score
from learning.experiments.report.head import (
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
from learning.experiments.report.wording import count_text, engineering, time_label

EXACT = "ideal"
"""Write scheme that writes exactly and at no cost: an arm with it learns on no chip."""


@dataclass(frozen=True)
class Ended:
    """An arm's last evaluation, seed by seed.

    Attributes:
        name: of the arm. scores: seed -> accuracy or R2. samples: training samples. pulses, chip_time, energy: means, None where unknown.
        mse: mean squared error over the seeds, None for classes.
    """

    name: str
    scores: Mapping[Any, float]
    samples: float
    pulses: float | None
    chip_time: float | None
    energy: float | None
    mse: float | None = None

    @property
    def mean(self) -> float:
        """Mean score over the seeds."""
        return float(np.mean(list(self.scores.values())))


def training_head(
    tree: Tree,
    decisions: Tree,
    ended: Sequence[Ended],
    twins: Mapping[str, str],
    n_test: int,
    score: Score = ACCURACY,
) -> PageHead:
    """Head of a training's report.

    Args:
        tree: its configuration. decisions: arm -> what was decided for it. ended: arms that came to their end, twins included.
        twins: arm -> its twin. n_test: test samples. score: what the arms are judged by.
    """
    seeds = tree.get("seeds") or ()
    subject = plain(
        [
            ("network", network_text(tree)),
            ("data set", data_text(tree, n_test)),
            ("device", device_text(cards_of([tree]))),
            ("chip", chip_text(tree)),
            ("converters", converter_text(tree)),
            ("wires", wires_text(tree)),
            ("arms", ", ".join(one.name for one in ended if one.name not in set(twins.values()))),
            ("training", _training_text(tree)),
            (
                "seeds",
                f"{', '.join(map(str, seeds))} (each a chip, first weights and an order of the data)" if seeds else "",
            ),
        ]
    )
    return PageHead(training_sentence(tree, decisions, ended, twins, n_test, score), subject, cards=cards_of([tree]))


def training_sentence(
    tree: Tree,
    decisions: Tree,
    ended: Sequence[Ended],
    twins: Mapping[str, str],
    n_test: int,
    score: Score = ACCURACY,
) -> str:
    """The best arm on a chip; that there is none where no arm is; arguments as in `training_head`."""
    compared = [one for one in ended if one.name not in set(twins.values())]
    on_chip = [one for one in compared if on_a_chip(one, arm_setting(tree, decisions, one.name))]
    if not compared:
        return "No arm came to its end." if twins else ""
    best = max(on_chip or compared, key=lambda one: one.mean)
    lead = "The best arm on a chip" if on_chip else "No arm is on a chip; the best"
    twin = next((one for one in ended if one.name == twins.get(best.name)), None)
    parts = [
        f"{lead} is {best.name}: {_value(best, n_test, score)}",
        *([] if twin is None else [_distance(best, twin, score)]),
    ]
    return f"{', '.join(parts)}. It took {_cost(best)}."


def on_a_chip(one: Ended, setting: Mapping[str, Any]) -> bool:
    """Whether an arm learns on cells that are pulsed or programmed, by a scheme that is not exact and free."""
    scheme = setting.get("tile.writing")
    kind = scheme.get("kind") if isinstance(scheme, Mapping) else scheme
    return one.pulses is not None and setting.get("device") is not None and kind != EXACT


def arm_setting(tree: Tree, decisions: Tree, name: str) -> dict[str, Any]:
    """What counts of an arm's configuration: device and write scheme, its own keys and its hardware's on top of the file's."""
    found: dict[str, Any] = {"device": tree.get("device"), "tile.writing": part(tree, "tile.writing")}
    hardware = next((on for on in tree.get("hardware") or () if name.endswith(f", {on.get('name')}")), None)
    base = name.removesuffix(f", {hardware['name']}") if hardware else name
    arm = next((one for one in tree.get("arms") or () if one.get("name") == base), None)
    for entry in (hardware, arm):
        for key, value in ((entry or {}).get("set") or {}).items():
            if key in found:
                found[key] = value
            elif key == "tile" and isinstance(value, Mapping) and "writing" in value:
                found["tile.writing"] = value["writing"]
    decided = decisions.get(name)
    if found["tile.writing"] is None and isinstance(decided, Mapping):
        found["tile.writing"] = decided.get("tile.writing")
    return found


def _value(one: Ended, n_test: int, score: Score) -> str:
    values = np.array(list(one.scores.values()))
    mean = score.mean(values) if values.size > 1 else score.of_one(float(values[0]), n_test)
    over = (
        ("seeds" if mean.alike else f"over {values.size} seeds")
        if values.size > 1
        else "of the test samples alone, one seed"
    )
    if score.unit:
        return f"{score.shown(mean.value)} ({score.within(mean)} {over})"
    within = "one seed" if values.size == 1 else f"{score.within(mean)} {over}"
    error = "" if one.mse is None else f", mean squared error {one.mse:.4g}"
    return f"{score.name} {score.shown(mean.value)} ({within}){error}"


def _distance(one: Ended, twin: Ended, score: Score) -> str:
    """Score below or above the twin's, paired seed by seed where both have the seeds."""
    shared = [seed for seed in one.scores if seed in twin.scores]
    gap = one.mean - twin.mean
    text = f"{score.gap(gap)} {'below' if gap < 0 else 'above'} its digital twin ({score.shown(twin.mean)}"
    if len(shared) < 2 or len(shared) != len(one.scores):
        return f"{text})"
    paired = mean_interval([one.scores[seed] - twin.scores[seed] for seed in shared])
    return f"{text}; difference {score.change(paired.value) + ' for all seeds' if paired.alike else score.change_span(paired)})"


def _cost(one: Ended) -> str:
    parts = [f"{count_text(one.samples)} training samples"]
    if one.pulses is not None:
        parts.append(f"{count_text(one.pulses)} pulses")
    if one.chip_time is not None:
        parts.append(f"{time_label(one.chip_time)} of chip time")
    if one.energy is not None:
        parts.append(engineering(one.energy, "J"))
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _training_text(tree: Tree) -> str:
    rule = part(tree, "rule.kind") or tree.get("rule")
    words = [
        ("rule", rule),
        ("learning rate", tree.get("learning_rate")),
        ("batch", tree.get("batch")),
        ("epochs", tree.get("epochs")),
    ]
    return ", ".join(
        f"{name} {f'{value:g}' if isinstance(value, float) else value}" for name, value in words if value is not None
    )
