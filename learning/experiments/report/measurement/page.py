"""The page of a device fit: verdict first, then figures, laws, facts and everything that was counted. It never fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from devices.card import load_card
from devices.measurements.data.pulse_kinds import ConditionRow
from devices.measurements.fit.parameters import Estimate
from devices.measurements.fit.pulse.laws import LawFit
from devices.measurements.fit.pulse.spread import Gains
from devices.measurements.fit.pulse.stuck import StuckReport
from devices.measurements.pipeline.comparison import CardComparison
from devices.measurements.pipeline.fit_result import FitResult
from devices.measurements.pipeline.pulse_stage import FittedPulse, WholeReplay
from devices.measurements.proof.proof import WORDS, Bin, Proof, ReportKey
from learning.experiments.defaults.statements import about_card, assumed_values
from learning.experiments.report.assumed import assumed_sections
from learning.experiments.report.head import Badge, PageHead
from learning.experiments.report.measurement.badge import fit_head, with_figure_first, worst
from learning.experiments.report.measurement.figures import (
    ageing_over_state,
    ageing_over_time,
    distances,
    distributions,
    gains_of_devices,
    programming_over_target,
    ramps_over_pulses,
    spectra,
    steps_over_state,
)
from learning.experiments.report.page import Plot, Section, write_page
from learning.experiments.report.tables import Table
from learning.experiments.report.wording import count_text, engineering
from learning.experiments.runs.run_folder import RunDirectory


def write_fit_report(run: RunDirectory, result: FitResult) -> Path:
    """Write report.html, figures and tables of a fit into the run's folder; return the page's path."""
    sections = [
        _verdict(result),
        *(section for key in WORDS if key in result.fitted for section in SECTIONS[key](result)),
        _data(result),
        *assumed_sections(assumed_values([load_card(result.card)])),
    ]
    window = f"{1e6 * result.window.g_min:.4g} to {1e6 * result.window.g_max:.4g} µS"
    return write_page(
        run,
        f"Device fit {result.config.name}",
        with_figure_first(sections),
        head=fit_head(result.proofs, load_card(result.card), result.rows, window),
        notes=(*result.notes, *about_fitted(result)),
    )


def about_fitted(result: FitResult) -> tuple[str, ...]:
    """What the fitted card leaves out because nothing was measured of it, and what it assumes."""
    card = load_card(result.card)
    return about_card(card, pulses=card.pulse is not None)


def write_comparison_report(run: RunDirectory, name: str, comparison: CardComparison) -> Path:
    """Write the page of a card against a measurement it was not fitted to; return the page's path."""
    proofs = comparison.proofs
    tables: list[tuple[str, Table]] = []
    plots = []
    for k, proof in enumerate(proofs):
        tables += [(f"bins_{k}", bin_table(proof)), (f"facts_{k}", fact_table(proof, f"{proof.what}: {proof.how}"))]
        plots.append(
            Plot(
                f"distances_{k}", distances(proof), f"Distance of the emulated from the measured device, {proof.what}."
            )
        )
        if proof.curves:
            plots.append(_curves(proof))
    if comparison.traces is not None and comparison.replayed is not None:
        caption = "Change per pulse against the state: median and 5 to 95 %; dots are measured."
        plots.append(Plot("steps", steps_over_state(comparison.traces, comparison.replayed), caption, raster=True))
    sentences = tuple(proof.sentence() for proof in proofs)
    sections = [Section("Verdict", sentences, (*_shown(proofs), *tables), tuple(plots))]
    if comparison.counted:
        sections.append(Section("Files", comparison.counted))
    named = ", ".join(f"{proof.what} is {proof.verdict}" for proof in proofs) or "nothing could be compared"
    head = PageHead(badges=(Badge(worst(proofs), f"likeness of {name} and the measured device: {named}."),))
    return write_page(run, f"Card {name} against a measurement", with_figure_first(sections), head=head)


def _curves(proof: Proof) -> Plot:
    """Mean and spread against what the quantity is followed over."""
    if proof.key == "ageing":
        return Plot("ageing", ageing_over_time(proof.curves), "Change since the first read, measured and emulated.")
    return Plot("ramps", ramps_over_pulses(proof.curves), "Mean and spread over ramps, measured and emulated.")


def verdict_text(result: FitResult) -> str:
    """First lines for the terminal: one per kind of measurement, a bad one first."""
    return "\n".join(result.sentences)


