"""An estimate's file with its sensitivity checked, every mistake with the line where it is written. It never runs anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analog_sim.config import ConfigError, Problem, Source, load_with_source
from learning.experiments.configs.estimate import Experiment
from learning.experiments.estimation.studies import changed


def load_estimate(path: Path, overrides: Sequence[str] = ()) -> tuple[Experiment, Source]:
    """The experiment of a file, and where everything was written. A `sweep` is left out.

    Args:
        path: YAML file. overrides: `key=value`, put on top of it.

    Raises:
        ConfigError: every mistake of the file, and of the settings that its sensitivity sweeps.
    """
    experiment, source = load_with_source(path, Experiment, overrides=overrides)
    problems = []
    for k, sweep in enumerate(experiment.sensitivity.sweeps if experiment.sensitivity is not None else ()):
        for j, value in enumerate(sweep.values if sweep.set is not None else ()):
            where = source.at("sensitivity", "sweeps", k, "values", j)
            try:
                changed(experiment, str(sweep.set), value)
            except ConfigError as error:
                problems += [
                    Problem(where, f"sensitivity.sweeps.{k}.values: {p.path}", p.message) for p in error.problems
                ]
    if problems:
        raise ConfigError(problems)
    return experiment, source
