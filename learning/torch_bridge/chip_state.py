"""What the tiles of a layer hold, as one tensor within torch's own `state_dict`: for the very same chip, or refused.

A tensor, because that is what every way of saving, copying and moving a state dict takes. It is read as data only and never runs code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from analog_sim.config import UserError
from analog_sim.saved_state import State
from analog_sim.tiles.column_scaled import ColumnScaledTile
from analog_sim.tiles.tile import Tile
from learning.common.weight_tile import WeightTile

_MAGIC = b"hil-tile"
_DIGEST = 32


@dataclass(frozen=True)
class ChipState:
    """What one layer keeps.

    Attributes:
        hardware: for every tile, what it is made of, name -> value or digest. tiles: for every tile, what `state()` returned.
        written: digital weights when the tiles were last written, for every tile; None: never.
        bias_input: what drives the bias line. weights: digest of the digital weights.
    """

    hardware: list[dict[str, str]]
    tiles: list[State]
    written: list[Any] | None
    bias_input: float | None
    weights: str


def weights_digest(*values: Tensor | None) -> str:
    """SHA-256 of tensors as float32."""
    found = hashlib.sha256()
    for value in values:
        if value is not None:
            found.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return found.hexdigest()


def packed(state: ChipState) -> Tensor:
    """One tensor of bytes (uint8), with a digest of its own."""
    buffer = io.BytesIO()
    torch.save(_tensors(dataclasses.asdict(state)), buffer)
    body = buffer.getvalue()
    return torch.frombuffer(bytearray(_MAGIC + hashlib.sha256(body).digest() + body), dtype=torch.uint8)


def unpacked(value: object, where: str) -> ChipState | None:
    """What `packed` made a tensor of; None when there is nothing but zeros.

    Raises:
        UserError: the value is something else, or was changed.
    """
    if not isinstance(value, Tensor) or value.dtype != torch.uint8 or value.dim() != 1:
        raise UserError(f"state_dict: {where}: holds no state of a chip")
    if not value.any():
        return None
    data = value.cpu().contiguous().numpy().tobytes()
    head, body = data[: len(_MAGIC) + _DIGEST], data[len(_MAGIC) + _DIGEST :]
    if head != _MAGIC + hashlib.sha256(body).digest():
        raise UserError(
            f"state_dict: {where}: the state of the chip is damaged or was computed with (averaged, scaled)"
        )
    try:
        return ChipState(**_arrays(torch.load(io.BytesIO(body), weights_only=True)))
    except (RuntimeError, pickle.UnpicklingError, TypeError) as error:
        raise UserError(f"state_dict: {where}: the state of the chip is of another version of this program") from error


def refuse_other_chip(saved: ChipState, tiles: Sequence[WeightTile], bias_input: float | None, where: str) -> None:
    """Raise UserError, naming what differs, unless `saved` is the state of these tiles or of others that are made alike."""
    if len(saved.tiles) != len(tiles):
        raise UserError(f"state_dict: {where}: holds {len(saved.tiles)} tiles, the layer has {len(tiles)}")
    if saved.bias_input != bias_input:
        raise UserError(f"state_dict: {where}: bias line driven by {saved.bias_input}, here by {bias_input}")
    for before, state, tile in zip(saved.hardware, saved.tiles, tiles, strict=True):
        now = hardware(tile)
        differ = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
        wrong = [f"{name} (was {before.get(name, 'absent')}, here {now.get(name, 'absent')})" for name in differ]
        wrong += _other(state, tile.state(), "")
        if wrong:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise UserError(
                f"state_dict: {where}: is the state of another chip: {wrong[0]}{more}; make the tiles from the same seed, names, "
                f"card and tile settings, or drop the '_extra_state' entries to program the weights anew"
            )


def hardware(tile: WeightTile) -> dict[str, str]:
    """What a tile is made of: kind, settings and card, by name; large tables as digests."""
    if isinstance(tile, ColumnScaledTile):
        return {"scale": "column", **hardware(tile.tile)}
    if not isinstance(tile, Tile):
        return {"tile": type(tile).__name__}
    found = {f"tile.{name}": text for name, text in _flat(tile.spec.model_dump(exclude={"fault_map"}))}
    return found | {f"device.{name}": text for name, text in _flat(tile.cell)}


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    dot = f"{name}." if name else ""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{dot}{key}")
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _flat(getattr(value, field.name), f"{dot}{field.name}")
    elif isinstance(value, tuple | list):
        for k, item in enumerate(value):
            yield from _flat(item, f"{dot}{k}")
    elif isinstance(value, np.ndarray):
        yield name, f"{value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:12]}"
    else:
        yield name, str(value)


def _other(saved: Any, now: Any, name: str) -> list[str]:
    """Where a state cannot be one of these cells: other random streams, other shapes. What either lacks is no difference."""
    if isinstance(saved, Mapping) and isinstance(now, Mapping):
        if "key" in saved and "position" in saved:
            return (
                [] if saved["key"] == now.get("key") else [f"random stream '{saved['name']}', here '{now.get('name')}'"]
            )
        return [line for key in saved if key in now for line in _other(saved[key], now[key], f"{name}.{key}")]
    if isinstance(saved, tuple | list) and isinstance(now, tuple | list):
        if len(saved) != len(now):
            return [f"{name.lstrip('.')}: {len(saved)}, here {len(now)}"]
        return [line for k, (a, b) in enumerate(zip(saved, now, strict=True)) for line in _other(a, b, f"{name}.{k}")]
    if isinstance(saved, np.ndarray) and isinstance(now, np.ndarray) and saved.shape != now.shape:
        return [f"{name.lstrip('.')}: shape {saved.shape}, here {now.shape}"]
    return []


def _tensors(value: Any) -> Any:
    """Arrays as tensors, so that no pickled class is needed to read them."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _tensors(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_tensors(item) for item in value]
    return value


def _arrays(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, Mapping):
        return {key: _arrays(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_arrays(item) for item in value]
    return value
