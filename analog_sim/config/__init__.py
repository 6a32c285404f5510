"""The door for every file a user writes.

Strict models, units, YAML with file and line. Never knows what a model means.
"""

from analog_sim.config.dump import dump_yaml
from analog_sim.config.errors import ConfigError, Location, Problem, UserError
from analog_sim.config.files import DataFile, NamedPath, named_file
from analog_sim.config.load import (
    Source,
    SweepPoint,
    expand_sweep,
    find_key,
    load_config,
    load_with_source,
    override,
    refilled,
    validate,
)
from analog_sim.config.model import StrictModel
from analog_sim.config.parts import Part, discover, one_of
from analog_sim.config.quantity import SI, Q
from analog_sim.config.refusal import at_key, refuse
from analog_sim.config.schema import json_schema
from analog_sim.config.tree import Override, Resolver, relative_file

__all__ = [
    "SI",
    "ConfigError",
    "DataFile",
    "Location",
    "NamedPath",
    "Override",
    "Part",
    "Problem",
    "Q",
    "Resolver",
    "Source",
    "StrictModel",
    "SweepPoint",
    "UserError",
    "at_key",
    "discover",
    "dump_yaml",
    "expand_sweep",
    "find_key",
    "json_schema",
    "load_config",
    "load_with_source",
    "named_file",
    "one_of",
    "override",
    "refilled",
    "refuse",
    "relative_file",
    "validate",
]
