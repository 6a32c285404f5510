"""Cards, emulated chips and tiles for a person at a prompt: a card by name, by path or as an object. It never trains."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, final

import numpy as np
import numpy.typing as npt

from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.config import UserError
from analog_sim.config.quantity import Q
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from devices.card import DeviceCard, load_card
from learning.experiments.interactive.data import detached
from learning.experiments.interactive.settings import overrides, section

F32 = npt.NDArray[np.float32]
AnyCard = DeviceCard | str | PathLike[str]


def card(device: AnyCard, **changes: Any) -> DeviceCard:
    """Return a device card by name (`pcm`), by the path of its YAML file, or the card itself, with changes on top.

    Args:
        device: name, path or card. changes: keys of the card; two underscores are a dot: `g_max="40 uS"`, `read_noise__sigma=0.02`.

    Raises:
        ConfigError: a mistake in the file or in a change. UserError: no such card.
    """
    from analog_sim.config import override

    if isinstance(device, DeviceCard):
        return override(device, overrides(changes, "ah.card")) if changes else device
    if not isinstance(device, str | PathLike):
        raise UserError(
            f"card: must be a name, a path or a card (got {type(device).__name__}); names: analog-hil cards"
        )
    return load_card(str(device), overrides=overrides(changes, "ah.card"))


def seconds(time: float | str) -> float:
    """Seconds of a number, or of a text with a unit: `1 day`. Raises UserError."""
    from pydantic_core import PydanticCustomError

    try:
        return Q("time", "s", ge=0).convert(time)
    except PydanticCustomError as error:
        raise UserError(f"time: {error.message()}") from error


def whole(name: str, value: int) -> int:
    """A whole number that is not negative. Raises UserError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise UserError(f"{name}: must be a whole number >= 0 (got {value!r})")
    return int(value)


@final
class EmulatedChip:
    """One emulated chip: cells of one card, one clock, tiles by name. The same seed and number make the same cells.

    Args:
        device: card by name, path or object. seed: of all chips. number: which of them.

    Attributes:
        card: of its cells. seed, number: as given. clock: chip time. tiles: name -> tile, as they were made.
    """

    def __init__(self, device: AnyCard, *, seed: int = 0, number: int = 0) -> None:
        self.card = card(device)
        self.seed, self.number = whole("seed", seed), whole("number", number)
        self.clock = Clock()
        self.tiles: dict[str, Tile] = {}
        self._streams = Streams(seed).child("chip", number)
        self._cell = self.card.compile()
        self._born: float | None = None

    def tile(self, weights: npt.ArrayLike | Sequence[int], *, name: str | None = None, **settings: Any) -> Tile:
        """Make a tile of this chip and program weights (n_out, n_in) into it; two whole numbers are a shape, programmed later.

        Args:
            weights: what it holds, or the shape. name: which place of the chip; default the next one (`tile0`, `tile1`, ...).
            settings: of the tile: `adc_bits`, `dac_bits`, `compensation`, `mapping={...}`, `writing=...`.

        Raises:
            UserError: a name that is taken, weights that are no matrix. ConfigError: a setting.
        """
        name = name if name is not None else f"tile{len(self.tiles)}"
        if name in self.tiles:
            raise UserError(f"tile: the chip has a tile '{name}' already; choose another name")
        shape, matrix = _shape_and_weights(weights)
        made = self.build(name, shape, section(TileSpec, settings, "tile", "ah.tile"))
        if matrix is not None:
            made.program(matrix)
        return made

    def build(self, name: str, shape: tuple[int, int], spec: TileSpec) -> Tile:
        """An unprogrammed tile of (n_out, n_in) weights at the place `name`."""
        place = ("tile", name)
        fabric = EmulatedFabric(self._cell, self._streams, self.clock).at(*place)
        self.tiles[name] = Tile(spec, fabric, shape, self._streams.child(*place))
        return self.tiles[name]

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self.clock.now

    def wait(self, time: float | str) -> None:
        """Let chip time pass, seconds or a text (`1 day`), and compensate the drift of every tile as it is configured to.

        Raises:
            UserError: a time that cannot pass.
        """
        self.clock.advance(seconds(time))
        with self.clock.parallel():
            for tile in self.tiles.values():
                tile.compensate()

    def __repr__(self) -> str:
        tiles = ", ".join(f"{name} {tile.shape[0]} x {tile.shape[1]}" for name, tile in list(self.tiles.items())[:8])
        more = ", ..." if len(self.tiles) > 8 else ""
        return f"<chip {self.number} (seed {self.seed}) of {self.card.name}, {self.time:.3g} s old: {tiles or 'no tiles'}{more}>"


def chip(device: AnyCard, *, seed: int = 0, number: int = 0) -> EmulatedChip:
    """An emulated chip of a card; see `EmulatedChip`."""
    return EmulatedChip(device, seed=seed, number=number)


def tile(
    weights: npt.ArrayLike | Sequence[int], device: AnyCard = "pcm", *, seed: int = 0, number: int = 0, **settings: Any
) -> Tile:
    """A programmed tile on an emulated chip of its own; see `EmulatedChip.tile`.

    Args:
        weights: (n_out, n_in), or a shape. device: card by name, path or object. seed, number: which chip. settings: of the tile.
    """
    return chip(device, seed=seed, number=number).tile(weights, **settings)


def _shape_and_weights(weights: npt.ArrayLike | Sequence[int]) -> tuple[tuple[int, int], F32 | None]:
    try:
        found = np.asarray(detached(weights))
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"tile: weights must be a matrix of numbers ({error})") from error
    if found.shape == (2,) and found.dtype.kind in "iu" and found.min() > 0:
        return (int(found[0]), int(found[1])), None
    if found.ndim != 2 or not found.size or found.dtype.kind not in "fiub":
        raise UserError(
            f"tile: weights must be a matrix (n_out, n_in) of numbers, or a shape of two whole numbers (got {found.dtype} {found.shape})"
        )
    matrix = found.astype(np.float32)
    if not np.isfinite(matrix).all():
        raise UserError("tile: weights must be finite")
    return (matrix.shape[0], matrix.shape[1]), matrix
