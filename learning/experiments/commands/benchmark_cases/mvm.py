"""Matrix products through the emulated chip against torch's float32 product."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from analog_sim.cells.cell_model import CellModel, ReadNoiseModel
from analog_sim.random.streams import Streams
from analog_sim.reads.converters import AdcSpec, DacSpec
from analog_sim.tiles.tile import Tile, TileSpec
from learning.experiments.commands.benchmark_cases._case import Case

SIZES = (256, 512, 1024)
BATCHES = (64, 256)


def cases() -> Iterator[Case]:
    """Yield every variant at every size and batch."""
    ideal = CellModel("ideal", 0.0, 25e-6)
    u = np.linspace(0, 1, 257, dtype=np.float32)[None]
    noisy = CellModel(
        "state-dependent read noise", 0.0, 25e-6, read=ReadNoiseModel(white=(0.02 * 25e-6) * np.sqrt(u + 0.01))
    )
    plain = TileSpec()
    converters = TileSpec(dac=DacSpec(bits=8), adc=AdcSpec(bits=9, noise=0.01))
    for size in SIZES:
        for batch in BATCHES:
            yield _case("mvm/ideal", ideal, plain, size, batch)
            yield _case("mvm/quantised", ideal, converters, size, batch)
            yield _case("mvm/read_noise", noisy, converters, size, batch)
            yield _case("mvm/read_noise_transposed", noisy, converters, size, batch, transpose=True)


def _case(name: str, cell: CellModel, spec: TileSpec, size: int, batch: int, *, transpose: bool = False) -> Case:
    streams = Streams(1)
    w = streams.stream("w").normals((size, size)) / np.float32(size**0.5)
    x = streams.stream("x").normals((batch, size))
    tile = Tile(spec, cell, (size, size), Streams(2))
    tile.program(w)
    tile.calibrate(x)
    torch_w, torch_x = torch.from_numpy(w.T.copy() if transpose else w), torch.from_numpy(x)
    numpy_w = np.ascontiguousarray(w if transpose else w.T)
    memory = sum(array.cells.bytes_per_cell() for array in tile.blocks[0].arrays)
    return Case(
        name,
        size,
        batch,
        ours=(lambda: tile.backward(x)) if transpose else (lambda: tile.forward(x)),
        reference=lambda: torch.nn.functional.linear(torch_x, torch_w),
        reference_name="torch.nn.functional.linear float32",
        also={"numpy": lambda: x @ numpy_w},
        facts={"state_bytes_per_cell": memory},
    )
