"""Sentences on the read noise that was taken out of the steps, and on what the pulses' own scatter is then. It never computes."""

import numpy as np

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.fit.pulse.comparison_of_laws import NoiseEvidence
from devices.measurements.fit.pulse.scatter import Scatter
from devices.measurements.fit.pulse.statespace import StepTables


def noise_notes(noise: ReadNoise, evidence: NoiseEvidence, scatter: Scatter | None, law: StepTables) -> list[str]:
    """One sentence on white noise, three on correlated noise, none without noise."""
    if evidence.model == "none":
        return []
    origin = "with the instrument's own noise in it, it is an upper bound of the cell's"
    if scatter is None:
        return [
            f"successive reads show a read noise of {1e6 * noise.total:.3g} uS (AIC better by {_large(evidence.white_gain)}): it is"
            f" taken out of the steps and given to the card's read noise; {origin}"
        ]
    step = float(np.mean(np.abs(law.mean)))
    return [
        f"reads show a read noise of {1e6 * noise.total:.3g} uS, {noise.share:.0%} of its variance correlated over"
        f" {noise.length:.3g} reads as 1/f noise and telegraph signals are ({1e6 * noise.white:.3g} uS white, {1e6 * noise.correlated:.3g}"
        f" uS correlated; AIC better by {evidence.correlated_gain:.0f} than with white noise alone): both parts are taken out of the"
        f" steps and given to the card's read noise; {origin}",
        "reads of emulated cells are independent: the card has the size of the read noise and not its correlation, which the replay"
        " of the proof adds to its reads",
        f"beneath that noise a pulse scatters by {1e6 * scatter.value:.2g} uS (95 % interval {1e6 * scatter.low:.2g} to"
        f" {1e6 * scatter.high:.2g} uS), {scatter.value / step:.2g} mean steps ({scatter.low / step:.2g} to {scatter.high / step:.2g})",
    ]


def _large(gain: float) -> str:
    """A difference of AIC; reads without a pulse between them that differ refute a model without read noise whatever the number."""
    return f"{gain:.0f}" if gain < 1e6 else "more than a million"
