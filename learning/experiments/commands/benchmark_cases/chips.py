"""Parallel efficiency of the Monte Carlo: the same chips on all cores against one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from analog_sim.random.streams import Streams
from analog_sim.threads import available_cores, thread_policy
from analog_sim.tiles.tile import Tile, TileSpec
from devices.card import load_card
from learning.experiments.commands.benchmark_cases._case import Case
from learning.experiments.monte_carlo.evaluate import Task, run_tasks
from learning.experiments.parallel.loky import Loky
from learning.experiments.runs.result_log import ResultLog

CHIPS, SIZE, VECTORS, READS = 8, 512, 256, 60


def cases() -> Iterator[Case]:
    """Yield one case: ours on every core, the reference on one; efficiency = 1 / (ratio * workers)."""
    workers = available_cores()
    yield Case(
        "chips/parallel",
        SIZE,
        CHIPS,
        ours=partial(_run, workers),
        reference=partial(_run, 1),
        reference_name="the same chips with one worker",
        facts={"workers": workers, "speed_up": "1 / ratio"},
        threads=("one",),
    )


def _chip(task: Task) -> dict[str, float]:
    """Fabricate, program and read one PCM chip, as an estimate does."""
    streams = Streams(1).child("chip", int(task.key["chip"]))
    w = Streams(1).stream("w").normals((SIZE, SIZE))
    x = Streams(1).stream("x").normals((VECTORS, SIZE))
    tile = Tile(TileSpec(compensation="none"), load_card("pcm").compile(), w.shape, streams)
    tile.program(w)
    total = 0.0
    with thread_policy(1):
        for _ in range(READS):
            total += float(np.abs(tile.forward(x)).mean())
    return {"mean": total}


def _run(workers: int) -> None:
    tasks = [Task({"chip": k}) for k in range(CHIPS)]
    with tempfile.TemporaryDirectory() as folder:
        log = ResultLog(Path(folder) / "rows.csv", {"chip": int, "mean": float}, key=("chip",))
        run_tasks(_chip, tasks, results=log, parallel=Loky(jobs=workers), progress=False)
