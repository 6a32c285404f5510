"""Squared error against the one-hot target."""

from typing import Literal

import numpy as np

from learning.losses.base import F32, F64, I64, Loss


class MeanSquare(Loss):
    """``l = sum_c (o_c - onehot_c)**2 / 2``."""

    kind: Literal["mse"] = "mse"

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
