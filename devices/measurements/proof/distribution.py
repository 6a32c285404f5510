"""Step distributions against steps of emulated cells: of devices that were held out, or of the very tables when there is one device.

It never fits. A distribution holds no raw steps, so the data's own scatter is that between devices.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from analog_sim.cells.cell_model import CellModel, ReadNoiseModel
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from devices.measurements.proof.proof import Bin, Proof
from devices.measurements.proof.resampling import Binned, times_drawn, two_sample
from devices.measurements.proof.shown import Shown
from devices.measurements.table.distribution import StepDistribution

F64 = npt.NDArray[np.float64]

AT = (0.1, 0.3, 0.5, 0.7, 0.9)
"""States that are compared, as shares of a device's window."""
CELLS = 2000
LEVELS = (np.arange(400) + 0.5) / 400
FEWEST_DEVICES = 6
SPLITS = 12
"""Random draws of held-out devices."""
MOST = 99.0
"""A ratio that says nothing."""


def distribution_proof(
    distributions: Sequence[StepDistribution],
    card_of: Callable[[npt.NDArray[np.int64]], CellModel],
    *,
    fraction: float,
    seed: int,
    enabled: bool,
) -> Proof:
    """Compare steps at a few states of each device's window.

    With six devices or more some are held out, in `SPLITS` random draws: a chip made of the others must show the steps of these, as
    well as the others do among themselves. Each bin's distance is the median over the draws, so that no verdict hangs on one of
    them. With fewer, a chip of all of them must show their own steps, which proves the tables and the kernels and not that another
    device would be alike. The mean step and its scatter are those of the card of all devices, the one that is delivered.

    Args:
        distributions: of all devices. card_of: compiled card of some devices (their indices). fraction: of the devices held out.
        seed: of the draws. enabled: whether any may be held out.
    """
    devices = sorted({d.device for d in distributions})
    rng = np.random.default_rng(seed)
    whole = np.arange(len(devices))
    draws = [(whole, whole)]
    how = (
        "nothing can be held out of a distribution of fewer than six devices: the emulator is compared with the very tables it"
        " was made of"
    )
    drawn = enabled and len(devices) >= FEWEST_DEVICES
    if drawn:
        count = max(1, round(fraction * len(devices)))
        orders = [rng.permutation(len(devices)) for _ in range(SPLITS)]
        draws = [(np.sort(order[:count]), np.sort(order[count:])) for order in orders]
        how = f"{count} of {len(devices)} devices held out, in {SPLITS} random draws; each state is relative to a device's own window"
    cells = [card_of(used) for _, used in draws]
    delivered = card_of(whole) if drawn else cells[0]
    bins: list[Bin] = []
    facts: dict[str, tuple[float, float, str]] = {}
    shown: list[Shown] = []
    for direction, word in ((1, "potentiation"), (-1, "depression")):
        own = {devices.index(d.device): d for d in distributions if d.direction == direction}
        if not own:
            continue
        samples = [{k: _steps_of(distribution, u) for k, distribution in own.items()} for u in AT]
        rows = [
            _split_bins(samples, draw, cell, direction, word, seed + 100 * k)
            for k, (draw, cell) in enumerate(zip(draws, cells, strict=True))
        ]
        bands = _bands(samples, len(draws[0][0]), len(draws[0][1]), drawn, rng)
        bins += [_median_bin([row[j] for row in rows], bands[j]) for j in range(len(rows[0]))]
        copies = [_emulated(delivered, u, direction, seed + k) for k, u in enumerate(AT)]
        pooled = [np.concatenate([np.concatenate(list(part.values())) for part in samples]), np.concatenate(copies)]
        facts |= _facts(word, direction, pooled[0], pooled[1])
        if drawn:
            shown += _shown(samples, copies, word)
    yardstick = "the data against themselves" if drawn else f"{CELLS} draws from the tables"
    return Proof("pulse", how, tuple(bins), (), facts, yardstick=yardstick, shown=tuple(shown))


Samples = Sequence[dict[int, F64]]
"""Equally likely steps of every device, at each of the states `AT`."""


