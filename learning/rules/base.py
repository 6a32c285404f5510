"""What a learning rule is: it presents a batch to the network and proposes a gradient for every weight matrix. It never writes one.

A rule is frozen configuration; what it must remember (fixed feedback weights, accumulators, its random stream) is its `Memory`.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.config import Part
from analog_sim.random.streams import Streams
from analog_sim.writing.proposal import OuterProduct, Proposal
from learning.common.kernels import sum_rows
from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.losses.base import Loss, Target
from learning.network.network import Network, Trace

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

ROWS_AT_ONCE = 1024
"""Rows of one read that perturbed copies of a batch make up at most, if a copy has fewer: what they leave at a layer stays in the cache."""


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
    def propose(self, network: Network, loss: Loss, x: F32, target: Target, memory: Memory) -> Proposed:
        """Present a batch x (B, ...), target (B,) labels or (B, n) numbers, and propose gradients of the mean loss."""


class PerturbationRule(Rule):
    """Base of the rules that learn from the change of the loss under a random perturbation.

    Attributes:
        sigma: standard deviation of the perturbation, in units of what is perturbed.
        perturbations: independent perturbations per input, averaged: more reads, less variance.
    """

    sigma: Annotated[float, Field(gt=0.0, le=1e6)] = 1e-3
    perturbations: Annotated[int, Field(ge=1, le=10**6)] = 1


@dataclass(frozen=True)
class Probes:
    """What K perturbations of a batch of B samples did.

    Attributes:
        noise: (K, rows, n_out) of every layer.
        losses: (K, signs, B), of +noise and, two-sided, of -noise.
        after: pre-activations (K signs, rows, n_out) of every layer, likewise.
    """

    noise: list[F32]
    losses: F64
    after: list[F32]


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

    def probes(self, network: Network, loss: Loss, target: Target, clean: Trace, memory: Memory) -> Iterator[Probes]:
        """Perturb a clean pass, some perturbations at a time: copies of the batch go through a tile as rows of one read.

        A read has some `ROWS_AT_ONCE` rows.
        """
        signs = 2 if self.two_sided else 1
        rows = max(len(layer.a) for layer in clean.layers)
        together = max(1, ROWS_AT_ONCE // (signs * rows))
        for first in range(0, self.perturbations, together):
            noise = self._noise(clean, min(together, self.perturbations - first), memory)
            copies = noise if signs == 1 else [np.stack([xi, -xi], axis=1).reshape(-1, *xi.shape[1:]) for xi in noise]
            trace = self._perturbed(network, clean, copies)
            losses = loss.per_sample(trace.output, np.concatenate([target] * len(copies[0])))
            after = [one.a.reshape(-1, *own.a.shape) for one, own in zip(trace.layers, clean.layers, strict=True)]
            yield Probes(noise, losses.reshape(-1, signs, len(target)), after)

    def _perturbed(self, network: Network, clean: Trace, copies: list[F32]) -> Trace:
        """Pass the clean pass's input again, once for each copy, with its noise (copies, rows, n_out) on every layer's pre-activations."""
        noise = [xi.reshape(-1, xi.shape[2]) for xi in copies]
        before = clean.layers[0]
        if self.reread_first:
            driven = replace(before, x=np.tile(before.x, (len(copies[0]), 1)))
            return network.repeat(Trace((driven, *clean.layers[1:])), noise=noise)
        a = (before.a + copies[0]).reshape(-1, before.a.shape[1])
        return network.resume(clean, 0, a, noise=noise)

    def _noise(self, clean: Trace, number: int, memory: Memory) -> list[F32]:
        """Normal noise (number, rows, n_out) of standard deviation sigma for every layer, drawn perturbation after perturbation."""
        shapes = [layer.a.shape for layer in clean.layers]
        ends = list(accumulate(rows * n for rows, n in shapes))
        drawn = memory.stream.normals((number, ends[-1]))
        parts = zip([0, *ends], ends, shapes, strict=False)
        return [(drawn[:, first:end] * np.float32(self.sigma)).reshape(number, *shape) for first, end, shape in parts]


def from_errors(network: Network, trace: Trace, errors: list[F32]) -> tuple[Gradient, ...]:
    """Gradients ``sum_b d_b x_b^T`` and ``sum_b d_b`` from d (rows, n_out) of every layer."""
    return tuple(
        Gradient(OuterProduct(passed.x, d), None if layer.bias is None else _sum_of_rows(d))
        for layer, passed, d in zip(network.layers, trace.layers, errors, strict=True)
    )


def _sum_of_rows(d: F32) -> F32:
    """``sum_b d_b``, (n,)."""
    total = np.empty(d.shape[1], np.float32)
    sum_rows(np.ascontiguousarray(d), total)
    return total


def per_row(values: F64, rows: F32) -> F32:
    """One float32 value per sample (B,) as a factor (rows, 1) for all rows of that sample."""
    return np.repeat(values.astype(np.float32), len(rows) // len(values))[:, None]
