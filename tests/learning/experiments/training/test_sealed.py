"""Training on a chip that shows nothing of its inside: the same learning, goes on after a kill, replays to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_sim.chip.backend import RECORD
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.record import taped
from analog_sim.chip.record.chip_memory import FILE, ChipMemoryState
from analog_sim.chip.record.operations import Arrays, Request
from analog_sim.chip.record.tape import Tape, TapedOperation
from analog_sim.config import UserError, validate
from analog_sim.saved_state import taken
from analog_sim.state_file import read_state
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.training.chip import check
from learning.experiments.training.data import training_data
from learning.experiments.training.run import train
from learning.experiments.training.trainer import Trainer

BASE: dict[str, Any] = {
    "schema": "train/1",
    "dataset": {"name": "digits", "flatten": True, "train_limit": 320, "test_limit": 100},
    "network": {"layers": [{"kind": "linear", "units": 16}, "relu", {"kind": "linear", "units": 10}]},
    "rule": {"kind": "activity_node_perturbation", "sigma": 0.1, "perturbations": 2},
    "decorrelation": {"method": {"kind": "natural", "rate": 1e-3}, "where": "chip"},
    "device": "ecram",
    "tile": {"writing": "stochastic_pulse", "compensation": "none"},
    "matrix_tile": {"writing": "stochastic_pulse", "compensation": "none"},
    "learning_rate": 0.05,
    "batch": 16,
    "epochs": 1.0,
    "evaluate_every": 160,
    "twin": None,
}


def experiment(**fields: Any) -> TrainExperiment:
    return validate({**BASE, **fields}, TrainExperiment)


def trainer(folder: Path, **fields: Any) -> Trainer:
    setup = experiment(**fields)
    return Trainer(setup, training_data(setup.dataset, setup.validation), 0, folder)


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.jit
def test_an_interrupted_sealed_run_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    """The process ends seven batches behind the last checkpoint; what the chip did there is answered by the record, not done again."""
    whole = trainer(tmp_path / "whole", chip={"kind": "sealed"})
    rows = whole.run()
    whole.close()

    first = trainer(tmp_path / "cut", chip={"kind": "sealed"})
    step = first.step

    def dying() -> None:
        if first.done == 17:
            raise Killed
        step()

    first.step = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        first.run()
    first.close()
    done = first.record.position  # type: ignore[union-attr]

    second = trainer(tmp_path / "cut", chip={"kind": "sealed"})
    assert second.done == 10
    assert second.record is not None
    assert second.record.position < done
    assert second.run() == rows
    second.close()
    assert (tmp_path / "cut" / RECORD).read_bytes() == (tmp_path / "whole" / RECORD).read_bytes()
    for mine, its in zip(whole.network.layers, second.network.layers, strict=True):
        np.testing.assert_array_equal(mine.tile.read_weights(), its.tile.read_weights())


@pytest.mark.jit
@pytest.mark.parametrize("writing", ["stochastic_pulse", "tiki_taka_v2"])
def test_a_chip_that_is_killed_again_and_again_goes_on_from_its_own_state(
    writing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kills at random operations, with a random part of what came after the last kept state lost: the same record, cells and rows.

    The chip does again no more than what came after the state that it kept.
    """
    fields: dict[str, Any] = {
        "chip": {"kind": "sealed"},
        "rule": "backprop",
        "decorrelation": None,
        "tile": {"writing": writing, "compensation": "none"},
        "evaluate_every": 80,
    }
    whole = trainer(tmp_path / "whole", **fields)
    rows = whole.run()
    whole.close()
    rng, folder = np.random.default_rng(5), tmp_path / "cut"
    append, execute = Tape.append, taped.execute
    kills, done = 0, 0

    def dying(tape: Tape, operation: TapedOperation) -> None:
        if kills < 4 and rng.random() < 0.01:
            raise Killed
        append(tape, operation)

    def counted(request: Request, on: Crossbar) -> Arrays:
        nonlocal done
        done += 1
        return execute(request, on)

    monkeypatch.setattr(Tape, "append", dying)
    monkeypatch.setattr(taped, "execute", counted)
    finished = None
    while finished is None:
        it = None
        try:
            it = trainer(folder, **fields)
            again = it.run()
            finished = it
        except Killed:
            kills += 1
        if it is not None:
            it.close()
        path, state = folder / RECORD, folder / FILE
        end = taken(ChipMemoryState, read_state(state, "", ""))["end"] if state.exists() else 0
        if finished is None and it is not None:
            with path.open("r+b") as file:
                file.truncate(end + int(rng.integers(0, path.stat().st_size - end + 1)))
    assert kills == 4
    assert again == rows
    assert (folder / RECORD).read_bytes() == (tmp_path / "whole" / RECORD).read_bytes()
    assert done < 2 * finished.record.position, "the record is not done again from its beginning at every start"  # type: ignore[union-attr]
    for mine, its in zip(whole.network.layers, finished.network.layers, strict=True):
        np.testing.assert_array_equal(mine.tile.read_weights(), its.tile.read_weights())


