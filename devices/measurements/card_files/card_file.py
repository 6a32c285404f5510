"""A fitted device as a card: composed in memory, and as files, the card (YAML) with its tables (.npz) beside it. It never fits anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from analog_sim.cells.cell_model import CellModel
from analog_sim.config import ConfigError, validate
from devices.card import DeviceCard, load_card
from devices.tables_file import DeviceTables, save_tables
from devices.window import Window

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass
class CardParts:
    """What a card will hold.

    Attributes:
        name, reference: of the card. window: nominal. parts: keys of the card besides the window. arrays: of its tables.
    """

    name: str
    reference: str
    window: Window
    parts: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, npt.ArrayLike] = field(default_factory=dict)

    def measured(self, key: str, arrays: Mapping[str, npt.ArrayLike]) -> None:
        """Add a measured part: `key` of the card, its arrays prefixed with it."""
        self.parts[key] = {"kind": "measured"}
        self.arrays |= {f"{key}.{name}": values for name, values in arrays.items()}

    def keys(self, tables: object, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The card as a mapping; `tables`: what its measured parts name as their file. `extra`: keys put on top, mappings key by key."""
        parts = {
            key: {**part, "file": tables} if isinstance(part, dict) and part.get("kind") == "measured" else part
            for key, part in self.parts.items()
        }
        return {
            "schema": "card/1",
            "name": self.name,
            "reference": self.reference,
            "g_min": siemens(self.window.g_min),
            "g_max": siemens(self.window.g_max),
            **_merged(parts, extra),
        }

    def card(self, extra: Mapping[str, Any] = NOTHING) -> DeviceCard:
        """The card in memory, to the digits of its files. Raises ConfigError when `extra` does not fit a card."""
        tables = DeviceTables.of(self.name, self.window, self.arrays)
        return validate(self.keys(tables, extra), DeviceCard, source=f"card {self.name}")

    def compile(self) -> CellModel:
        """The card's tables for the emulator."""
        return self.card().compile()


def write_card(folder: Path, parts: CardParts, extra: Mapping[str, Any], comments: tuple[str, ...] = ()) -> Path:
    """Write `name.npz` and `name.yaml` into a folder and return the path of the YAML, which has been read back and checked.

    Args:
        folder: made when missing. parts: what was fitted. extra: keys of the configuration put on top, mappings key by key.
        comments: lines for the head of the file.

    Raises ConfigError when `extra` does not fit a card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if parts.arrays:
        save_tables(folder / f"{parts.name}.npz", parts.window, parts.arrays)
    text = "".join(f"# {line}\n" for line in comments)
    data = parts.keys(f"{parts.name}.npz", extra)
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
    """Return the keys of a fitted law for YAML, numbers to 8 digits, or to all where that would leave a bound; defaults left out."""
    fields = part.model_dump(mode="python", exclude_defaults=True)
    stated = {"kind": part.kind, **{k: v for k, v in fields.items() if k != "kind" and v is not None}}
    rounded = {key: _rounded(value, 8) for key, value in stated.items()}
    try:
        validate(rounded, type(part))
    except ConfigError:
        return {key: _rounded(value, 17) for key, value in stated.items()}
    return rounded


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.{digits}g}")
    if isinstance(value, tuple | list):
        return [_rounded(item, digits) for item in value]
    return value
