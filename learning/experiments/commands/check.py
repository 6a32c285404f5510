"""Check a YAML file of any kind as the script that it is for does before it starts: every mistake with its line. Never runs anything."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from learning.experiments.commands._cli import HelpText, add_set
from learning.experiments.runs.examples import config_file

if TYPE_CHECKING:
    from analog_sim.config import StrictModel
    from learning.torch_bridge.plan import Plan

# The value of a file's key `schema` -> the model it is checked against. A test finds models that lack a row.
MODELS: Mapping[str, str] = MappingProxyType(
    {
        "estimate/1": "learning.experiments.configs.estimate:Experiment",
        "train/1": "learning.experiments.configs.train:TrainExperiment",
        "serve/1": "learning.experiments.configs.serve:ServeConfig",
        "calibrate/1": "learning.experiments.configs.calibrate:CalibrateConfig",
        "card/1": "devices.card:DeviceCard",
        "measurements/1": "devices.measurements.configuration.measurement_config:MeasurementConfig",
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the file on the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Check a YAML file as the script that its key 'schema' names does before it starts (--dry-run), data included.",
        epilog="example:\n  analog-hil check digits_pcm --set chips=5 --resolved",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument("config", metavar="CONFIG", type=config_file, help="YAML file, or the name of an example")
    add_set(parser)
    parser.add_argument("--schema", metavar="FILE", type=Path, help="write the JSON schema for editors to FILE")
    parser.add_argument("--resolved", action="store_true", help="print the whole configuration, defaults included")
    options = parser.parse_args(arguments)

    from analog_sim.config import (
        ConfigError,
        Problem,
        UserError,
        dump_yaml,
        expand_sweep,
        json_schema,
        load_config,
        load_with_source,
    )

    name, model = schema_of(options.config, options.overrides)
    if options.schema is not None:
        try:
            options.schema.write_text(json.dumps(json_schema(model), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"--schema {options.schema}: {error.strerror}") from error
        print(f"schema written to {options.schema}")
    points = expand_sweep(options.config, overrides=options.overrides)
    problems: list[Problem] = []
    check = CHECKS.get(name)
    known: dict[str, Plan] = {}
    for point in points:  # a file without `sweep` has one point
        overrides = [*options.overrides, *point.overrides]
        try:
            _, source = load_with_source(options.config, model, overrides=overrides)
        except ConfigError as error:
            problems += error.problems
            continue
        if check is None or (name == "train/1" and point is not points[0]):
            continue  # the points of a training are its arms, which are checked together
        try:
            check(options.config, options.overrides if name == "train/1" else overrides, known)
        except ConfigError as error:
            problems += error.problems
        except UserError as error:
            problems += [source.place(line) for line in str(error).splitlines()]
    if problems:
        raise ConfigError(problems)
    if options.resolved:
        print(dump_yaml(load_config(options.config, model, overrides=options.overrides)), end="")
    else:
        print(f"OK: {options.config}" + (f" and its {len(points)} sweep points" if len(points) > 1 else ""))
    return 0


def _check_estimate(path: Path, overrides: Sequence[str], known: dict[str, Plan]) -> None:
    from learning.experiments.estimation.load import load_estimate
    from learning.experiments.estimation.run import describe

    describe(load_estimate(path, overrides)[0], known=known)


def _check_training(path: Path, overrides: Sequence[str], known: dict[str, Plan]) -> None:
    from learning.experiments.training.load import load_training
    from learning.experiments.training.run import describe

    describe(load_training(path, overrides)[0])


def _check_measurement(path: Path, overrides: Sequence[str], known: dict[str, Plan]) -> None:
    from analog_sim.config import load_config
    from devices.measurements.configuration.measurement_config import MeasurementConfig
    from devices.measurements.pipeline.reading import describe

    describe(load_config(path, MeasurementConfig, overrides=overrides))


# The third argument is what the points before have found out, for those after them.
# Schema -> what `--dry-run` of its script checks beside the model (a card's own checks are all in its model). Raises UserError.
CHECKS: Mapping[str, Callable[[Path, Sequence[str], dict[str, Plan]], None]] = MappingProxyType(
    {"estimate/1": _check_estimate, "train/1": _check_training, "measurements/1": _check_measurement}
)


def schema_of(path: Path, overrides: Sequence[str]) -> tuple[str, type[StrictModel]]:
    """Return the value of a file's key `schema`, and the model that it names. Raises ConfigError."""
    from analog_sim.config import ConfigError, Problem, find_key
    from analog_sim.config.errors import did_you_mean

    name, where = find_key(path, "schema", overrides=overrides)
    allowed = ", ".join(MODELS)
    if name is None:
        raise ConfigError([Problem(where, "schema", f"missing required key, which says what the file is: {allowed}")])
    if not isinstance(name, str) or name not in MODELS:
        hint = (did_you_mean(name, MODELS) if isinstance(name, str) else "") or ";"
        raise ConfigError([Problem(where, "schema", f"unknown schema '{name}'{hint} allowed: {allowed}")])
    module, _, attribute = MODELS[name].partition(":")
    model: type[StrictModel] = getattr(importlib.import_module(module), attribute)
    return name, model
