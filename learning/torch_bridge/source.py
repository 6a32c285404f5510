"""Where a network comes from, as a value that another process can make it from again: configuration, the user's file, an object.

A network from a file is never sent to a worker, its path is; only one that was given as an object travels itself.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from analog_sim.config import UserError
from learning.common.identity import digest
from learning.network.layers.base import Shape
from learning.network.learned import LearnedNetwork
from learning.network.spec import NetworkSpec
from learning.torch_bridge.digital.torch_network import torch_learned, torch_network
from learning.torch_bridge.plain import float_copy, unwrapped_float
from learning.torch_bridge.plan import Decided, Plan
from learning.torch_bridge.prepare import prepare, prepare_again
from learning.torch_bridge.user_models.load_model import load_factory
from learning.torch_bridge.user_models.model_code import model_code

F32 = npt.NDArray[np.float32]
Weights = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ConfiguredSource:
    """A network from configuration, for samples of `shape`; seed: of its first weights where the configuration says how to draw them."""

    spec: NetworkSpec
    shape: Shape
    outputs: int
    seed: int = 0

    def make(self) -> nn.Module:
        """The untrained network."""
        return torch_network(self.spec, self.shape, self.outputs, self.seed)

    def identity(self) -> object:
        """What tells it from others, JSON-able."""
        return [self.spec.model_dump(mode="json"), list(self.shape), self.outputs]


@dataclass(frozen=True)
class LearnedSource:
    """A network that was trained before, on a chip or digitally, with its weights."""

    learned: LearnedNetwork

    def make(self) -> nn.Module:
        """The network with what it has learned."""
        return torch_learned(self.learned)

    def identity(self) -> object:
        """What tells it from others, JSON-able."""
        learned = self.learned
        return [learned.spec.model_dump(mode="json"), list(learned.shape), list(learned.outputs), list(learned.on_chip)]


@dataclass(frozen=True)
class FileSource:
    """A network from a user's Python file."""

    file: Path
    factory: str

    def make(self) -> nn.Module:
        """What the factory makes, without wrappers such as torch.compile, its weights on the CPU in float32."""
        return unwrapped_float(load_factory(f"{self.file}:{self.factory}"))

    def identity(self) -> object:
        """What tells it from others, JSON-able: digests of the file and of all code that it imports, and the factory's name."""
        return [self.code(), self.factory]

    def code(self) -> dict[str, str]:
        """SHA-256 of the model file and of every file of the user's that it imports, by name."""
        return model_code(self.file)


@dataclass(frozen=True)
class GivenSource:
    """A module that was given as an object, from Python; its class travels to workers by value where they cannot import it.

    Attributes:
        module: with its weights. made_of: what tells it from others, found once: a worker may not have the sources any more.
    """

    module: nn.Module
    made_of: Mapping[str, str]

    @classmethod
    def of(cls, module: object) -> GivenSource:
        """The source of a module. Raises UserError for anything else, and for a module that cannot be copied."""
        if not isinstance(module, nn.Module):
            raise UserError(f"model: must be a torch module (got {type(module).__name__})")
        own = float_copy(module)
        classes = {type(child) for child in own.modules() if not type(child).__module__.startswith("torch.")}
        code = {kind.__qualname__: digest(_code(kind)) for kind in sorted(classes, key=lambda kind: kind.__qualname__)}
        return cls(own, {"layers": repr(own), "weights": digest(weights_of(own)), **code})

    @property
    def name(self) -> str:
        """What a run's configuration says of it: its class, and the digest of all that tells it from others."""
        return f"{type(self.module).__name__} {digest(self.made_of)[:12]}"

    def make(self) -> nn.Module:
        """A copy with its weights."""
        return copy.deepcopy(self.module)

    def identity(self) -> object:
        """What tells it from others: layers, weights, and the code of its own classes."""
        return dict(self.made_of)


def _code(kind: type) -> list[str]:
    """Source of a class, or where there is none (an old notebook) its compiled methods."""
    try:
        return [inspect.getsource(kind)]
    except (OSError, TypeError):
        methods = {name: value.__code__ for name, value in vars(kind).items() if inspect.isfunction(value)}
        return [f"{name} {code.co_code.hex()} {code.co_consts!r}" for name, code in sorted(methods.items())]


Source = ConfiguredSource | LearnedSource | FileSource | GivenSource


def weights_of(module: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """All parameters and buffers as arrays."""
    state = module.state_dict()
    return {
        name: value.detach().cpu().numpy().copy() for name, value in state.items() if isinstance(value, torch.Tensor)
    }


def load_weights(module: nn.Module, weights: Weights) -> None:
    """Put back what `weights_of` returned of the same network. Raises UserError when they do not fit."""
    try:
        module.load_state_dict({name: torch.tensor(value) for name, value in weights.items()}, strict=False)
    except RuntimeError as error:
        raise UserError(f"model: its weights do not fit: {str(error).splitlines()[-1].strip()}") from error
    if missing := [name for name in weights_of(module) if name not in weights]:
        raise UserError(f"model: is not the network whose weights these are: they lack {missing[0]}")


def planned(
    source: Source,
    weights: Weights | None,
    sample: F32,
    digital: tuple[str, ...],
    *,
    batch: int | None = None,
    whole: bool = False,
) -> Plan:
    """Make the network, give it its weights (None: as the source makes it) and check it on sample inputs (N, ...).

    Args:
        digital, batch, whole: as in `learning.torch_bridge.prepare.prepare`.

    Raises:
        UserError: as `prepare`.
    """
    module = source.make()
    if weights is not None:
        load_weights(module, weights)
    return prepare(module, torch.tensor(sample), digital=digital, batch=batch, whole=whole)


def planned_again(source: Source, weights: Weights, decided: Decided) -> Plan:
    """The plan that was made before of the same network, without running it."""
    module = source.make()
    load_weights(module, weights)
    return prepare_again(module, decided)
