"""Held-out pulses against emulated cells of cards that did not see them: the one proof of every tool. It never fits.

A fit hands over one card for each fold; a card that was fitted elsewhere stands for all folds. Either way the folds together are the
whole measurement, so that no verdict hangs on which part was drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.split import Split
from devices.measurements.data.start_states import start_states
from devices.measurements.data.stop_rule import stop_rule
from devices.measurements.data.traces import Traces, joined
from devices.measurements.fit.pulse.moments import smoothed
from devices.measurements.fit.pulse.spread import FEWEST_DEVICES
from devices.measurements.fit.pulse.statespace import StepTables
from devices.measurements.proof.cell_assignment import KnownDevices
from devices.measurements.proof.proof import Proof
from devices.measurements.proof.replay import replay
from devices.measurements.proof.steps import steps_proof
from devices.measurements.proof.variogram import with_lags

REPLICAS, MOST_READS = 10, 300_000
"""Emulated repetitions of the held-out traces, and reads of all of them at most."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """A card to be proven.

    Attributes:
        cell: compiled. noise: of the reads, of the card's size and correlated as the measurement's are.
        known: what the card was fitted to know of the devices of some traces; None: nothing.
        stuck: numbers of cells that do not move, which are not judged.
    """

    cell: CellModel
    noise: ReadNoise
    known: Callable[[Traces], KnownDevices | None] | None = None
    stuck: tuple[int, ...] = ()

    def law(self) -> StepTables:
        """Its mean step and scatter over the nominal window, the mean over its tables."""
        pulse = self.cell.pulse
        assert pulse is not None
        sides = (pulse.down_mean, pulse.up_mean), (pulse.down_std, pulse.up_std)
        mean, std = (np.stack([side.mean(axis=0) for side in part]).astype(np.float64) for part in sides)
        return StepTables(mean, std, self.cell.g_min, self.cell.g_max)

    def replayed(self, traces: Traces, seed: int, replicas: int) -> Traces:
        """Replay traces from the states that their first reads suggest."""
        law = self.law()
        begin = start_states(traces, self.noise, float(law.std[:, law.std.shape[1] // 2].mean()))
        known = None if self.known is None else self.known(traces)
        return replay(
            self.cell,
            traces,
            begin,
            replicas=replicas,
            seed=seed,
            stop=stop_rule(traces),
            noise=self.noise,
            known=known,
        )


def prove(
    folds: Sequence[Split],
    candidates: Sequence[Candidate],
    everything: Traces,
    *,
    how: str,
    seed: int,
    several: bool,
    say: Say = lambda text: None,
) -> Proof:
    """Replay the held-out traces of every fold with its candidate and compare all folds together.

    Held-out stretches are too short for long lags: these are looked at in the whole traces, replayed with every candidate.

    Args:
        folds: each with a held-out part. candidates: one for each. everything: all traces. how: what was held out.
        seed: of the emulated cells. several: whether the claim is about a population that the devices are drawn from.
        say: told what is going on.
    """
    replicas = replicas_for(everything)
    stretches = folds[0].by == "stretch"
    held, places, copies, whole = [], [], [], []
    for number, (fold, card) in enumerate(zip(folds, candidates, strict=True)):
        say(f"fold {number + 1} of {len(folds)}: replaying the held-out pulses on the emulator")
        assert fold.held_out is not None
        keep = np.flatnonzero(~np.isin(fold.held_out.cell, card.stuck))
        part = fold.held_out.take(keep)
        held.append(part)
        places.append(fold.place[keep])
        copies.append(card.replayed(part, seed + number, replicas))
        if stretches:
            whole.append(card.replayed(everything, seed + len(folds) + number, max(1, replicas // len(folds))))
    say("comparing measured and emulated steps")
    measured, emulated = _pooled(held, places, copies, replicas)
    states = (smoothed(measured), smoothed(emulated), smoothed(measured))
    several = several and len(np.unique(measured.cell)) >= FEWEST_DEVICES
    proof = steps_proof(measured, measured, emulated, states, how=how, seed=seed, several=several)
    if not stretches:
        return with_lags(proof, measured, measured, emulated, seed=seed)
    proof = replace(proof, how=f"{proof.how}; scatter over several reads: whole traces")
    return with_lags(proof, everything, everything, joined(whole), seed=seed)


def replicas_for(traces: Traces) -> int:
    """Emulated repetitions of some traces: `REPLICAS`, fewer of very many reads."""
    return int(np.clip(MOST_READS // max(len(traces.g), 1), 2, REPLICAS))


def _pooled(
    held: Sequence[Traces], places: Sequence[npt.NDArray[np.int64]], copies: Sequence[Traces], replicas: int
) -> tuple[Traces, Traces]:
    """All folds as one: held-out traces in the order of the measurement, and their replay, replica by replica in the same order."""
    sizes = [len(part) for part in held]
    first = np.concatenate(([0], np.cumsum([replicas * size for size in sizes])))
    order = np.argsort(np.concatenate(places), kind="stable")
    of_replica = [
        np.concatenate([first[k] + number * size + np.arange(size) for k, size in enumerate(sizes)])[order]
        for number in range(replicas)
    ]
    return joined(held).take(order), joined(copies).take(np.concatenate(of_replica))
