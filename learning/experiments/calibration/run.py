"""A calibration from plan to twin: stages that are kept as they are done, the fit, the twin's file. It never prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.chip.client.remote import RemoteFabric
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.twin import TWIN, MeasuredArray, MeasuredChip, save_measured
from analog_sim.config import UserError
from analog_sim.random.streams import Streams
from devices.card import DeviceCard, load_card
from devices.measurements.card_files.card_file import write_card
from devices.window import Window
from learning.experiments.calibration import stages
from learning.experiments.calibration.arrays import WantedArray, load_experiment, wanted_arrays
from learning.experiments.calibration.budget import CalibrationPlan, planned_calibration
from learning.experiments.calibration.electronics import Electronics, common_gain, electronics
from learning.experiments.calibration.fit import FittedCard, fit_card
from learning.experiments.calibration.lab_files import write_lab_files
from learning.experiments.configs.calibrate import CalibrateConfig
from learning.experiments.runs.files import read_arrays, read_json, write_arrays, write_json
from learning.experiments.runs.run_folder import RunDirectory

Arrays = dict[str, npt.NDArray[Any]]
Say = Callable[[str], None]
DONE, LASTED = "done", "lasted"
"""Of a stage: what it did to the arrays (`stages.work`), and the chip seconds that it took. A later start must know them, too."""
LEAST = 0.01
"""Share of the chip's own window that the median cell must move by."""
MOST_GAIN = 10.0
"""Beyond, and below its inverse, currents have nothing to do with the cells."""
CLAIM = 0.03
"""The chip's own statement of its window is kept where the cells' median agrees with it to this share."""


@dataclass(frozen=True)
class Opened:
    """A chip, the arrays to be measured and what it will cost.

    Attributes:
        card: what is believed of the cells. fabric: the chip. wanted, arrays: what is measured. plan: how.
    """

    card: DeviceCard
    fabric: Fabric
    wanted: list[WantedArray]
    arrays: list[Crossbar]
    plan: CalibrationPlan


@dataclass(frozen=True)
class Calibration:
    """What came out.

    Attributes:
        opened: what was measured. measured: ends, ramps (None without pulses) and rest, as `stages` returned them. spent: pulses, cells
            programmed, chip seconds of all stages, those of earlier starts included. fitted: the parts of the card.
        electronics: amplifiers and wires, of every array. card, twin: files.
    """

    opened: Opened
    measured: tuple[Arrays, Arrays | None, Arrays]
    spent: dict[str, float]
    fitted: FittedCard
    electronics: list[Electronics]
    card: Path
    twin: Path

    @property
    def ends(self) -> Arrays:
        """Both ends of every cell."""
        return self.measured[0]

    @property
    def stuck(self) -> int:
        """Cells that do not answer."""
        return sum(int(np.isfinite(self.ends[f"{k}/stuck"]).sum()) for k in range(len(self.opened.arrays)))


def open_chip(config: CalibrateConfig) -> Opened:
    """Find the arrays of the experiment on the chip, and plan. Raises UserError; nothing is done to a cell."""
    experiment = load_experiment(config.experiment)
    wanted = wanted_arrays(experiment)
    card = experiment.device
    assert card is not None, "wanted_arrays refuses a run without a chip"
    backend = config.chip if config.chip is not None else experiment.chip
    backend.check()
    fabric = backend.fabric(card.compile(), Streams(config.seed).child("chip"), Clock(), None)
    arrays = [each.on(fabric) for each in wanted]
    plan = planned_calibration(config, wanted, arrays[0].info, fabric.cell.cost)
    return Opened(card, fabric, wanted, arrays, plan)


