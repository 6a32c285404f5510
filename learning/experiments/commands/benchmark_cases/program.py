"""Programming a tile and reading its drifted conductances: nanoseconds per weight (two cells), against copying the weights in numpy."""

from __future__ import annotations

from collections.abc import Iterator

from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from devices.card import load_card
from learning.experiments.commands.benchmark_cases._case import Case


def cases() -> Iterator[Case]:
    """Yield the PCM card, which needs everything: polynomial error, state-dependent exponents, 1/f noise."""
    cell = load_card("pcm").compile()
    for size in (256, 512, 1024):
        w = Streams(1).stream("w").normals((size, size))
        tile = Tile(TileSpec(compensation="none"), cell, (size, size), Streams(2))
        memory = tile.blocks[0].crossbar.cells.bytes_per_cell()

        def program_and_drift(tile: Tile = tile, w: object = w) -> None:
            tile.program(w)
            tile.wait(3600.0)
            tile.blocks[0].net_now()

        yield Case(
            "program/pcm",
            size,
            1,
            ours=program_and_drift,
            reference=w.copy,
            reference_name="numpy copy of the weights",
            per_call={"weight": float(size * size)},
            facts={"state_bytes_per_cell": memory, "state_bytes_per_weight": 2 * memory},
        )
