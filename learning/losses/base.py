"""What a loss is. It never sees a weight."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from analog_sim.config import Part

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Target = npt.NDArray[Any]
"""What a batch should have given: labels (B,) int64, or numbers (B, n) float32."""


class Loss(Part, ABC):
    """``L = mean_b l(output_b, target_b)``.

    Attributes:
        numbers: whether it takes numeric targets (regression) beside the labels of classes.
    """

    numbers: ClassVar[bool] = False

    @abstractmethod
    def per_sample(self, output: F32, target: Target) -> F64:
        """l of every sample, (B,) float64: perturbation rules take small differences of it.

        output: (B, n). target: (B,) labels in [0, n), or (B, n) numbers.
        """

    def mean(self, output: F32, target: Target) -> float:
        """L, as `per_sample` takes its arguments."""
        each = self.per_sample(output, target)
        return float(each.sum()) / len(each)  # half the time of NumPy's mean, and the same bits

    @abstractmethod
    def gradient(self, output: F32, target: Target) -> F32:
        """``dL/d output`` (B, n), the 1/B of the mean inside."""
