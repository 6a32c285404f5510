"""Squared error: of numbers to be predicted, or against the one-hot target of a class."""

from typing import ClassVar, Literal

import numpy as np

from learning.losses.base import F32, F64, Loss, Target


class MeanSquare(Loss):
    """``l = sum_c (o_c - t_c)**2 / 2``, t the numeric targets, or 1 at the label's place and 0 elsewhere."""

    numbers: ClassVar[bool] = True

    kind: Literal["mse"] = "mse"

    def per_sample(self, output: F32, target: Target) -> F64:
        """(B,)."""
        error = _error(output.astype(np.float64), target)
        result: F64 = 0.5 * (error * error).sum(axis=1)
        return result

    def gradient(self, output: F32, target: Target) -> F32:
        """``(o - t) / B``."""
        error: F32 = _error(output.copy(), target)
        return error * np.float32(1.0 / len(error))


def _error(output: Target, target: Target) -> Target:
    """``o - t`` (B, n), in the place of the output."""
    if target.ndim == 2:
        output -= target
    else:
        output[np.arange(len(output)), target] -= 1.0
    return output
