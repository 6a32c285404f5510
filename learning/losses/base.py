"""What a loss is. It never sees a weight."""

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from analog_sim.config import Part

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class Loss(Part, ABC):
    """``L = mean_b l(output_b, target_b)``."""

    @abstractmethod
    def per_sample(self, output: F32, target: I64) -> F64:
        """l of every sample, (B,) float64: perturbation rules take small differences of it.

        output: (B, classes). target: (B,) labels.
        """

    @abstractmethod
    def gradient(self, output: F32, target: I64) -> F32:
        """``dL/d output`` (B, classes), the 1/B of the mean inside."""
