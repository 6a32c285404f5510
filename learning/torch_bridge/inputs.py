"""What drives each tile of a converted module, and converter ranges fixed on it. It never changes a weight."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from learning.torch_bridge.analog_layer import AnalogLayer, analog_layers, digitally
from learning.torch_bridge.arrays import to_numpy

F32 = npt.NDArray[np.float32]


def record_inputs(module: nn.Module, x: Tensor, rows: int = 1024) -> dict[str, list[F32]]:
    """Run a converted module digitally and return what drives each tile.

    Args:
        module: a converted module. x: inputs of the whole module.
        rows: at most this many inputs per tile, taken evenly from all.

    Returns:
        name of the analogue layer -> one array (B, n_in without a bias line) per tile.
    """
    found: dict[str, list[list[F32]]] = {}

    def listener(name: str) -> Callable[[nn.Module, Any], None]:
        def hook(layer: nn.Module, inputs: Any) -> None:
            assert isinstance(layer, AnalogLayer)
            for parts in layer.rows(inputs[0]):
                arrays = found.setdefault(name, [[] for _ in parts])
                for seen, part in zip(arrays, parts, strict=True):
                    step = max(1, len(part) // rows)
                    seen.append(to_numpy(part[::step]))

        return hook

    with ExitStack() as stack, torch.no_grad(), digitally(module):
        for name, layer in analog_layers(module).items():
            stack.callback(layer.register_forward_pre_hook(listener(name)).remove)
        module(x)
    thinned: dict[str, list[F32]] = {}
    for name, arrays in found.items():
        joined = [np.concatenate(parts) for parts in arrays]
        thinned[name] = [x[np.linspace(0, len(x) - 1, min(rows, len(x))).astype(np.int64)] for x in joined]
    return thinned


def calibrate(module: nn.Module, x: Tensor, rows: int = 1024) -> dict[str, list[F32]]:
    """Fix the converter ranges of all tiles on what sample inputs x of the module make of them; return `record_inputs`."""
    inputs = record_inputs(module, x, rows)
    for name, layer in analog_layers(module).items():
        if name in inputs:
            layer.calibrate(inputs[name])
    return inputs
