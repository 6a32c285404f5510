"""Read noise: fitted to series of reads, proven on the later part of each. It never writes a card."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from devices.measurements.card_files.card_file import CardParts, siemens
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.fit.noise.fit import NoiseFit, fit_noise
from devices.measurements.fit.noise.series import Series, series_of
from devices.measurements.fit.noise.spread import MOST
from devices.measurements.pipeline.stage import F64, FittedStage, Say
from devices.measurements.proof.delivered import noise_differences
from devices.measurements.proof.noise import halves, noise_proof
from devices.measurements.proof.proof import Proof, ReportKey
from devices.measurements.table.sink import Measurements
from devices.window import Window


@dataclass(frozen=True)
class FittedNoise:
    """Fitted read noise.

    Attributes:
        config: what was asked. window: of the card. series: of resting cells.
        part: the fit of the first part of every series; None when nothing is held out. fit: what the card holds.
    """

    report_key: ClassVar[ReportKey] = "noise"
    config: MeasurementConfig
    window: Window
    series: tuple[Series, ...]
    part: NoiseFit | None
    fit: NoiseFit

    @property
    def notes(self) -> tuple[str, ...]:
        """Whether cells differ, and what the card says below the states that were measured."""
        below = () if self.fit.below is None else (self.fit.below.note(),)
        spread = self.fit.spread
        if spread is None:
            return below
        text = (
            f"read noise differs from cell to cell at equal states: the standard deviation of its logarithm is {spread.value:.2f}"
            f" ({spread.low:.2f} to {spread.high:.2f}); the card's table is the root mean square over cells"
        )
        return (text if spread.value <= MOST else f"{text}; a card can hold {MOST:g} at most", *below)

    def compile(self, parts: CardParts) -> None:
        """Add the tables; they take the place of noise that was found among the pulses."""
        _add(parts, self.fit)

    def prove(self, say: Say) -> Proof:
        """Let emulated cells rest as long as the held-out part of every series."""
        held = self.config.held_out
        if held.by == "none":
            return Proof("noise", "nothing is held out, so the fit is not proven", ())
        if self.part is None:
            return Proof("noise", "the series are too short to hold a part out, so the fit is not proven", ())
        first, second = halves(self.series, held.fraction)
        card = CardParts("noise", "", self.window)
        _add(card, self.part)
        how = f"the last {held.fraction:.0%} of every series held out"
        proof = noise_proof(card.compile(), first, second, how=how, seed=held.seed)
        return replace(proof, differs=noise_differences(self.fit, self.part)) if held.refit else proof


@dataclass(frozen=True)
class NoiseStage:
    """Series of reads of resting cells."""

    config: MeasurementConfig
    series: tuple[Series, ...]

    @classmethod
    def of(cls, measured: Measurements, config: MeasurementConfig) -> "NoiseStage | None":
        """The series of a measurement; None without any. Raises MeasurementError."""
        rows = measured.tables.get("noise")
        return None if rows is None else cls(config, tuple(series_of(rows, measured.sources)))

    @property
    def reads(self) -> F64 | None:
        """All of them."""
        return np.concatenate([np.empty(0), *(one.g for one in self.series)])

    def fit(self, window: Window | None, fitted: Sequence[FittedStage], say: Say) -> FittedNoise:
        """Fit the first part of every series, and all of it."""
        assert window is not None
        say(f"fitting the spectra of {len(self.series)} noise series")
        held = self.config.held_out
        whole = fit_noise(self.series, window)
        first, _ = halves(self.series, held.fraction)
        part = fit_noise(first, window) if first and held.by != "none" else None
        chosen = whole if held.refit or part is None else part
        return FittedNoise(self.config, window, self.series, part, chosen)


def _add(parts: CardParts, noise: NoiseFit) -> None:
    parts.measured("read_noise", {"white": noise.white, "flicker": noise.flicker, "t_read": noise.t_read})
    if noise.below is not None and noise.below.exponent > 0.0:
        law = {"lowest": siemens(noise.below.lowest), "exponent": float(f"{noise.below.exponent:.4g}")}
        parts.parts["read_noise"] |= law
    if noise.spread is not None:
        spread = float(f"{min(noise.spread.value, MOST):.4g}")
        parts.parts["variation"] = {**parts.parts.get("variation", {}), "read_noise": spread}
