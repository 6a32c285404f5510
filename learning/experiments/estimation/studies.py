"""The variants of the hardware that an estimate runs: as configured, and one thing changed at a time. It never runs one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from analog_sim.config import ConfigError, UserError, override
from analog_sim.tiles.nonidealities import Hardware, only, present, scaled, without
from learning.experiments.configs.estimate import Experiment, Setting, Sweep


@dataclass(frozen=True)
class Variant:
    """One point of one study.

    Attributes:
        study, value: as in `learning.experiments.report.estimate.results`. hardware: cell and tile.
        bias, weight_scale: as in `Experiment`.
        times: seconds after programming at which it is measured. chips: how many chips.
    """

    study: str
    value: str
    hardware: Hardware
    bias: Literal["digital", "chip"]
    weight_scale: Literal["layer", "column"]
    times: tuple[float, ...]
    chips: int


def variants(experiment: Experiment) -> list[Variant]:
    """Return all variants, the configured hardware first.

    Raises:
        UserError: a card or a swept setting that makes no hardware.
    """
    nominal = hardware_of(experiment)
    found = [_variant("nominal", "", nominal, experiment, experiment.times, experiment.chips)]
    study = experiment.sensitivity
    if study is None:
        return found

    def add(name: str, value: str, hardware: Hardware, made: Experiment = experiment) -> None:
        found.append(_variant(name, value, hardware, made, experiment.study_times, experiment.study_chips))

    there = present(nominal)
    for name in there if study.without == "all" else study.without:
        add("without", name, without(nominal, [name]))
    for name in there if study.only == "all" else study.only:
        add("only", name, only(nominal, name))
    for sweep in study.sweeps:
        for value, hardware, made in _points(experiment, nominal, sweep):
            add(sweep.study, value, hardware, made)
    return found


def swept(experiment: Experiment) -> Iterator[tuple[str, Experiment]]:
    """Study and value -> the experiment as a sweep of the sensitivity changes it. Raises UserError."""
    study = experiment.sensitivity
    for sweep in study.sweeps if study is not None else ():
        for value, made in _changes(experiment, sweep):
            yield f"{sweep.study} = {value}", made


def _variant(
    study: str, value: str, hardware: Hardware, experiment: Experiment, times: tuple[float, ...], chips: int
) -> Variant:
    return Variant(study, value, hardware, experiment.bias_place, experiment.weight_scale, times, chips)


def hardware_of(experiment: Experiment) -> Hardware:
    """Compile the card. Raises UserError when a law of the card is not finite in its window."""
    try:
        return Hardware(experiment.device.compile(), experiment.tile)
    except ValueError as error:
        raise UserError(f"device {experiment.device.name}: {error}") from error


def _points(experiment: Experiment, nominal: Hardware, sweep: Sweep) -> Iterator[tuple[str, Hardware, Experiment]]:
    if sweep.scale is not None:
        for value in sweep.values:
            yield f"{value}", scaled(nominal, sweep.scale, float(value or 0.0)), experiment
        return
    for name, made in _changes(experiment, sweep):
        yield name, hardware_of(made), made


def _changes(experiment: Experiment, sweep: Sweep) -> Iterator[tuple[str, Experiment]]:
    """Value as the results name it -> the experiment with that setting; nothing for a scale. Raises UserError."""
    for value in sweep.values if sweep.set is not None else ():
        text = _text(value)
        try:
            made = changed(experiment, str(sweep.set), value)
        except ConfigError as error:
            reasons = "; ".join(problem.message for problem in error.problems)
            raise UserError(f"sensitivity.sweeps: {sweep.set}={text}: {reasons}") from error
        yield "ideal" if value is None else text, made


def changed(experiment: Experiment, key: str, value: Setting) -> Experiment:
    """The experiment with one setting of a sensitivity changed. Raises ConfigError."""
    return override(experiment, [f"{key}={_text(value)}"])


def _text(value: Setting) -> str:
    return "null" if value is None else f"{value}".lower() if isinstance(value, bool) else f"{value}"