def law_table(laws: tuple[LawFit, ...]) -> Table:
    """How the pulse laws compare."""
    best = min((law.score.aic for law in laws if np.isfinite(law.score.aic)), default=0.0)
    rows = [
        (
            law.kind,
            str(law.score.parameters),
            "" if np.isnan(law.score.held_out) else f"{law.score.held_out:.3f}",
            f"{law.score.aic - best:+.1f}" if np.isfinite(law.score.aic) else "too few reads",
            f"{law.score.misfit:.2f}",
            f"{100 * max(law.score.bias, 0.0):.0f} %",
            "yes" if law.score.adequate else "no",
        )
        for law in laws
    ]
    return Table(
        ("law", "parameters", "held-out (nats/read)", "AIC above best", "worst KS", "worst bias", "adequate"),
        tuple(rows),
        "Pulse laws by maximum likelihood, reads and pulses both noisy. Held-out: mean log density of a held-out read, higher is"
        " better; laws that it does not tell apart are sorted by AIC. Worst KS: largest distance of the standardised innovations of"
        " one state bin from a standard normal. Worst bias:"
        " largest mean error of a bin beyond chance, in mean steps; a law is adequate up to 25 %.",
    )


def estimate_table(laws: tuple[LawFit, ...]) -> Table:
    """Parameters of every law with 95 % intervals."""
    rows = []
    for law in laws:
        for estimate in law.estimates:
            rows.append((f"{law.kind}: {estimate.name}", _value(estimate), _interval(estimate)))
    return Table(
        ("parameter", "value", "95 % interval"),
        tuple(rows),
        "Parameters with 95 % intervals: of all data for the law that the card holds or begins from, else of the fitted part of the first"
        " fold. The intervals contain the scatter of pulses and reads; that the measured devices are a sample of devices is only in those"
        " of step sizes, and only where devices have gains of their own. Other batches, days and temperatures are in none.",
    )


def _value(estimate: Estimate) -> str:
    return engineering(estimate.value, estimate.unit) if estimate.unit else f"{estimate.value:.4g}"


def _interval(estimate: Estimate) -> str:
    if estimate.fixed:
        return estimate.fixed
    if estimate.unit:
        return f"{engineering(estimate.low, estimate.unit)} to {engineering(estimate.high, estimate.unit)}"
    return f"{estimate.low:.4g} to {estimate.high:.4g}"


def fact_table(proof: Proof, caption: str) -> Table:
    """Whole-sample numbers, measured against emulated."""
    rows = [(name, _fact(a, unit), _fact(b, unit)) for name, (a, b, unit) in proof.facts.items()]
    return Table(("quantity", "measured", "emulated"), tuple(rows), caption)


def _fact(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.3g} %"
    return engineering(value, unit) if unit else f"{value:.4g}"


def bin_table(proof: Proof) -> Table:
    """Every comparison."""
    rows = [
        (
            b.label,
            count_text(b.measured),
            f"{_micro(b.mean[0], b.scale)} / {_micro(b.mean[1], b.scale)}",
            f"{1e6 * b.std[0]:.4g} / {1e6 * b.std[1]:.4g}",
            f"{b.relative:.3f}",
            f"{b.blur:.3f}",
            f"{b.ks:.3f}",
            f"{b.ks_band:.3f}",
            "yes" if b.inside else "NO",
        )
        for b in proof.bins
    ]
    return Table(
        ("bin", "n", "mean µS", "std µS", "distance", "band", "KS", "KS band", "inside"),
        tuple(rows),
        f"Measured / emulated. Distance: Wasserstein's, in standard deviations of the data; bands: 95 % of {proof.yardstick}.",
    )


def _micro(value: float, scale: float) -> str:
    """A value in µS; what is nothing beside the scatter of the data is 0, and not what rounding left."""
    return f"{1e6 * value:.4g}" if abs(value) > 1e-9 * scale else "0"


def shown_table(proof: Proof) -> Table:
    """What a good fit must show, and what refutes one."""
    rows = [
        (
            row.quantity,
            row.place,
            f"{row.ratio:.3f}",
            f"{row.low:.3f} to {row.high:.3f}",
            f"{row.margin.low:g} to {row.margin.high:g}",
            "NO" if row.refuted else "yes" if row.shown else "not shown" if row.required else "not told",
        )
        for row in proof.shown
    ]
    return Table(
        ("quantity", "where", "emulated / measured", "95 % interval", "margin", "within"),
        tuple(rows),
        "Ratios at equal states. A good fit has the whole interval of every direction within its margin; regions can only refute. Where"
        " devices are held out the interval contains that they are a sample of devices; where their ramps are, it does not.",
    )


