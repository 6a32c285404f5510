"""Decorrelation that leaves the variances alone. It never whitens: strong components stay strong.

Ahmad, Schrader & van Gerven, "Constrained parameter inference as a principle for learning", TMLR (2023).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.decorrelation.base import Matrix, Method, Passed
from learning.decorrelation.rows import Diagonal, step


class OffDiagonal(Method):
    """``R <- R - rate (C - diag C) R``, C = <y y^T>.

    Attributes:
        rate: learning rate, 1 / (unit of z)**2.
        diagonal: how ``diag(C) R`` is had without reading R, see `learning.decorrelation.rows`.
    """

    kind: Literal["off_diagonal"] = "off_diagonal"
    needs: ClassVar[Needs] = Needs(transposed_read=True, writable=True)
    rate: Annotated[float, Field(gt=0.0, le=100)] = 1e-4
    diagonal: Diagonal = "gain"

    def learn(self, matrix: Matrix, passed: Passed, memory: Memory, factor: float = 1.0) -> None:
        """One step with a = 1, v = -<y**2>."""
        variance = (passed.y * passed.y).mean(axis=0)
        rate = factor * self.rate
        step(matrix, passed, a=1.0, v=-variance, rate=rate, diagonal=self.diagonal, stream=memory.stream)
