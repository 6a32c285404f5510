"""Perturbing parameters: drawing the perturbation, applying it for one pass, adding up the gradient estimates. Shared by the weight rules.

`write` changes the cells themselves and changes them back, which costs pulses and is only as exact as the write scheme;
`overlay` modulates them for the moment of a read (a volatile element in series with every cell), which costs none.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from analog_sim.random.streams import Stream
from analog_sim.writing.proposal import Dense
from learning.common.memory import Memory
from learning.decorrelation.rows import random_signs
from learning.losses.base import Loss, Target
from learning.network.network import Network, Shift, Trace
from learning.rules.base import Gradient

F32 = npt.NDArray[np.float32]
Perturb = Literal["write", "overlay"]


def random_shifts(network: Network, stream: Stream, size: float) -> tuple[Shift, ...]:
    """Independent +-size on every parameter of every layer."""
    shifts = []
    for layer in network.layers:
        dw = random_signs(stream, layer.tile.shape) * np.float32(size)
        db = None if layer.bias is None else random_signs(stream, layer.bias.shape) * np.float32(size)
        shifts.append(Shift(dw, db))
    return tuple(shifts)


def single_shift(network: Network, index: int, size: float) -> tuple[Shift, ...]:
    """+size on parameter number `index` alone: weights of the first layer, its bias, weights of the second layer, ..."""
    shifts = []
    for layer in network.layers:
        dw = np.zeros(layer.tile.shape, np.float32)
        db = None if layer.bias is None else np.zeros_like(layer.bias)
        for array in (dw, db):
            if array is None:
                continue
            if 0 <= index < array.size:
                array.flat[index] = size
            index -= array.size
        shifts.append(Shift(dw, db))
    return tuple(shifts)


def parameters(network: Network) -> int:
    """Number of parameters that the rules perturb."""
    return sum(
        layer.tile.shape[0] * layer.tile.shape[1] + (0 if layer.bias is None else layer.bias.size)
        for layer in network.layers
    )


def write(network: Network, shifts: Sequence[Shift], factor: float) -> None:
    """Add factor * shifts to the parameters, cells included."""
    for layer, shift in zip(network.layers, shifts, strict=True):
        layer.write_shift(shift, factor)


def flipped(shifts: Sequence[Shift]) -> tuple[Shift, ...]:
    """The opposite perturbation."""
    return tuple(Shift(-s.dw, None if s.db is None else -s.db) for s in shifts)


def mean_loss(
    network: Network, loss: Loss, clean: Trace, target: Target, shifts: Sequence[Shift] | None = None
) -> float:
    """Mean loss of the batch of a clean pass with the parameters as they are now, under momentary shifts when given."""
    return loss.mean(network.repeat(clean, shifts=shifts).output, target)


def add_up(memory: Memory, shifts: Sequence[Shift], factor: float) -> None:
    """Accumulate factor * shifts in the memory."""
    for number, shift in enumerate(shifts):
        for name, array in ((f"w{number}", shift.dw), (f"b{number}", shift.db)):
            if array is None:
                continue
            if name in memory.arrays:
                memory.arrays[name] += np.float32(factor) * array
            else:
                memory.arrays[name] = np.float32(factor) * array


def take(memory: Memory, network: Network) -> tuple[Gradient, ...]:
    """Gradients accumulated in the memory, which is emptied."""
    return tuple(
        Gradient(
            Dense(memory.arrays.pop(f"w{number}")),
            None if layer.bias is None else memory.arrays.pop(f"b{number}"),
        )
        for number, layer in enumerate(network.layers)
    )
