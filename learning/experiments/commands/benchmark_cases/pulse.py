"""Outer-product pulse updates against torch's addmm_: what a stochastic update costs per pulse, and against the exact update.

One array of single cells; the bit streams are drawn in the time that is measured. `--card NAME` takes the pulse response of a device card,
`--card measured` quantile tables of a made-up measurement (33 states, 65 quantiles) of the same soft-bounds cells. Rows
`..._to_soft_bounds` then compare it with soft bounds themselves, in turn in one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from analog_sim.cells.cell_model import QUANTILE_Z_MAX, CellModel, PulseModel, VariationModel
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.kernels.bits import draw_streams
from analog_sim.pulses.plans import PulseTrain
from analog_sim.random.streams import Streams
from analog_sim.threads import thread_policy
from analog_sim.writing.proposal import OuterProduct
from analog_sim.writing.stochastic_pulse import StochasticPulse
from learning.experiments.commands.benchmark_cases._case import Case

G_MAX, STATES, CYCLE_NOISE, SPREAD = 25e-6, 1000, 0.3, 0.3
SPARSE, DENSE = 0.06, 6.0
"""Pulses per cell and sample."""


def cases(card: str | None = None) -> Iterator[Case]:
    """Yield dense and sparse updates of soft-bounds cells, or of a card's; then the update of a tile, from inputs and errors on."""
    yield from _updates(f"pulse/{card or 'soft_bounds'}", _cell(card))
    if card is not None:
        pairs = zip(_updates(f"pulse/{card}_to_soft_bounds", _cell(card)), _updates("", _cell(None)), strict=True)
        for ours, soft_bounds in pairs:
            yield replace(ours, reference=soft_bounds.ours, reference_name="the same update of soft-bounds cells")


def _updates(name: str, cell: CellModel) -> Iterator[Case]:
    """Updates of one kind of cell against addmm_."""
    for size in (512, 1024):
        yield _case(f"{name}/sparse", cell, size, 64, length=2, density=SPARSE)
    yield _case(f"{name}/dense", cell, 512, 8, length=31, density=DENSE)
    for size in (512, 1024):
        yield _tile_case(f"{name}/tile", cell, size, 64)


def _cell(card: str | None) -> CellModel:
    """Cells with bounds, spread in step and window, and cycle-to-cycle noise in proportion to the step."""
    if card is not None and card != "measured":
        from devices.card import load_card

        return load_card(card).compile()
    nodes = 33 if card else 2
    u = np.linspace(0, 1, nodes, dtype=np.float32)
    step = np.float32(2 * G_MAX / STATES)
    up, down = (step * (1 - u))[None], (-step * u)[None]
    noise = np.float32(CYCLE_NOISE)
    law = PulseModel(up, noise * up, down, -noise * down)
    if card:
        z = np.linspace(-QUANTILE_Z_MAX, QUANTILE_Z_MAX, 65, dtype=np.float32)
        law = replace(
            law,
            up_quantiles=up[..., None] + law.up_std[..., None] * z,
            down_quantiles=down[..., None] + law.down_std[..., None] * z,
        )
    spread = VariationModel(gain_up=SPREAD, gain_down=SPREAD, g_min=0.05, g_max=0.05)
    return CellModel(card or "soft bounds", 0.0, G_MAX, pulse=law, variation=spread)


def _case(name: str, cell: CellModel, size: int, batch: int, *, length: int, density: float) -> Case:
    """All lines fire with the same probability, so that `density` slots of a sample coincide at a cell on average."""
    array = EmulatedCrossbar(cell, size, size, pair=False, streams=Streams(1))
    middle = (cell.g_min + cell.g_max) / 2
    array.program(np.full((1, size, size), middle, np.float32))
    probability = np.sqrt(density / length)
    threshold = np.full((batch, size), probability * 2**32).astype(np.uint64)
    slots = np.full(batch, length)
    stream = Streams(2).stream("bits")
    signs = [np.where(Streams(3).stream(k).uniforms((batch, size)) < 0.5, -1, 1).astype(np.int8) for k in range(2)]

    def draw() -> np.ndarray:
        bits = np.empty((batch, size), np.uint64)
        draw_streams(threshold, slots, *stream.reserve(1), bits)
        return bits

    def update() -> None:
        array.pulse(PulseTrain(draw(), draw(), *signs, length))

    return Case(
        name,
        size,
        batch,
        ours=update,
        **_reference(size, batch),
        per_call={"pulse": density * batch * size**2},
        facts={"length": length, "state_bytes_per_cell": array.cells.bytes_per_cell()},
    )


def _tile_case(name: str, cell: CellModel, size: int, batch: int) -> Case:
    """A whole update by `stochastic_pulse`, pairs of cells pulsed both: two pulses for every coincidence."""
    from analog_sim.tiles.tile import Tile, TileSpec

    tile = Tile(TileSpec(writing=StochasticPulse()), cell, (size, size), Streams(1))
    tile.program(Streams(2).stream("w").normals((size, size)))
    x, d = (np.clip(Streams(3).stream(k).normals((batch, size)), -3, 3) for k in ("x", "d"))
    gradient = OuterProduct(x, d)
    with thread_policy(1):
        tile.update(gradient, 1e-6)  # makes the writer, which knows the size of a step
    crossbar = tile.blocks[0].crossbar
    trial = 1e-5
    before = crossbar.log.units("pulse")
    tile.update(gradient, trial)
    rate = trial * SPARSE * 2 * batch * size**2 / (crossbar.log.units("pulse") - before)
    before = crossbar.log.units("pulse")
    tile.update(gradient, rate)
    return Case(
        name,
        size,
        batch,
        ours=lambda: tile.update(gradient, rate),
        **_reference(size, batch),
        per_call={"pulse": crossbar.log.units("pulse") - before},
        facts={"cells": 2 * size**2},
    )


def _reference(size: int, batch: int) -> dict[str, object]:
    w = torch.zeros(size, size)
    x, d = torch.randn(batch, size), torch.randn(batch, size)
    return {
        "reference": lambda: w.addmm_(d.T, x, alpha=-1e-3),
        "reference_name": "torch addmm_ float32",
    }
