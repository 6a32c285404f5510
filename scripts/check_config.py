"""Check a YAML file of any kind against its model: every mistake with file and line. Never runs anything."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from _cli import add_set, main_guard

if TYPE_CHECKING:
    from analog_sim.config import StrictModel

# The value of a file's key `schema` -> the model it is checked against. A test finds models that lack a row.
MODELS: Mapping[str, str] = MappingProxyType(
    {
        "estimate/1": "learning.experiments.configs.estimate:Experiment",
        "train/1": "learning.experiments.configs.train:TrainExperiment",
        "serve/1": "learning.experiments.configs.serve:ServeConfig",
        "card/1": "devices.card:DeviceCard",
        "measurements/1": "devices.measurements.configuration.measurement_config:MeasurementConfig",
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Check a YAML file against the model that its key 'schema' names.",
        epilog="example:\n  python scripts/check_config.py configs/digits_pcm.yaml --set chips=5 --resolved",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("config", metavar="CONFIG", type=Path, help="YAML file")
    add_set(parser)
    parser.add_argument("--schema", metavar="FILE", type=Path, help="write the JSON schema for editors to FILE")
    parser.add_argument("--resolved", action="store_true", help="print the whole configuration, defaults included")
    options = parser.parse_args(arguments)

    from analog_sim.config import ConfigError, Problem, UserError, dump_yaml, expand_sweep, json_schema, load_config

    model = model_of(options.config, options.overrides)
    if options.schema is not None:
        try:
            options.schema.write_text(json.dumps(json_schema(model), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"--schema {options.schema}: {error.strerror}") from error
        print(f"schema written to {options.schema}")
    points = expand_sweep(options.config, overrides=options.overrides)
    problems: list[Problem] = []
    for point in points:  # a file without `sweep` has one point
        try:
            load_config(options.config, model, overrides=[*options.overrides, *point.overrides])
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    if options.resolved:
        print(dump_yaml(load_config(options.config, model, overrides=options.overrides)), end="")
    else:
        print(f"OK: {options.config}" + (f" and its {len(points)} sweep points" if len(points) > 1 else ""))
    return 0


def model_of(path: Path, overrides: Sequence[str]) -> type[StrictModel]:
    """Return the model that a file's key `schema` names. Raises ConfigError."""
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
    return model


if __name__ == "__main__":
    sys.exit(main_guard(main))
