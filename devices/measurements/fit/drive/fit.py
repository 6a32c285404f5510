"""How the amplitude and the width of a pulse change its step: factors on the steps of the fitted kind of pulse. It never fits a law.

The change that a pulse of another kind makes is set against the mean step of the fitted kind at the same state. The state is the mean of
the two reads of the change: the noise of the reads goes into both alike, so that it does not look like a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.data.other_pulses import OtherPulses
from devices.measurements.fit.pulse.tables import PulseTables
from devices.pulse.measured import quantile_moments

F64 = npt.NDArray[np.float64]

FEWEST = 20
"""Changes of one kind of pulse from which on its factor is fitted."""
BLOCKS = 10
"""Stretches of a measurement that are held out in turn, at least, where it has fewer ramps or cells."""
STATE_DEPENDENT, FEWEST_AT_A_STATE = 0.25, 20
"""Relative difference of the factor between thirds of the states that is said, and changes in each from which on it is looked for."""
CLEAR = 2.0
"""Standard errors by which held-out changes have to be predicted better. With one, one table of eight would be invented by chance."""
BEND = (0.25, 0.5, 0.75)
"""Shares of the least amplitude at which the power law below it is tabled."""


@dataclass(frozen=True)
class Factor:
    """Of one amplitude or width in one direction.

    Attributes:
        at: volts or seconds. value, error: factor on the mean step and its standard error. changes: how many it is from.
    """

    at: float
    value: float
    error: float
    changes: int


@dataclass(frozen=True)
class DriveFit:
    """Factors of one property of the pulse.

    Attributes:
        what: "amplitude" or "width". nominal: (up, down), of the fitted kind. up, down: ascending, without the nominal one, which is 1.
        before, after: root mean square of held-out changes about the fitted kind's mean step, siemens, without and with the factors.
        notes: for the report.
    """

    what: str
    nominal: tuple[float, float]
    up: tuple[Factor, ...]
    down: tuple[Factor, ...]
    before: float
    after: float
    notes: tuple[str, ...]

    def part(self) -> dict[str, object]:
        """Keys of the card's part."""
        unit, key = ("V", "volts") if self.what == "amplitude" else ("s", "seconds")
        sides = [self._points(k) for k in (0, 1)]
        text = [[f"{x:.6g} {unit}" for x in points] for points, _ in sides]
        factors = [[float(f"{y:.4g}") for y in values] for _, values in sides]
        part: dict[str, object] = {"nominal": f"{self.nominal[0]:.6g} {unit}", key: text[0]}
        if self.what == "amplitude" and (text[0] != text[1] or self.nominal[0] != self.nominal[1]):
            part |= {"nominal_down": f"{self.nominal[1]:.6g} {unit}", "volts_down": text[1]}
        return {**part, "up": factors[0], "down": factors[1]}

    def _points(self, side: int) -> tuple[list[float], list[float]]:
        """Points and factors of a direction, the nominal one and the power law below the least one included."""
        own = self.up if side == 0 else self.down
        table = {f.at: max(0.0, f.value) for f in own} | {self.nominal[side]: 1.0}
        at = sorted(table)
        power = power_below(at, [table[x] for x in at])
        if self.what == "amplitude" and power is not None:
            table |= {share * at[0]: table[at[0]] * share**power for share in BEND}
        at = sorted(table)
        return at, [table[x] for x in at]


def power_below(at: Sequence[float], factors: Sequence[float]) -> float | None:
    """Exponent, at least 1, of the power law through the first two points; None where the first factor is 0 or there is one point."""
    if len(at) < 2 or factors[0] <= 0.0:
        return None
    return max(1.0, float(np.log(max(factors[1], factors[0]) / factors[0]) / np.log(at[1] / at[0])))


def fit_drive(pulses: OtherPulses, tables: PulseTables, what: str) -> DriveFit | None:
    """Factors of the amplitudes (widths) in the data; None where there are none, or where held-out changes do not ask for them.

    Changes of the nominal width (amplitude) alone are used. The factors of one part of the ramps, or stretches, must make the squared
    error of the other's changes smaller by more than twice its own standard error, over ten parts.
    """
    own, other = (pulses.amplitude, pulses.width) if what == "amplitude" else (pulses.width, pulses.amplitude)
    nominal = (pulses.nominal_amplitude, pulses.nominal_width)
    mine, theirs = nominal if what == "amplitude" else nominal[::-1]
    if any(np.isnan(value) for value in mine):
        return None
    up = pulses.direction > 0
    alike = np.isclose(other, np.where(up, *theirs), rtol=2e-3, atol=0.0) | np.isnan(other)
    chosen = alike & np.isfinite(own) & ~np.isclose(own, np.where(up, *mine), rtol=2e-3, atol=0.0)
    if not chosen.any():
        return None
    expected = pulses.pulses * _mean_step(tables, pulses.middle, up)
    sides = tuple(_factors(own, pulses.change, expected, chosen & (up if side == 0 else ~up)) for side in (0, 1))
    if not any(sides):
        return None
    known = chosen & _among(own, up, sides)
    before, after = _held_out(own[known], up[known], pulses.change[known], expected[known], pulses.block[known])
    better = before - after
    if len(better) < 2 or better.mean() <= CLEAR * better.std(ddof=1) / np.sqrt(len(better)):
        return None
    notes = _notes(what, mine, sides, (float(before.mean()) ** 0.5, float(after.mean()) ** 0.5))
    notes += _state_notes(what, own, pulses, expected, known)
    if not all(sides):
        lacking = "depression" if sides[0] else "potentiation"
        notes.append(f"pulses: {lacking} was measured at one {what} only: its factors are those of the other direction")
        scale = mine[1] / mine[0] if sides[0] else mine[0] / mine[1]
        mirrored = tuple(Factor(f.at * scale, f.value, f.error, 0) for f in (sides[0] or sides[1]))
        sides = (sides[0] or mirrored, sides[1] or mirrored)
    return DriveFit(
        what, mine, sides[0], sides[1], float(before.mean()) ** 0.5, float(after.mean()) ** 0.5, tuple(notes)
    )


