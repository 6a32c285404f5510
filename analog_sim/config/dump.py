"""Model -> YAML that loads back to an equal model.

Never leaves a default out: the file is the whole resolved configuration.
"""

from typing import Any

import yaml
from pydantic import BaseModel

from analog_sim.config.yaml12 import Dumper


def dump_yaml(model: BaseModel) -> str:
    """Return the YAML of a model, quantities with their unit, every default written out, paths absolute."""
    data = _lists(model.model_dump(mode="python", by_alias=True))
    # PyYAML's style None writes the innermost collections on one line; a file that is one flat mapping stays a list of lines.
    flow = None if any(isinstance(value, dict | list) for value in data.values()) else False
    text: str = yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=110)
    return text


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    return str(value) if isinstance(value, str) else value
