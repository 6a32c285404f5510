"""Pulse laws as families of parameters: where each begins, and the part of a card that its values make. Never a likelihood."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.config import SI
from devices.measurements.fit.parameters import Param
from devices.pulse.exp_step import ExpStep
from devices.pulse.law import PulseLaw
from devices.pulse.linear_step import LinearStep
from devices.pulse.piecewise import Piecewise
from devices.pulse.power_step import PowerStep
from devices.pulse.soft_bounds import SoftBounds
from devices.window import LARGEST_S, Window

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """What the moments of the steps suggest: mean and std of the step (2, M) siemens at M states of the window, read noise in siemens.

    `measured` tells which directions (down, up) have data; the other is a mirror image. `hard`: whether the window was given, so
    that states stop at its bounds, and is not just the range of the data.
    """

    mean: F64
    std: F64
    read_std: float
    window: Window
    measured: tuple[bool, bool]
    hard: bool


class LawFamily(ABC):
    """A pulse law and its parameters."""

    kind: str

    @abstractmethod
    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Parameters with starting values."""

    @abstractmethod
    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """The part of a card with these values."""

    def window(self, values: Mapping[str, float], start: Start) -> Window:
        """The card's window: the measured one, unless the law has its own bounds."""
        below, above = values.get("below", 0.0), values.get("above", 0.0)
        return Window(max(0.0, float(start.window.g_min) - below), float(start.window.g_max) + above)


def _sizes(values: Mapping[str, float]) -> dict[str, Any]:
    """Step and asymmetry of a part from the sizes of both directions."""
    up, down = values.get("s_up"), values.get("s_down")
    up, down = (down if up is None else up), (up if down is None else down)
    assert up is not None  # at least one direction is measured
    assert down is not None
    return {"step": SI(0.5 * (up + down)), "asymmetry": (up - down) / (up + down)}


LEAST_STEP = 1e-5
"""Step, in windows, with which a search begins where the data have none."""
MOST_SPREAD = 1e3
"""Scatter of a step in units of the mean step that a card may state."""


def _spread(std: F64) -> float:
    """Median of standard deviations, 0 where none is known."""
    known = std[np.isfinite(std)]
    return float(np.median(known)) if len(known) else 0.0


def _noise_params(start: Start, sizes: Sequence[float]) -> list[tuple[Param, float]]:
    """Scatter of a step in units of its size, of two kinds; `sizes`: of the step of both directions."""
    spread = _spread(start.std[list(start.measured)])
    first = max(0.7 * spread / max(*sizes, LEAST_STEP * start.window.width), 1e-3)
    return [(Param(name, log=True, low=1e-4, high=MOST_SPREAD), first) for name in ("noise_additive", "noise")]


def _per_direction(
    start: Start, name: str, unit: str, value: Sequence[float], **options: Any
) -> list[tuple[Param, float]]:
    return [
        (Param(f"{name}_{side}", unit, **options), value[k])
        for k, side in enumerate(("down", "up"))
        if start.measured[k]
    ]


def _size_params(start: Start, sizes: Sequence[float]) -> list[tuple[Param, float]]:
    """Sizes of the step of both directions, (down, up)."""
    width = start.window.width
    first = [max(size, LEAST_STEP * width) for size in sizes]
    return _per_direction(start, "s", "S", first, log=True, low=1e-8 * width, high=min(10.0 * width, LARGEST_S))


def _both(values: Mapping[str, float], name: str) -> dict[str, Any]:
    """Values of both directions; a direction that was not measured is a mirror image."""
    up, down = values.get(f"{name}_up"), values.get(f"{name}_down")
    return {f"{name}_up": down if up is None else up, f"{name}_down": up if down is None else down}


def _bound_params(start: Start) -> list[tuple[Param, float]]:
    """How far the law's own bounds lie outside the measured window."""
    width, floor = start.window.width, start.window.g_min
    below, most = min(0.1 * width, 0.5 * floor), min(100.0 * width, LARGEST_S - start.window.g_max)
    params = []
    if start.measured[1] and most > 1e-4 * width:
        params.append((Param("above", "S", log=True, low=1e-4 * width, high=most), 0.1 * width))
    if start.measured[0] and below > 1e-4 * width:
        params.append((Param("below", "S", log=True, low=1e-4 * width, high=floor), below))
    return params


class LinearFamily(LawFamily):
    """linear_step: step falling linearly, on the measured window."""

    kind = "linear_step"

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Sizes where the direction starts, relative falls, noise."""
        first = [abs(start.mean[0, -1]), abs(start.mean[1, 0])]
        fall = [1.0 - abs(start.mean[0, 0]) / max(first[0], 1e-30), 1.0 - abs(start.mean[1, -1]) / max(first[1], 1e-30)]
        return [
            *_size_params(start, first),
            *_per_direction(start, "gamma", "", [min(max(x, 0.02), 0.98) for x in fall], low=0.0, high=1.0),
            *_noise_params(start, first),
        ]

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """LinearStep."""
        return LinearStep(
            **_sizes(values), **_both(values, "gamma"), noise=values["noise"], noise_additive=values["noise_additive"]
        )


class ConstantFamily(LawFamily):
    """linear_step with equal steps everywhere and one spread: all that a handful of reads can tell."""

    kind = "linear_step"

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Sizes and spread."""
        size = [float(np.nanmedian(np.abs(start.mean[k]))) for k in (0, 1)]
        return [*_size_params(start, size), *_noise_params(start, size)[:1]]

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """LinearStep with gamma = 0."""
        return LinearStep(**_sizes(values), noise_additive=values["noise_additive"])


