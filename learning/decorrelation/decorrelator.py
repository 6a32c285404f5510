"""One layer's decorrelation at work: running mean, matrix, method, on the part of the batch it learns from. It never sees a loss."""

import math
from typing import Annotated, Literal, Self, TypedDict

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from analog_sim.config import Q, StrictModel, at_key, one_of
from analog_sim.random.streams import Stream
from analog_sim.saved_state import put
from learning.common.memory import Memory, MemoryState
from learning.common.needs import check_tile
from learning.common.schedule import Schedule, rate_factor
from learning.common.weight_tile import TileMaker, WeightTile, digital_tile
from learning.decorrelation.base import Matrix, MatrixState, Method, Passed
from learning.decorrelation.identity import IdentityTile
from learning.decorrelation.kernels import all_rows, centre_rows

F32 = npt.NDArray[np.float32]

DIGITAL_REFOLD = 16.0
"""A digital matrix is rewritten for free, so its gains are folded into it long before float32 would feel it."""


class DecorrelationSpec(StrictModel):
    """Section `decorrelation` of a training experiment.

    Method `centre` has no matrix, and no use for where, identity, full_scale, every, refold and schedule.

    Attributes:
        method: how the decorrelating matrix R learns.
        where: matrices on crossbars of the network's card ("chip") or in the digital periphery ("digital").
        identity: "stored": cells hold R, which starts at the identity; "bypass": the identity is added digitally and cells hold R - I,
            so that a pulse is a smaller step of R.
        full_scale: entry of what the cells hold at the edge of their window, where the tile's `mapping.weight_max` is "absmax";
            None for 1.25 (stored) or 0.25 (bypass).
        layers: "all", or the numbers of the weighted layers that get one (0 is the first).
        every: batches between two updates of R.
        samples: rows (samples, or patches of convolutions) drawn at random from each batch to learn from; None takes all.
        mean_memory: memory of the running mean of z per batch (the first batches count equally); the mean is always subtracted.
        refold: a gain that leaves [1/refold, refold] is written into R; None: never on a chip.
        schedule: how the method's `rate` goes to ``final_rate * rate`` over the run. On coarse cells every step scatters R, and weights
            whose own rate has fallen no longer follow it.
        final_rate: the rate at the end of the run as a share of the rate at the start, where `schedule` makes it fall.
    """

    method: Annotated[Method, one_of("learning.decorrelation", Method)]
    where: Literal["chip", "digital"] = "chip"
    identity: Literal["stored", "bypass"] = "stored"
    full_scale: Annotated[float, Field(gt=0.0, le=1e6)] | None = None
    layers: Literal["all"] | tuple[Annotated[int, Field(ge=0, le=10**9)], ...] = "all"
    every: Annotated[int, Field(ge=1, le=10**9)] = 1
    samples: Annotated[int, Field(ge=1, le=10**9)] | None = None
    mean_memory: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    refold: Annotated[float, Field(gt=1.0, le=1e6)] | None = None
    schedule: Schedule = "constant"
    final_rate: Annotated[float, Q("fraction", "", ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _has_a_rate(self) -> Self:
        rated = "rate" in type(self.method).model_fields
        if self.schedule != "constant" and not rated and not self.method.stands_still:
            raise at_key(
                "schedule",
                f"method {self.method.kind} has no rate that could fall; allowed: constant (got {self.schedule})",
            )
        return self

    @property
    def window(self) -> float:
        """Entry of what the cells hold at the edge of their window."""
        return self.full_scale if self.full_scale is not None else 1.25 if self.identity == "stored" else 0.25

    def start(self, n: int) -> F32:
        """What the cells hold at the start (n, n)."""
        return np.eye(n, dtype=np.float32) if self.identity == "stored" else np.zeros((n, n), np.float32)

    @property
    def bypass(self) -> bool:
        """Whether the identity is added digitally to what the tile returns."""
        return self.identity == "bypass" and not self.method.stands_still

    def make_tile(self, name: str, n: int, on_chip: TileMaker, learned: F32 | None = None) -> WeightTile:
        """The tile `name` of one layer's R (n, n), on the chip by `on_chip` or digital; learned: R to go on from, None the identity."""
        if self.method.stands_still:
            return IdentityTile(n)
        held = self.start(n)
        if learned is not None:
            held = learned - np.eye(n, dtype=np.float32) if self.bypass else learned
        return (on_chip if self.where == "chip" else digital_tile)(name, held, "decorrelation")

    def copy_tile(self, name: str, tile: WeightTile) -> WeightTile:
        """A digital tile that holds what `tile`, one of `make_tile`, truly holds."""
        return (
            IdentityTile(tile.shape[0])
            if self.method.stands_still
            else digital_tile(name, tile.read_weights(exact=True))
        )

    def covers(self, layer: int) -> bool:
        """Whether a weighted layer gets a decorrelating matrix."""
        return self.layers == "all" or layer in self.layers


class DecorrelatorState(TypedDict):
    """What a decorrelator keeps."""

    matrix: MatrixState
    mean: F32
    memory: MemoryState
    batches: int


class Decorrelator:
    """``y = g R (z - mean z)`` in front of one weighted layer.

    Args:
        spec: the configuration. tile: (n, n), made by `spec.make_tile`: it holds `spec.start` with whatever error that has.
        stream: draws the rows to learn from and the method's probes. where: the tile's name, for messages.

    Raises:
        UserError: the method needs what the tile cannot do.
    """

    def __init__(self, spec: DecorrelationSpec, tile: WeightTile, stream: Stream, where: str) -> None:
        check_tile(f"decorrelation {spec.method.kind}", spec.method.needs, where, tile.capabilities)
        self.spec = spec
        refold = spec.refold if spec.refold is not None or tile.on_chip else DIGITAL_REFOLD
        self.matrix = Matrix(tile, refold, bypass=spec.bypass, where=where)
        self.mean: F32 = np.zeros(tile.shape[0], np.float32)
        self.memory = Memory(stream)
        self._batches = 0

    @property
    def tile(self) -> WeightTile:
        """The tile of R."""
        return self.matrix.tile

    def forward(self, x: F32) -> Passed:
        """Rows (B, n) of the layer's input -> centred z, r = R z, y."""
        x = np.ascontiguousarray(x, np.float32)
        z = np.empty_like(x)
        centre_rows(*all_rows(x, len(self.mean)), x, self.mean, z)
        return self.matrix.forward(z)

    def backward(self, d: F32) -> F32:
        """``gamma R^T d`` (B, n): the way of a gradient back through the matrix."""
        return self.matrix.backward(d)

    def learn(self, passed: Passed, progress: float = 0.0) -> None:
        """Move the running mean, and R on every `every`-th batch; progress: share of the run's batches that are done, 0 to 1."""
        self._batches += 1
        part = passed
        if self.spec.samples is not None and self.spec.samples < len(passed.z):
            part = passed.rows(self.memory.stream.integers(0, len(passed.z), self.spec.samples))
        if self._batches > 1 and self._batches % self.spec.every == 0:  # the first batch is not centred yet
            factor = rate_factor(self.spec.schedule, self.spec.final_rate, progress)
            self.spec.method.learn(self.matrix, part, self.memory, factor)
            self.matrix.fold()
        # z is what is left of the batch mean after subtracting the running mean.
        keep = min(self.spec.mean_memory, (self._batches - 1) / self._batches)
        self.mean += np.float32(1.0 - keep) * part.z.mean(axis=0)

    def go_on_from(self, mean: F32 | None, gain: F32 | None) -> None:
        """Start with a mean (n,) that was learned or measured before, with its whole memory, and with learned gains (n,)."""
        if mean is not None:
            self.mean[:] = mean
            self._batches = math.ceil(1.0 / (1.0 - self.spec.mean_memory))
        if gain is not None:
            self.matrix.gain[:] = gain

    def state(self) -> DecorrelatorState:
        """What a checkpoint keeps."""
        return {
            "matrix": self.matrix.state(),
            "mean": self.mean.copy(),
            "memory": self.memory.state(),
            "batches": self._batches,
        }

    def restore(self, state: DecorrelatorState) -> None:
        """Put back what `state` returned."""
        self.matrix.restore(state["matrix"])
        put(self.mean, state["mean"], "decorrelator.mean")
        self.memory.restore(state["memory"])
        self._batches = int(state["batches"])
