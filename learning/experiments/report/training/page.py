"""The report of on-chip training: table, figures and page from its rows. It never trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from learning.experiments.monte_carlo.score import Score
from learning.experiments.report.array_figures import conductance_history
from learning.experiments.report.assumed import assumed_sections
from learning.experiments.report.head import configuration_of
from learning.experiments.report.page import Fact, Plot, Section, write_page
from learning.experiments.report.tables import Table, cost_rows
from learning.experiments.report.training.conclusion import Ended, training_head
from learning.experiments.report.training.figures import (
    Curve,
    layer_curves,
    learning_curves,
    loss_curves,
    pulses_per_cell,
)
from learning.experiments.report.training.results import TrainingResults
from learning.experiments.report.wording import count_text, engineering, time_label
from learning.experiments.runs.result_log import Row
from learning.experiments.runs.run_folder import RunDirectory

F64 = npt.NDArray[np.float64]


def training_table(results: TrainingResults) -> Table:
    """Last accuracy (or R2 and mean squared error) of every arm: mean over seeds with its interval, distance to its twin, cost.

    Raises UserError when there are no rows.
    """
    results = results.shown
    header = (
        "arm",
        "seeds",
        f"{results.score.heading} [95 %]",
        *map(str.upper, results.score.columns[1:]),
        "vs twin",
        "loss",
        "samples",
    )
    header = (*header, "pulses", "chip time", "energy")
    wilson = ", Wilson for one seed" if results.score.unit else ""
    return Table(
        (*header, *(["diverged"] if results.diverged else [])),
        tuple(_table_row(results, arm) for arm in _arms(results)),
        f"At the end of training, {results.n_test} test samples; intervals: Student-t over seeds{wilson}",
    )


def _table_row(results: TrainingResults, arm: str) -> tuple[str, ...]:
    """One arm; of one that never came to its end only where it diverged."""
    mark = [results.diverged_text(arm)] if results.diverged else []
    if not results.ended(arm):
        return (arm, results.seeds_text(arm, 0), "diverged", *[""] * (5 + len(results.score.columns)), *mark)
    last = _last_rows(results, arm)
    values = np.array([_number(row[results.score.key]) for row in last])
    return (
        arm,
        results.seeds_text(arm, len(last)),
        _score_text(results.score, values, results.n_test),
        *(f"{np.mean([_number(row[column]) for row in last]):.4g}" for column in results.score.columns[1:]),
        _distance(results, arm, float(values.mean())),
        f"{np.mean([_number(row['loss']) for row in last]):.4g}",
        count_text(float(np.mean([_number(row["samples"]) for row in last]))),
        "" if (pulses := _mean(last, "pulses")) is None else count_text(pulses),
        _mean_time(last),
        _mean_text(last, "energy_J", "J"),
        *mark,
    )


def write_training_report(run: RunDirectory, results: TrainingResults) -> Path:
    """Write report.html, figures and tables of a training run into its folder; return the page's path.

    Raises UserError when there are no rows.
    """
    results = results.shown
    arms = _arms(results)
    digital = [arm for arm in arms if arm in set(results.twins.values())]
    sections = [_curve_section(results, arms, digital)]
    sections += _layer_sections(results, [arm for arm in arms if arm not in digital])
    if results.conductances:
        plots = tuple(
            Plot(
                f"conductances_{k}",
                conductance_history(c.samples, c.edges, c.counts, c.layer),
                f"{c.arm}: conductances of {c.layer} over training; colour: share of the cells.",
                raster=True,
            )
            for k, c in enumerate(results.conductances)
        )
        sections.append(Section("Conductances over training", plots=plots))
    if results.costs:
        tables = tuple(
            (f"cost_{k}", Table(("quantity", "value"), cost_rows(costs), arm))
            for k, (arm, costs) in enumerate(results.costs.items())
        )
        text = (
            "From the operation log and the card's cost model; what it counts, and what is zero or assumed, is listed under "
            "“What the figures rest on”."
        )
        sections.append(Section("Energy and latency", (text,), tables))
    sections += assumed_sections(results.assumed)
    ended = [_ended(results, arm) for arm in arms if results.ended(arm)]
    decisions = run.load_json("decisions") or {}
    head = training_head(configuration_of(run), decisions, ended, results.twins, results.n_test, results.score)
    headline = _headline(results, arms, digital)
    return write_page(run, results.title, sections, head=head, headline=headline, notes=results.notes)


def _ended(results: TrainingResults, arm: str) -> Ended:
    last = _last_rows(results, arm)
    return Ended(
        arm,
        {row["seed"]: _number(row[results.score.key]) for row in last},
        float(np.mean([_number(row["samples"]) for row in last])),
        _mean(last, "pulses"),
        _mean(last, "chip_time_s"),
        _mean(last, "energy_J"),
        _mean(last, "mse") if "mse" in results.score.columns else None,
    )


def _headline(results: TrainingResults, arms: list[str], digital: list[str]) -> list[Fact]:
    arms, digital = ([arm for arm in some if results.ended(arm)] for some in (arms, digital))
    score = results.score
    means = {arm: float(np.mean([_number(row[score.key]) for row in _last_rows(results, arm)])) for arm in arms}
    named = "" if score.unit else f"{score.name} "
    facts = [Fact(named + score.shown(means[arm]), arm if "digital" in arm else f"{arm}, digital") for arm in digital]
    compared = [arm for arm in arms if arm not in digital]
    on_chip = [arm for arm in compared if _mean(_last_rows(results, arm), "pulses") is not None]
    where = ", on the chip" if on_chip and len(compared) > 1 else ""
    best = sorted(on_chip or compared, key=lambda arm: -means[arm])[:3]
    facts += [Fact(named + score.shown(means[arm]), f"{arm}{where}") for arm in best]
    return facts[:5]


def _curve_section(results: TrainingResults, arms: list[str], digital: list[str]) -> Section:
    score = results.score
    by_samples = {
        arm: curve for arm in arms if (curve := _curve(results.curves, arm, "samples", score.key)) is not None
    }
    if not by_samples:
        return Section(
            "Learning curves", ("No arm came as far as its first evaluation.",), (("final", training_table(results)),)
        )
    losses = {arm: curve for arm in arms if (curve := _curve(results.curves, arm, "samples", "loss")) is not None}
    several = any(y.shape[0] > 1 for _, y in by_samples.values())
    seeds = "; mean over seeds, band from the worst to the best" if several else ""
    ideal = "; dashed, in the colour of the text: the ideal digital twin" if digital else ""
    plots = [
        Plot(
            f"{score.key}_over_samples",
            learning_curves(by_samples, "training samples", digital=digital, score=score),
            f"Test {score.name} against training samples{seeds}{ideal}.",
        )
    ]
    if losses:
        figure = loss_curves(losses, digital=digital)
        plots.append(Plot("loss_over_samples", figure, f"Training loss against training samples{seeds}{ideal}."))
    for column, label, unit in (
        ("pulses", "pulses sent", ""),
        ("chip_time_s", "chip time", "s"),
    ):
        found = {
            arm: curve
            for arm in arms
            if (curve := _curve(results.curves, arm, column, score.key)) is not None and (curve[0] > 0).any()
        }
        if found:
            positive = {arm: (x[x > 0], y[:, x > 0]) for arm, (x, y) in found.items()}
            figure = learning_curves(positive, label, log_x=True, unit=unit, score=score)
            name = f"{score.key}_over_{label.replace(' ', '_')}"
            plots.append(Plot(name, figure, f"Test {score.name} against {label}, log scale."))
    return Section("Learning curves", tables=(("final", training_table(results)),), plots=tuple(plots))


def _layer_sections(results: TrainingResults, arms: list[str]) -> list[Section]:
    sections = []
    for column, title, label, caption in (
        (
            "gradient_cosine",
            "Gradient alignment",
            "cosine with the true gradient",
            "Cosine of the rule's update with the true gradient, layer by layer: 1 is backpropagation, 0 is no relation.",
        ),
        (
            "decorrelation_loss",
            "Decorrelation",
            "off-diagonal correlation",
            "Mean squared off-diagonal correlation of each layer's input: 0 is decorrelated.",
        ),
    ):
        curves = _per_layer(results, arms, column)
        if not curves:
            continue
        cosine = column == "gradient_cosine"
        smallest = min(float(np.nanmin(y)) for layers in curves.values() for _, y in layers.values())
        figure = layer_curves(
            curves,
            label,
            limits=(min(-0.05, 1.1 * smallest), 1.05) if cosine else None,
            log_y=not cosine and smallest > 0,
        )
        sections.append(Section(title, plots=(Plot(column, figure, caption),)))
    pulses: dict[str, dict[str, tuple[float, float]]] = {}
    for arm in arms:
        mean, largest = _per_layer(results, [arm], "pulses_mean"), _per_layer(results, [arm], "pulses_max")
        if mean and largest:
            pulses[arm] = {
                layer: (float(np.mean(y[:, -1])), float(np.max(largest[arm][layer][1][:, -1])))
                for layer, (_, y) in mean[arm].items()
            }
    if pulses:
        caption = "Pulses per cell at the end of training; the most pulsed cell is what endurance must bear."
        sections.append(Section("Pulses per cell", plots=(Plot("pulses_per_cell", pulses_per_cell(pulses), caption),)))
    return sections


def _arms(results: TrainingResults) -> list[str]:
    names = [str(row["arm"]) for row in results.curves]
    names += [found.arm for found in results.diverged]  # some diverge before they are first measured
    arms = list(dict.fromkeys(names))
    if not arms:
        raise UserError("results: no rows of training; allowed: at least one evaluation of one arm")
    return arms


def _last_rows(results: TrainingResults, arm: str) -> list[Row]:
    """Last evaluation of every seed."""
    last: dict[object, Row] = {}
    for row in results.curves:
        if row["arm"] == arm and _number(row["samples"]) >= _number(last.get(row["seed"], row)["samples"]):
            last[row["seed"]] = row
    return list(last.values())


def _curve(rows: Sequence[Row], arm: str, x: str, y: str) -> Curve | None:
    """Mean x (S,) and y (seeds, S) of one arm at the evaluations that every seed has; None when empty."""
    table: dict[float, dict[object, tuple[float, float]]] = {}
    for row in rows:
        if row["arm"] == arm and row[x] is not None and row[y] is not None:
            table.setdefault(_number(row["samples"]), {})[row["seed"]] = (_number(row[x]), _number(row[y]))
    if not table:
        return None
    seeds = sorted({seed for per_seed in table.values() for seed in per_seed}, key=str)
    whole = [samples for samples in sorted(table) if len(table[samples]) == len(seeds)]
    if not whole:
        return None
    values = np.array([[table[samples][seed] for seed in seeds] for samples in whole])  # (S, seeds, 2)
    return values[:, :, 0].mean(axis=1), values[:, :, 1].T


def _per_layer(results: TrainingResults, arms: list[str], column: str) -> dict[str, dict[str, Curve]]:
    curves: dict[str, dict[str, Curve]] = {}
    for arm in arms:
        for layer in dict.fromkeys(str(row["layer"]) for row in results.layers if row["arm"] == arm):
            found = _curve([row for row in results.layers if row["layer"] == layer], arm, "samples", column)
            if found is not None and np.isfinite(found[1]).any():
                curves.setdefault(arm, {})[layer] = found
    return curves


def _score_text(score: Score, values: F64, n_test: int) -> str:
    return score.text(score.mean(values) if values.size > 1 else score.of_one(float(values[0]), n_test))


def _distance(results: TrainingResults, arm: str, mean: float) -> str:
    twin = results.twins.get(arm)
    if twin is None or not results.ended(twin):
        return ""
    rows = _last_rows(results, twin)
    key = results.score.key
    return results.score.change(mean - float(np.mean([_number(row[key]) for row in rows]))) if rows else ""


def _mean(rows: list[Row], column: str) -> float | None:
    values = [_number(row[column]) for row in rows if row[column] is not None]
    return float(np.mean(values)) if values else None


def _mean_text(rows: list[Row], column: str, unit: str) -> str:
    value = _mean(rows, column)
    return "" if value is None else engineering(value, unit).strip()


def _mean_time(rows: list[Row]) -> str:
    value = _mean(rows, "chip_time_s")
    return "" if value is None else time_label(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"results: expected a number, got {value!r}")
    return float(value)
