"""The head of a fit's report: one verdict, one sentence each for inference and for training. It never judges data: the proofs do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from devices.card import DeviceCard
from devices.measurements.proof.proof import Proof, ReportKey
from learning.experiments.report.head import Badge, PageHead, plain
from learning.experiments.report.page import Section
from learning.experiments.report.wording import count_text

WORST_FIRST = ("bad", "unproven", "fair", "good")
WORDS = {
    "good": "shown by the data: the emulated cells do what the held-out cells did",
    "fair": "close to the data, with differences that the verdict below names",
    "bad": "refuted by the data",
    "unproven": "not shown: the data do not suffice to tell",
}
MEASURED_FIGURES = ("ramps", "ageing", "programming", "spectra", "steps")
"""Figures that show measured against emulated, the most telling first."""


@dataclass(frozen=True)
class Need:
    """What a use of the card rests on: the key of a proof, what to call it, and whether the card has it without measurement."""

    key: ReportKey
    name: str
    lacking: bool


def fit_head(proofs: Sequence[Proof], card: DeviceCard, rows: Sequence[tuple[str, int]], window: str) -> PageHead:
    """Head of a fit's report.

    Args:
        proofs: of everything measured. card: the fitted card. rows: rows read by file. window: in words.
    """
    overall = worst(proofs)
    named = ", ".join(f"{proof.what} is {proof.verdict}" for proof in proofs) or "nothing could be compared"
    badges = (
        Badge(overall, f"fit of {card.name}: {named}."),
        use("inference", proofs, inference_needs(card)),
        use("training", proofs, training_needs(card)),
    )
    files = ", ".join(f"{path} ({count_text(count)} rows)" for path, count in rows)
    subject = plain(
        [("device", card.name), ("source", card.reference), ("conductance window", window), ("files", files)]
    )
    return PageHead("", subject, badges, {card.name: card.reference})


def worst(proofs: Sequence[Proof]) -> str:
    """The verdict that a reader must know first; unproven without any."""
    return min((proof.verdict for proof in proofs), key=WORST_FIRST.index, default="unproven")


def inference_needs(card: DeviceCard) -> tuple[Need, ...]:
    """What inference rests on: where a cell lands, how it stays, how it is read."""
    return (
        Need("programming", "programming error", card.programming.kind == "none"),
        Need("ageing", "retention", card.drift.kind == "none"),
        Need("noise", "read noise", card.read_noise.kind == "none"),
    )


def training_needs(card: DeviceCard) -> tuple[Need, ...]:
    """What training rests on: the answer to pulses."""
    return (Need("pulse", "pulse response", card.pulse is None),)


def use(purpose: str, proofs: Sequence[Proof], needs: Sequence[Need]) -> Badge:
    """Verdict and sentence for one use: the worst of what was measured for it, never better than what was not measured allows."""
    found = {need.name: [proof for proof in proofs if proof.key == need.key] for need in needs}
    measured = [proof for of_need in found.values() for proof in of_need]
    missing = [need for need in needs if not found[need.name]]
    ideal = " and ".join(need.name for need in missing if need.lacking)
    assumed = " and ".join(need.name for need in missing if not need.lacking)
    if not measured:
        are = "are" if " and " in (ideal or assumed) else "is"
        gap = f"{ideal} {are} ideal in the card" if ideal else f"{assumed} {are} not from this measurement"
        return Badge(
            "unproven",
            f"Use it for {purpose}: not on this measurement alone; {gap}, because nothing of it was measured.",
        )
    verdict = worst(measured)
    if missing and verdict in ("good", "fair"):
        verdict = "fair" if not ideal else "unproven"
    shown = "; ".join(f"{name} is {WORDS[worst(of_need)]}" for name, of_need in found.items() if of_need)
    gaps = [
        f"{text} {'are' if ' and ' in text else 'is'} {how}"
        for text, how in ((ideal, "ideal, not measured"), (assumed, "the card's own, not measured here"))
        if text
    ]
    answer = {"good": "yes", "fair": "with care", "bad": "no", "unproven": "not yet"}[verdict]
    return Badge(verdict, f"Use it for {purpose}: {answer}; {'; '.join((shown, *gaps))}.")


def with_figure_first(sections: Sequence[Section]) -> list[Section]:
    """The sections with the most telling figure of measured against emulated in a section of its own at the top."""
    for name in MEASURED_FIGURES:
        for section in sections:
            chosen = [plot for plot in section.plots if plot.name == name]
            if chosen:
                rest = replace(section, plots=tuple(plot for plot in section.plots if plot.name != name))
                kept = [rest if one is section else one for one in sections]
                first = Section("Measured against emulated", plots=tuple(chosen))
                return [first, *(one for one in kept if one.texts or one.tables or one.plots or one.links)]
    return list(sections)
