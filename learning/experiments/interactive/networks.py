"""Networks on one emulated chip for a person at a prompt: a torch module converted, or layers that learn in place. It never trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from analog_sim.config import UserError, validate
from analog_sim.tiles.tile import Tile, TileSpec
from learning.experiments.interactive.hardware import AnyCard, EmulatedChip, chip, seconds
from learning.experiments.interactive.settings import nested, section

if TYPE_CHECKING:
    from learning.network.network import Network
    from learning.torch_bridge.module_on_chip.module import OnChip


Bias = Literal["digital", "chip"]
Backward = Literal["ideal", "straight_through", "analog"]


def convert(
    module: Any,
    device: AnyCard | EmulatedChip = "pcm",
    *,
    sample: Any = None,
    seed: int = 0,
    number: int = 0,
    digital: Sequence[str] = (),
    bias: Bias = "digital",
    backward: Backward = "ideal",
    **settings: Any,
) -> OnChip:
    """Put a copy of a torch module on an emulated chip: its Linear and Conv2d layers run on tiles, all else stays digital.

    The chip is chip `number` of an estimate with the same seed, card and tile: `net.wait("1 day")` ages it.

    Args:
        module: with its weights. device: card by name, path or object, or a chip of `ah.chip`.
        sample: inputs (N, ...) to check the conversion and to fix the converters' ranges; without them ranges follow the weights.
        seed, number: which chip. digital: names of layers to leave as they are. bias: added digitally, or one more line of every array.
        backward: gradient of a product on a tile; see `learning.torch_bridge.modules`.
        settings: of the tiles: `adc_bits`, `dac_bits`, `compensation`, `mapping={...}`.

    Raises:
        UserError: a layer that cannot be converted, a sample that does not fit. ConfigError: a setting.
    """
    for name, value, allowed in (("bias", bias, get_args(Bias)), ("backward", backward, get_args(Backward))):
        if value not in allowed:
            raise UserError(f"convert: {name}: must be {' or '.join(map(repr, allowed))} (got {value!r})")
    spec = inference_spec(section(TileSpec, settings, "tile", "ah.convert"))
    from learning.torch_bridge.module_on_chip.module import OnChip, planned_module

    plan = planned_module(module, sample, tuple(digital))
    held = device if isinstance(device, EmulatedChip) else chip(device, seed=seed, number=number)

    def build(name: str, shape: tuple[int, int]) -> Tile:
        if name in held.tiles:
            raise UserError(f"convert: the chip has a tile '{name}' already; take a new chip")
        return held.build(name, shape, spec)

    return OnChip(
        plan, build, held.clock, card=held.card.name, seconds=seconds, sample=sample, bias=bias, backward=backward
    )


def inference_spec(spec: TileSpec) -> TileSpec:
    """Pairs that are programmed once use the whole window, as in an estimate, unless the settings say otherwise."""
    if spec.mapping.sides != "auto" or spec.writing is not None:
        return spec
    return spec.model_copy(update={"mapping": spec.mapping.model_copy(update={"sides": "one"})})


def network(
    layers: Sequence[Any], shape: Sequence[int], device: AnyCard | None = None, *, seed: int = 0, **settings: Any
) -> Network:
    """A network that can learn in place, with its first weights, on emulated cells of a card or on exact digital tiles.

    Args:
        layers: as in a file: `["flatten", {"kind": "linear", "units": 64}, "relu", ...]`. shape: of one sample.
        device: card by name, path or object; None for digital tiles. seed: chip and first weights.
        settings: keys of a training's file: `network__bias="chip"`, `adc_bits=9`, `decorrelation={...}`.

    Raises:
        UserError: layers that do not fit together. ConfigError: a setting.
    """
    from learning.experiments.configs.train import TrainExperiment
    from learning.experiments.training.chip import build
    from learning.experiments.training.data import TrainData

    if (
        isinstance(shape, str)
        or not isinstance(shape, Sequence)
        or not all(isinstance(n, int | np.integer) for n in shape)
    ):
        raise UserError(f"network: shape: must be that of one sample, such as (1, 28, 28) or (64,) (got {shape!r})")
    base = {
        "schema": "train/1",
        "dataset": "digits",
        "learning_rate": 1.0,
        "network": {"layers": list(layers)},
        "device": device,
    }
    experiment = validate(nested(settings, base), TrainExperiment, source="ah.network")
    x = np.zeros((1, *(int(n) for n in shape)), np.float32)
    assert experiment.network is not None, "it was given"
    outputs = _outputs(experiment.network.listed(x.shape[1:], 1), x.shape[1:])
    nothing = np.zeros(1, np.int64)
    data = TrainData(x, nothing, x, nothing, tuple(map(str, range(outputs))), "")
    return build(experiment, data, seed).network


def _outputs(layers: Sequence[Any], shape: tuple[int, ...]) -> int:
    """Number of outputs of layers on samples of a shape. Raises UserError when they do not fit together."""
    at: tuple[int, ...] = shape
    for number, layer in enumerate(layers):
        try:
            at = layer.output_shape(at)
        except ValueError as error:
            raise UserError(f"network.layers[{number}]: {error}") from error
    return int(at[0])