def _shown(proofs: tuple[Proof, ...]) -> list[tuple[str, Table]]:
    return [(f"shown_{k}", shown_table(proof)) for k, proof in enumerate(proofs) if proof.shown]


def _verdict(result: FitResult) -> Section:
    how = [f"How {proof.what} was tested: {proof.how}." for proof in result.proofs if proof.bins]
    tables = [*_shown(result.proofs)]
    tables += [(f"bins_{k}", bin_table(proof)) for k, proof in enumerate(result.proofs) if proof.bins]
    plots = [
        Plot(f"distances_{k}", distances(proof), f"Distance of the emulated from the measured device, {proof.what}.")
        for k, proof in enumerate(result.proofs)
        if proof.bins
    ]
    return Section("Verdict", (*result.sentences, *how), tuple(tables), tuple(plots))


def _pulses(result: FitResult) -> list[Section]:
    found, proof = result.pulse, result.proven.get("pulse")
    if found is None:
        return []
    sections = [] if result.whole is None else [_whole(result.whole, proof)]
    if proof is not None and proof.facts:
        caption = "Compared samples" if result.whole is None else "Held-out part"
        sections.append(Section("Held-out numbers", (), (("facts_held_out", fact_table(proof, caption)),)))
    pulse = found.fit
    if pulse.laws:
        sections.append(
            Section("Pulse laws", (), (("laws", law_table(pulse.laws)), ("parameters", estimate_table(pulse.laws))))
        )
    if pulse.gains is not None:
        sections.append(_devices(pulse.gains))
    if pulse.stuck is not None and pulse.stuck.tested:
        sections.append(_stuck(pulse.stuck))
    if isinstance(found, FittedPulse) and found.kinds:
        sections.append(_kinds(found.kinds))
    return sections


def _whole(whole: WholeReplay, proof: Proof | None) -> Section:
    """The whole experiment beside its replay, with the distributions of some bins, of the proof where it has any."""
    plots = [
        Plot(
            "steps",
            steps_over_state(whole.traces, whole.replayed),
            "Change per pulse against the state: median and 5 to 95 %; dots are measured. The state is that of the reads before the"
            " last one, so that it shares no read noise with the step.",
            raster=True,
        )
    ]
    if whole.proof.curves:
        caption = "Mean and spread over ramps, measured and emulated with the final card."
        plots.append(Plot("ramps", ramps_over_pulses(whole.proof.curves), caption))
    shown = _shown_bins(proof if proof is not None and proof.bins else whole.proof)
    if shown:
        figure = distributions(whole.traces, whole.replayed, shown)
        plots.append(Plot("distributions", figure, "Distribution of the steps; the worst bin first."))
    caption = "The whole experiment, and the same experiment on emulated cells of the final card, reads included"
    return Section("Pulses", (), (("facts", fact_table(whole.proof, caption)),), tuple(plots))


def _devices(gains: Gains) -> Section:
    """How much devices differ."""
    rows = [
        (name, _value(e), _interval(e))
        for name, e in (
            ("common to both directions", gains.common),
            ("potentiation's own", gains.up),
            ("depression's own", gains.down),
        )
    ]
    table = Table(
        ("relative spread of the step size", "value", "95 % interval"),
        tuple(rows),
        "What is left after each device's own error",
    )
    plot = Plot("gains", gains_of_devices(gains), "Step size of each device, 95 % intervals.")
    return Section("Device to device", (), (("spread", table),), (plot,))


def _stuck(stuck: StuckReport) -> Section:
    low, high = stuck.interval
    text = (
        f"{len(stuck.cells)} of {stuck.tested} cells do not move when pulsed ({100 * low:.2g} to {100 * high:.2g} %, 95 % Wilson):"
        f" {stuck.low} low, {stuck.high} high, {stuck.elsewhere} between."
    )
    return Section("Stuck cells", (text,))


def _kinds(rows: tuple[ConditionRow, ...]) -> Section:
    """What every kind of pulse does."""
    cells = tuple(
        (
            f"{ {1: 'up', -1: 'down'}.get(row.direction, 'unknown') }, {row.condition}",
            str(row.pulses),
            engineering(row.mean, "S"),
            engineering(row.std, "S"),
            "yes" if row.fitted else "no",
        )
        for row in rows
    )
    table = Table(
        ("kind of pulse", "pulses", "mean change", "spread", "fitted"), cells, "Amplitudes and widths in the data"
    )
    return Section("Kinds of pulses", (), (("kinds", table),))


