"""Random numbers: float32 normals and uniforms against numpy's and torch's generators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from analog_sim.random.streams import Streams
from learning.experiments.commands.benchmark_cases._case import Case


def cases() -> Iterator[Case]:
    """Yield a cache-sized and a large draw of each kind."""
    stream = Streams(1).stream("benchmark")
    numpy = np.random.Generator(np.random.SFC64(1))
    for n in (1 << 16, 1 << 22):
        y, room = np.zeros(n, np.float32), torch.empty(n)
        yield Case(
            "rng/normals",
            n,
            1,
            ours=lambda n=n: stream.normals(n),
            reference=lambda n=n: numpy.standard_normal(n, np.float32),
            reference_name="numpy Generator.standard_normal float32 (SFC64)",
            also={"torch": lambda room=room: room.normal_()},
            per_call={"normal": float(n)},
        )
        yield Case(
            "rng/add_normals",
            n,
            1,
            ours=lambda y=y: stream.add_normals(y, std=0.1),
            reference=lambda n=n, y=y: y + numpy.standard_normal(n, np.float32) * np.float32(0.1),
            reference_name="numpy Generator.standard_normal float32 (SFC64)",
            per_call={"normal": float(n)},
        )
        yield Case(
            "rng/uniforms",
            n,
            1,
            ours=lambda n=n: stream.uniforms(n),
            reference=lambda n=n: numpy.random(n, np.float32),
            reference_name="numpy Generator.random float32 (SFC64)",
            per_call={"uniform": float(n)},
        )
