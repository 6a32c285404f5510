"""The weights of a network that has been trained, on a chip or digitally, as plain arrays. It never sees a file, a tile or a device.

Arrays are named as in a torch state_dict: `fc1.weight`, `fc1.bias`, `norm1.running_mean`. Where a decorrelating matrix stands in front of
a layer there are also `fc1.matrix` (R), `fc1.gain` (g) and `fc1.mean`, for ``a = W diag(g) R (x - mean) + b``; `fc1.mean` alone where
inputs are only centred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from learning.network.forms.layers import LayerList
from learning.network.layers.base import Shape, WeightedLayer
from learning.network.placed import PlacedLayer, placed_layers
from learning.network.spec import NetworkSpec

F32 = npt.NDArray[np.float32]
MATRIX, GAIN, MEAN = "matrix", "gain", "mean"
"""Arrays of a layer that torch does not have."""
_NO_ARITHMETIC = ("dropout", "identity")


@dataclass(frozen=True)
class LearnedNetwork:
    """A trained network.

    Attributes:
        spec: its layers. shape: of a sample. outputs: names of the classes or targets.
        arrays: see the head of this file. on_chip: layers whose decorrelating matrix was on the chip.
        where: what messages call it, such as its file. dataset: section `dataset` that it was trained on, for the record.
    """

    spec: NetworkSpec
    shape: Shape
    outputs: tuple[str, ...]
    arrays: Mapping[str, npt.NDArray[Any]]
    on_chip: tuple[str, ...] = ()
    where: str = "weights"
    dataset: Mapping[str, Any] = field(default_factory=dict)

    def placed(self) -> tuple[PlacedLayer, ...]:
        """Its layers with their names and shapes."""
        return placed_layers(self.spec, self.shape, len(self.outputs))

    def weights(self, name: str) -> F32:
        """Weights (n_out, n_in) of a layer, as a crossbar multiplies them."""
        found = self.arrays[f"{name}.weight"]
        return np.ascontiguousarray(found.reshape(len(found), -1), np.float32)

    def get(self, name: str, what: str) -> F32 | None:
        """Another array of a layer, None where it has none."""
        found = self.arrays.get(f"{name}.{what}")
        return None if found is None else np.asarray(found, np.float32)

    def decorrelated(self, name: str) -> bool:
        """Whether a decorrelating matrix, or a mean alone, stands in front of a layer."""
        return f"{name}.{MEAN}" in self.arrays

    def folded(self, name: str, *, keep_mean: bool = False) -> LearnedNetwork:
        """The same network with a layer's decorrelating matrix multiplied into its weights, its mean into its bias unless it is kept.

        ``W' = W diag(g) R,  b' = b - W' mean``; the outputs stay the same to rounding.
        """
        mean = self.get(name, MEAN)
        if mean is None:
            return self
        w = self.weights(name).astype(np.float64)
        matrix, gain = self.get(name, MATRIX), self.get(name, GAIN)
        if matrix is not None and gain is not None:
            w = w @ (gain[:, None].astype(np.float64) * matrix)
        arrays = {key: value for key, value in self.arrays.items() if key not in _extras(name)}
        arrays[f"{name}.weight"] = w.astype(np.float32).reshape(self.arrays[f"{name}.weight"].shape)
        if keep_mean:
            arrays[f"{name}.{MEAN}"] = mean
        else:
            bias = self.get(name, "bias")
            arrays[f"{name}.bias"] = ((0.0 if bias is None else bias) - w @ mean.astype(np.float64)).astype(np.float32)
        return replace(self, arrays=arrays, on_chip=tuple(other for other in self.on_chip if other != name))

    def centred(self, name: str, mean: F32) -> LearnedNetwork:
        """The same network with ``mean`` (n_in,) subtracted in front of a layer and given back by its bias, ``b' = b + W mean``."""
        bias = self.get(name, "bias")
        shift = (0.0 if bias is None else bias) + self.weights(name).astype(np.float64) @ mean.astype(np.float64)
        extra = {f"{name}.bias": shift.astype(np.float32), f"{name}.{MEAN}": mean}
        return replace(self, arrays={**self.arrays, **extra})

    def fitted(self, spec: NetworkSpec | None, shape: Shape, outputs: tuple[str, ...]) -> LearnedNetwork:
        """The same network under the names of `spec` (None: its own), for data of `shape` with these outputs.

        Raises:
            UserError: it was trained on other samples or outputs; `spec` is another network.
        """
        if (self.shape, len(self.outputs)) != (tuple(shape), len(outputs)):
            raise UserError(
                f"{self.where}: its network is for samples of shape {self.shape} and {len(self.outputs)} outputs, the data have "
                f"{tuple(shape)} and {len(outputs)}"
            )
        if self.outputs != tuple(outputs):
            k = next(k for k, pair in enumerate(zip(self.outputs, outputs, strict=True)) if pair[0] != pair[1])
            raise UserError(
                f"{self.where}: was trained on other classes: output {k} is '{self.outputs[k]}', here '{outputs[k]}'"
            )
        if spec is None:
            return self
        mine, wanted = (_computing(layers) for layers in (self.placed(), placed_layers(spec, shape, len(outputs))))
        for own, here in zip(mine, wanted, strict=False):
            if (said := _said(own)) != (asked := _said(here)):
                raise UserError(
                    f"{self.where}: is of another network: its layer '{own.name}' is {said}, here '{here.name}' is {asked}"
                )
        if len(mine) != len(wanted):
            raise UserError(
                f"{self.where}: is of another network: it has {len(mine)} layers, network has {len(wanted)}"
            )
        names = {own.name: here.name for own, here in zip(mine, wanted, strict=True)}
        arrays = {f"{names[layer]}.{what}": value for (layer, what), value in _parts(self.arrays)}
        found = replace(self, spec=spec, arrays=arrays, on_chip=tuple(names[name] for name in self.on_chip))
        return found._placing_biases()

    def _placing_biases(self) -> LearnedNetwork:
        """Without the biases that the network has no place for. Raises UserError when one of them is not 0."""
        arrays = dict(self.arrays)
        for layer in self.placed():
            if not isinstance(layer.layer, WeightedLayer) or layer.bias:
                continue
            bias = arrays.pop(f"{layer.name}.bias", None)
            if bias is not None and bias.any():
                raise UserError(
                    f"{self.where}: its layer '{layer.name}' has biases, network.bias: none has no place for them"
                )
        return replace(self, arrays=arrays)

    def problem(self) -> str:
        """What is wrong with the arrays for the layers of `spec`; empty when all are there and finite."""
        for layer in self.placed():
            if isinstance(layer.layer, WeightedLayer):
                n_out, n_in = layer.layer.matrix(layer.before)
                w = self.arrays.get(f"{layer.name}.weight")
                if w is None:
                    return f"has no weights of layer '{layer.name}'"
                shapes = {"bias": (n_out,), MATRIX: (n_in, n_in), GAIN: (n_in,), MEAN: (n_in,)}
                if w.ndim < 2 or (len(w), w[0].size) != (n_out, n_in):
                    return f"weights of layer '{layer.name}' have shape {w.shape}, it needs {n_out} x {n_in}"
                for what, shape in shapes.items():
                    found = self.arrays.get(f"{layer.name}.{what}")
                    if found is not None and found.shape != shape:
                        return f"{layer.name}.{what} has shape {found.shape}, it needs {shape}"
        for key, value in self.arrays.items():
            if value.dtype.kind not in "fi" or not np.isfinite(value).all():
                return f"{key} is not all finite numbers"
        return ""

    def as_list(self) -> LearnedNetwork:
        """The same network in the form of a list of named layers, which needs no data to be read again."""
        layers = tuple(place.layer.model_copy(update={"name": place.name}) for place in self.placed())
        common = {key: getattr(self.spec, key) for key in NetworkSpec.model_fields if key != "kind"}
        return replace(self, spec=LayerList(layers=layers, **common))


def _extras(name: str) -> tuple[str, ...]:
    return tuple(f"{name}.{what}" for what in (MATRIX, GAIN, MEAN))


def _parts(arrays: Mapping[str, npt.NDArray[Any]]) -> list[tuple[tuple[str, str], npt.NDArray[Any]]]:
    """((layer, what), array) of every array."""
    return [((key.rpartition(".")[0], key.rpartition(".")[2]), value) for key, value in arrays.items()]


def _computing(layers: tuple[PlacedLayer, ...]) -> list[PlacedLayer]:
    """The layers that change a value where the network is used."""
    return [layer for layer in layers if layer.layer.kind not in _NO_ARITHMETIC]


def _said(place: PlacedLayer) -> str:
    """What a layer is, in words: the same words mean the same arithmetic."""
    options = place.layer.model_dump(mode="json", exclude={"name", "kind"})
    inside = ", ".join(f"{key} {value}" for key, value in options.items())
    return f"{place.layer.kind}{f' ({inside})' if inside else ''}"
