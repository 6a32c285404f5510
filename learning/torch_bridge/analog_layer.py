"""What a torch layer on tiles is: digital weights, the tiles that hold them, and a choice of backward pass.

It computes with whatever tile it is given, and programs one only when told to (`write`, `push`) or when weights are loaded.

`state_dict` holds both, the digital weights and (in `_extra_state`) everything the tiles hold: cells, clock, noise streams.
Loading such a state puts the chip back as it was, bit by bit, and is refused for another chip. Loading a state of a plain torch
module, or one whose weights were changed since, programs the tiles to these weights.

Backward pass of ``y = W x`` for an incoming gradient d (B, n_out), physics-aware training when it is not ideal
(Wright et al., Nature 601, 549, 2022, doi:10.1038/s41586-021-04223-6: physical forward, modelled backward):

    ideal             dx = d W with W the digital weights that the tile was asked to hold
    straight_through  dx = d W' with W' the weights as read back from the tile
    analog            dx = the tile's own transposed read of d
    all three         dW = d^T x, the gradient of the digital weights
"""

from __future__ import annotations

import abc
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from analog_sim.config import UserError
from analog_sim.writing.proposal import Dense
from learning.common.weight_tile import WeightTile
from learning.torch_bridge import chip_state
from learning.torch_bridge.arrays import to_numpy, to_torch

F32 = npt.NDArray[np.float32]
Backward = Literal["ideal", "straight_through", "analog"]
BACKWARD: tuple[Backward, ...] = ("ideal", "straight_through", "analog")
EXTRA_STATE = "_extra_state"
"""The name under which torch keeps what `get_extra_state` returns."""