@pytest.mark.jit
def test_the_record_replays_to_the_same_bits_and_refuses_another_run(tmp_path: Path) -> None:
    recorded = trainer(tmp_path / "recorded", chip={"kind": "sealed"})
    rows = recorded.run()
    recorded.close()
    chip = {"kind": "replay", "record": str(tmp_path / "recorded")}
    again = trainer(tmp_path / "replay", chip=chip)
    assert again.run() == rows
    with pytest.raises(UserError, match=r"operation \d+: pulse on 'linear\d.*(length|row_|col_|values differ)"):
        trainer(tmp_path / "other", chip=chip, learning_rate=0.1).run()
    with pytest.raises(UserError, match="replay"):
        trainer(tmp_path / "third", chip=chip, batch=32).run()


@pytest.mark.jit
def test_sealed_and_open_chips_learn_alike(tmp_path: Path) -> None:
    """Other draws of the noise, so not the same numbers: eight seeds, final accuracies within 4 standard errors of each other."""
    fields = {"rule": "backprop", "learning_rate": 0.5, "epochs": 3.0, "evaluate_every": None}
    setups = {kind: experiment(chip={"kind": kind}, **fields) for kind in ("emulated", "sealed")}
    data = training_data(setups["sealed"].dataset, 0)
    final = {
        kind: np.array(
            [Trainer(s, data, seed, tmp_path / f"{kind}{seed}").run()[-1]["accuracy"] for seed in range(8)], float
        )
        for kind, s in setups.items()
    }
    difference = final["sealed"] - final["emulated"]
    assert abs(difference.mean()) <= 4 * difference.std(ddof=1) / 8**0.5 + 1e-12
    assert final["sealed"].mean() > 0.6  # a tenth is chance


def test_what_needs_the_inside_is_refused_on_a_sealed_chip() -> None:
    setup = experiment(chip={"kind": "sealed"}, tile={"writing": "ideal"}, decorrelation=None)
    with pytest.raises(UserError, match=r"tile.writing: 'ideal' sets cells exactly"):
        check(setup, training_data(setup.dataset, 0))


@pytest.mark.jit
def test_a_sealed_run_without_a_record_cannot_go_on(tmp_path: Path) -> None:
    it = trainer(tmp_path, chip={"kind": "sealed", "record": False})
    it.run()
    with pytest.raises(UserError, match="was not recorded"):
        trainer(tmp_path, chip={"kind": "sealed", "record": False})


@pytest.mark.jit
def test_a_network_is_laid_out_over_fixed_arrays_and_learns(tmp_path: Path) -> None:
    """64-16-10 on arrays of 25 x 25: three for the first matrix and one for the second, twice for the pairs."""
    chip = {"kind": "fixed_arrays", "arrays": 8, "bad_cells": 0.02, "record": False}
    fields = {"rule": "direct_feedback_alignment", "decorrelation": None, "learning_rate": 0.5, "epochs": 4.0}
    it = trainer(tmp_path, chip=chip, **fields)
    rows = it.run()
    assert float(rows[-1]["accuracy"] or 0) > 0.5
    with pytest.raises(UserError, match=r"'linear2' needs 2 arrays of 25x25 .* 1 of the chip's 7 .*linear1 has 6"):
        trainer(tmp_path / "small", chip={**chip, "arrays": 7}, **fields)
    with pytest.raises(
        UserError, match=r"'linear1' needs 6 arrays of 25x25 .* 5 of the chip's 5 are left \(none is in use\)"
    ):
        trainer(tmp_path / "smaller", chip={**chip, "arrays": 5}, **fields)


@pytest.mark.jit
def test_the_report_says_what_a_sealed_chip_did_not_show(tmp_path: Path) -> None:
    outcome = train(experiment(chip={"kind": "sealed"}), out=tmp_path / "run", say=lambda line: None)
    assert any("showed nothing of its inside" in note for note in outcome.results.notes)
    assert "showed nothing of its inside" in outcome.report.read_text(encoding="utf-8")
    row = outcome.results.curves[-1]
    assert row["energy_J"] is None
    assert float(row["chip_time_s"] or 0) > 0.0
    assert Clock().now == 0.0


