"""What was fitted, put on a card: tables or law, noise, spread, faults, programming error. It never fits."""

import tempfile
from pathlib import Path

import numpy.typing as npt

from devices.card import load_card
from devices.measurements.card_files.card_file import CardParts, part_of_law, siemens, write_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.fit.ageing.fit import AgeingFit
from devices.measurements.fit.noise.fit import NoiseFit
from devices.measurements.fit.programming.fit import ProgrammingFit
from devices.measurements.fit.pulse.fit import PulseFit
from devices.measurements.fit.pulse.laws import LawFit
from devices.measurements.pipeline.write_by_pulses import PulseWriting, write_by_pulses


def compose(
    parts: CardParts,
    config: MeasurementConfig,
    pulse: PulseFit | None,
    programming: ProgrammingFit | None,
    ageing: tuple[AgeingFit, ...],
    noise: NoiseFit | None,
) -> None:
    """Add what was fitted to a card."""
    if pulse is not None:
        use = config.pulse.use
        law = law_of(pulse, use)
        if law is None:
            arrays: dict[str, npt.ArrayLike] = {"up": pulse.tables.up, "down": pulse.tables.down}
            if pulse.tables.windows is not None:
                arrays["windows"] = pulse.tables.windows
            parts.measured("pulse", arrays)
        else:
            parts.parts["pulse"] = part_of_law(law.part)
            if config.window is None:
                parts.window = law.window
        if pulse.read_std > 0 and noise is None:
            parts.parts["read_noise"] = {"kind": "constant", "std": siemens(pulse.read_std), "of": "reading"}
        _variation(parts, pulse)
    if programming is not None:
        parts.measured("programming", {"std": programming.table})
        if len(programming.stuck):
            parts.parts["faults"] = {
                "stuck_random": len(programming.stuck) / (len(programming.stuck) + programming.cells)
            }
    if ageing:
        parts.measured("drift", ageing[0].tables)
        if config.temperature is not None:
            parts.parts["temperature"] = f"{config.temperature - 273.15:.6g} C"
    if noise is not None:
        parts.measured("read_noise", {"white": noise.white, "flicker": noise.flicker, "t_read": noise.t_read})


def add_writing(
    config: MeasurementConfig, parts: CardParts, pulse: PulseFit | None, programming: ProgrammingFit | None
) -> PulseWriting | None:
    """Add the programming error that pulses leave, when it was not measured and not given."""
    if pulse is None or programming is not None or "programming" in config.card or not config.write_by_pulses.enabled:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        cell = load_card(write_card(Path(scratch), parts, config.card)).compile()
    writing = write_by_pulses(cell, max_pulses=config.write_by_pulses.max_pulses, seed=config.held_out.seed)
    parts.measured("programming", {"std": writing.std})
    return writing


def law_of(pulse: PulseFit, use: str) -> LawFit | None:
    """The law that the card holds; None for the measured tables."""
    if use == "measured" or not pulse.laws:
        return None
    return pulse.laws[0] if use == "best_law" else next(fit for fit in pulse.laws if fit.kind == use)


def _variation(parts: CardParts, pulse: PulseFit) -> None:
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


def write_law_card(
    folder: Path, config: MeasurementConfig, pulse: PulseFit | None, noise: NoiseFit | None, parts: CardParts
) -> Path | None:
    """A second card with the best parametric law in place of the tables."""
    if pulse is None or not pulse.laws or config.pulse.use != "measured":
        return None
    best = pulse.laws[0]
    law = CardParts(
        f"{config.name}_{best.kind}", config.reference, best.window if config.window is None else parts.window
    )
    law.parts = {**parts.parts, "pulse": part_of_law(best.part)}
    kept = {name: values for name, values in parts.arrays.items() if not name.startswith("pulse.")}
    if kept:
        law.arrays = kept
        for key in ("programming", "drift", "read_noise"):
            if isinstance(law.parts.get(key), dict) and law.parts[key].get("kind") == "measured":
                law.parts[key] = {"kind": "measured", "file": f"{law.name}.npz"}
    return write_card(folder, law, config.card, ("The best parametric law of the same measurement.",))