class _TileProduct(torch.autograd.Function):
    """``y = W x`` on a tile: (B, n_in) -> (B, n_out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tile: WeightTile, backward: Backward) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.tile, ctx.mode = tile, backward
        return _product(x, tile)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (d,) = grads
        x, weight = ctx.saved_tensors
        dx = dw = None
        # Under torch.autocast, or in half precision, the three may be of different types.
        if ctx.needs_input_grad[0]:
            if ctx.mode == "ideal":
                dx = (d.to(weight.dtype) @ weight).to(x.dtype)
            elif ctx.mode == "straight_through":
                dx = d @ to_torch(ctx.tile.read_weights(), d)
                dx = dx.to(x.dtype)
            else:
                dx = to_torch(ctx.tile.backward(to_numpy(d)), x)
        if ctx.needs_input_grad[1]:
            dw = d.T.to(weight.dtype) @ x.to(weight.dtype)
        return dx, dw, None, None


def _product(x: Tensor, tile: WeightTile) -> Tensor:
    if x.shape[0] == 0:
        return x.new_zeros((0, tile.shape[0]))
    return to_torch(tile.forward(to_numpy(x)), x)


class AnalogLayer(nn.Module, abc.ABC):
    """Digital weights, the tiles that hold them, and where the bias is added.

    Attributes:
        weight, bias: the digital weights, parameters that an optimiser may train; `write` or `push` takes them to the
            tiles.
        tiles: one tile, or one per group of a convolution; each holds (n_out, n_in), with a last input for the bias
            when that is on the chip.
        bias_input: what drives the line of a bias on the chip, whose weight is bias / bias_input. None: digital bias.
        backward_pass: see the module's first lines.
        analog: False computes with the digital weights instead. read: whether the tiles were read ever since.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        tiles: tuple[WeightTile, ...],
        *,
        bias_input: float | None,
        backward: Backward,
    ) -> None:
        super().__init__()
        if backward not in BACKWARD:
            raise ValueError(f"backward: got {backward!r}, allowed: {', '.join(BACKWARD)}")
        if bias_input is not None and not bias_input > 0.0:
            raise ValueError(f"bias_input must be > 0 (got {bias_input})")
        self.weight = nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)
        self.tiles = tiles
        self.bias_input = bias_input if bias is not None else None
        self.backward_pass: Backward = backward
        self.analog = True
        self.read = False
        for tile, wanted in zip(tiles, self._matrices(), strict=True):
            if tile.shape != tuple(wanted.shape):
                raise ValueError(f"tile of shape {tile.shape} where {tuple(wanted.shape)} is needed")
        self._written: list[F32] | None = None

    @abc.abstractmethod
    def rows(self, x: Tensor) -> list[Tensor]:
        """Inputs of the tiles: one tensor (B, n_in without bias) per tile, differentiable."""

    @abc.abstractmethod
    def some_rows(self, x: Tensor, most: int) -> list[F32]:
        """Inputs of the tiles, taken evenly from all: at most `most` of them, without gradients."""

    def write(self) -> None:
        """Program the tiles to the digital weights, and remember these as written."""
        self._written = [matrix.copy() for matrix in self.matrices()]
        for tile, w in zip(self.tiles, self._written, strict=True):
            tile.program(w)

    def push(self) -> None:
        """Change the tiles by what the digital weights changed since the last `write`, `push` or `pull`.

        ``W_tile <- W_tile + (W - W_written)`` through the tile's write scheme (pulses); `write` programs anew.
        Raises ValueError when nothing was written yet.
        """
        if self._written is None:
            raise ValueError("push: the tiles hold no weights yet; call write() first")
        new = [matrix.copy() for matrix in self.matrices()]
        for tile, before, after in zip(self.tiles, self._written, new, strict=True):
            tile.update(Dense(before - after), 1.0)
        self._written = new

    def pull(self) -> None:
        """Set the digital weights to what is read back from the tiles."""
        found = [to_torch(tile.read_weights(), self.weight) for tile in self.tiles]
        with torch.no_grad():
            stacked = torch.cat(found)
            if self.bias is not None and self.bias_input is not None:
                self.bias.copy_(stacked[:, -1] * self.bias_input)
                stacked = stacked[:, :-1]
            self.weight.copy_(stacked.reshape(self.weight.shape))
        self._written = [matrix.copy() for matrix in self.matrices()]

    def calibrate(self, rows: list[F32]) -> None:
        """Fix the tiles' converter ranges on their inputs (B, n_in without bias), one array per tile."""
        for tile, x in zip(self.tiles, rows, strict=True):
            tile.calibrate(self.with_bias_line(x))

    def with_bias_line(self, x: F32) -> F32:
        """Append the input of the bias line, if there is one: (B, n) -> (B, n + 1)."""
        if self.bias_input is None:
            return x
        return np.concatenate([x, np.full((len(x), 1), self.bias_input, np.float32)], axis=1)

    def matrices(self) -> list[F32]:
        """Digital weights of every tile (n_out, n_in), with the column of a bias line if there is one."""
        return [to_numpy(matrix) for matrix in self._matrices()]

    def _groups(self) -> int:
        return len(self.tiles)

    def _matrices(self) -> list[Tensor]:
        """Weights of every tile (n_out, n_in), differentiable."""
        flat = self.weight.flatten(1)
        if self.bias is not None and self.bias_input is not None:
            flat = torch.cat([flat, self.bias[:, None] / self.bias_input], dim=1)
        return list(flat.chunk(self._groups()))

    def _run(self, x: Tensor, tile: WeightTile, matrix: Tensor | None) -> Tensor:
        if self.bias_input is not None:
            x = torch.cat([x, x.new_full((x.shape[0], 1), self.bias_input)], dim=1)
        if matrix is None:
            return _product(x, tile)
        result: Tensor = _TileProduct.apply(x, matrix, tile, self.backward_pass)
        return result

    def _on_tiles(self, x: Tensor) -> Tensor:
        """Products of all groups: (rows, n_out of the layer), the bias added."""
        self.read = True
        if "torch._dynamo" in sys.modules:  # else nothing can be compiling, and importing it takes a second
            result: Tensor = _uncompiled()(self, x)
            return result
        return self._products(x)

    def _products(self, x: Tensor) -> Tensor:
        matrices: list[Tensor | None] = [None] * self._groups()
        if torch.is_grad_enabled():
            matrices = [*self._matrices()]
        parts = [self._run(x, tile, w) for x, tile, w in zip(self.rows(x), self.tiles, matrices, strict=True)]
        y = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        if self.bias is None or self.bias_input is not None:
            return y
        bias = self.bias.to(y.dtype)
        return y.add_(bias) if not torch.is_grad_enabled() else y + bias

    def get_extra_state(self) -> Tensor:
        """What the tiles hold, for `state_dict`."""
        return chip_state.packed(
            chip_state.ChipState(
                hardware=[chip_state.hardware(tile) for tile in self.tiles],
                tiles=[tile.state() for tile in self.tiles],
                written=self._written,
                bias_input=self.bias_input,
                weights=chip_state.weights_digest(self.weight, self.bias),
            )
        )

    def set_extra_state(self, state: object) -> None:
        """Put back what the tiles held. Torch calls it after the digital weights were loaded.

        Raises:
            UserError: the state is another chip's, or damaged.
        """
        saved = chip_state.unpacked(state, type(self).__name__)
        if saved is None:
            self.write()
            return
        chip_state.refuse_other_chip(saved, self.tiles, self.bias_input, type(self).__name__)
        if saved.weights != chip_state.weights_digest(self.weight, self.bias):
            warnings.warn(
                "state_dict: the weights are not those that it was saved with; they are programmed anew, and what the cells held "
                "is dropped",
                stacklevel=2,
            )
            self.write()
            return
        for tile, held in zip(self.tiles, saved.tiles, strict=True):
            tile.restore(held)
        self._written = saved.written

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """As torch's; weights without a state of tiles, as of a plain module, are programmed. Raises UserError for weights not finite."""
        for name in ("weight", "bias"):
            value = state_dict.get(prefix + name)
            if isinstance(value, Tensor) and not torch.isfinite(value).all():
                bad = int((~torch.isfinite(value)).sum())
                raise UserError(f"state_dict: {prefix}{name}: {bad} of {value.numel()} values are not finite")
        wrong = len(error_msgs)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        extra = prefix + EXTRA_STATE
        if extra in state_dict or len(error_msgs) > wrong:
            return
        if extra in missing_keys:
            missing_keys.remove(extra)
        if any(prefix + name in state_dict for name in ("weight", "bias")):
            self.write()