CHIP = """
from dataclasses import replace

from conformance.resistors import ResistorChip, Resistors


class Silent(Resistors):
    def _spend(self, kind, units, seconds):
        raise RuntimeError(f"{kind} was sent")


class SilentChip(ResistorChip):
    def crossbar(self, name, rows, cols, *, pair, wishes=None):
        array = Silent(self.cell, rows, cols, pair, self.clock)
        array.info = replace(array.info, parallel_pulse=False)
        return array


def chip(cell, streams, clock, folder):
    return SilentChip(cell, clock, {})
"""


_GATHERS = {"writing": "mixed_precision", "compensation": "none"}
GATHERS = {"tile": _GATHERS, "matrix_tile": _GATHERS}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rule": "backprop", "decorrelation": None, **GATHERS}, "rule backprop: needs transposed reads"),
        (GATHERS, "decorrelation natural: needs transposed reads"),
        ({"decorrelation": None}, "'stochastic_pulse' needs pulses on all lines at once, which the chip .* cannot do"),
        (
            {"decorrelation": None, **GATHERS},
            r"program failed: .* program was sent \(mine.py:",
        ),
    ],
)
def test_nothing_is_sent_to_a_chip_that_cannot_serve(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A chip that raises at its first operation is not asked for one before a refusal; the last case shows that it raises."""
    (tmp_path / "mine.py").write_text(CHIP)
    with pytest.raises(UserError, match=message):
        trainer(tmp_path, chip={"kind": "factory", "factory": f"{tmp_path}/mine.py:chip"}, **fields)


KEPT = """
import numpy as np

from conformance.resistors import ResistorChip, Resistors

CHIPS = {}


class Kept(Resistors):
    sent = 0

    def pulse(self, plan):
        super().pulse(plan)
        Kept.sent += 1


class KeptChip(ResistorChip):
    def crossbar(self, name, rows, cols, *, pair, wishes=None):
        array = self.made.setdefault((*self.place, *name), Kept(self.cell, rows, cols, pair, self.clock))
        array._clock = self.clock  # chip time is the run's
        return array


def one(cell, streams, clock, folder):
    return KeptChip(cell, clock, CHIPS.setdefault("one", {}))


def other(cell, streams, clock, folder):
    return KeptChip(cell, clock, CHIPS.setdefault("other", {}))
"""


def test_a_run_on_a_real_chip_goes_on_and_sends_no_pulse_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies after the chip got its pulses and before they are in the record, seven batches behind the checkpoint."""
    (tmp_path / "kept_chip.py").write_text(KEPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    fields: dict[str, Any] = {"decorrelation": None}
    whole = trainer(tmp_path / "whole", chip={"kind": "factory", "factory": "kept_chip:one", "record": True}, **fields)
    rows = whole.run()
    whole.close()

    chip = {"kind": "factory", "factory": "kept_chip:other", "record": True}
    first = trainer(tmp_path / "cut", chip=chip, **fields)
    append = Tape.append

    def dying(self: Tape, done: TapedOperation) -> None:
        if done.request.kind == "pulse" and first.done == 17:
            raise Killed
        append(self, done)

    with monkeypatch.context() as patch:
        patch.setattr(Tape, "append", dying)
        with pytest.raises(Killed):
            first.run()
    first.close()
    second = trainer(tmp_path / "cut", chip=chip, **fields)
    with pytest.warns(UserWarning, match="was under way when the run was killed; it is taken as done and not repeated"):
        again = second.run()
    second.close()
    measured = [{k: v for k, v in row.items() if k not in ("pulses", "chip_time_s")} for row in rows]
    assert [{k: v for k, v in row.items() if k not in ("pulses", "chip_time_s")} for row in again] == measured
    import kept_chip  # type: ignore[import-not-found]

    mine, its = kept_chip.CHIPS["one"], kept_chip.CHIPS["other"]
    assert mine.keys() == its.keys()
    for name, array in mine.items():
        np.testing.assert_array_equal(array._g, its[name]._g)


def test_a_real_chip_without_a_record_is_left_alone_by_a_run_that_cannot_go_on(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(KEPT)
    fields: dict[str, Any] = {"decorrelation": None, "chip": {"kind": "factory", "factory": f"{tmp_path}/mine.py:one"}}
    it = trainer(tmp_path / "run", **fields)
    it.run()
    it.close()
    (tmp_path / "mine.py").write_text(
        KEPT.replace("super().pulse", "raise ValueError").replace("sent = 0", "program = None")
    )
    with pytest.raises(UserError, match="cannot be put back and was not recorded"):
        trainer(tmp_path / "run", **fields)
