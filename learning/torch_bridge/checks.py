"""What a module may hold to be put on tiles, found by looking at it; every refusal says the reason and what to write. Nothing is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize

from analog_sim.config import UserError
from analog_sim.config.errors import did_you_mean

PERIPHERY = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.LocalResponseNorm,
    nn.RMSNorm,
    nn.PReLU,
    nn.Embedding,
)
"""Layers with parameters that are cheap per channel, or looked up, and belong to the digital periphery."""
_SUPPORTED = (
    "Linear, Conv2d, BatchNorm1d/2d, LayerNorm, GroupNorm, InstanceNorm, PReLU, Embedding and layers without weights"
)
_QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic", "torch.nn.quantized", "torch.nn.intrinsic")


def digital_names(module: nn.Module, digital: Sequence[str]) -> set[str]:
    """Names of all that is to stay digital: the modules asked for with everything within, and single parameters.

    Raises:
        UserError: a name that is neither; a parameter of a layer, in place of the layer's own name.
    """
    layers = {name: child for name, child in module.named_modules(remove_duplicate=False) if name}
    raw = [name for name, _ in module.named_parameters(remove_duplicate=False)]
    raw = [name for name in raw if not isinstance(layers.get(name.rpartition(".")[0]), nn.Linear | nn.Conv2d)]
    for asked in digital:
        owner = asked.rpartition(".")[0]
        if asked in layers or asked in raw:
            continue
        if owner in layers and asked.rpartition(".")[2] in ("weight", "bias"):
            raise UserError(f"model: digital: '{asked}' is a part of layer '{owner}'; write '{owner}'")
        names = [*layers, *(name for name in raw if "." not in name)]
        raise UserError(
            f"model: digital: no layer '{asked}'{did_you_mean(asked, names) or ';'} layers: {', '.join(names)}"
        )
    within = {name for name in layers for asked in digital if name == asked or name.startswith(asked + ".")}
    return within | {name for name in digital if name in raw}


def is_kept(parameter: str, kept: set[str]) -> bool:
    """Whether a parameter, by its full name, stays digital: by its own name or that of its module."""
    return parameter in kept or parameter.rpartition(".")[0] in kept


def problems(module: nn.Module, kept: set[str]) -> list[str]:
    """All reasons for which a module cannot be put on tiles as it is, one line each.

    Args:
        module: plain (see `learning.torch_bridge.plain`). kept: what `digital_names` returned.
    """
    found = []
    for name, child in module.named_modules():
        if name in kept or _is_part(name, child):
            continue
        where = f"layer '{name}' ({type(child).__name__})" if name else f"the model itself ({type(child).__name__})"
        found += [f"{where} {problem}" for problem in _problems_of(name, child, kept)]
    return found + list(_not_finite(module, kept))


def _is_part(name: str, child: nn.Module) -> bool:
    """Whether a module is a part of another that is judged itself: of attention, of a quantised or parametrised layer."""
    part = (nn.modules.linear.NonDynamicallyQuantizableLinear, parametrize.ParametrizationList)
    return isinstance(child, part) or name.endswith("._packed_params")


def _problems_of(name: str, child: nn.Module, kept: set[str]) -> Iterator[str]:
    dot = f"{name}." if name else ""
    own = [key for key, _ in child.named_parameters(recurse=False) if dot + key not in kept]
    if parametrize.is_parametrized(child):
        own += [key for key in child.parametrizations if dot + key not in kept]  # type: ignore[union-attr]
    if isinstance(child, nn.Linear | nn.Conv2d) and not type(child).__module__.startswith(_QUANTISED):
        standard = nn.Linear.forward if isinstance(child, nn.Linear) else nn.Conv2d.forward
        if type(child).forward is not standard:
            yield f"has a forward of its own, which a tile cannot follow; {_left_digital(name)}"
        elif child._forward_pre_hooks or child._forward_hooks or child._backward_hooks:
            yield "has forward hooks of yours, which a tile would not run; remove them first"
        elif not child.weight.is_floating_point():
            yield f"has weights of {str(child.weight.dtype).removeprefix('torch.')}, which cells cannot hold"
    elif type(child).__module__.startswith(_QUANTISED):
        yield "is quantised by torch; give the model as it was before (tile.dac, tile.adc and the card quantise here)"
    elif own and type(child).__module__.startswith("torch.") and not isinstance(child, PERIPHERY):
        yield f"is not supported; supported: {_SUPPORTED}; {_left_digital(name)}"
    elif own and not isinstance(child, PERIPHERY):
        yield (
            f"has parameters of its own ({', '.join(own)}), which no tile would hold; use Linear or Conv2d layers, "
            f"or, to leave them digital, write digital: [{', '.join(dot + key for key in own)}]"
        )
    if "forward" in vars(child):
        yield "has a forward that was set on the object itself (torch.compile(x.forward)?) and would run the original; set it in the class"


def _left_digital(name: str) -> str:
    """How to leave a module off the chip; the whole model is none that could be."""
    if name:
        return f"to leave it digital write digital: [{name}]"
    return "give a model around it that has Linear or Conv2d layers for the chip"


def _not_finite(module: nn.Module, kept: set[str]) -> Iterator[str]:
    """Values that cannot go on a chip or be folded. What else there is, such as masks, may be infinite when the outputs are not."""
    owners = dict(module.named_modules())
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if not isinstance(owners[name.rpartition(".")[0]], (nn.Linear, nn.Conv2d, *PERIPHERY)):
            continue  # a buffer of the user's own, or a parameter that is refused anyway
        if is_kept(name, kept) or not value.is_floating_point():
            continue
        if bad := int((~torch.isfinite(value)).sum()):
            yield f"{name}: {bad} of {value.numel()} values are NaN or infinite"
