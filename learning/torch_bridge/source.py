"""Where a network comes from, as a value that another process can make it from again: configuration, or the user's file.

It never holds a module: a class from a user's file cannot be sent to a worker, its path can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from learning.network.twin_spec import ConvNetwork, LenetNetwork, MlpNetwork
from learning.torch_bridge.convert import Plan, prepare
from learning.torch_bridge.load_model import load_factory
from learning.torch_bridge.twin import build_network

F32 = npt.NDArray[np.float32]
Weights = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class TwinSource:
    """A network from configuration, for images (C, H, W)."""

    spec: MlpNetwork | LenetNetwork | ConvNetwork
    image: tuple[int, int, int]
    classes: int

    def make(self) -> nn.Module:
        """The untrained network."""
        return build_network(self.spec, self.image, self.classes)

    def identity(self) -> object:
        """What tells it from others, JSON-able."""
        return [self.spec.model_dump(mode="json"), list(self.image), self.classes]


@dataclass(frozen=True)
class FileSource:
    """A network from a user's Python file."""

    file: Path
    factory: str

    def make(self) -> nn.Module:
        """What the factory makes."""
        return load_factory(f"{self.file}:{self.factory}")

    def identity(self) -> object:
        """What tells it from others, JSON-able; files that it imports are not looked at."""
        return [hashlib.sha256(self.file.read_bytes()).hexdigest(), self.factory]


Source = TwinSource | FileSource


def weights_of(module: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """All parameters and buffers as arrays."""
    return {name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}


def planned(source: Source, weights: Weights | None, sample: F32, digital: tuple[str, ...]) -> Plan:
    """Make the network, give it its weights (None: as the source makes it) and check it on sample inputs (N, ...).

    Raises:
        UserError: as `learning.torch_bridge.convert.prepare`.
    """
    module = source.make()
    if weights is not None:
        module.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    return prepare(module, torch.tensor(sample), digital=digital)