def _shown_bins(proof: Proof) -> list[Bin]:
    if not proof.bins:
        return []
    worst = proof.worst
    others = [b for b in proof.bins if b is not worst]
    picked = (
        [others[k] for k in np.unique(np.linspace(0, len(others) - 1, min(5, len(others))).astype(int))]
        if others
        else []
    )
    return [b for b in ([worst] if worst is not None else []) + picked if b.emulated]


def _ageing(result: FitResult) -> list[Section]:
    if result.ageing is None:
        return []
    proof, laws = result.proven.get("ageing"), result.ageing.laws
    fit = laws[0]
    rows = tuple(
        (
            law.kind,
            str(law.parameters),
            "" if np.isnan(law.held_out) else f"{law.held_out:.4f}",
            f"{law.aic:.1f}",
            f"{engineering(law.time, 's')}",
        )
        for law in laws
    )
    table = Table(
        ("law", "parameters", "held-out (nats/read)", "AIC (fitted cells)", "t_0 or t_ref"),
        rows,
        "Retention laws; the card holds the first",
    )
    plots = [
        Plot(
            "ageing_state",
            ageing_over_state(fit),
            "Parameters of the retention law against the state, standard errors at its t_0.",
        )
    ]
    tables = [("ageing_laws", table)]
    if proof is not None and proof.curves:
        plots.insert(
            0,
            Plot("ageing", ageing_over_time(proof.curves), "Change since the first read: held-out and emulated cells."),
        )
        tables.append(("ageing_facts", fact_table(proof, "Held-out cells")))
    return [Section("Retention", (), tuple(tables), tuple(plots))]


def _programming(result: FitResult) -> list[Section]:
    if result.programming is None or result.programming.fit is None:
        return []
    fit = result.programming.fit
    kurtosis = float(np.median(fit.excess))
    shape = (
        "close to normal"
        if abs(kurtosis) < 0.5
        else "flatter than normal, as a hard tolerance leaves it"
        if kurtosis < 0
        else "heavier-tailed than normal"
    )
    texts = (
        f"{fit.cells} cells; spread {1e6 * float(np.median(fit.std)):.3g} µS, {shape} (excess kurtosis {kurtosis:.2f});"
        f" {len(fit.stuck)} cells missed by far. The read noise of the first read is in it.",
    )
    plot = Plot("programming", programming_over_target(fit), "Programming error against target, 95 % intervals.")
    return [Section("Programming error", texts, (), (plot,))]


def _noise(result: FitResult) -> list[Section]:
    if result.noise is None:
        return []
    found = result.noise.fit.spectra
    rows = tuple(
        (
            engineering(one.mean, "S"),
            engineering(one.std, "S"),
            engineering(one.white_std, "S"),
            engineering(float(np.sqrt(one.flicker)), "S"),
            engineering(one.telegraph_std, "S") if one.corner > 0 else "none",
            engineering(one.dwell, "s") if one.corner > 0 else "",
            f"{one.exponent:.2f} ± {one.exponent_error:.2f}" if np.isfinite(one.exponent_error) else "",
            f"{one.misfit:.3f}",
        )
        for one in found
    )
    table = Table(
        ("mean", "spread of reads", "white", "1/f coefficient", "telegraph", "dwell", "slope", "KS"),
        rows,
        "Parts of the spectrum that AIC keeps. The 1/f coefficient is the root of A in S(f) = A / f; slope: exponent when it is free; "
        "KS: distance of the scaled periodogram from its distribution.",
    )
    noisy = [one for one in found if one.parts]
    silent = len(found) - len(noisy)
    texts = (f"{silent} series hold the same value in every read: no noise, no spectrum.",) if silent else ()
    if not noisy:
        return [Section("Read noise", texts, (("spectra", table),))]
    plot = Plot(
        "spectra",
        spectra(noisy),
        "Left: spectra and their parts. Right: spread of the reads within windows, and the law that the card holds.",
        raster=True,
    )
    return [Section("Read noise", texts, (("spectra", table),), (plot,))]


SECTIONS: Mapping[ReportKey, Callable[[FitResult], list[Section]]] = MappingProxyType(
    {"pulse": _pulses, "ageing": _ageing, "programming": _programming, "noise": _noise}
)
"""What the page shows of each quantity."""


def _data(result: FitResult) -> Section:
    rows = tuple((path, count_text(count)) for path, count in result.rows)
    texts = (
        ("Irregularities in the files, and how they were handled:", *result.counted)
        if result.counted
        else ("No irregularities.",)
    )
    return Section("Files", texts, (("files", Table(("file", "rows"), rows)),))
