"""What drives each tile of a converted module, and converter ranges fixed on it. It never changes a weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from learning.torch_bridge.analog_layer import AnalogLayer, analog_layers, digitally

F32 = npt.NDArray[np.float32]


BATCH = 64
"""Samples that run through the network at a time, so that memory does not grow with their number."""


@dataclass(frozen=True)
class DrivenInputs:
    """What sample inputs of a network make of the inputs of its analogue layers, in the ideal network.

    Attributes:
        rows: name of the layer -> one array (B, n_in without a bias line) per tile, taken evenly from all.
        largest: name of the layer -> largest absolute input, 1 where all are zero: a good drive of its bias line.
    """

    rows: dict[str, list[F32]]
    largest: dict[str, float]


def driven_inputs(module: nn.Module, x: Tensor, rows: int = 1024) -> DrivenInputs:
    """Run a converted module digitally for inputs x of it, and keep at most so many rows per tile."""
    found: dict[str, list[list[F32]]] = {}
    largest: dict[str, float] = {}

    def note(name: str, layer: AnalogLayer, driven: Tensor, share: float) -> None:
        parts = layer.some_rows(driven, math.ceil(rows * share))
        for seen, part in zip(found.setdefault(name, [[] for _ in parts]), parts, strict=True):
            seen.append(part)
        largest[name] = max(largest.get(name, 0.0), float(driven.abs().max()) if driven.numel() else 0.0)

    _run_digitally(module, x, note)
    return DrivenInputs(
        {name: [_thinned(np.concatenate(parts), rows) for parts in arrays] for name, arrays in found.items()},
        {name: value or 1.0 for name, value in largest.items()},
    )


def record_inputs(module: nn.Module, x: Tensor, rows: int = 1024) -> dict[str, list[F32]]:
    """Run a converted module digitally for inputs x of it and return what drives each tile, as `DrivenInputs.rows`."""
    return driven_inputs(module, x, rows).rows


def _thinned(x: F32, rows: int) -> F32:
    return x if len(x) <= rows else x[np.linspace(0, len(x) - 1, rows).astype(np.int64)]


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
    calibrate_on(module, inputs)
    return inputs


def calibrate_on(module: nn.Module, inputs: Mapping[str, list[F32]]) -> None:
    """Fix the converter ranges of all tiles on recorded inputs of their layers."""
    for name, layer in analog_layers(module).items():
        if name in inputs:
            layer.calibrate(inputs[name])
