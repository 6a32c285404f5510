"""A copy of a user's module that can be put on tiles: float32, evaluation mode, no wrappers, weights as they are computed now.

It computes what the module computes, and the module is never changed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.prune import remove as remove_pruning
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.optim.swa_utils import AveragedModel

from analog_sim.config import UserError


def unwrapped(module: nn.Module) -> nn.Module:
    """The module within torch.compile, DataParallel, DistributedDataParallel and AveragedModel, in any nesting."""
    while (inner := _inner(module)) is not None:
        module = inner
    return module


def unwrapped_float(module: nn.Module) -> nn.Module:
    """A module without wrappers anywhere in it, in float32 on the CPU, ready to be trained: the given one, changed."""
    module = unwrapped(module)
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and _inner(child) is not None:
                setattr(parent, name, unwrapped(child))
    if any(is_lazy(parameter) or parameter.is_meta for parameter in module.parameters()):
        return module  # refused, with the layer's name, by `float_copy`
    return module.cpu().float()


def _inner(module: nn.Module) -> nn.Module | None:
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel | AveragedModel):
        return module.module
    # By name, because importing torch._dynamo takes a second; whoever compiled a module has done it.
    if type(module).__name__ == "OptimizedModule" and type(module).__module__.startswith("torch._dynamo"):
        return module._modules["_orig_mod"]
    return None


def float_copy(module: nn.Module) -> nn.Module:
    """A float32 copy on the CPU without wrappers, in evaluation mode, otherwise as the module is.

    Raises:
        UserError: a module that cannot be copied, with the reason.
    """
    if any(isinstance(child, torch.jit.ScriptModule) for child in module.modules()):
        raise UserError("model: is compiled by TorchScript, whose layers cannot be replaced; give the Python module")
    for name, parameter in module.named_parameters():
        if is_lazy(parameter):
            raise UserError(f"model: layer '{name.rpartition('.')[0]}' has no weights yet (a lazy layer never called)")
        if parameter.is_meta:
            raise UserError(f"model: parameter '{name}' has no values (it is on torch's device 'meta')")
    try:
        return _copied(module).cpu().float().eval()
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"model: cannot be copied by copy.deepcopy: {(str(error).splitlines() or [''])[0]}") from error


def _copied(module: nn.Module) -> nn.Module:
    """A deep copy without wrappers. Weights that hooks computed (pruning, the old weight_norm) are copied as values."""
    memo: dict[int, Any] = {}
    for child in module.modules():
        for value in vars(child).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    wrappers = [child for child in module.modules() if _inner(child) is not None]
    for wrapper in reversed(wrappers):  # the innermost first
        memo[id(wrapper)] = copy.deepcopy(unwrapped(wrapper), memo)
    return copy.deepcopy(module, memo)


def plain(work: nn.Module) -> nn.Module:
    """Make a `float_copy` one of plain layers, in place where that can be: without pruning, weight_norm and torch's fast paths."""
    for layer in work.modules():
        _bake(layer)
        if isinstance(layer, nn.TransformerEncoderLayer):
            # Its fast path reads the weights of its layers without calling them, so no tile would be read; torch takes the other,
            # equal to rounding, for activations that it does not know.
            layer.activation_relu_or_gelu = 0
    for parent in list(work.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and parametrize.is_parametrized(child):
                setattr(parent, name, _plain_layer(child))
    return _plain_layer(work)


def is_plain(copied: nn.Module) -> bool:
    """Whether `plain` leaves a `float_copy` as it is."""
    computed = BasePruningMethod | WeightNorm | SpectralNorm
    return not any(
        isinstance(layer, nn.TransformerEncoderLayer)
        or parametrize.is_parametrized(layer)
        or any(isinstance(hook, computed) for hook in layer._forward_pre_hooks.values())
        for layer in copied.modules()
    )


def _bake(layer: nn.Module) -> None:
    """Replace weights that a hook computes before every call by their present values."""
    for hook in list(layer._forward_pre_hooks.values()):
        if isinstance(hook, BasePruningMethod):
            remove_pruning(layer, hook._tensor_name)
        elif isinstance(hook, WeightNorm):
            remove_weight_norm(layer, hook.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(layer, hook.name)


def _plain_layer(layer: nn.Module) -> nn.Module:
    """A parametrised Linear or Conv2d (weight_norm, spectral_norm) as a plain one; any other layer as it is.

    `remove_parametrizations` would edit a class that the user's own module shares with our copy.
    """
    if not parametrize.is_parametrized(layer) or layer._forward_hooks or layer._forward_pre_hooks:
        return layer
    plain: nn.Linear | nn.Conv2d
    original = type(layer).__mro__[1]  # torch makes a class of its own for every parametrised layer
    if original is nn.Linear:
        assert isinstance(layer, nn.Linear)
        plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
    elif original is nn.Conv2d:
        assert isinstance(layer, nn.Conv2d)
        plain = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            (layer.kernel_size[0], layer.kernel_size[1]),
            stride=(layer.stride[0], layer.stride[1]),
            padding=layer.padding if isinstance(layer.padding, str) else (layer.padding[0], layer.padding[1]),
            dilation=(layer.dilation[0], layer.dilation[1]),
            groups=layer.groups,
            bias=layer.bias is not None,
            padding_mode=layer.padding_mode,
        )
    else:
        return layer
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    with torch.no_grad():
        plain.weight.copy_(layer.weight)
        if plain.bias is not None and layer.bias is not None:
            plain.bias.copy_(layer.bias)
    return plain.eval()


def other_precisions(module: nn.Module) -> Iterator[str]:
    """Names of the floating types other than float32 that a module's parameters have, each once."""
    names = (str(p.dtype).removeprefix("torch.") for p in module.parameters() if p.is_floating_point())
    yield from dict.fromkeys(name for name in names if name != "float32")
