"""What drives each tile of a converted module, and converter ranges fixed on it. It never changes a weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from learning.torch_bridge.analog_layer import AnalogLayer, analog_layers, digitally

F32 = npt.NDArray[np.float32]


BATCH = 64
"""Samples that run through the network at a time, so that memory does not grow with their number."""


def record_inputs(module: nn.Module, x: Tensor, rows: int = 1024) -> dict[str, list[F32]]:
    """Run a converted module digitally and return what drives each tile.

    Args:
        module: a converted module. x: inputs of the whole module.
        rows: at most this many inputs per tile, taken evenly from all.

    Returns:
        name of the analogue layer -> one array (B, n_in without a bias line) per tile.
    """
    found: dict[str, list[list[F32]]] = {}

    def note(name: str, layer: AnalogLayer, driven: Tensor, share: float) -> None:
        parts = layer.some_rows(driven, math.ceil(rows * share))
        for seen, part in zip(found.setdefault(name, [[] for _ in parts]), parts, strict=True):
            seen.append(part)

    _run_digitally(module, x, note)
    thinned: dict[str, list[F32]] = {}
    for name, arrays in found.items():
        joined = [np.concatenate(parts) for parts in arrays]
        thinned[name] = [x[np.linspace(0, len(x) - 1, min(rows, len(x))).astype(np.int64)] for x in joined]
    return thinned


def largest_inputs(module: nn.Module, x: Tensor) -> dict[str, float]:
    """Largest absolute input of every analogue layer for inputs x of the module, 1 where all are zero: a good drive of its bias line."""
    found: dict[str, float] = {}

    def note(name: str, layer: AnalogLayer, driven: Tensor, share: float) -> None:
        largest = float(driven.abs().max()) if driven.numel() else 0.0
        found[name] = max(found.get(name, 0.0), largest)

    _run_digitally(module, x, note)
    return {name: largest or 1.0 for name, largest in found.items()}


def _run_digitally(module: nn.Module, x: Tensor, note: Callable[[str, AnalogLayer, Tensor, float], None]) -> None:
    """Run the digital weights, a batch at a time, and note (name, layer, input, share of all samples) of every analogue layer."""
    share = 0.0

    def listener(name: str) -> Callable[[nn.Module, Any], None]:
        def hook(layer: nn.Module, inputs: Any) -> None:
            assert isinstance(layer, AnalogLayer)
            note(name, layer, inputs[0], share)

        return hook

    with ExitStack() as stack, torch.no_grad(), digitally(module):
        for name, layer in analog_layers(module).items():
            stack.callback(layer.register_forward_pre_hook(listener(name)).remove)
        for part in x.split(BATCH):
            share = len(part) / len(x)
            module(part)


def calibrate(module: nn.Module, x: Tensor, rows: int = 1024) -> dict[str, list[F32]]:
    """Fix the converter ranges of all tiles on what sample inputs x of the module make of them; return `record_inputs`."""
    inputs = record_inputs(module, x, rows)
    for name, layer in analog_layers(module).items():
        if name in inputs:
            layer.calibrate(inputs[name])
    return inputs
