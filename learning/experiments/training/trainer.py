"""The training loop of one arm on one seed: batches, evaluations, checkpoints. It never compares arms and never draws a figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.chip.cost import Costs
from analog_sim.chip.overlap import overlapping
from analog_sim.config import UserError
from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, taken
from learning.common.identity import digest
from learning.common.memory import Memory, MemoryState
from learning.common.schedule import calibration_due, rate_factor
from learning.data.dataset import Answers
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.monte_carlo.score import evaluated, score_of
from learning.experiments.report.training.results import LAYER_COLUMNS, curve_columns
from learning.experiments.runs import checkpoint
from learning.experiments.runs.result_log import ResultLog, Row
from learning.experiments.training import probe
from learning.experiments.training.chip import Setup, build
from learning.experiments.training.data import Order, TrainData
from learning.experiments.training.live import LiveCount
from learning.network.learned import LearnedNetwork
from learning.network.network import LayerState
from learning.network.starting import learned_from
from learning.rules.base import Proposed

F32 = npt.NDArray[np.float32]
NOT_OF_AN_ARM = {"name", "targets", "seeds", "twin", "arms", "hardware", "parallel"}
"""Keys of an experiment that decide nothing of one arm's training."""
LAYER = {name: kind for name, kind in LAYER_COLUMNS.items() if name not in ("arm", "seed")}


class TrainerState(TypedDict):
    """What a training run depends on; position: in the record of a chip that keeps its own state."""

    done: int
    network: dict[str, LayerState]
    rule: MemoryState
    optimizer: MemoryState
    clock: float
    loss_sum: float
    loss_count: int
    histograms: dict[str, npt.NDArray[np.int64]]
    position: int | None


class CheckpointState(TrainerState):
    """A checkpoint: whose it is (digest), and rows and digest of each log when it was written."""

    of: str
    rows: list[int]
    content: list[str]


