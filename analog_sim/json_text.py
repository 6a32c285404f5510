"""A value from JSON that may be damaged: every reason why it cannot be read is a ValueError. It never opens a file."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, as `json.loads`. Raises ValueError also where brackets are nested more deeply than Python can follow."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
