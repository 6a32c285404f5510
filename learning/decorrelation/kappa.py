"""Decorrelation and variance normalisation in a chosen mixture. kappa = 0 never touches variances, kappa = 1 never correlations.

Dalm, Offergeld, Ahmad & van Gerven, "Efficient deep learning with decorrelated backpropagation", arXiv:2405.02385 (2024).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.decorrelation.base import Matrix, Method, Passed
from learning.decorrelation.rows import Diagonal, step


class Kappa(Method):
    """``R <- R - rate [(1 - kappa) (C - diag C) R + kappa diag(<y**2> - 1) R]``, C = <y y^T>.

    Attributes:
        rate: learning rate. kappa: 0 to 1, share of the whitening term.
        diagonal: how the row terms are had without reading R, see `learning.decorrelation.rows`.
    """

    kind: Literal["kappa"] = "kappa"
    needs: ClassVar[Needs] = Needs(transposed_read=True, writable=True)
    whitens: ClassVar[bool] = True
    rate: Annotated[float, Field(gt=0.0, le=100)] = 1e-4
    kappa: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    diagonal: Diagonal = "gain"

    def learn(self, matrix: Matrix, passed: Passed, memory: Memory, factor: float = 1.0) -> None:
        """One step with a = 1 - kappa, v = -(1 - kappa) <y**2> + kappa (<y**2> - 1)."""
        variance = (passed.y * passed.y).mean(axis=0)
        v = (2.0 * self.kappa - 1.0) * variance - self.kappa
        a, rate = 1.0 - self.kappa, factor * self.rate
        step(matrix, passed, a=a, v=v, rate=rate, diagonal=self.diagonal, stream=memory.stream)
