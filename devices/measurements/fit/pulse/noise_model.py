"""Read noise as parameters of a likelihood: none, white, or white and correlated; where the search begins. Never a law or a choice.

White noise and scattering pulses explain reads that differ more the more pulses lie between them. Noise that is correlated from
read to read does so too, up to its length; what it adds saturates, what pulses add does not.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.fit.parameters import Param
from devices.measurements.fit.pulse.families import Start

NoiseModel = Literal["none", "white", "correlated"]

LENGTHS = (3.0, 12.0)
"""Reads: correlation lengths that a search begins from; the likelihood may have a summit for either."""
RAMP_PER_LENGTH = 10.0
"""A correlation length is at most the longest trace over this: slower noise is like pulses that scatter, and is left to them."""
LEFT_TO_PULSES = 0.3
"""Factor on the scatter of pulses where a search for correlated noise begins."""


def noise_params(model: NoiseModel, start: Start, longest: int) -> list[tuple[Param, float]]:
    """Parameters of the read noise with starting values; `longest`: reads of the longest trace."""
    width = start.window.width
    if model == "none":
        return []
    white = (Param("read_std", "S", log=True, low=1e-7 * width, high=width), max(start.read_std, 1e-5 * width))
    if model == "white":
        return [white]
    high = max(longest / RAMP_PER_LENGTH, LENGTHS[0])
    return [
        white,
        (Param("read_correlated", "S", log=True, low=1e-7 * width, high=width), white[1]),
        (Param("read_length", "reads", log=True, low=1.0, high=high), min(LENGTHS[0], high)),
    ]


def noise_of(values: Mapping[str, float]) -> ReadNoise:
    """Return the noise of fitted values."""
    return ReadNoise(values.get("read_std", 0.0), values.get("read_correlated", 0.0), values.get("read_length", 1.0))


def starting_values(
    params: Sequence[tuple[Param, float]], known: Mapping[str, float], step_std: float
) -> list[dict[str, float]]:
    """Values to begin from: one set, or one for each of `LENGTHS` when correlated noise is sought.

    Where pulses that scatter by s explain the first lags, noise of length n does too with ``a**2 = n s**2 / 2``.

    Args:
        params: of the law and the noise. known: values of a fit without correlated noise. step_std: siemens, its s.
    """
    first = {param.name: known.get(param.name, value) for param, value in params}
    if "read_length" not in first or "read_length" in known or not known:
        return [first]
    calmer = {name: value * (LEFT_TO_PULSES if _scatter(name) else 1.0) for name, value in first.items()}
    return [calmer | {"read_correlated": step_std * (0.5 * length) ** 0.5, "read_length": length} for length in LENGTHS]


def _scatter(name: str) -> bool:
    """Whether a parameter of a law is scatter of the pulse."""
    return name.startswith("noise") or name in ("up_std", "down_std")
