"""Softmax cross entropy, for classes."""

from typing import Literal

import numpy as np

from analog_sim.threads import rows_of
from learning.losses import kernels
from learning.losses.base import F32, F64, Loss, Target

WORTH_A_THREAD = 2**10
"""Scores."""


class CrossEntropy(Loss):
    """``l = log sum_c exp(o_c) - o_target``: softmax cross entropy of the logits o."""

    kind: Literal["cross_entropy"] = "cross_entropy"

    def per_sample(self, output: F32, target: Target) -> F64:
        """(B,) in nats."""
        loss = np.empty(len(output), np.float64)
        kernels.cross_entropy(*rows_of(output, WORTH_A_THREAD), output, target, loss)
        return loss

    def gradient(self, output: F32, target: Target) -> F32:
        """``(softmax(o) - onehot) / B``."""
        gradient = np.empty(output.shape, np.float32)
        kernels.cross_entropy_gradient(output, target, gradient)
        return gradient
