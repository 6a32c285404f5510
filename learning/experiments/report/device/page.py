"""The page of one device card: its numbers, figures of emulated cells over its closed forms. It never chooses a card."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from devices.card import DeviceCard
from learning.experiments.defaults.statements import about_card, assumed_values
from learning.experiments.report.assumed import assumed_sections
from learning.experiments.report.device.figures import (
    ageing,
    programming_error,
    pulse_ramps,
    read_noise,
    steps_against_state,
    symmetry_point,
)
from learning.experiments.report.device.results import YEAR, DeviceClaims, DeviceResults, device_claims
from learning.experiments.report.head import PageHead, device_text, plain
from learning.experiments.report.page import Plot, Section, write_page
from learning.experiments.report.tables import Table
from learning.experiments.report.wording import count_text, engineering
from learning.experiments.runs.run_folder import RunDirectory


def write_device_report(
    run: RunDirectory, card: DeviceCard, results: DeviceResults, against: DeviceCard | None = None
) -> Path:
    """Write report.html, figures and the table of numbers of a card into the run's folder; return the page's path.

    Args:
        run: where to. card: the card. results: measured on its emulated cells. against: a card to draw beside it.
    """
    claims = device_claims(card, results)
    other = None if against is None else device_claims(against, results)
    columns = [(card, claims)] if against is None or other is None else [(card, claims), (against, other)]
    first = Section("In numbers", (card.reference,), (("numbers", numbers_table(columns)),))
    sections = [first, *_pulse_sections(results, claims, other), _programming_section(results, claims, other)]
    sections += _ageing_sections(results, claims, other)
    if results.read_std is not None:
        plot = Plot(
            "read_noise",
            read_noise(results, claims, other),
            "Standard deviation of one read of cells left alone since they were written; lines are the law for the median cell, "
            "which may have drifted by then. Left: against the state as written. Right: against time.",
        )
        sections.append(Section("Read noise", plots=(plot,)))
    shown = [card] if against is None else [card, against]
    notes = [sentence for each in shown for sentence in about_card(each, pulses=each.pulse is not None)]
    if against is not None:
        notes.insert(0, f"Dashed lines: {against.name}. It is drawn in closed form, without spread.")
    sections += assumed_sections(assumed_values(shown))
    return write_page(run, f"Device card {card.name}", sections, head=_head(columns, results), notes=notes)


def _head(columns: list[tuple[DeviceCard, DeviceClaims]], results: DeviceResults) -> PageHead:
    """What the card says in a sentence, and what was emulated."""
    card, claims = columns[0]
    numbers = dict(_numbers(card, claims))
    sentences = [f"{card.name}: cells of {numbers['conductance window']}."]
    if (states := numbers["number of states, up / down"]) != "-":
        sentences.append(
            f"From end to end it takes {states.replace(' / ', ' steps up and ')} down, of the size they have in mid window."
        )
    sentences.append(
        f"In mid window a written cell misses its target by {numbers['programming error at mid window']} (standard deviation), "
        f"a read after 1 s scatters by {numbers['read noise at mid window, 1 s']} of the conductance, "
        f"and after 1 year the median cell keeps {numbers['median conductance after 1 year, mid window']} of it."
    )
    cards = {each.name: each.reference for each, _ in columns}
    subject = plain([("device", device_text(cards)), ("cells", f"{results.errors.shape[1]} emulated cells per point")])
    return PageHead(" ".join(sentences), subject, cards=cards)


def numbers_table(columns: list[tuple[DeviceCard, DeviceClaims]]) -> Table:
    """The numbers by which cards are compared first, one column per card."""
    rows: dict[str, list[str]] = {}
    for card, claims in columns:
        for name, value in _numbers(card, claims):
            rows.setdefault(name, []).append(value)
    header = ("quantity", *(card.name for card, _ in columns))
    return Table(header, tuple((name, *values) for name, values in rows.items()), "Closed forms, for a nominal cell")


def _numbers(card: DeviceCard, claims: DeviceClaims) -> list[tuple[str, str]]:
    middle = float(card.window.conductance(0.5))
    width = card.window.width
    ratio = "infinite" if card.g_min == 0 else f"{card.g_max / card.g_min:.3g}"
    levels = "any" if card.levels is None else str(len(card.levels.compile(card.window)))
    relative = [float(card.drift_factor(0.5, YEAR)), float(card.aged_std(0.5, YEAR) / middle)]
    point = symmetry_point(claims)
    pulses = ["-"] * 4
    if card.pulse is not None:
        up, down = float(card.step_mean(0.5, True)), float(card.step_mean(0.5, False))
        noise = float(card.step_std(0.5, True))
        pulses = [
            f"{engineering(up, 'S')} / {engineering(down, 'S')}",
            f"{_states(width / up)} / {_states(width / -down)}" if up > 0 > down else "-",
            f"{100 * noise / up:.3g} %" if up > 0 else "-",
            "everywhere or nowhere" if point is None else f"{point:.3g}",
        ]
    return [
        (
            "conductance window",
            f"{engineering(card.g_min, 'S') if card.g_min else 0} to {engineering(card.g_max, 'S')}",
        ),
        ("on/off ratio", ratio),
        ("programmable levels", levels),
        ("mean step up / down at mid window", pulses[0]),
        ("number of states, up / down", pulses[1]),
        ("cycle-to-cycle noise of that step", pulses[2]),
        ("symmetry point (state)", pulses[3]),
        ("programming error at mid window", f"{100 * float(card.program_std(middle)) / width:.3g} % of the window"),
        ("read noise at mid window, 1 s", f"{100 * float(card.read_std(middle, 1.0)) / middle:.3g} %"),
        ("median conductance after 1 year, mid window", f"{100 * relative[0]:.4g} %"),
        ("its standard deviation over cells", f"{100 * relative[1]:.3g} %"),
        ("step size, spread between cells", f"{100 * card.variation.gain_std(True):.3g} %"),
        ("yield", f"{100 * card.faults.cell_yield:.4g} %"),
        ("energy of a pulse", engineering(card.cost.e_pulse, "J") if card.cost.e_pulse else "not stated"),
    ]


def _states(count: float) -> str:
    return count_text(count) if count >= 1e4 else f"{count:.0f}"


def _pulse_sections(results: DeviceResults, claims: DeviceClaims, other: DeviceClaims | None) -> list[Section]:
    if results.ramps is None:
        text = "The card has no pulse law: its cells can only be programmed to a target."
        return [Section("Pulses", (text,))]
    ramps = Plot(
        "pulse_ramps",
        pulse_ramps(results.ramps, claims, other),
        f"Two cycles of {results.ramps.up} pulses up and {results.ramps.down} down, every pulse followed by a read (its noise included).",
    )
    steps = Plot(
        "steps_against_state",
        steps_against_state(results, claims, other),
        "One pulse. Left: mean change against the state before. Right: its standard deviation over cycles and cells; it shrinks at the "
        "bounds, where steps are cut off.",
    )
    return [Section("Pulses", plots=(ramps, steps))]


def _programming_section(results: DeviceResults, claims: DeviceClaims, other: DeviceClaims | None) -> Section:
    exact = not np.abs(results.errors).max() > 1e-6 * claims.g_max
    if exact:
        return Section("Programming", ("Targets are met exactly.",))
    plot = Plot(
        "programming_error",
        programming_error(results, claims, other),
        "Error after programming against the target. Left: percentiles over cells. Right: its standard deviation; next to 0 S cells "
        "cannot go below it, so their spread is smaller than the law's.",
    )
    return Section("Programming", plots=(plot,))


def _ageing_sections(results: DeviceResults, claims: DeviceClaims, other: DeviceClaims | None) -> list[Section]:
    if results.aged is None:
        return [Section("Retention", ("This card has no retention model: states stay as written.",))]
    plot = Plot(
        "ageing",
        ageing(results, claims, other),
        "Cells written to five states, then left alone. Left: conductance, on logarithmic axes. Right: its standard deviation.",
    )
    return [Section("Retention", plots=(plot,))]
