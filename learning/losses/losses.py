"""Losses, per sample and with their gradient with respect to the network's output. They never see a weight."""

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import numpy.typing as npt

from learning.losses import kernels

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class Loss(ABC):
    """``L = mean_b l(output_b, target_b)``."""

    @abstractmethod
    def per_sample(self, output: F32, target: I64) -> F64:
        """l of every sample, (B,) float64: perturbation rules take small differences of it.

        output: (B, classes). target: (B,) labels.
        """

    @abstractmethod
    def gradient(self, output: F32, target: I64) -> F32:
        """``dL/d output`` (B, classes), the 1/B of the mean inside."""


class CrossEntropy(Loss):
    """``l = log sum_c exp(o_c) - o_target``: softmax cross entropy of the logits o."""

    def per_sample(self, output: F32, target: I64) -> F64:
        """(B,) in nats."""
        loss = np.empty(len(output), np.float64)
        kernels.cross_entropy(output, target, loss)
        return loss

    def gradient(self, output: F32, target: I64) -> F32:
        """``(softmax(o) - onehot) / B``."""
        gradient = np.empty(output.shape, np.float32)
        kernels.cross_entropy_gradient(output, target, gradient)
        return gradient


class MeanSquare(Loss):
    """``l = sum_c (o_c - onehot_c)**2 / 2``."""

    def per_sample(self, output: F32, target: I64) -> F64:
        """(B,)."""
        error = output.astype(np.float64)
        error[np.arange(len(error)), target] -= 1.0
        result: F64 = 0.5 * (error * error).sum(axis=1)
        return result

    def gradient(self, output: F32, target: I64) -> F32:
        """``(o - onehot) / B``."""
        error = output.copy()
        error[np.arange(len(error)), target] -= 1.0
        return error * np.float32(1.0 / len(error))


LossName = Literal["cross_entropy", "mse"]


def make_loss(name: LossName) -> Loss:
    """Loss by its name in the YAML."""
    return CrossEntropy() if name == "cross_entropy" else MeanSquare()
