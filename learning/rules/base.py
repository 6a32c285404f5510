"""What a learning rule is: it presents a batch to the network and proposes a gradient for every weight matrix. It never writes one.

A rule is frozen configuration; what it must remember (fixed feedback weights, accumulators, its random stream) is its `Memory`.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.config import Part
from analog_sim.random.streams import Streams
from analog_sim.writing.proposal import OuterProduct, Proposal
from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.losses.base import Loss
from learning.network.network import Network, Trace

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Gradient:
    """Proposed gradient of one layer: of the tile's weights, and of the bias (n_out,) when it is digital."""

    weights: Proposal
    bias: F32 | None


@dataclass(frozen=True)
class Proposed:
    """What a rule made of a batch.

    Attributes:
        loss: mean loss of the unperturbed pass. trace: that pass. layers: a gradient per layer, None when nothing is to be written yet.
    """

    loss: float
    trace: Trace
    layers: tuple[Gradient, ...] | None


class Rule(Part):
    """Base of the rules.

    Attributes:
        alignment: least cosine between the true gradient and the rule's mean proposal on an ideal tile, as the paper claims it
            for small perturbations and weak coupling between layers; None where no such claim is made.
    """

    alignment: ClassVar[float | None] = None

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What the hardware must be able to do."""

    @property
    def rounds(self) -> int:
        """Proposals made from every batch."""
        return 1

    def init(self, network: Network, streams: Streams) -> Memory:
        """Memory at the start of a run; random numbers from the stream "perturbation"."""
        return Memory(streams.stream("perturbation"))

    @abstractmethod
    def propose(self, network: Network, loss: Loss, x: F32, target: I64, memory: Memory) -> Proposed:
        """Present a batch x (B, ...), target (B,), and propose gradients of the mean loss."""


class PerturbationRule(Rule):
    """Base of the rules that learn from the change of the loss under a random perturbation.

    Attributes:
        sigma: standard deviation of the perturbation, in units of what is perturbed.
        perturbations: independent perturbations per input, averaged: more reads, less variance.
    """

    sigma: Annotated[float, Field(gt=0.0, le=1e6)] = 1e-3
    perturbations: Annotated[int, Field(ge=1, le=10**6)] = 1


class NoiseRule(PerturbationRule):
    """Base of the rules that perturb pre-activations.

    Attributes:
        two_sided: compare +xi with -xi (half the difference) instead of +xi with no perturbation: twice the signal over read
            noise and no second-order error, for one more pass.
        reread_first: read the first layer's weights again in the perturbed pass; otherwise its pre-activations, which the noise does not
            reach, are taken from the clean pass.
    """

    two_sided: bool = False
    reread_first: bool = False

    @property
    def needs(self) -> Needs:
        """A second pass with injected noise."""
        return Needs(writable=True, second_pass=True, noise_injection=True)

    def perturbed(self, network: Network, clean: Trace, noise: list[F32]) -> Trace:
        """Pass the clean pass's input again with noise (rows, n_out) on every layer's pre-activations."""
        if self.reread_first:
            return network.repeat(clean, noise=noise)
        return network.resume(clean, 0, clean.layers[0].a + noise[0], noise=noise)

    def noise(self, clean: Trace, memory: Memory) -> list[F32]:
        """Normal noise of standard deviation sigma for every layer."""
        return [memory.stream.normals(layer.a.shape) * np.float32(self.sigma) for layer in clean.layers]


def from_errors(network: Network, trace: Trace, errors: list[F32]) -> tuple[Gradient, ...]:
    """Gradients ``sum_b d_b x_b^T`` and ``sum_b d_b`` from d (rows, n_out) of every layer."""
    return tuple(
        Gradient(OuterProduct(passed.x, d), None if layer.bias is None else d.sum(axis=0))
        for layer, passed, d in zip(network.layers, trace.layers, errors, strict=True)
    )


def per_row(values: F64, rows: F32) -> F32:
    """One float32 value per sample (B,) as a factor (rows, 1) for all rows of that sample."""
    return np.repeat(values.astype(np.float32), len(rows) // len(values))[:, None]