class Trainer:
    """One arm on one seed.

    Args:
        experiment: the arm. data: samples. seed: chip, first weights, order of the data.
        folder: of this arm and seed: metrics.csv, layers.csv, checkpoint.npz; goes on from the checkpoint when there is one.

    Attributes:
        done: batches so far. diverged: whether the loss or a gradient was no longer finite. score: what evaluations measure.

    Raises:
        UserError: the chip cannot serve the rule; or the folder holds something else, or less than its checkpoint was written after.
    """

    def __init__(self, experiment: TrainExperiment, data: TrainData, seed: int, folder: Path) -> None:
        self.experiment, self.data, self.seed, self.folder = experiment, data, seed, folder
        streams = Streams(seed)
        self.loss = experiment.loss
        self.score = score_of(data.targets)
        saved = checkpoint.load(self._checkpoint)
        setup = build(experiment, data, seed, folder, lambda setup: self._agreed(setup, saved))
        self.network, self.clock, self.record, self._release = setup.network, setup.clock, setup.record, setup.release
        with ExitStack() as refused:
            refused.callback(self.close)
            self._begin(setup, saved, streams)
            refused.pop_all()

    def _begin(self, setup: Setup, saved: State | None, streams: Streams) -> None:
        """Everything behind the first weights."""
        experiment, data, folder = self.experiment, self.data, self.folder
        if experiment.calibrates:
            self.network.calibrate(data.x[: experiment.calibration])
        self.memory = experiment.rule.init(self.network, streams)
        self.optimizer = Memory(streams.stream("optimizer"))
        self.order = Order(streams, len(data.x), experiment.batch)
        self.total = max(1, round(experiment.epochs * self.order.per_epoch))
        self.done = 0
        self._fetched: tuple[int, tuple[F32, Answers]] | None = None
        self._loss_sum, self._loss_count = 0.0, 0
        self._histograms: dict[str, list[npt.NDArray[np.int64]]] = {}
        self._of = self._identity(setup)
        self._spec = experiment.network if setup.start is None else setup.start.spec
        self.diverged = False
        self.curve = ResultLog(folder / "metrics.csv", curve_columns(self.score))
        self.layers = ResultLog(folder / "layers.csv", LAYER)
        self._resume(saved)

    @property
    def samples(self) -> int:
        """Training samples seen so far."""
        return self.done * self.experiment.batch

    def run(self, *, twin: Mapping[int, float] | None = None, say: Callable[[str], None] | None = None) -> list[Row]:
        """Train to the end; return the rows of metrics.csv.

        Args:
            twin: samples -> score of the digital twin, shown beside this arm's. say: gets every evaluation as a line.

        Raises:
            UserError: the loss or a gradient is no longer finite; the last checkpoint is kept.
        """
        live = LiveCount(self.folder, self.total)
        best = max((float(row[self.score.key] or 0.0) for row in self.curve.rows), default=None)
        with closing(live), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            while True:
                if self._due() and not self._evaluated():
                    row = self._evaluate()
                    now = float(row[self.score.key] or 0.0)
                    best = now if best is None else max(best, now)
                    if say is not None:
                        say(f"{self.samples} samples: {self._line(row, twin)}")
                if self.done >= self.total:
                    return self.curve.rows
                self.step()
                live.at(self.done, best)

    def step(self) -> None:
        """One batch: propose, write, decorrelate, let time pass."""
        with overlapping:
            self._step()
            self._fetch(self.done)  # while the last pulses are sent

    def _fetch(self, number: int) -> tuple[F32, Answers]:
        """Samples and answers of a batch, which are kept for whoever asks for the same again."""
        if self._fetched is None or self._fetched[0] != number:
            self._fetched = None  # so that the new ones get the memory of the last
            self._fetched = number, self.data.batch(self.order[number])
        return self._fetched[1]

    def _step(self) -> None:
        experiment = self.experiment
        x, target = self._fetch(self.done)
        progress = self.done / self.total
        factor = rate_factor(experiment.schedule, experiment.final_rate, progress)
        proposed: Proposed | None = None
        for _ in range(experiment.rule.rounds):
            proposed = experiment.rule.propose(self.network, self.loss, x, target, self.memory)
            self._stop_unless_finite(proposed)
            self._write(proposed, factor * experiment.rate_factor * experiment.learning_rate)
            self._loss_sum += proposed.loss
            self._loss_count += 1
        assert proposed is not None
        for layer, trace in zip(self.network.layers, proposed.trace.layers, strict=True):
            if layer.decorrelator is not None and trace.passed is not None:
                layer.decorrelator.learn(trace.passed, progress)
        self.done += 1
        self._idle()
        if experiment.compensate_every is not None and self.done % experiment.compensate_every == 0:
            for _, tile in self.network.tiles():
                tile.compensate()
        every = experiment.calibrate_every
        if experiment.calibrates and every is not None and calibration_due(self.done, every):
            self.network.calibrate(self.data.x[: experiment.calibration])

    def _idle(self) -> None:
        """Let chip time pass: after every batch, or all of it after the last one."""
        experiment = self.experiment
        batches = 1 if not experiment.idle_at_end else self.total if self.done == self.total else 0
        if experiment.idle_per_batch and batches:
            self.network.layers[0].tile.wait(batches * experiment.idle_per_batch)

    def _write(self, proposed: Proposed, rate: float) -> None:
        """Hand the steps to the tiles, which are on different arrays and written at the same time; biases are digital."""
        if proposed.layers is None:
            return
        optimizer = self.experiment.optimizer
        with self.clock.parallel():
            for layer, gradient in zip(self.network.layers, proposed.layers, strict=True):
                layer.tile.update(optimizer.step(layer.name, gradient.weights, self.optimizer), rate)
                if layer.bias is not None and gradient.bias is not None:
                    layer.bias -= np.float32(rate) * optimizer.bias_step(
                        f"{layer.name}.bias", gradient.bias, self.optimizer
                    )

    def _stop_unless_finite(self, proposed: Proposed) -> None:
        """Nothing that is not finite may reach a cell: it would stay there."""
        if math.isfinite(proposed.loss):
            broken = probe.first_broken_gradient(self.network.layers, proposed.layers)
            if broken is None:
                return
        else:
            broken = probe.first_broken(self.network.layers, [layer.a for layer in proposed.trace.layers])
        self.diverged = True
        kept = checkpoint.load(self._checkpoint)
        done = None if kept is None else kept.get("done")
        state = "there is no checkpoint yet"
        if isinstance(done, int):
            state = f"the checkpoint of sample {done * self.experiment.batch} is kept in {self._checkpoint}"
        raise UserError(
            f"training diverged at sample {self.samples} (batch {self.done} of {self.total}, seed {self.seed}): the loss is "
            f"{proposed.loss}, first broken: {broken}; {state}. Try a smaller learning_rate (now {self.experiment.learning_rate:g})"
        )

    def _due(self) -> bool:
        """At the start, at the end, and whenever another `evaluate_every` samples (or an epoch) are through."""
        every = self.experiment.evaluate_every
        if self.done in (0, self.total):
            return True
        if every is None:
            return self.done % self.order.per_epoch == 0
        return self.samples // every > (self.samples - self.experiment.batch) // every

    def _evaluated(self) -> bool:
        return bool(self.curve.rows) and self.curve.rows[-1]["samples"] == self.samples

    def _evaluate(self) -> Row:
        """Measure, log and checkpoint."""
        row, rows = self._measure_without_trace() if self.network.inspectable else self._measure_on_chip()
        self.curve.append(row)
        for each in rows:
            self.layers.append({"samples": self.samples, **each})
        if self.record is not None:
            self.record.keep()
        logs = (self.curve, self.layers)
        written: CheckpointState = {
            **self._state(),
            "of": self._of,
            "rows": [len(log.rows) for log in logs],
            "content": [digest(log.rows) for log in logs],
        }
        checkpoint.save(self._checkpoint, written)
        return row

    def _measure_on_chip(self) -> tuple[Row, list[Row]]:
        """Score by reads of the chip itself, which are counted and take time; what only its inside could show is left out."""
        right = self._score()
        nothing: dict[str, float | None] = {layer.name: None for layer in self.network.layers}
        rows = probe.layer_rows(self.network, nothing, nothing)
        row = self._row(right, None, probe.costs(self.network))
        self._loss_sum, self._loss_count = 0.0, 0
        return row, rows

    def _score(self) -> dict[str, float]:
        """Accuracy, or R2 and mean squared error, on the evaluation samples, now."""
        return evaluated(self.network.output(self.data.x_eval), self.data.y_eval, self.data.targets)

    def _row(self, score: Mapping[str, float], loss: float | None, costs: Costs | None) -> Row:
        """A row of the curve; loss: of this batch, when no batch was trained since the last row."""
        return {
            "samples": self.samples,
            "epoch": self.done / self.order.per_epoch,
            "loss": self._loss_sum / self._loss_count if self._loss_count else loss,
            **score,
            "pulses": None if costs is None else float(costs.pulses),
            "chip_time_s": None if costs is None else self.clock.now,
            "energy_J": None if costs is None or not self.network.inspectable else costs.joules,
        }

    def _measure_without_trace(self) -> tuple[Row, list[Row]]:
        """Score, gradient alignment, correlations, conductances; the chip is put back as it was, so it costs neither time nor noise."""
        before = self._state()
        costs, chip_time = probe.costs(self.network), self.clock.now
        x, target = self._fetch(self.done)
        proposed = self.experiment.rule.propose(self.network, self.loss, x, target, self.memory)
        self._stop_unless_finite(proposed)
        right = self._score()
        copy = self.network.digital_copy()
        cosines = probe.cosines(copy, self.loss, x, target, proposed.layers)
        row = self._row(right, proposed.loss, costs)
        row["chip_time_s"] = None if costs is None else chip_time
        rows = probe.layer_rows(self.network, cosines, probe.correlations(copy, self.data.x[: self.experiment.probe]))
        for name, tile in self.network.tiles():
            counted = probe.histogram(tile)
            if counted is not None:
                self._histograms.setdefault(name, []).append(counted)
        self._loss_sum, self._loss_count = 0.0, 0
        self._restore({**before, "loss_sum": 0.0, "loss_count": 0, "histograms": self._histogram_state()})
        return row, rows

    def _line(self, row: Row, twin: Mapping[int, float] | None) -> str:
        loss = "" if row["loss"] is None else f"loss {row['loss']:.4g}, "
        text = f"{loss}{self.score.name} {self.score.shown(float(row[self.score.key] or 0.0))}"
        text += "".join(f", {name} {row[name]:.4g}" for name in self.score.columns[1:])
        ideal = (twin or {}).get(self.samples)
        if ideal is not None:
            text += f" (ideal twin {self.score.shown(ideal)})"
        return text

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.npz"

    def histograms(self) -> dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]:
        """Tile -> edges (BINS + 1,) in siemens and counts (evaluations, BINS)."""
        tiles = dict(self.network.tiles())
        found = {}
        for name, counts in self._histograms.items():
            edges = probe.histogram_edges(tiles[name])
            assert edges is not None
            found[name] = (edges, np.stack(counts))
        return found

    def _histogram_state(self) -> dict[str, npt.NDArray[np.int64]]:
        return {name: np.stack(counts) for name, counts in self._histograms.items()}

    def _state(self) -> TrainerState:
        return {
            "done": self.done,
            "network": self.network.state(),
            "rule": self.memory.state(),
            "optimizer": self.optimizer.state(),
            "clock": self.clock.now,
            "loss_sum": self._loss_sum,
            "loss_count": self._loss_count,
            "histograms": self._histogram_state(),
            "position": None if self.record is None else self.record.position,
        }

    def _restore(self, state: TrainerState) -> None:
        self.done = state["done"]
        with nullcontext() if self.record is None else self.record.restoring():
            self.network.restore(state["network"])
        self.memory.restore(state["rule"])
        self.optimizer.restore(state["optimizer"])
        self.clock.restore(state["clock"])
        self._loss_sum, self._loss_count = state["loss_sum"], state["loss_count"]
        self._histograms = {name: list(counts) for name, counts in state["histograms"].items()}
        if self.record is not None and state["position"] is not None:
            self.record.seek(state["position"])

    def learned(self) -> LearnedNetwork:
        """What the network has learned so far. A chip that shows nothing of its inside is read for it."""
        assert self._spec is not None, "an experiment has a network or weights"
        dataset = self.experiment.model_dump(mode="json", include={"dataset"})["dataset"]
        return learned_from(self.network, self._spec, self.data.shape, self.data.outputs, dataset)

    def close(self) -> None:
        """Write what the record of the chip still holds back, and let go of the chip."""
        if self.record is not None:
            self.record.close()
        self._release()

    def _identity(self, setup: Setup) -> str:
        """Digest of all that decides this arm's results."""
        start = {} if setup.start is None else dict(setup.start.arrays)
        setting = self.experiment.model_dump(mode="json", exclude=NOT_OF_AN_ARM)
        return digest([setting, self.seed, dict(self.data.source), start])

    def _agreed(self, setup: Setup, state: State | None) -> None:
        """Before anything is sent to the chip: whether the checkpoint is this arm's and the chip can go on from it. Raises UserError."""
        path = self._checkpoint
        if state is None:
            return
        if setup.record is None and not setup.network.inspectable:
            raise UserError(
                f"{path}: this chip cannot be put back and was not recorded, so the run cannot go on "
                "(chip.record: true keeps a record); delete the folder to train anew"
            )
        if state.get("of") != self._identity(setup):
            raise UserError(
                f"{path}: is of another arm, seed, data or setting; put the right one back, or {checkpoint.ANEW}"
            )
        position = state.get("position")
        if setup.record is not None and isinstance(position, int):
            setup.record.holds(position)

    def _resume(self, state: State | None) -> None:
        """Go on from the checkpoint; rows logged after it are dropped, they will come again."""
        path = self._checkpoint
        if state is None:
            if len(self.curve.rows) > 1:  # one may be there when the first checkpoint was not written any more
                raise UserError(
                    f"{path}: is missing, though {self.curve.path.name} has {len(self.curve.rows)} evaluations; put it back, "
                    f"or delete the folder {self.folder} to train this arm anew"
                )
            self.curve.keep(lambda row: False)
            self.layers.keep(lambda row: False)
            return
        with checkpoint.fitting(path):
            saved = taken(CheckpointState, state)
            self._restore(saved)
            logs = list(zip((self.curve, self.layers), saved["rows"], saved["content"], strict=True))
        for log, count, content in logs:
            log.keep(lambda row: float(row["samples"] or 0) <= self.samples)
            if len(log.rows) != count or digest(log.rows) != content:
                raise UserError(
                    f"{log.path}: has {len(log.rows)} rows, not the {count} that {path.name} was written after; put it back, or "
                    f"delete the folder {self.folder} to train this arm anew"
                )
