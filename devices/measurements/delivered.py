"""Whether the card that is delivered is the one that was proven: its numbers against those of the folds' cards. It never fits.

The folds' cards are proven on what they have not seen; the delivered card is fitted to everything. What it says must be what they say.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import stats

from analog_sim.cell import QUANTILE_Z_MAX
from devices.measurements.fit.pulse import PulseFit
from devices.measurements.shown import MARGINS

F64 = npt.NDArray[np.float64]

FLOOR = 0.05
"""Of a spread or a scatter, as share of the mean step: below it is none."""
LIMITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "mean step of potentiation": (0.8, 1.25),
        "mean step of depression": (0.8, 1.25),
        "scatter of steps": (MARGINS["scatter of steps"].low, MARGINS["scatter of steps"].high),
        "read noise": (MARGINS["scatter of steps"].low, MARGINS["scatter of steps"].high),
        "spread between devices": (MARGINS["spread between devices"].low, MARGINS["spread between devices"].high),
    }
)


def pulse_differences(delivered: PulseFit, proven: Sequence[PulseFit]) -> tuple[str, ...]:
    """Sentences on the numbers in which the delivered card is not the cards of the folds (their median); empty when it is.

    Not judged where a single fold was proven with the card that is delivered.
    """
    own, folds = _numbers(delivered), [_numbers(fit) for fit in proven]
    found = []
    for name, (low, high) in LIMITS.items():
        median = float(np.median([numbers[name] for numbers in folds]))
        ratio = own[name] / median if median > 0 else 1.0
        if not low <= ratio <= high:
            found.append(differs(name, ratio))
    return tuple(found)


def differs(name: str, ratio: float) -> str:
    """The sentence on one number."""
    return (
        f"the card that is delivered (fitted to all data) has {ratio:.2g} times the {name} of the cards that were proven, so it is not"
        " proven itself"
    )


def _numbers(fit: PulseFit) -> dict[str, float]:
    """What a card says in the middle half of its window, siemens; spreads relative to the mean step, with a floor."""
    up, down = (_middle(table) for table in (fit.tables.up, fit.tables.down))
    mean = 0.5 * (abs(up[0]) + abs(down[0]))
    devices = 0.0
    if fit.gains is not None:
        devices = float(np.hypot(fit.gains.common.value, 0.5 * (fit.gains.up.value + fit.gains.down.value)))
    elif fit.tables.up.shape[0] > 1:
        sizes = np.array([_middle(table[None])[0] for table in fit.tables.up])
        devices = float(sizes.std(ddof=1) / max(abs(float(sizes.mean())), 1e-300))
    return {
        "mean step of potentiation": abs(up[0]),
        "mean step of depression": abs(down[0]),
        "scatter of steps": float(np.hypot(0.5 * (up[1] + down[1]), FLOOR * mean)),
        "read noise": float(np.hypot(fit.noise.total, FLOOR * mean)),
        "spread between devices": float(np.hypot(devices, FLOOR)),
    }


def _middle(table: F64) -> tuple[float, float]:
    """Mean and standard deviation of the step, (T, K, Z) quantiles at uniform scores, over the middle half of the states."""

    states = table.shape[1]
    middle = table[:, states // 4 : max(states - states // 4, states // 4 + 1)]
    z = np.linspace(-QUANTILE_Z_MAX, QUANTILE_Z_MAX, table.shape[2])
    weight = stats.norm.pdf(z)
    weight = weight / weight.sum()
    mean = middle @ weight
    variance = (middle**2) @ weight - mean**2
    return float(mean.mean()), float(np.sqrt(np.maximum(variance, 0.0).mean()))
