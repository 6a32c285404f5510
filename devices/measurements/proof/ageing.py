"""Held-out cells of a retention measurement against emulated cells that waited as long. It never fits."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analog_sim.cells.cell_model import CellModel, ReadNoiseModel, constant_table
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.random.streams import Streams
from devices.measurements.data.histories import Histories
from devices.measurements.fit.ageing.groups import states
from devices.measurements.proof.proof import Curve, Proof, compare

STATE_BINS = 4


def age(cell: CellModel, histories: Histories, *, replicas: int, seed: int) -> np.ndarray:
    """Write emulated cells to the first reads of the histories and read them at the nominal times.

    Read noise is left out: relaxation fitted to reads has it already.

    Returns:
        (replicas * C, T) siemens; the first column is the first read itself.
    """
    start = np.tile(histories.initial, replicas).astype(np.float32)
    quiet = replace(
        cell,
        read=ReadNoiseModel(),
        program_std=constant_table(0.0),
        verify=None,
        levels=None,
        pulse=None,
        windows=None,
        faults=type(cell.faults)(),
        variation=type(cell.variation)(),
    )
    crossbar = EmulatedCrossbar(quiet, 1, len(start), pair=False, streams=Streams(seed).child("ageing proof"))
    crossbar.program(start[None, None, :])
    result = np.empty((len(start), len(histories.nominal)))
    result[:, 0] = start
    written = crossbar.time
    for k, t in enumerate(histories.nominal[1:], start=1):
        crossbar.wait(max(0.0, float(t - histories.nominal[0]) - (crossbar.time - written)))
        result[:, k] = crossbar.conductance_now()[0, 0]
    return result


def ageing_proof(cells: Sequence[CellModel], parts: Sequence[Histories], *, how: str, seed: int = 0) -> Proof:
    """Compare the change since the first read of measured and emulated cells at every time, in bins of the state.

    Args:
        cells: a card for every part; parts: the cells that it has not seen, together the whole measurement. how: what was held out.
        seed: of the emulated cells.
    """
    rng = np.random.default_rng(seed)
    held_out = Histories.joined(parts)
    replicas = int(np.clip(np.ceil(4000 / len(held_out)), 1, 20))
    copies = [
        age(cell, part, replicas=replicas, seed=seed + k)
        for k, (cell, part) in enumerate(zip(cells, parts, strict=True))
    ]
    copy = np.concatenate([each.reshape(replicas, -1, each.shape[1]) for each in copies], axis=1).reshape(
        -1, copies[0].shape[1]
    )
    change = copy - copy[:, :1]
    copy_state = np.tile(states(held_out), replicas)
    count = int(np.clip(len(held_out) // 25, 1, STATE_BINS))
    edges = np.quantile(states(held_out), np.linspace(0.0, 1.0, count + 1))
    bins, curves, facts = [], [], {}
    for b in range(count):
        low, high = float(edges[b]), float(edges[b + 1])
        own = (states(held_out) >= low) & (states(held_out) <= high)
        other = (copy_state >= low) & (copy_state <= high)
        mean, std, x, counts = [], [], [], []
        for k in range(1, len(held_out.nominal)):
            measured = (held_out.g[:, k] - held_out.initial)[own]
            measured = measured[np.isfinite(measured)]
            if len(measured) < 5:
                continue
            t = float(held_out.nominal[k])
            bins.append(
                compare(
                    measured,
                    change[other, k],
                    None,
                    label=f"change after {t:.3g} s of cells at {1e6 * low:.3g} to {1e6 * high:.3g} uS",
                    low=t,
                    high=t,
                    rng=rng,
                )
            )
            x.append(t)
            mean.append((measured.mean(), change[other, k].mean()))
            std.append((measured.std(), change[other, k].std()))
            counts.append(len(measured))
        curves.append(
            Curve(
                "seconds",
                f"{1e6 * low:.3g} to {1e6 * high:.3g} uS",
                np.array(x),
                np.array(mean).T,
                np.array(std).T,
                np.array(counts),
            )
        )
    for k in range(1, len(held_out.nominal)):
        d = held_out.g[:, k] - held_out.initial
        d = d[np.isfinite(d)]
        if len(d):
            t = float(held_out.nominal[k])
            facts[f"mean change after {t:.3g} s"] = (float(d.mean()), float(change[:, k].mean()), "S")
            facts[f"spread of the change after {t:.3g} s"] = (float(d.std()), float(change[:, k].std()), "S")
    return Proof("ageing", how, tuple(bins), tuple(curves), facts)
