"""What was fitted of pulses, put on a card, and the files of a card. It never fits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.measurements.card_files.card_file import CardParts, part_of_law, siemens, write_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.fit.pulse.fit import PulseFit
from devices.measurements.fit.pulse.laws import LawFit
from devices.measurements.pipeline.write_by_pulses import PulseWriting, write_by_pulses
from devices.window import Window


@dataclass(frozen=True)
class CardFiles:
    """Paths of the card and, where pulses were measured, of a second one with the best law in place of the tables."""

    card: Path
    law_card: Path | None


def add_pulse(parts: CardParts, config: MeasurementConfig, pulse: PulseFit) -> None:
    """Add a fitted pulse response to a card: tables or law, read noise among the pulses, spread, stuck cells."""
    law = law_of(pulse, config.pulse.use)
    if law is None:
        arrays: dict[str, npt.ArrayLike] = {"up": pulse.tables.up, "down": pulse.tables.down}
        if pulse.tables.windows is not None:
            arrays["windows"] = pulse.tables.windows
        parts.measured("pulse", arrays)
    else:
        parts.parts["pulse"] = part_of_law(law.part)
        if config.window is None:
            parts.window = law.window
    if pulse.history is not None:
        parts.parts["pulse"] = {**parts.parts["pulse"], "history": pulse.history.part()}
    if pulse.read_std > 0:
        parts.parts["read_noise"] = {"kind": "constant", "std": siemens(pulse.read_std), "of": "reading"}
    _add_variation(parts, pulse)


def law_of(pulse: PulseFit, use: str) -> LawFit | None:
    """The law that the card holds; None for the measured tables."""
    if use == "measured" or not pulse.laws:
        return None
    return pulse.laws[0] if use == "best_law" else next(fit for fit in pulse.laws if fit.kind == use)


def _add_variation(parts: CardParts, pulse: PulseFit) -> None:
    if pulse.gains is not None:
        spreads = {
            "step": pulse.gains.common.value,
            "step_up": pulse.gains.up.value,
            "step_down": pulse.gains.down.value,
        }
        known = {name: float(f"{value:.4g}") for name, value in spreads.items() if value > 0}
        if known:
            parts.parts["variation"] = known
    stuck = pulse.stuck
    if stuck is not None and stuck.cells:
        rates = {"stuck_low": stuck.low, "stuck_high": stuck.high, "stuck_random": stuck.elsewhere}
        parts.parts["faults"] = {name: count / stuck.tested for name, count in rates.items() if count}


def add_writing(config: MeasurementConfig, parts: CardParts) -> tuple[str, ...]:
    """Add the programming error that pulses leave, when it was not measured and not given; return what the report says of it."""
    known = "pulse" not in parts.parts or "programming" in parts.parts or "programming" in config.card
    if known or not config.write_by_pulses.enabled:
        return ()
    cell = parts.card(config.card).compile()
    writing = write_by_pulses(cell, max_pulses=config.write_by_pulses.max_pulses, seed=config.held_out.seed)
    parts.measured("programming", {"std": writing.std})
    return (_words(writing),)


def _words(writing: PulseWriting) -> str:
    return (
        f"programming was not measured: its error is that of write-verify by single pulses on emulated cells, at most"
        f" {writing.max_pulses} of them to within {1e6 * writing.tolerance:.3g} uS"
        f"{'' if writing.reads == 1 else f' by the mean of {writing.reads} reads'}; it leaves"
        f" {1e6 * float(writing.std.min()):.3g} to {1e6 * float(writing.std.max()):.3g} uS"
        f" ({np.mean(writing.reached):.0%} of the cells within tolerance, {np.mean(writing.pulses):.1f} pulses a cell)"
    )


def write_cards(
    folder: Path, config: MeasurementConfig, laws: tuple[LawFit, ...], parts: CardParts, files: int
) -> CardFiles:
    """Write the card, and a second one with the best pulse law in place of the tables.

    Args:
        folder: made when missing. config: what was asked. laws: the best first. parts: of the card. files: how many it was fitted from.
    """
    comments = (f"Fitted by scripts/fit_device.py from {files or 'step distribution'} file(s); tables beside it.",)
    card = write_card(folder, parts, config.card, comments)
    if not laws or config.pulse.use != "measured":
        return CardFiles(card, None)
    best = laws[0]
    window = best.window if config.window is None else parts.window
    law = CardParts(
        name=f"{config.name}_{best.kind}",
        reference=config.reference,
        window=window,
        parts={**parts.parts, "pulse": {**part_of_law(best.part), **_beside_the_law(parts.parts["pulse"])}},
        arrays={
            name: moved(values, parts.window, window)
            for name, values in parts.arrays.items()
            if not name.startswith("pulse.")
        },
    )
    return CardFiles(card, write_card(folder, law, config.card, ("The best parametric law of the same measurement.",)))


def _beside_the_law(part: Mapping[str, Any]) -> dict[str, Any]:
    """What a part `pulse` says besides its law or tables."""
    return {key: part[key] for key in ("amplitude", "width", "history") if key in part}


def moved(values: npt.ArrayLike, old: Window, new: Window) -> npt.ArrayLike:
    """A table (K,) over the states of one window as a table over those of another, constant beyond the old one; others as they are."""
    table = np.asarray(values, np.float64)
    if table.ndim != 1 or old == new:
        return values
    return np.interp(new.grid(len(table)), old.grid(len(table)), table)
