"""References: R computed from a running covariance every few batches and programmed as a whole. Nothing a chip would do by itself."""

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.decorrelation.base import Matrix, Method, Passed

F64 = npt.NDArray[np.float64]


class Reference(Method):
    """``S <- keep S + (1 - keep) <z z^T>``; every `interval` batches R is computed from S + ridge * mean variance * I.

    One scalar output gain restores the mean norm, as for `natural`, so that layers after it see the same scale.

    Attributes:
        interval: batches between two programmings. keep: memory of the running covariance per batch (the first batches count
            equally). ridge: regularisation relative to the mean variance.
    """

    needs: ClassVar[Needs] = Needs(writable=True)
    whitens: ClassVar[bool] = True
    interval: Annotated[int, Field(ge=1, le=10**9)] = 100
    keep: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    ridge: Annotated[float, Field(gt=0.0, le=1e6)] = 1e-3

    @abstractmethod
    def whitening(self, s: F64) -> F64:
        """Matrix R with R s R^T = I for a positive definite s (n, n)."""

    def learn(self, matrix: Matrix, passed: Passed, memory: Memory, factor: float = 1.0) -> None:
        """Add the batch to S; on every interval-th batch program R."""
        seen = int(memory.numbers.get("batches", 0))
        batch = (passed.z.T @ passed.z) * np.float32(1.0 / len(passed.z))
        keep = np.float32(min(self.keep, seen / (seen + 1.0)))
        memory.arrays["s"] = keep * memory.arrays["s"] + (np.float32(1.0) - keep) * batch if seen else batch
        memory.numbers["batches"] = seen + 1
        if (seen + 1) % self.interval == 0:
            s = memory.arrays["s"].astype(np.float64)
            s.flat[:: len(s) + 1] += self.ridge * s.trace() / len(s)
            r = self.whitening(s)
            norm = np.sqrt(s.trace() / len(s))  # R then leaves the mean variance as it is, up to the ridge
            matrix.program((norm * r).astype(np.float32))
        else:
            matrix.restore_norm(passed)