def calibrate(config: CalibrateConfig, opened: Opened, run: RunDirectory, say: Say) -> Calibration:
    """Measure, fit, write. Stages that an earlier start has finished are taken from the run's folder. Raises UserError."""
    _only_this_chip(opened.fabric, run.path / "measured" / "chip.json")
    chip = stages.MeasuredSite(opened.wanted, opened.arrays, config, opened.plan)

    def stage(name: str, what: str, measure: Callable[[], Arrays]) -> Arrays:
        path = run.path / "measured" / f"{name}.npz"
        if path.exists():
            say(f"{what}: measured before")
            return read_arrays(path)
        say(what)
        path.parent.mkdir(exist_ok=True)
        before, begun = stages.work(opened.arrays), opened.arrays[0].time
        found = measure()
        found |= {DONE: stages.work(opened.arrays) - before, LASTED: np.array([opened.arrays[0].time - begun])}
        write_arrays(path, found)
        return found

    ends = stage("ends", "driving all cells to both ends of the window", lambda: stages.ends(chip))
    _answering(ends, opened)
    stuck = [np.isfinite(ends[f"{k}/stuck"]) for k in range(len(opened.arrays))]
    ramps = None
    if opened.plan.ramp:
        ramps = stage("ramps", f"pulsing {opened.plan.sample} cells up and down", lambda: stages.ramps(chip, stuck))
    rest = stage("rest", "writing, reading and waiting", lambda: stages.rest(chip))
    measured = (ends, ramps, rest)
    finished = [part for part in measured if part is not None and DONE in part]
    done = np.sum([part[DONE] for part in finished], axis=0)
    lasted = float(np.sum([part[LASTED] for part in finished]))
    spent = dict(zip(stages.KINDS, done[:, 0].tolist(), strict=True)) | {"seconds": lasted}
    write_lab_files(run.path / "lab", config.name, ends, ramps, rest)
    say("fitting")
    costs = {**stages.durations(done, ramps, opened.plan), "v_read": opened.card.cost.v_read}
    fitted = fit_card(config, opened.card, Window(*_window(ends, opened.arrays)), measured)
    between = _electronics(rest, opened)
    parts = fitted.parts
    parts.parts["cost"] = costs
    comments = ("Made by scripts/calibrate.py; tables beside it, fault map and amplifiers in twin.npz.",)
    card = write_card(run.path, parts, {}, comments)
    twin = run.path / TWIN
    write_arrays(twin, save_measured(measured_chip(load_card(card), opened.wanted, ends, between)))
    return Calibration(opened, measured, spent, fitted, between, card, twin)


def _only_this_chip(fabric: Fabric, kept: Path) -> None:
    """Raise UserError where stages were measured on another chip; only a served chip says which one it is."""
    if not isinstance(fabric, RemoteFabric):
        return
    token = fabric.token()
    if kept.exists() and read_json(kept)["chip"] != token:
        raise UserError(
            f"{kept.parent}: holds stages of another chip, or the chip at {fabric.link.where} was started anew without its journal; "
            "delete that folder to measure all of this one, or choose another --out"
        )
    write_json(kept, {"chip": token})


def measured_chip(
    card: DeviceCard, wanted: list[WantedArray], ends: Arrays, between: list[Electronics]
) -> MeasuredChip:
    """The twin: the card, what is stuck in every array and its amplifiers, wires."""
    found = {}
    for k, each in enumerate(wanted):
        found[each.full] = MeasuredArray(ends[f"{k}/stuck"].astype(np.float32), between[k].amplifiers)
    return MeasuredChip(card.compile(), found, between[0].wires)


def _answering(ends: Arrays, opened: Opened) -> None:
    """Raise UserError, before a pulse is spent, where the cells of an array do not move, or are read where the chip says none can be."""
    for k, (each, array) in enumerate(zip(opened.wanted, opened.arrays, strict=True)):
        info = array.info
        low, high = (float(np.median(ends[f"{k}/{end}"])) for end in ("low", "high"))
        said = f"calibrate: array {each.full}: the median cell was read as {low:g} S and {high:g} S at the ends of the window"
        if info.programmable and not high - low > LEAST * (info.g_max - info.g_min):
            raise UserError(f"{said}: it does not answer to programming")
        if not (high > info.g_min and low < info.g_max):
            raise UserError(
                f"{said}, which the chip says is {info.g_min:g} to {info.g_max:g} S: check the units of its reads"
            )


def _electronics(rest: Arrays, opened: Opened) -> list[Electronics]:
    """Amplifiers of every array, and the wires of the largest, taken for all. Raises UserError for currents that are not the cells'."""
    arrays = opened.arrays
    reads = [
        {name.partition("/")[2]: rest[name] for name in rest if name.startswith(f"{k}/") and name.count("/") == 1}
        for k in range(len(arrays))
    ]
    for each, found in zip(opened.wanted, reads, strict=True):
        gain = common_gain(found)
        if not 1.0 / MOST_GAIN < gain < MOST_GAIN:
            raise UserError(
                f"calibrate: array {each.full}: currents of single lines are {gain:.3g} times what the cells, read one by one, let expect"
            )
    largest = int(np.argmax([array.info.cells for array in arrays]))
    known = electronics(reads[largest])
    return [known if k == largest else electronics(part, known) for k, part in enumerate(reads)]


def _window(ends: Arrays, arrays: list[Crossbar]) -> tuple[float, float]:
    """The window of the card: the chip's own statement, or the medians of its cells where they disagree."""
    low, high = (
        float(np.median(np.concatenate([ends[f"{k}/{end}"].ravel() for k in range(len(arrays))])))
        for end in ("low", "high")
    )
    info = arrays[0].info
    if not info.programmable:
        return info.g_min, info.g_max
    width = info.g_max - info.g_min
    return (
        info.g_min if abs(low - info.g_min) < CLAIM * width else max(low, 0.0),
        info.g_max if abs(high - info.g_max) < CLAIM * width else high,
    )
