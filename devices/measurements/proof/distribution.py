"""Step distributions against steps of emulated cells: of devices that were held out, or of the very tables when there is one device.

It never fits. A distribution holds no raw steps, so the data's own scatter is that between devices.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel, ReadNoiseModel
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from devices.measurements.proof.proof import Bin, Proof, two_sample
from devices.measurements.table.distribution import StepDistribution

F64 = npt.NDArray[np.float64]

AT = (0.1, 0.3, 0.5, 0.7, 0.9)
"""States that are compared, as shares of a device's window."""
CELLS = 2000
LEVELS = (np.arange(400) + 0.5) / 400
FEWEST_DEVICES = 6


def distribution_proof(
    distributions: Sequence[StepDistribution],
    card_of: Callable[[npt.NDArray[np.int64]], CellModel],
    *,
    fraction: float,
    seed: int,
    enabled: bool,
) -> Proof:
    """Compare steps at a few states of each device's window.

    With six devices or more some are held out: a chip made of the others must show the steps of these, as well as the others do
    among themselves. With fewer, a chip of all of them must show their own steps, which proves the tables and the kernels and
    not that another device would be alike.

    Args:
        distributions: of all devices. card_of: compiled card of some devices (their indices). fraction: of the devices held out.
        seed: of the draw. enabled: whether any may be held out.
    """
    devices = sorted({d.device for d in distributions})
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(devices))
    if enabled and len(devices) >= FEWEST_DEVICES:
        count = max(1, round(fraction * len(devices)))
        held, used = np.sort(order[:count]), np.sort(order[count:])
        how = f"{count} of {len(devices)} devices held out, drawn at random; each state is relative to a device's own window"
    else:
        held = used = np.arange(len(devices))
        how = (
            "nothing can be held out of a distribution of fewer than six devices: the emulator is compared with the very tables it"
            " was made of"
        )
    cell = card_of(used)
    names = np.array(devices)
    bins: list[Bin] = []
    facts: dict[str, tuple[float, float, str]] = {}
    for direction, word in ((1, "potentiation"), (-1, "depression")):
        own = {d.device: d for d in distributions if d.direction == direction}
        if not own:
            continue
        steps: list[tuple[dict[int, F64], F64, F64]] = []
        for k, u in enumerate(AT):
            samples = {device: _steps_of(distribution, u) for device, distribution in own.items()}
            measured = np.concatenate([samples[int(names[j])] for j in held if int(names[j]) in samples])
            steps.append((samples, measured, _emulated(cell, u, direction, seed + k)))
        rows = [(u, u, row) for u, row in zip(AT, steps, strict=True)]
        for low, high, (samples, measured, emulated) in [*rows, (AT[0], AT[-1], _levelled(steps))]:
            whole = low < high
            place = "all states" if whole else f"{low:.0%} of the window"
            scale = float(measured.std())
            distance, ks = two_sample(measured, emulated)
            band, ks_band = (
                _sampling(measured, rng) if held is used else _band(samples, names, len(held), len(used), rng)
            )
            bins.append(
                Bin(
                    f"{word} at {place}",
                    direction,
                    low,
                    high,
                    len(measured),
                    len(emulated),
                    (float(measured.mean()), float(emulated.mean())),
                    (scale, float(emulated.std())),
                    distance,
                    ks,
                    band,
                    ks_band,
                    scale,
                    (float(np.mean(measured * direction < 0)), float(np.mean(emulated * direction < 0))),
                    whole=whole,
                )
            )
        pooled = [np.concatenate(part) for part in ([row[1] for row in steps], [row[2] for row in steps])]
        facts |= {
            f"{word}: mean step": (float(pooled[0].mean()), float(pooled[1].mean()), "S"),
            f"{word}: standard deviation of steps": (float(pooled[0].std()), float(pooled[1].std()), "S"),
            f"{word}: steps of the wrong sign": (
                float(np.mean(pooled[0] * direction < 0)),
                float(np.mean(pooled[1] * direction < 0)),
                "%",
            ),
        }
    yardstick = "the data against themselves" if held is not used else f"{CELLS} draws from the tables"
    return Proof("the pulse response", how, tuple(bins), (), facts, yardstick=yardstick)


def _levelled(steps: Sequence[tuple[dict[int, F64], F64, F64]]) -> tuple[dict[int, F64], F64, F64]:
    """All states together: steps about the devices' mean step at each state, with the mean over states put on."""
    means = [float(np.mean([part.mean() for part in samples.values()])) for samples, _, _ in steps]
    off = [mean - float(np.mean(means)) for mean in means]
    devices = {
        device: np.concatenate([samples[device] - own for (samples, _, _), own in zip(steps, off, strict=True)])
        for device in steps[0][0]
    }
    return (
        devices,
        np.concatenate([measured - own for (_, measured, _), own in zip(steps, off, strict=True)]),
        np.concatenate([emulated - own for (_, _, emulated), own in zip(steps, off, strict=True)]),
    )


def _steps_of(distribution: StepDistribution, u: float) -> F64:
    """Equally likely steps of a device at a state of its own window, kept inside the window as the emulator keeps them."""
    low, high = float(distribution.g[0]), float(distribution.g[-1])
    g = low + u * (high - low)
    quantiles = np.array([np.interp(g, distribution.g, row) for row in distribution.dg])
    steps = np.interp(LEVELS, distribution.p, quantiles)
    return np.clip(steps, low - g, high - g)


def _emulated(cell: CellModel, u: float, direction: int, seed: int) -> F64:
    """One pulse on each of many fabricated cells at state u of their own windows."""
    quiet = replace(cell, drift=None, relaxation=None, read=ReadNoiseModel(), faults=type(cell.faults)())
    crossbar = EmulatedCrossbar(quiet, 1, CELLS, pair=False, streams=Streams(seed).child("distribution proof"))
    low, high = (np.broadcast_to(bound, (1, 1, CELLS)) for bound in crossbar.cells.bounds(quiet))
    state = low + np.float32(u) * (high - low)
    crossbar.add_ideal((state - crossbar.conductance_now())[0])
    before = crossbar.conductance_now().astype(np.float64)
    crossbar.pulse(PulseCounts(np.full((1, 1, CELLS), direction, np.int16)))
    return np.asarray((crossbar.conductance_now() - before)[0, 0], np.float64)


def _sampling(measured: F64, rng: np.random.Generator) -> tuple[float, float]:
    """95 % quantiles of the distances between a distribution and as many draws of it as there are emulated cells."""
    distances = []
    for _ in range(200):
        draw = measured[rng.integers(0, len(measured), CELLS)]
        distances.append(two_sample(measured, draw))
    band = np.quantile(np.array(distances), 0.95, axis=0)
    return float(band[0]), float(band[1])


def _band(
    samples: dict[int, F64], names: npt.NDArray[np.int64], held: int, used: int, rng: np.random.Generator
) -> tuple[float, float]:
    """95 % quantiles of Wasserstein and KS distance between two draws of devices, as many as were held out and used."""
    there = [int(name) for name in names if int(name) in samples]
    distances = []
    for _ in range(200):
        draws = [
            np.concatenate([samples[there[j]] for j in rng.integers(0, len(there), size)]) for size in (held, used)
        ]
        distances.append(two_sample(draws[0], draws[1]))
    band = np.quantile(np.array(distances), 0.95, axis=0)
    return float(band[0]), float(band[1])
