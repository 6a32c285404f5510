"""Fold batch normalisation into the layer before it: exact in evaluation mode. It never folds what it is not sure of.

``y = g (W x + b - m) / sqrt(v + eps) + c`` is the layer ``W' = s W, b' = s (b - m) + c`` with ``s = g / sqrt(v + eps)``,
all per output channel: running mean m, running variance v, scale g, shift c (Ioffe & Szegedy, arXiv:1502.03167, Alg. 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from learning.torch_bridge.observe import Observation

Norm = nn.BatchNorm1d | nn.BatchNorm2d
Weighted = nn.Linear | nn.Conv2d


@dataclass(frozen=True)
class Fold:
    """Names of a layer and of the batch normalisation that acts on nothing but its output."""

    layer: str
    norm: str


def find_folds(module: nn.Module, seen: Observation | None) -> list[Fold]:
    """Return the foldable pairs of a module.

    Args:
        seen: one run of the module. Without it only neighbours in an `nn.Sequential` are found, and only for convolutions:
            whether a linear layer's output has two dimensions shows at run time.
    """
    return _by_neighbourhood(module) if seen is None else _by_use(module, seen)


def fold(layer: Weighted, norm: Norm) -> None:
    """Put the normalisation into the layer's weight and bias (new parameters); the caller takes `norm` out."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise ValueError("fold: the normalisation keeps no running statistics")
    with torch.no_grad():
        scale = torch.rsqrt(variance.double() + norm.eps)
        if norm.affine:
            scale = scale * norm.weight.double()
        bias = layer.bias.double() if layer.bias is not None else torch.zeros_like(scale)
        shifted = (bias - mean.double()) * scale
        if norm.affine:
            shifted = shifted + norm.bias.double()
        broad = scale.reshape(-1, *[1] * (layer.weight.dim() - 1))
        dtype = layer.weight.dtype
        layer.weight = nn.Parameter((layer.weight.double() * broad).to(dtype))
        layer.bias = nn.Parameter(shifted.to(dtype))


def _foldable(layer: nn.Module, norm: nn.Module) -> bool:
    if type(norm) not in (nn.BatchNorm1d, nn.BatchNorm2d) or norm.running_mean is None:
        return False
    if isinstance(layer, nn.Conv2d):
        return isinstance(norm, nn.BatchNorm2d) and norm.num_features == layer.out_channels
    return isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d) and norm.num_features == layer.out_features


def _by_use(module: nn.Module, seen: Observation) -> list[Fold]:
    modules = dict(module.named_modules())
    found = []
    for name, calls in seen.calls.items():
        layer = modules[name]
        if len(calls) != 1 or len(set(calls[0].users)) != 1:
            continue
        user = calls[0].users[0]
        if user not in seen.calls or len(seen.calls[user]) != 1 or not _foldable(layer, modules[user]):
            continue
        if seen.calls[user][0].input is not calls[0].output or not _channels_fit(layer, calls[0].output):
            continue
        found.append(Fold(name, user))
    return found


def _channels_fit(layer: nn.Module, output: Tensor) -> bool:
    """Whether dimension 1 of the output, the one that is normalised, is the layer's output channel."""
    return output.dim() == (4 if isinstance(layer, nn.Conv2d) else 2)


def _by_neighbourhood(module: nn.Module) -> list[Fold]:
    times: dict[int, int] = {}
    for _, child in module.named_modules(remove_duplicate=False):
        times[id(child)] = times.get(id(child), 0) + 1
    found = []
    for path, parent in module.named_modules():
        if type(parent) is not nn.Sequential:
            continue
        children = list(parent.named_children())
        for (a, layer), (b, norm) in pairwise(children):
            if isinstance(layer, nn.Conv2d) and _foldable(layer, norm) and times[id(layer)] == times[id(norm)] == 1:
                dot = f"{path}." if path else ""
                found.append(Fold(dot + a, dot + b))
    return found