def _split_bins(
    samples: Samples,
    draw: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    cell: CellModel,
    direction: int,
    word: str,
    seed: int,
) -> list[Bin]:
    """Bins of one draw, without bands: held-out devices against a chip of the others."""
    steps = []
    for k, (u, own) in enumerate(zip(AT, samples, strict=True)):
        measured = np.concatenate([own[int(j)] for j in draw[0] if int(j) in own] or [np.zeros(1)])
        steps.append((own, measured, _emulated(cell, u, direction, seed + k)))
    rows = [(u, u, row) for u, row in zip(AT, steps, strict=True)]
    found = []
    for low, high, (_, measured, emulated) in [*rows, (AT[0], AT[-1], _levelled(steps))]:
        whole = low < high
        place = "all states" if whole else f"{low:.0%} of the window"
        scale = float(measured.std())
        wasserstein, ks = two_sample(measured, emulated)
        found.append(
            Bin(
                label=f"{word} at {place}",
                direction=direction,
                low=low,
                high=high,
                measured=len(measured),
                emulated=len(emulated),
                mean=(float(measured.mean()), float(emulated.mean())),
                std=(scale, float(emulated.std())),
                wasserstein=wasserstein,
                ks=ks,
                band=0.0,
                ks_band=0.0,
                scale=scale,
                wrong_sign=(float(np.mean(measured * direction < 0)), float(np.mean(emulated * direction < 0))),
                whole=whole,
            )
        )
    return found


def _bands(samples: Samples, held: int, used: int, drawn: bool, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Bands of every state, and of all states together."""
    parts = [*samples, _levelled([(own, np.zeros(1), np.zeros(1)) for own in samples])[0]]
    return [
        _band(own, held, used, rng) if drawn else _sampling(np.concatenate(list(own.values())), rng) for own in parts
    ]


def _median_bin(bins: Sequence[Bin], band: tuple[float, float]) -> Bin:
    """One bin of all draws: medians of what was found in each, with the band."""

    def middle(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
        first, second = np.median(np.array(pairs), axis=0)
        return float(first), float(second)

    distance, ks = middle([(b.wasserstein, b.ks) for b in bins])
    return replace(
        bins[0],
        mean=middle([b.mean for b in bins]),
        std=middle([b.std for b in bins]),
        wasserstein=distance,
        ks=ks,
        band=band[0],
        ks_band=band[1],
        scale=float(np.median([b.scale for b in bins])),
        wrong_sign=middle([b.wrong_sign for b in bins]),
    )


def _facts(word: str, direction: int, measured: F64, emulated: F64) -> dict[str, tuple[float, float, str]]:
    """Whole-sample numbers, of all devices and of the card of all."""
    return {
        f"{word}: mean step": (float(measured.mean()), float(emulated.mean()), "S"),
        f"{word}: standard deviation of steps": (float(measured.std()), float(emulated.std()), "S"),
        f"{word}: steps of the wrong sign": (
            float(np.mean(measured * direction < 0)),
            float(np.mean(emulated * direction < 0)),
            "%",
        ),
    }


def _shown(samples: Samples, copies: Sequence[F64], word: str) -> list[Shown]:
    """Mean step and scatter of the delivered card over the devices', with intervals that hold that these are a sample of devices."""
    names = sorted(samples[0])
    means = np.array([np.mean([own[name].mean() for own in samples]) for name in names])
    squares = np.array([np.mean([(own[name] - own[name].mean()).std() ** 2 for own in samples]) for name in names])
    between = np.array([np.var([part.mean() for part in own.values()]) for own in samples])
    n, measured = len(names), float(means.mean())
    emulated = float(np.mean([copy.mean() for copy in copies]))
    scatter = float(np.sqrt(squares.mean() + between.mean()))
    copied = float(np.sqrt(np.mean([copy.var() for copy in copies])))
    usual, rare = (float(stats.t.ppf(q, n - 1)) for q in (0.975, 0.9975))
    error = float(means.std(ddof=1)) / np.sqrt(n) / abs(measured) if measured else MOST
    apart = (means - measured) ** 2 + squares
    wide = (
        0.5 * float(apart.std(ddof=1)) / np.sqrt(n) / max(float(apart.mean()), 1e-300) * copied / max(scatter, 1e-300)
    )
    return [
        Shown("mean step", word, emulated / measured if measured else MOST, usual * error, rare * error, True, n),
        Shown("scatter of steps", word, copied / max(scatter, 1e-300), usual * wide, rare * wide, True, n),
    ]


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


def _band(samples: dict[int, F64], held: int, used: int, rng: np.random.Generator) -> tuple[float, float]:
    """95 % quantiles of Wasserstein and KS distance between two draws of devices, as many as were held out and used."""
    parts = list(samples.values())
    binned = Binned.of(np.concatenate(parts))
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    of_device = binned.by_cluster(owner, len(parts))
    one, other = (
        times_drawn(rng.integers(0, len(parts), (200, size)), len(parts)) @ of_device for size in (held, used)
    )
    band = np.quantile(binned.distances(one, other), 0.95, axis=0)
    return float(band[0]), float(band[1])
