"""A fitted device as files: the card (YAML) with its tables (.npz) beside it. It never fits anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from devices.card import load_card
from devices.tables_file import save_tables
from devices.window import Window


@dataclass
class CardParts:
    """What a card will hold.

    Attributes:
        name, reference: of the card. window: nominal. parts: keys of the card besides the window. arrays: of the tables file.
    """

    name: str
    reference: str
    window: Window
    parts: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, npt.ArrayLike] = field(default_factory=dict)

    def measured(self, key: str, arrays: Mapping[str, npt.ArrayLike]) -> None:
        """Add a measured part: `key` of the card, its arrays prefixed with it."""
        self.parts[key] = {"kind": "measured", "file": f"{self.name}.npz"}
        self.arrays |= {f"{key}.{name}": values for name, values in arrays.items()}


def write_card(folder: Path, parts: CardParts, extra: Mapping[str, Any], comments: tuple[str, ...] = ()) -> Path:
    """Write `name.npz` and `name.yaml` into a folder and return the path of the YAML, which has been read back and checked.

    Args:
        folder: must exist. parts: what was fitted. extra: keys of the configuration put on top, mappings key by key.
        comments: lines for the head of the file.

    Raises ConfigError when `extra` does not fit a card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if parts.arrays:
        save_tables(folder / f"{parts.name}.npz", parts.window, parts.arrays)
    data: dict[str, Any] = {
        "schema": "card/1",
        "name": parts.name,
        "reference": parts.reference,
        "g_min": siemens(parts.window.g_min),
        "g_max": siemens(parts.window.g_max),
        **_merged(parts.parts, extra),
    }
    text = "".join(f"# {line}\n" for line in comments)
    text += yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    path = folder / f"{parts.name}.yaml"
    path.write_text(text, encoding="utf-8")
    load_card(path)
    return path


def _merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        other_kind = both and "kind" in value and value["kind"] != merged[key].get("kind")
        merged[key] = _merged(merged[key], value) if both and not other_kind else _plain(value)
    return merged


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def siemens(value: float) -> str:
    """Text with a unit that reads back to within 1e-9 of the value."""
    return f"{1e6 * float(value):.10g} uS"


def part_of_law(part: Any) -> dict[str, Any]:
    """Return the keys of a fitted law for YAML, numbers to 8 digits; defaults left out."""
    fields = part.model_dump(mode="python", exclude_defaults=True)
    data: dict[str, Any] = {"kind": part.kind}
    for key, value in fields.items():
        if key == "kind" or value is None:
            continue
        data[key] = _rounded(value)
    return data


def _rounded(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.8g}")
    if isinstance(value, tuple | list):
        return [_rounded(item) for item in value]
    return value
