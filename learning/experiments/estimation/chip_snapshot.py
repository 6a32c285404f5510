"""A snapshot of one chip for the report: target weights and weights read back, conductance maps, costs. No accuracy."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.chip.cost import Costs
from analog_sim.reads.wired_maps import cell_maps
from analog_sim.tiles.tile import Tile
from learning.experiments.estimation.chip import Chip
from learning.experiments.estimation.prepared import Prepared
from learning.experiments.estimation.studies import Variant
from learning.experiments.report.estimate.results import ConductanceMap, DropMap, WeightTransfer
from learning.experiments.report.wording import time_label

F32 = npt.NDArray[np.float32]
WEIGHTS = 2000
"""Weights shown per layer."""
MAPS = 6
"""Conductance maps shown."""
DROPS = 2
"""Layers whose voltages and currents are shown."""
IMAGES = 16
"""Images whose cost is measured."""


@dataclass(frozen=True)
class ChipSnapshot:
    """What the report shows of one chip; costs: quantity with unit -> value."""

    transfer: tuple[WeightTransfer, ...]
    maps: tuple[ConductanceMap, ...]
    drops: tuple[DropMap, ...]
    costs: dict[str, float]


def chip_snapshot(
    prepared: Prepared,
    variant: Variant,
    number: int,
    folders: Path | None = None,
    made: MutableMapping[int, Chip] | None = None,
) -> ChipSnapshot:
    """Make the chip of `number` and follow it through the variant's times.

    Args:
        prepared, variant, number: as of `Chip`. folders: where each recorded chip has one of its own.
        made: gets the chip as it was before that, where it can be put back: who runs it needs not program it again.
    """
    with ExitStack() as done:
        chip = Chip(prepared, variant, number, None if folders is None else folders / "snapshot")
        done.callback(chip.close)
        if made is None or not chip.rewinds:
            return _followed(chip, prepared, variant, number)
        with chip.rewound():
            found = _followed(chip, prepared, variant, number)
        made[number] = chip
        done.pop_all()
        return found


def _followed(chip: Chip, prepared: Prepared, variant: Variant, number: int) -> ChipSnapshot:
    layers = chip.network.layers
    names = [name for name, layer in layers.items() for _ in layer.tiles]
    targets = [w for layer in layers.values() for w in layer.matrices()]
    chosen = [np.linspace(0, w.size - 1, min(WEIGHTS, w.size)).astype(np.int64) for w in targets]
    costs = _costs(chip, prepared)
    found: list[list[F32]] = [[] for _ in targets]
    maps: list[ConductanceMap] = []
    drops: list[DropMap] = []
    alpha = variant.hardware.cell.iv_alpha
    for age in variant.times:
        chip.wait_until(age)
        for where, tile, seen in zip(chosen, chip.network.tiles, found, strict=True):
            seen.append(tile.read_weights().reshape(-1)[where])
        if age == variant.times[0]:
            label = f"chip {number}, {time_label(age)} after programming"
            maps = [_map(name, label, tile) for name, tile in zip(names[:MAPS], chip.tiles[:MAPS], strict=True)]
            drops = [
                d for pair in zip(names, chip.tiles, strict=True) if (d := _drop(*pair, label, alpha)) is not None
            ][:DROPS]
    transfer = tuple(
        WeightTransfer(name, w.reshape(-1)[where], variant.times, np.stack(seen))
        for name, w, where, seen in _one_per_layer(names, targets, chosen, found)
    )
    return ChipSnapshot(transfer, tuple(maps), tuple(drops), costs)


def _one_per_layer(
    names: list[str], targets: list[F32], chosen: list[npt.NDArray[np.int64]], found: list[list[F32]]
) -> list[tuple[str, F32, npt.NDArray[np.int64], list[F32]]]:
    """The first tile of every layer: the groups of a convolution are alike."""
    rows = list(zip(names, targets, chosen, found, strict=True))
    return [row for k, row in enumerate(rows) if k == 0 or rows[k - 1][0] != row[0]]


def _drop(name: str, tile: Tile, label: str, alpha: float) -> DropMap | None:
    """Of the first array; None without wires, and on a chip that cannot be looked into. alpha: of the cells, per volt."""
    inside, wires = tile.arrays[0].inside, tile.spec.wires
    if inside is None or wires is None or wires.ideal:
        return None
    g, volts = inside.conductance_now(), tile.blocks[0].dac.v_full
    found = cell_maps(wires, g, np.full(g.shape[1], volts), alpha)
    return DropMap(
        name, _of_array(label, tile), (found.volts / volts).astype(np.float32), found.amperes.astype(np.float32)
    )


def _of_array(label: str, tile: Tile) -> str:
    return label if len(tile.arrays) == 1 else f"{label}, array 1 of {len(tile.arrays)}"


def _map(name: str, label: str, tile: Tile) -> ConductanceMap:
    return ConductanceMap(name, _of_array(label, tile), tile.arrays[0].read_conductance())


def _costs(chip: Chip, prepared: Prepared) -> dict[str, float]:
    """Cost of programming and of one inference, layer after layer."""
    programming, start = chip.costs(), chip.clock.now
    images = prepared.x_test[:IMAGES]
    chip.network.scores(images, prepared.batch)
    after = chip.costs()
    spent = {
        "energy of programming (J)": programming.joules,
        "energy per inference (J)": (after.joules - programming.joules) / len(images),
        "time per inference, layer after layer (s)": (chip.clock.now - start) / len(images),
        "array reads per inference": _each(after, programming, len(images), "reads"),
        "DAC conversions per inference": _each(after, programming, len(images), "dac_conversions"),
        "ADC conversions per inference": _each(after, programming, len(images), "adc_conversions"),
    }
    return {name: value for name, value in spent.items() if value > 0.0}


def _each(after: Costs, before: Costs, images: int, name: str) -> float:
    return float(getattr(after, name) - getattr(before, name)) / images
