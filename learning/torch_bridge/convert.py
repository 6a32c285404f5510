"""Turn a torch module into one whose Linear and Conv2d layers run on tiles. The user's module is copied, never changed.

`prepare` checks everything before any tile exists, `Plan.build` replaces layers on a copy; `convert` is both in one.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from learning.common.weight_tile import TileFactory
from learning.torch_bridge.analog_layer import AnalogLayer, Backward, analog_layers, digitally
from learning.torch_bridge.inputs import calibrate, record_inputs
from learning.torch_bridge.plan import Bias, Decided, LayerPlan, Plan
from learning.torch_bridge.prepare import prepare, prepare_again

__all__ = [
    "AnalogLayer",
    "Bias",
    "Decided",
    "LayerPlan",
    "Plan",
    "analog_layers",
    "calibrate",
    "convert",
    "digitally",
    "prepare",
    "prepare_again",
    "record_inputs",
]


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
    """Return a copy of a torch module, in evaluation mode and float32, whose Linear and Conv2d layers run on tiles.

    Args:
        module: any module of `Linear`, `Conv2d` and layers without weights, called in whatever way.
        build_tile: (name, (n_out, n_in)) -> tile, a `Tile` or `DigitalTile`.
        sample: inputs to check the conversion with; without them fewer batch normalisations are folded and nothing is compared.
        fold_batchnorm: put batch normalisation into the layer before it, where that holds for every input; False to go on
            training it.
        digital: names of layers, and of parameters outside of them, to leave as they are. bias, backward, write: as in
            `Plan.build`.

    Raises:
        UserError: a layer that cannot be converted, weights that are not finite, a sample that does not fit.
    """
    plan = prepare(module, sample, fold_batchnorm=fold_batchnorm, digital=digital)
    return plan.build(build_tile, bias=bias, backward=backward, write=write)