class BoundedFamily(LawFamily):
    """A step that ends at a bound, which is fitted, or given when the window is."""

    def __init__(self, free_bounds: bool) -> None:
        self._free = free_bounds

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Sizes at the far bound, shape, bounds, noise."""
        first = [abs(start.mean[0, -1]), abs(start.mean[1, 0])]
        return [
            *_size_params(start, first),
            *self.shape_params(start),
            *(_bound_params(start) if self._free else []),
            *_noise_params(start, first),
        ]

    def shape_params(self, start: Start) -> list[tuple[Param, float]]:
        """Parameters of the step's fall towards the bound; none unless the law has some."""
        return []


class SoftBoundsFamily(BoundedFamily):
    """soft_bounds: step proportional to the distance from the bound."""

    kind = "soft_bounds"

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """SoftBounds."""
        return SoftBounds(**_sizes(values), noise=values["noise"], noise_additive=values["noise_additive"])


class PowerFamily(BoundedFamily):
    """power_step: a power of the distance from the bound."""

    kind = "power_step"

    def shape_params(self, start: Start) -> list[tuple[Param, float]]:
        """Exponents."""
        return _per_direction(start, "gamma", "", [1.0, 1.0], log=True, low=0.01, high=50.0)

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """PowerStep."""
        return PowerStep(
            **_sizes(values), **_both(values, "gamma"), noise=values["noise"], noise_additive=values["noise_additive"]
        )


class ExpFamily(LawFamily):
    """exp_step: exponential saturation (A > 0) or growth (A < 0), on the measured window.

    `rate` is where the search for gamma begins: weight and rate lie on a narrow ridge, with more than one summit on poor data.
    """

    kind = "exp_step"

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Sizes far from the bound, weights and rates, noise."""
        up, down = np.exp(self._rate), np.exp(-self._rate)  # the exponential at the bound ahead, and at the one behind
        sizes, weights = [], []
        for k, (near, far) in enumerate(((0, -1), (-1, 0))):
            first = max(abs(start.mean[k, far]), 1e-5 * start.window.width)
            ratio = abs(start.mean[k, near]) / first
            weight = float(
                np.clip((1.0 - ratio) / (up - ratio * down), -20.0, 0.98 / up)
            )  # matches both ends of the curve
            weights.append(weight)
            sizes.append(first / (1.0 - weight * down))
        return [
            *_size_params(start, sizes),
            *_per_direction(start, "A", "", weights, log=True, one_minus=True, low=-1e6, high=0.9999),
            *_per_direction(start, "gamma", "", [self._rate] * 2, log=True, low=0.05, high=50.0),
            *_noise_params(start, sizes),
        ]

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """ExpStep."""
        return ExpStep(
            **_sizes(values),
            **_both(values, "A"),
            **_both(values, "gamma"),
            noise=values["noise"],
            noise_additive=values["noise_additive"],
        )


class PiecewiseFamily(LawFamily):
    """piecewise: mean step at equally distant states, one spread per direction."""

    kind = "piecewise"

    def __init__(self, nodes: int = 7) -> None:
        self._nodes = nodes

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Mean step at every node and spread, siemens."""
        found = []
        grid = np.linspace(0.0, 1.0, start.mean.shape[1])
        for k, side in enumerate(("down", "up")):
            if not start.measured[k]:
                continue
            steps = np.abs(np.interp(np.linspace(0.0, 1.0, self._nodes), grid, start.mean[k]))
            least = 1e-6 * start.window.width
            found += [
                (Param(f"{side}[{j}]", "S", log=True, low=least, high=start.window.width), max(float(step), least))
                for j, step in enumerate(steps)
            ]
            spread = max(_spread(start.std[k]), 1e-5 * start.window.width)
            found.append(
                (Param(f"{side}_std", "S", log=True, low=1e-7 * start.window.width, high=start.window.width), spread)
            )
        return found

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """Piecewise, in units of the mean step over both directions."""
        nodes = {
            side: [values[f"{side}[{j}]"] for j in range(self._nodes)] if f"{side}[0]" in values else None
            for side in ("up", "down")
        }
        up, down = nodes["up"], nodes["down"]
        up, down = (down or [])[::-1] if up is None else up, (up or [])[::-1] if down is None else down
        spread_up = values.get("up_std", values.get("down_std", 0.0))
        spread_down = values.get("down_std", values.get("up_std", 0.0))
        size = float(np.mean([*up, *down]))
        spread_up, spread_down = (min(spread / size, MOST_SPREAD) for spread in (spread_up, spread_down))
        return Piecewise(
            step=SI(size),
            up=tuple(float(x / size) for x in up),
            down=tuple(float(x / size) for x in down),
            up_std=(spread_up,),
            down_std=(spread_down,),
        )


PIECEWISE_NODES = (3, 5, 9)
"""Nodes that are tried for the piecewise law, from coarse to fine."""


def families(free_bounds: bool) -> dict[str, tuple[LawFamily, ...]]:
    """Every pulse law, with its variants: the one with the lowest AIC stands for the law.

    `free_bounds`: laws that die at a bound may have it outside the window; not when the user gave the window.
    """
    return {
        "linear_step": (ConstantFamily(), LinearFamily()),
        "soft_bounds": (SoftBoundsFamily(free_bounds),),
        "exp_step": tuple(ExpFamily(rate) for rate in (1.0, 3.0)),
        "power_step": (PowerFamily(free_bounds),),
        "piecewise": tuple(PiecewiseFamily(nodes) for nodes in PIECEWISE_NODES),
    }
