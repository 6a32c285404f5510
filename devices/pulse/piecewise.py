"""Pulse law: mean and spread of the step as straight lines between given nodes. Never extrapolates: nodes span the window."""

from math import lcm
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from analog_sim.config import at_key
from devices.pulse.law import SizedPulse
from devices.window import F64

Nodes = tuple[Annotated[float, Field(ge=0, le=1e3)], ...]


class Piecewise(SizedPulse):
    """Piecewise linear step: ``mean = +-s_dir shape(u)``, shape and spread interpolated between nodes at equal distances in u.

    The tables are exact. A list of one number is a constant.

    Attributes:
        up, down: (n >= 1) mean step relative to s_dir, from u = 0 to u = 1.
        up_std, down_std: (n >= 1) cycle-to-cycle standard deviation relative to s.

    Source: none; a shape read off a measured curve.
    """

    kind: Literal["piecewise"] = "piecewise"
    up: Nodes
    down: Nodes
    up_std: Nodes = (0.0,)
    down_std: Nodes = (0.0,)

    @model_validator(mode="after")
    def _some_nodes(self) -> Self:
        for name, nodes in self._lists().items():
            if not nodes:
                raise at_key(name, "must be a list of at least one number")
        if self.nodes > 65537:
            counts = ", ".join(f"{name}: {len(nodes)}" for name, nodes in self._lists().items())
            raise at_key("up", f"numbers of nodes have no common grid below 65537 nodes (got {counts})")
        return self

    def shape(self, u: F64, up: bool) -> F64:
        """Mean step relative to s_dir."""
        return _interpolate(u, self.up if up else self.down)

    def spread(self, u: F64, up: bool) -> F64:
        """Standard deviation relative to s."""
        return _interpolate(u, self.up_std if up else self.down_std)

    @property
    def nodes(self) -> int:
        """The coarsest grid that holds the nodes of all four lists: exact."""
        return 1 + lcm(*(max(1, len(nodes) - 1) for nodes in self._lists().values()))

    def _lists(self) -> dict[str, Nodes]:
        return {"up": self.up, "down": self.down, "up_std": self.up_std, "down_std": self.down_std}


def _interpolate(u: F64, nodes: Nodes) -> F64:
    return np.interp(u, np.linspace(0.0, 1.0, len(nodes)) if len(nodes) > 1 else np.zeros(1), np.array(nodes))
