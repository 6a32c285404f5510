"""Whether the card that is delivered is the one that was proven: its numbers against those of the folds' cards. It never fits.

The folds' cards are proven on what they have not seen; the delivered card is fitted to everything. What it says must be what they say.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import stats

from analog_sim.cells.cell_model import QUANTILE_Z_MAX, CellModel
from devices.measurements.data.histories import Histories
from devices.measurements.fit.noise.fit import NoiseFit
from devices.measurements.fit.pulse.fit import PulseFit
from devices.measurements.proof.ageing import age
from devices.measurements.proof.shown import MARGINS

F64 = npt.NDArray[np.float64]

FLOOR = 0.05
"""Of a spread or a scatter, as share of the mean step: below it is none."""
MEAN_SHIFT = 0.25
"""Standard deviations of a change that its mean may be off."""
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
    """Sentences on the numbers in which the delivered card lies clearly outside the range of the folds' cards; empty when in none.

    Not judged where a single fold was proven with the card that is delivered.
    """
    own, folds = _numbers(delivered), [_numbers(fit) for fit in proven]
    found = []
    for name, (low, high) in LIMITS.items():
        values = [numbers[name] for numbers in folds]
        nearest = float(np.clip(own[name], min(values), max(values)))
        ratio = own[name] / nearest if nearest > 0 else 1.0
        if not low <= ratio <= high:
            found.append(differs(name, ratio))
    return tuple(found)


def ageing_differences(
    delivered: CellModel, proven: Sequence[CellModel], histories: Histories, seed: int
) -> tuple[str, ...]:
    """Sentences on the times at which cells of the delivered card spread, or move in the mean, unlike those of all folds' cards."""
    replicas = int(np.clip(np.ceil(2000 / len(histories)), 1, 20))

    def moments(cell: CellModel) -> tuple[F64, F64]:
        copy = age(cell, histories, replicas=replicas, seed=seed)
        change = copy[:, 1:] - copy[:, :1]
        return change.mean(axis=0), change.std(axis=0)

    mean, std = moments(delivered)
    others = [moments(cell) for cell in proven]
    means, stds = (np.array(part) for part in zip(*others, strict=True))
    ratio = std / np.maximum(np.clip(std, stds.min(axis=0), stds.max(axis=0)), 1e-300)
    shift = np.abs(mean - np.clip(mean, means.min(axis=0), means.max(axis=0)))
    found = []
    low, high = LIMITS["scatter of steps"]
    k = int(np.argmax(np.abs(np.log(np.maximum(ratio, 1e-300)))))
    if not low <= ratio[k] <= high:
        found.append(differs(f"spread of the change after {histories.nominal[k + 1]:.3g} s", float(ratio[k])))
    k = int(np.argmax(shift / np.maximum(std, 1e-300)))
    if shift[k] > MEAN_SHIFT * std[k]:
        found.append(
            f"the mean change after {histories.nominal[k + 1]:.3g} s of the card that is delivered (fitted to all data) is"
            f" {shift[k] / max(float(std[k]), 1e-300):.2g} standard deviations off that of the cards that were proven"
        )
    return tuple(found)


def noise_differences(delivered: NoiseFit, proven: NoiseFit) -> tuple[str, ...]:
    """A sentence when the noise of all series is not that of their first part, which was proven; empty when it is."""
    own, other = (float(np.sqrt(np.mean(fit.white**2 + fit.flicker**2))) for fit in (delivered, proven))
    ratio = own / other if other > 0 else 1.0
    low, high = LIMITS["read noise"]
    return () if low <= ratio <= high else (differs("read noise", ratio),)


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
