"""A checked network, ready to be put on tiles any number of times. It never looks at an input and decides nothing."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from learning.common.weight_tile import TileFactory
from learning.torch_bridge.analog_layer import check_before_loading, warn_of_unread_tiles
from learning.torch_bridge.fold import Fold
from learning.torch_bridge.modules import AnalogConv2d, AnalogLayer, AnalogLinear, Backward

Bias = Literal["digital", "chip"]


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
        folds: batch normalisations that were folded, with their layers.
        notes: what a reader has to know: what was folded, what stays digital.
        compared: whether it was run and compared with the original. Otherwise what `build` returns looks at its own first run, and
            warns of tiles that were not read in it.
        outputs: what the original makes of the whole sample that it was compared on, None where that was not all that it will be given.
    """

    module: nn.Module
    layers: tuple[LayerPlan, ...]
    folds: tuple[Fold, ...]
    notes: tuple[str, ...]
    compared: bool
    outputs: Tensor | None = None

    @property
    def decided(self) -> Decided:
        """What was decided, to plan the same network again without its inputs."""
        return Decided(tuple(layer.name for layer in self.layers), self.folds, self.notes)

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
        result.register_load_state_dict_pre_hook(check_before_loading)
        if not self.compared:
            result.register_forward_hook(warn_of_unread_tiles)
        return result.eval()


@dataclass(frozen=True)
class Decided:
    """What `prepare` decided about a module: names of the layers on tiles, folds, notes. Small, and without weights."""

    layers: tuple[str, ...]
    folds: tuple[Fold, ...]
    notes: tuple[str, ...]
