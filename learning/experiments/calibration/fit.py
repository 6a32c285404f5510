"""From what was measured to the parts of a card: pulses, programming error, read noise, ageing. It never reads a chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.card import DeviceCard
from devices.measurements.card_files.card_file import CardParts
from devices.measurements.fit.programming.fit import ProgrammingFit, fit_programming
from devices.window import Window
from learning.experiments.calibration.lab_files import followed, programming_pairs
from learning.experiments.calibration.pulse_response import RampTables, fit_ramps
from learning.experiments.calibration.resting import Aged, ageing, noise_of, read_noise
from learning.experiments.configs.calibrate import CalibrateConfig

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class FittedCard:
    """The parts of a card and what they were made of.

    Attributes:
        parts: of the card. pulse, programming, aged: fits; None without such data. noise: (K,) siemens against the state.
    """

    parts: CardParts
    pulse: RampTables | None
    programming: ProgrammingFit | None
    aged: Aged | None
    noise: npt.NDArray[np.float64]

    @property
    def window(self) -> Window:
        """Of the card."""
        return self.parts.window


def fit_card(
    config: CalibrateConfig, believed: DeviceCard, window: Window, measured: tuple[Arrays, Arrays | None, Arrays]
) -> FittedCard:
    """Fit every part. believed: its I-V curve is taken over, because a calibration reads at one voltage."""
    ends, ramps, rest = measured
    parts = CardParts(config.name, f"calibration of the chip of {config.experiment.name}", window)
    if believed.iv_alpha:
        parts.parts["iv_alpha"] = believed.iv_alpha
    noise = read_noise(rest["noise"], window)
    interval = 1.0 / float(rest["noise_rate"][0])
    parts.measured("read_noise", {"white": noise, "flicker": np.zeros_like(noise), "t_read": np.float64(interval)})
    pulse = None
    if ramps is not None:
        middle = float(np.interp(0.5, np.linspace(0.0, 1.0, len(noise)), noise))
        pulse = fit_ramps(ramps, middle)
        parts.measured("pulse", {"up": pulse.up, "down": pulse.down, "windows": pulse.windows})
    target, written = programming_pairs(ends, rest)
    programming = fit_programming(target, written, window) if len(target) else None
    if programming is not None:
        grid = window.grid(len(programming.table))
        own = np.square(programming.table) - noise_of(noise, grid, window, config.averaged)
        parts.measured("programming", {"std": np.sqrt(np.maximum(own, 0.0))})
    aged = None
    g = rest["aged"][:, followed(ends, rest)] if "aged" in rest else np.empty((0, 0))
    if g.shape[1] > 1:
        aged = ageing(rest["t"], g, noise_of(noise, g[0], window, config.averaged), window)
        if aged.part is not None:
            parts.parts["drift"] = aged.part
    stuck = [np.isfinite(ends[name]) for name in ends if name.endswith("/stuck")]
    share = sum(int(each.sum()) for each in stuck) / sum(each.size for each in stuck)
    if share:
        parts.parts["faults"] = {"stuck_random": float(f"{share:.6g}")}
    return FittedCard(parts, pulse, programming, aged, noise)
