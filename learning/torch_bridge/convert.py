"""Turn a torch module into one whose Linear and Conv2d layers run on tiles. The user's module is copied, never changed.

`prepare` checks everything before any tile exists: it copies the module in evaluation mode, folds batch normalisation, refuses
what it does not know and, given sample inputs, makes sure that the converted module computes what the original did.
`Plan.build` then replaces layers on a copy; `convert` is both in one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from analog_sim.config import UserError
from analog_sim.config.errors import did_you_mean
from analog_sim.tiles.digital import DigitalTile
from learning.common.weight_tile import TileFactory
from learning.torch_bridge.arrays import to_numpy
from learning.torch_bridge.fold import find_folds, fold
from learning.torch_bridge.modules import AnalogConv2d, AnalogLayer, AnalogLinear, Backward
from learning.torch_bridge.observe import Observation, observe, tensors

F32 = npt.NDArray[np.float32]
Bias = Literal["digital", "chip"]

_PERIPHERY = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.LocalResponseNorm,
    nn.RMSNorm,
    nn.PReLU,
)
"""Layers with parameters that are cheap per channel and belong to the digital periphery."""
_SUPPORTED = "Linear, Conv2d, BatchNorm1d/2d, LayerNorm, GroupNorm, InstanceNorm, PReLU and layers without weights"
_TOLERANCE = 1e-4
"""Largest change of an output by conversion, relative to the largest output: float32 rounding through a deep network."""


@dataclass(frozen=True)
class LayerPlan:
    """One layer that will run on tiles.

    Attributes:
        name: as in `named_modules`. kind: linear or conv2d. shapes: (n_out, n_in) of its tiles, without a bias line.
        bias: whether it has one.
    """

    name: str
    kind: Literal["linear", "conv2d"]
    shapes: tuple[tuple[int, int], ...]
    bias: bool

    @property
    def weights(self) -> int:
        """Number of weights on the chip."""
        return sum(rows * cols for rows, cols in self.shapes)


@dataclass(frozen=True)
class Plan:
    """A checked, folded copy of a module, ready to be put on tiles any number of times.

    Attributes:
        module: the copy, still digital, in evaluation mode.
        layers: what goes on tiles, in the order of `named_modules`.
        notes: what a reader has to know: what was folded, what stays digital.
    """

    module: nn.Module
    layers: tuple[LayerPlan, ...]
    notes: tuple[str, ...]

    def build(
        self,
        build_tile: TileFactory,
        *,
        bias: Bias = "digital",
        bias_inputs: Mapping[str, float] | None = None,
        backward: Backward = "ideal",
        write: bool = True,
    ) -> nn.Module:
        """Return a copy of the module with its layers on new tiles.

        Args:
            build_tile: makes the tile of a layer; the name of a group of a convolution ends with `.group<k>`.
            bias: added digitally, or held by one more line of the chip.
            bias_inputs: what drives the bias line of each layer (name -> value > 0, default 1); best near the layer's
                largest input. backward: see `learning.torch_bridge.modules`. write: program the tiles.
        """
        result = copy.deepcopy(self.module)
        found = dict(result.named_modules())
        made: dict[int, AnalogLayer] = {}
        for plan in self.layers:
            layer = found[plan.name]
            line = (bias_inputs or {}).get(plan.name, 1.0) if bias == "chip" and plan.bias else None
            shapes = [(rows, cols + (line is not None)) for rows, cols in plan.shapes]
            names = [plan.name] if len(shapes) == 1 else [f"{plan.name}.group{k}" for k in range(len(shapes))]
            tiles = tuple(build_tile(name, shape) for name, shape in zip(names, shapes, strict=True))
            if isinstance(layer, nn.Conv2d):
                made[id(layer)] = AnalogConv2d(layer, tiles, bias_input=line, backward=backward)
            elif isinstance(layer, nn.Linear):
                made[id(layer)] = AnalogLinear(layer, tiles[0], bias_input=line, backward=backward)
        if write:
            for analog in made.values():
                analog.write()
        if id(result) in made:
            return made[id(result)].eval()
        for parent in list(result.modules()):
            # not named_children, which leaves out a second name of the same child
            for name, child in list(parent._modules.items()):
                if child is not None and id(child) in made:
                    setattr(parent, name, made[id(child)])
        return result.eval()


def convert(
    module: nn.Module,
    build_tile: TileFactory,
    *,
    sample: Tensor | None = None,
    fold_batchnorm: bool = True,
    digital: Sequence[str] = (),
    bias: Bias = "digital",
    backward: Backward = "ideal",
    write: bool = True,
) -> nn.Module:
    """Return a copy of a torch module, in evaluation mode, whose Linear and Conv2d layers run on tiles.

    Args:
        module: any module of `Linear`, `Conv2d` and layers without weights, called in whatever way.
        build_tile: (name, (n_out, n_in)) -> tile, a `Tile` or `DigitalTile`.
        sample: inputs to check the conversion with; without them fewer batch normalisations are folded and nothing is compared.
        fold_batchnorm: put batch normalisation into the layer before it; False to go on training it.
        digital: names of layers to leave as they are. bias, backward, write: as in `Plan.build`.

    Raises:
        UserError: a layer that cannot be converted, weights that are not finite, a sample that does not fit.
    """
    plan = prepare(module, sample, fold_batchnorm=fold_batchnorm, digital=digital)
    return plan.build(build_tile, bias=bias, backward=backward, write=write)


def prepare(
    module: nn.Module,
    sample: Tensor | None = None,
    *,
    fold_batchnorm: bool = True,
    digital: Sequence[str] = (),
) -> Plan:
    """Check and copy a module, and fold its batch normalisation. Arguments and errors as in `convert`."""
    work = _plain_copy(module)
    kept = _digital_names(work, digital)
    problems = _problems(work, kept)
    if problems:
        raise UserError("model: " + "; ".join(problems))
    notes = [f"{name}: kept digital, as asked" for name in digital]
    seen: Observation | None = None
    if sample is not None:
        seen = _run(work, sample)
        problems = [
            f"parameter '{name}' is used outside its own layer, where no tile would see it"
            for name in sorted(seen.loose)
            if name.rpartition(".")[0] not in kept
        ]
        if problems:
            raise UserError("model: " + "; ".join(problems))
    if fold_batchnorm:
        notes += _fold_all(work, seen)
    layers = tuple(_layers(work, kept, seen))
    if not layers:
        raise UserError("model: has no Linear or Conv2d layer to put on a chip")
    notes += _periphery_notes(work)
    if seen is not None:
        notes += [
            f"{name}: never called, left out"
            for name, child in work.named_modules()
            if isinstance(child, nn.Linear | nn.Conv2d) and name not in seen.calls
        ]
    plan = Plan(work, layers, tuple(notes))
    if sample is not None and seen is not None:
        _verify(plan, sample, seen)
    return plan


def analog_layers(module: nn.Module) -> dict[str, AnalogLayer]:
    """Name -> layer for every layer that runs on tiles."""
    return {name: child for name, child in module.named_modules() if isinstance(child, AnalogLayer)}


@contextmanager
def digitally(module: nn.Module) -> Iterator[None]:
    """Within the block, the analogue layers of a module compute with their digital weights."""
    layers = analog_layers(module).values()
    before = [layer.analog for layer in layers]
    try:
        for layer in layers:
            layer.analog = False
        yield
    finally:
        for layer, mode in zip(layers, before, strict=True):
            layer.analog = mode


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


def _plain_copy(module: nn.Module) -> nn.Module:
    """A float32 copy on the CPU, in evaluation mode, without parametrisations."""
    if analog_layers(module):
        raise UserError("model: has analogue layers already")
    if any(isinstance(child, torch.jit.ScriptModule) for child in module.modules()):
        raise UserError("model: is compiled by TorchScript, whose layers cannot be replaced; give the Python module")
    lazy = [name for name, parameter in module.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise UserError(f"model: layer '{lazy[0].rpartition('.')[0]}' has no weights yet (a lazy layer never called)")
    try:
        work = copy.deepcopy(module).cpu().float().eval()
    except (RuntimeError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"model: cannot be copied (hooks such as the old weight_norm? remove them first): {first}"
        ) from error
    for parent in list(work.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and parametrize.is_parametrized(child):
                setattr(parent, name, _plain_layer(child))
    return _plain_layer(work)


def _plain_layer(layer: nn.Module) -> nn.Module:
    """A parametrised Linear or Conv2d (weight_norm, spectral_norm) as a plain one; any other layer as it is.

    `remove_parametrizations` would edit a class that the user's own module shares with our copy.
    """
    if not parametrize.is_parametrized(layer):
        return layer
    plain: nn.Linear | nn.Conv2d
    if isinstance(layer, nn.Linear):
        plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
    elif isinstance(layer, nn.Conv2d):
        plain = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            (layer.kernel_size[0], layer.kernel_size[1]),
            (layer.stride[0], layer.stride[1]),
            layer.padding if isinstance(layer.padding, str) else (layer.padding[0], layer.padding[1]),
            (layer.dilation[0], layer.dilation[1]),
            layer.groups,
            layer.bias is not None,
            layer.padding_mode,
        )
    else:
        return layer
    with torch.no_grad():
        plain.weight.copy_(layer.weight)
        if plain.bias is not None and layer.bias is not None:
            plain.bias.copy_(layer.bias)
    return plain.eval()


def _digital_names(module: nn.Module, digital: Sequence[str]) -> set[str]:
    """Names of all modules within the ones that are to stay digital. Raises UserError for unknown names."""
    names = [name for name, _ in module.named_modules() if name]
    for asked in digital:
        if asked not in names:
            raise UserError(
                f"model: digital: no layer '{asked}'{did_you_mean(asked, names) or ';'} layers: {', '.join(names)}"
            )
    return {name for name in names for asked in digital if name == asked or name.startswith(asked + ".")}


def _problems(module: nn.Module, kept: set[str]) -> list[str]:
    found = []
    for name, child in module.named_modules():
        own = dict(child.named_parameters(recurse=False))
        where = f"layer '{name}' ({type(child).__name__})" if name else f"the model itself ({type(child).__name__})"
        if name in kept or isinstance(child, nn.modules.linear.NonDynamicallyQuantizableLinear):
            continue  # the latter is a part of attention, which is reported itself
        if isinstance(child, nn.Linear | nn.Conv2d):
            standard = nn.Linear.forward if isinstance(child, nn.Linear) else nn.Conv2d.forward
            if type(child).forward is not standard:
                found.append(f"{where} has a forward of its own, which a tile cannot follow")
            elif child._forward_pre_hooks or child._forward_hooks:
                found.append(f"{where} has forward hooks (weight_norm?); remove them first")
        elif own and type(child).__module__.startswith("torch.") and not isinstance(child, _PERIPHERY):
            found.append(f"{where} is not supported; supported: {_SUPPORTED}")
        elif own and not isinstance(child, _PERIPHERY):
            found.append(
                f"{where} has parameters of its own ({', '.join(own)}), which no tile would hold; "
                f"use Linear or Conv2d layers, or name it in 'digital'"
            )
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if value.is_floating_point() and not torch.isfinite(value).all():
            bad = int((~torch.isfinite(value)).sum())
            found.append(f"{name}: {bad} of {value.numel()} values are NaN or infinite")
    return found


def _run(module: nn.Module, sample: Tensor) -> Observation:
    try:
        seen = observe(module, sample)
        with torch.no_grad():
            again = module(sample)
    except Exception as error:  # the user's own code, which may raise anything
        first = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"model: fails on inputs of shape {tuple(sample.shape)}: {type(error).__name__}: {first}"
        ) from error
    if not isinstance(seen.output, Tensor):
        raise UserError(f"model: must return one tensor (got {type(seen.output).__name__})")
    if not torch.isfinite(seen.output).all():
        raise UserError("model: its outputs on sample inputs are not all finite")
    if not torch.equal(seen.output, again):
        raise UserError(
            "model: two runs on the same inputs differ in evaluation mode; is a functional dropout called "
            "without training=self.training?"
        )
    return seen


def _fold_all(module: nn.Module, seen: Observation | None) -> list[str]:
    notes = []
    modules = dict(module.named_modules())
    for pair in find_folds(module, seen):
        layer, norm = modules[pair.layer], modules[pair.norm]
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        fold(layer, norm)
        parent, _, attribute = pair.norm.rpartition(".")
        setattr(modules[parent], attribute, nn.Identity())
        notes.append(f"{pair.norm}: batch normalisation folded into {pair.layer}")
    return notes


def _layers(module: nn.Module, kept: set[str], seen: Observation | None) -> Iterator[LayerPlan]:
    for name, child in module.named_modules():
        if name in kept or (seen is not None and name not in seen.calls):
            continue
        if isinstance(child, nn.Linear):
            yield LayerPlan(name, "linear", ((child.out_features, child.in_features),), child.bias is not None)
        elif isinstance(child, nn.Conv2d):
            n_in = child.in_channels // child.groups * child.kernel_size[0] * child.kernel_size[1]
            shapes = ((child.out_channels // child.groups, n_in),) * child.groups
            yield LayerPlan(name, "conv2d", shapes, child.bias is not None)


def _periphery_notes(module: nn.Module) -> list[str]:
    notes = []
    for name, child in module.named_modules():
        if isinstance(child, _PERIPHERY):
            batch = isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d) and child.running_mean is None
            extra = "; it keeps no running statistics, so results depend on the batch" if batch else ""
            notes.append(f"{name}: {type(child).__name__} computed digitally{extra}")
    return notes


def _verify(plan: Plan, sample: Tensor, seen: Observation) -> None:
    """Run the plan on exact tiles: the outputs must be the original's, and every layer must be reached."""
    trial = plan.build(lambda name, shape: DigitalTile(shape))
    reached: set[str] = set()
    with ExitStack() as stack, torch.no_grad():
        for name, layer in analog_layers(trial).items():
            hook = layer.register_forward_hook(lambda module, inputs, output, name=name: reached.add(name))
            stack.callback(hook.remove)
        output = trial(sample)
    missed = [layer.name for layer in plan.layers if layer.name not in reached]
    if missed:
        raise UserError(
            f"model: layer '{missed[0]}' is reached by a reference outside the module tree (a plain list or a closure?), "
            f"so it cannot be replaced; keep layers in attributes, nn.Sequential or nn.ModuleList only"
        )
    expected = next(tensors(seen.output))
    error = float((output - expected).abs().max() / expected.abs().max().clamp_min(1e-20)) if expected.numel() else 0.0
    if not error <= _TOLERANCE:
        raise UserError(
            f"model: conversion changes its outputs by {error:.1e} of the largest; please report this model"
        )