_UNCOMPILED: list[Any] = []
"""`AnalogLayer._products` as torch.compile leaves it alone, once that was needed."""


def _uncompiled() -> Any:
    """Products of a layer that torch.compile must not trace: they run in numpy and numba."""
    if not _UNCOMPILED:
        _UNCOMPILED.append(torch.compiler.disable(lambda layer, x: layer._products(x)))
    return _UNCOMPILED[0]


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


def warn_of_unread_tiles(module: nn.Module, inputs: object, outputs: object) -> None:
    """Hook of a converted module that was not compared with the original: after its first run, warn of tiles it left out."""
    layers = analog_layers(module)
    if not any(layer.analog for layer in layers.values()):
        return  # the run was a digital one
    for key, hook in list(module._forward_hooks.items()):
        if hook is warn_of_unread_tiles:
            del module._forward_hooks[key]
    if unread := [name for name, layer in layers.items() if not layer.read]:
        warnings.warn(
            f"model: the first run did not read the tiles of {', '.join(unread)}: layers that it did not call, or reached by a reference "
            f"outside the module tree, or whose weights are used by hand; convert with sample=... to know which",
            stacklevel=2,
        )


def check_before_loading(module: nn.Module, state: Mapping[str, Any], prefix: str, *rest: object) -> None:
    """Hook of a converted module: refuse a state of another chip before anything of it was loaded. Raises UserError."""
    for name, layer in analog_layers(module).items():
        where = f"{name}.{EXTRA_STATE}" if name else EXTRA_STATE
        if prefix + where in state and (saved := chip_state.unpacked(state[prefix + where], where)) is not None:
            chip_state.refuse_other_chip(saved, layer.tiles, layer.bias_input, where)
