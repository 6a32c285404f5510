"""Keyword arguments as settings of a configuration: `adc_bits=6`, `tile__adc__bits=6`, `device=card`. It never reads a file.

A keyword is a key of the file, two underscores stand for the dot of a dotted key, and a few keys that everybody changes have short
names. Values are what a file would hold, or the objects themselves: a card, a path, a NumPy number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import BaseModel

from analog_sim.config import Location, Override, StrictModel, UserError

SHORT: Mapping[str, str] = MappingProxyType(
    {"adc_bits": "tile.adc.bits", "dac_bits": "tile.dac.bits", "compensation": "tile.compensation"}
)
"""Short name -> dotted key of an experiment."""


def plain(value: Any) -> Any:
    """A value as a YAML file would hold it: models, paths, NumPy values and tuples made plain; anything else as it is."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump(by_alias=True))
    if isinstance(value, PathLike):
        return str(Path(fspath(value)).absolute())
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return str(value)
    return float(value) if isinstance(value, float) else value


def dotted(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments as dotted keys with plain values. Raises UserError for a misspelt short name."""
    for name in keys:
        near = get_close_matches(name, SHORT, 1, 0.85)
        if name.isidentifier() and name not in SHORT and near:
            raise UserError(f"{name}: unknown setting, did you mean '{near[0]}'?")
    return {SHORT.get(name, name.replace("__", ".")): plain(value) for name, value in keys.items()}


def overrides(keys: Mapping[str, Any], where: str) -> list[str]:
    """The same as `key=value` texts, for what is read from a file; messages begin with `where`."""
    at = Location(where, None, Path.cwd())
    return [Override(f"{key}={json.dumps(value, default=_refused)}", at) for key, value in dotted(keys).items()]


def nested(keys: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The same as nested mappings on top of `base`: a mapping of another `kind` replaces, as in a file."""
    found = plain(base or {})
    for key, value in dotted(keys).items():
        for step in reversed(key.split(".")):
            value = {step: value}
        found = _merged(found, value)
    return found


def section(model: type[StrictModel], keys: Mapping[str, Any], name: str, where: str) -> Any:
    """One section of a configuration (`tile`) from keywords with or without its name in front: `adc_bits`, `tile__adc__bits`, `mapping`.

    Raises ConfigError.
    """
    from analog_sim.config import validate

    inner = {key.removeprefix(f"{name}."): value for key, value in dotted(keys).items()}
    return validate(nested(inner), model, source=where)


def _merged(under: Any, over: Any) -> Any:
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    if "kind" in over and over["kind"] != under.get("kind", over["kind"]):
        return over
    return under | {key: _merged(under[key], value) if key in under else value for key, value in over.items()}


def _refused(value: object) -> str:
    """What YAML cannot hold: shown as text, so that the check of the key refuses it with the key's name."""
    return f"{type(value).__name__} {value!r}"[:80]
