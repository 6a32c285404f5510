"""The report of an estimate: table, figures and page from its rows. It never runs a chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from learning.experiments.monte_carlo.metrics import Interval, mean_interval, yield_interval
from learning.experiments.monte_carlo.score import Score
from learning.experiments.report.array_figures import conductance_map, current_map, drop_map, weight_transfer
from learning.experiments.report.assumed import assumed_sections
from learning.experiments.report.estimate.conclusion import estimate_head
from learning.experiments.report.estimate.figures import (
    accuracy_over_setting,
    accuracy_over_time,
    chip_histograms,
    is_number,
    layer_error_over_time,
    sensitivity_bars,
)
from learning.experiments.report.estimate.results import LAYER_ERROR, NOMINAL, EstimateResults, by_chip_and_time
from learning.experiments.report.head import configuration_of
from learning.experiments.report.page import Fact, Plot, Section, write_page
from learning.experiments.report.tables import Table, cost_rows
from learning.experiments.report.wording import time_label
from learning.experiments.runs.result_log import Row
from learning.experiments.runs.run_folder import RunDirectory

F64 = npt.NDArray[np.float64]
SETTING_LABELS = {
    "adc_bits": "ADC resolution (bits)",
    "dac_bits": "DAC resolution (bits)",
    "noise_scale": "scale of all cell noise and spread",
}


def estimate_table(results: EstimateResults) -> Table:
    """Accuracy, or R2 and mean squared error, at every time: mean with 95 % interval over chips, spread, worst chip, yield.

    Raises UserError when there are no nominal rows.
    """
    times, accuracy = _nominal(results)
    score = results.score
    others = {column: _nominal(results, column)[1] for column in score.columns[1:]}
    digital = score.of_one(results.digital_score, results.n_test)
    chips = accuracy.shape[0]
    ideal = "digital twin, not converged" if results.converged is False else "digital twin"
    rows = [(ideal, score.text(digital), *(f"{results.digital[column]:.4g}" for column in others), "", "", "", "")]
    for k, time in enumerate(times):
        mean = score.mean(accuracy[:, k])
        good = yield_interval(accuracy[:, k], results.threshold)
        rows.append(
            (
                time_label(float(time)),
                score.text(mean),
                *(_error_text(values[:, k]) for values in others.values()),
                score.number(float(accuracy[:, k].std(ddof=1))) if chips > 1 else "",
                score.number(float(accuracy[:, k].min())),
                good.text(percent=True, digits=0),
                score.change(mean.value - results.digital_score),
            )
        )
    method = mean_interval(accuracy[:, 0]).method
    return Table(
        (
            "time",
            f"{score.heading} [95 %]",
            *(f"{column.upper()} [95 %]" for column in others),
            "sd",
            "worst chip",
            f"yield >= {score.limit(results.threshold)} [95 %]",
            "vs twin",
        ),
        tuple(rows),
        f"{chips} chip{'s' if chips != 1 else ''}, {results.n_test} test samples; intervals over chips: {method}",
    )


def _error_text(values: F64) -> str:
    """Mean squared error over the chips, with its interval."""
    mean = mean_interval(values, bounds=(0.0, np.inf))
    return f"{mean.value:.4g}" if np.isnan(mean.low) else f"{mean.value:.4g} [{mean.low:.4g}, {mean.high:.4g}]"


def write_estimate_report(run: RunDirectory, results: EstimateResults) -> Path:
    """Write report.html, figures and tables of an estimate into the run's folder; return the page's path.

    Raises UserError when rows are missing.
    """
    times, accuracy = _nominal(results)
    score = results.score
    last, first = score.mean(accuracy[:, -1]), score.mean(accuracy[:, 0])
    good = yield_interval(accuracy[:, -1], results.threshold)
    first_time, last_time = time_label(float(times[0])), time_label(float(times[-1]))
    headline = [
        Fact(score.shown(results.digital_score), _digital_label(results)),
        Fact(score.shown(first.value), f"mean {score.name} at {first_time}{_span(first, score)}"),
        *(
            [Fact(score.shown(last.value), f"mean {score.name} at {last_time}{_span(last, score)}")]
            if times.size > 1
            else []
        ),
        Fact(score.shown(float(accuracy[:, -1].min())), f"worst chip at {last_time}"),
        Fact(
            f"{100 * good.value:.0f} %", f"yield at {last_time}: chips with at least {score.limit(results.threshold)}"
        ),
    ]
    sections = [_accuracy_section(results, times, accuracy)]
    sections += _study_sections(results)
    sections += _layer_section(results)
    if results.transfer:
        sections.append(_transfer_section(results))
    if results.maps:
        sections.append(_map_section(results))
    if results.drops:
        sections.append(_drop_section(results))
    if results.costs:
        table = Table(
            ("quantity", "value"),
            cost_rows(results.costs),
            "From the operation log and the card's cost model; what it counts, and what is zero or assumed, is listed under "
            "“What the figures rest on”",
        )
        sections.append(Section("Cost", tables=(("cost", table),)))
    sections += assumed_sections(results.assumed)
    head = estimate_head(configuration_of(run), results, times, accuracy)
    return write_page(run, results.title, sections, head=head, headline=headline, notes=results.notes)


def _digital_label(results: EstimateResults) -> str:
    return f"{results.score.name} of the digital twin" + (", not converged" if results.converged is False else "")


def _nominal(results: EstimateResults, column: str = "") -> tuple[F64, F64]:
    """Times (T,) and a column (chips, T), by default the score."""
    rows = _point(results, "nominal", "")
    if not rows:
        raise UserError(f"results: no rows of the study {NOMINAL['study']!r}; allowed: at least one chip")
    return by_chip_and_time(rows, column or results.score.key)


def _point(results: EstimateResults, study: str, value: str) -> list[Row]:
    return [row for row in results.rows if row["study"] == study and row["value"] == value]


def _span(interval: Interval, score: Score) -> str:
    return "" if np.isnan(interval.low) else f", {score.within(interval)}"


def _accuracy_section(results: EstimateResults, times: F64, accuracy: F64) -> Section:
    score, title = results.score, results.score.title
    plots = [
        Plot(
            f"{score.key}_over_time",
            accuracy_over_time(times, accuracy, results.digital_score, results.threshold, score=score),
            f"{title} against time after programming: mean over chips with its 95 % interval (strong band), "
            "worst to best chip (pale band); dashed: the digital twin.",
        )
    ]
    if accuracy.shape[0] > 1:
        plots.append(
            Plot(
                "chip_histograms",
                chip_histograms(times, accuracy, results.digital_score, results.threshold, score=score),
                f"{title} of the single chips at each time; solid: mean, dashed: digital twin, dotted: threshold.",
            )
        )
    text = (
        "Chips are the replicates: each is fabricated with its own spread, programmed once and read at every time. "
        "The interval is for the mean over chips; the yield's is Wilson's."
    )
    return Section(title, (text,), ((score.key, estimate_table(results)),), tuple(plots))


def _study_sections(results: EstimateResults) -> list[Section]:
    """One curve per numeric study, one bar chart per study of named non-idealities, all paired on the same chips."""
    studies: dict[str, list[str]] = {}
    for row in results.rows:
        study, value = str(row["study"]), str(row["value"])
        if study != "nominal" and value not in studies.setdefault(study, []):
            studies[study].append(value)
    curves = [_setting_plot(results, s, values) for s, values in studies.items() if any(map(is_number, values))]
    bars = [_bars_plot(results, s, values) for s, values in studies.items() if not any(map(is_number, values))]
    sections = []
    if bars:
        sections.append(
            Section(
                "Which non-ideality costs most",
                (
                    "One at a time, on the same chips: intervals are of the paired difference between two runs of a chip.",
                ),
                plots=tuple(bars),
            )
        )
    if curves:
        sections.append(Section(f"{results.score.title} against settings", plots=tuple(curves)))
    return sections


def _first_and_last(times: F64) -> list[int]:
    return [0] if times.size == 1 else [0, times.size - 1]


def _setting_plot(results: EstimateResults, study: str, values: list[str]) -> Plot:
    score = results.score
    points = [by_chip_and_time(_point(results, study, value), score.key) for value in values]
    times = points[0][0]
    chips = min(accuracy.shape[0] for _, accuracy in points)
    curves = {
        f"at {time_label(float(times[k]))}": np.stack([accuracy[:chips, k] for _, accuracy in points], axis=1)
        for k in _first_and_last(times)
    }
    label = SETTING_LABELS.get(study, study.replace("_", " "))
    figure = accuracy_over_setting(values, curves, results.digital_score, label, score=score)
    caption = f"{score.title} against {label}, {chips} chips, 95 % interval."
    return Plot(f"{score.key}_over_{_file_name(study)}", figure, caption)


def _bars_plot(results: EstimateResults, study: str, values: list[str]) -> Plot:
    """Score gained without a non-ideality (paired with the nominal chip), or lost with it alone (against digital)."""
    score = results.score
    nominal_times, nominal = _nominal(results)
    effects = {}
    shown: list[float] = []
    for value in values:
        times, accuracy = by_chip_and_time(_point(results, study, value), score.key)
        columns = _first_and_last(times)
        shown = [float(times[k]) for k in columns]
        if study == "only":
            lost = results.digital_score - accuracy
        else:
            at = [int(np.flatnonzero(nominal_times == time)[0]) for time in times if time in nominal_times]
            if len(at) != times.size or accuracy.shape[0] > nominal.shape[0]:
                raise UserError(f"results: study {study!r}, {value!r} has times or chips that the nominal study lacks")
            lost = accuracy - nominal[: accuracy.shape[0]][:, at]
        name = value if study in ("without", "only") else f"{study} = {value}"
        effects[_non_ideality(name)] = [mean_interval(lost[:, k]) for k in columns]
    if study == "only":
        label = f"{score.name} lost by it alone{score.lost}"
        caption = f"{score.title} lost against the digital twin with one non-ideality alone"
    elif study == "without":
        label = f"{score.name} regained without it{score.lost}"
        caption = f"{score.title} regained when one non-ideality is switched off"
    else:
        label = f"{score.name} against the configured {study.replace('_', ' ')}{score.lost}"
        caption = f"Change of {score.name} with {study.replace('_', ' ')}, against the configured one"
    return Plot(
        f"sensitivity_{_file_name(study)}",
        sensitivity_bars(effects, shown, label, factor=score.factor),
        f"{caption}; the costliest on top; whiskers: 95 % interval over chips.",
    )


def _layer_section(results: EstimateResults) -> list[Section]:
    rows = [
        row
        for row in _point(results, "nominal", "")
        if all(row.get(LAYER_ERROR + layer) is not None for layer in results.layers)
    ]
    if not rows or not results.layers:
        return []
    errors = {layer: by_chip_and_time(rows, LAYER_ERROR + layer) for layer in results.layers}
    times = errors[results.layers[0]][0]
    figure = layer_error_over_time(times, {layer: values for layer, (_, values) in errors.items()})
    caption = "MVM error of each layer: rms(y - y ideal) / rms(y ideal) of its outputs on test inputs; 95 % interval over chips."
    return [Section("MVM error, layer by layer", plots=(Plot("layer_error", figure, caption),))]


def _transfer_section(results: EstimateResults) -> Section:
    plots = [
        Plot(
            f"weight_transfer_{_file_name(t.layer)}",
            weight_transfer(t.target, t.read_back, t.times, t.layer),
            f"Layer {t.layer}: read-back against target weight at each time; rms in % of the largest weight.",
            raster=True,
        )
        for t in results.transfer
    ]
    return Section("Weight transfer", plots=tuple(plots))


def _map_section(results: EstimateResults) -> Section:
    plots = [
        Plot(
            f"conductance_{k}_{_file_name(m.layer)}",
            conductance_map(m.conductance, f"{m.layer}: {m.label}"),
            f"Conductances of {m.layer}, {m.label}.",
            raster=True,
        )
        for k, m in enumerate(results.maps)
    ]
    return Section("Conductances", plots=tuple(plots))


def _drop_section(results: EstimateResults) -> Section:
    plots = []
    for k, m in enumerate(results.drops):
        title, name = f"{m.layer}: {m.label}", f"{k}_{_file_name(m.layer)}"
        said = f"from {100 * float(np.abs(m.shares).min()):.0f} to {100 * float(np.abs(m.shares).max()):.0f} % of the drive reach the cells"
        plots += [
            Plot(
                f"drop_{name}",
                drop_map(m.shares, title),
                f"Voltage across every cell of {m.layer}, {m.label}: {said}.",
                raster=True,
            ),
            Plot(
                f"current_{name}",
                current_map(m.amperes, title),
                f"Current through every cell of {m.layer}.",
                raster=True,
            ),
        ]
    text = "All word lines at the read voltage, the most that the wires are asked for: real inputs drop less."
    return Section("Voltages and currents under wires", texts=(text,), plots=tuple(plots))


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text)


def _non_ideality(name: str) -> str:
    """`read noise`, `ADC`: a non-ideality's key in words."""
    return name.upper() if name in ("adc", "dac") else name.replace("_", " ")
