"""Fold batch normalisation into the layer before it: exact in evaluation mode. It never folds what it is not sure of.

``y = g (W x + b - m) / sqrt(v + eps) + c`` is the layer ``W' = s W, b' = s (b - m) + c`` with ``s = g / sqrt(v + eps)``,
all per output channel: running mean m, running variance v, scale g, shift c (Ioffe & Szegedy, arXiv:1502.03167, Alg. 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from learning.torch_bridge.observe import Observation

Norm = nn.BatchNorm1d | nn.BatchNorm2d
Weighted = nn.Linear | nn.Conv2d


@dataclass(frozen=True)
class Fold:
    """Names of a layer and of the batch normalisation that acts on nothing but its output."""

    layer: str
    norm: str


def find_folds(module: nn.Module, seen: Sequence[Observation] | None) -> list[Fold]:
    """Return the foldable pairs of a module.

    Args:
        seen: runs of the module; a pair must hold in every run that calls one of its two. None: only neighbours in an `nn.Sequential` that
            no code of the user's can take apart are found, and only for convolutions: whether a linear layer's output has two
            dimensions shows at run time.
    """
    if seen is None:
        return _by_neighbourhood(module)
    held = [(run, _by_use(module, run)) for run in seen]
    candidates = dict.fromkeys(pair for _, pairs in held for pair in pairs)
    return [
        pair
        for pair in candidates
        if all(pair in pairs or not {pair.layer, pair.norm} & run.calls.keys() for run, pairs in held)
    ]


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
        dtype, trained = layer.weight.dtype, layer.weight.requires_grad
        layer.weight = nn.Parameter((layer.weight.double() * broad).to(dtype), requires_grad=trained)
        layer.bias = nn.Parameter(shifted.to(dtype), requires_grad=trained)


def _foldable(layer: nn.Module, norm: nn.Module) -> bool:
    if type(norm) not in (nn.BatchNorm1d, nn.BatchNorm2d) or norm.running_mean is None:
        return False
    if any((one._forward_hooks or one._forward_pre_hooks) for one in (layer, norm)):
        return False  # a hook of the user's sees, or changes, what would no longer exist
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
        # Dimension 1 of the output, the one that is normalised, must be the layer's output channel.
        if calls[0].dim != (4 if isinstance(layer, nn.Conv2d) else 2):
            continue
        if not any(source is calls[0] for source in seen.calls[user][0].sources):
            continue
        if any(owner in (name, user) for owner, _, _ in (loose.rpartition(".") for loose in seen.loose)):
            continue
        found.append(Fold(name, user))
    return found


def _by_neighbourhood(module: nn.Module) -> list[Fold]:
    times: dict[int, int] = {}
    for _, child in module.named_modules(remove_duplicate=False):
        times[id(child)] = times.get(id(child), 0) + 1
    found = []
    for path, parent in _plain_sequences(module, ""):
        children = list(parent.named_children())
        for (a, layer), (b, norm) in pairwise(children):
            if isinstance(layer, nn.Conv2d) and _foldable(layer, norm) and times[id(layer)] == times[id(norm)] == 1:
                dot = f"{path}." if path else ""
                found.append(Fold(dot + a, dot + b))
    return found


def _plain_sequences(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Sequential]]:
    """Every `nn.Sequential` within nothing but such: code of the user's could call a child of any other by itself."""
    if type(module) is nn.Sequential:
        yield path, module
        for name, child in module.named_children():
            yield from _plain_sequences(child, f"{path}.{name}" if path else name)
