"""Pulses of another amplitude or width than the nominal one: what they do on average. Never sends a pulse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analog_sim.cells.cell_model import CellModel, PulseFactor


def driven(cell: CellModel, amplitude: float | None, width: float | None) -> CellModel:
    """The card as it answers to pulses of this amplitude (volts) and width (seconds): the tables of its steps times the factors.

    The very card when both are None. Raises ValueError where the card does not say what such a pulse does.
    """
    if amplitude is None and width is None:
        return cell
    pulse = cell.pulse
    if pulse is None:
        raise ValueError(f"card {cell.name} has no pulse response")
    both = _factors(cell.name, pulse.amplitude, amplitude, "amplitude", "V") * _factors(
        cell.name, pulse.width, width, "width", "s"
    )
    up, down = (np.float32(factor) for factor in both)
    return replace(
        cell,
        pulse=replace(
            pulse,
            up_mean=up * pulse.up_mean,
            up_std=up * pulse.up_std,
            down_mean=down * pulse.down_mean,
            down_std=down * pulse.down_std,
            up_quantiles=None if pulse.up_quantiles is None else up * pulse.up_quantiles,
            down_quantiles=None if pulse.down_quantiles is None else down * pulse.down_quantiles,
        ),
    )


def _factors(card: str, factor: PulseFactor | None, value: float | None, what: str, unit: str) -> np.ndarray:
    """Factors (up, down) of one property of a pulse; 1 for the nominal one."""
    if value is None:
        return np.ones(2)
    if factor is None:
        raise ValueError(f"card {card} does not say what the {what} of a pulse does to a step (no pulse.{what})")
    if not 0.0 < value <= float(factor.at[-1]) * (1.0 + 1e-6):
        raise ValueError(
            f"{what} must be above 0 and at most {factor.at[-1]:g} {unit}, where card {card} ends (got {value:g} {unit})"
        )
    return factor.factors(value)