def _mean_step(tables: PulseTables, g: F64, up: npt.NDArray[np.bool_]) -> F64:
    """Mean step, siemens, of the fitted kind of pulse at conductances g, averaged over devices."""
    found = np.zeros(len(g))
    number = len(tables.up)
    for k in range(number):
        low, high = tables.windows[k] if tables.windows is not None else (tables.window.g_min, tables.window.g_max)
        sides = []
        for table in (tables.up[k], tables.down[k]):
            mean, _ = quantile_moments(table)
            sides.append(np.interp((g - low) / (high - low), np.linspace(0.0, 1.0, len(mean)), mean))
        found += np.where(up, *sides) / number
    return found


def _factors(own: F64, change: F64, expected: F64, chosen: npt.NDArray[np.bool_]) -> tuple[Factor, ...]:
    """A factor for every value in the data with enough changes: least squares through the origin."""
    found = []
    for at in np.unique(own[chosen]):
        rows = chosen & (own == at)
        c, m = change[rows], expected[rows]
        square = float(m @ m)
        if len(c) < FEWEST or square <= 0.0:
            continue
        value = float(c @ m) / square
        error = (
            float(np.sqrt(np.sum((m * (c - value * m)) ** 2))) / square
        )  # of changes that scatter differently (White)
        found.append(Factor(float(at), value, error, len(c)))
    return tuple(found)


def _among(own: F64, up: npt.NDArray[np.bool_], sides: Sequence[tuple[Factor, ...]]) -> npt.NDArray[np.bool_]:
    """Changes whose kind of pulse has a factor."""
    values = [np.isin(own, [f.at for f in side]) for side in sides]
    return np.where(up, *values)


def _held_out(
    own: F64, up: npt.NDArray[np.bool_], change: F64, expected: F64, block: npt.NDArray[np.int64]
) -> tuple[F64, F64]:
    """Mean squared error of every part's changes, (parts,): with a factor of 1, and with the factors of the other parts."""
    part = np.unique(block, return_inverse=True)[1] % BLOCKS
    before, after = [], []
    for k in np.unique(part):
        out = part == k
        factor = np.ones(len(own))
        for side in (up, ~up):
            for at in np.unique(own[out & side]):
                here = side & (own == at)
                square = float(expected[here & ~out] @ expected[here & ~out])
                if square > 0.0:
                    factor[here & out] = float(change[here & ~out] @ expected[here & ~out]) / square
        before.append(float(np.mean((change - expected)[out] ** 2)))
        after.append(float(np.mean((change - factor * expected)[out] ** 2)))
    return np.array(before), np.array(after)


def _notes(
    what: str, nominal: tuple[float, float], sides: Sequence[tuple[Factor, ...]], errors: tuple[float, float]
) -> list[str]:
    unit = "V" if what == "amplitude" else "s"
    notes = []
    for word, side, at in zip(("potentiation", "depression"), sides, nominal, strict=True):
        if side:
            text = ", ".join(f"{f.value:.3g} (+-{1.96 * f.error:.2g}) at {f.at:.4g} {unit}" for f in side)
            notes.append(f"pulses of another {what}: the mean {word} step is {text} of that at {at:.4g} {unit}")
        points = {f.at: max(0.0, f.value) for f in side} | {at: 1.0}
        power = power_below(sorted(points), [points[x] for x in sorted(points)])
        if side and what == "amplitude" and power is not None:
            notes.append(
                f"below {min(points):.4g} V no {word} was measured: the card's factor goes on as the power {power:.2g} of the amplitude,"
                " down to the half voltage of half-selected cells; that is extrapolated"
            )
    notes.append(
        f"the factors of the {what} make the error of held-out changes {1e6 * errors[1]:.3g} uS instead of {1e6 * errors[0]:.3g} uS (root"
        " mean square)"
    )
    return notes


def _state_notes(what: str, own: F64, pulses: OtherPulses, expected: F64, known: npt.NDArray[np.bool_]) -> list[str]:
    """A sentence where the factor differs between thirds of the states: the card's is the same at every state."""
    worst = ""
    size = STATE_DEPENDENT
    for up in (True, False):
        for at in np.unique(own[known & ((pulses.direction > 0) == up)]):
            rows = known & (own == at) & ((pulses.direction > 0) == up)
            edges = np.quantile(pulses.middle[rows], [1 / 3, 2 / 3])
            third = np.searchsorted(edges, pulses.middle)
            parts = [_factors(own, pulses.change, expected, rows & (third == k)) for k in range(3)]
            if not all(parts) or min(part[0].changes for part in parts) < FEWEST_AT_A_STATE:
                continue
            values, errors = (np.array([getattr(part[0], name) for part in parts]) for name in ("value", "error"))
            weight = 1.0 / np.maximum(errors, 1e-12) ** 2
            middle = float(weight @ values / weight.sum())
            odds = float(stats.chi2.sf(weight @ (values - middle) ** 2, 2))
            off = float(np.ptp(values)) / max(abs(middle), 1e-12)
            if odds < 1e-3 and off > size:
                size, unit = off, "V" if what == "amplitude" else "s"
                worst = (
                    f"the factor of the {what} depends on the state: {'potentiation' if up else 'depression'} at {at:.4g} {unit} is"
                    f" {values[0]:.2g}, {values[1]:.2g} and {values[2]:.2g} in the low, middle and high third; the card's is the same at"
                    " every state"
                )
    return [worst] if worst else []
