"""The decorrelation of Ahmad (2024): gradient descent on the correlations in the natural metric. Never a rewrite of R.

N. Ahmad, "Correlations are ruining your gradient descent", arXiv:2407.10780 (2024).
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from analog_sim.writing.proposal import OuterProduct
from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.decorrelation.base import Matrix, Method, Passed


class Natural(Method):
    """``R <- R - rate C R``, C = <y y^T>, with one scalar output gain that restores the mean norm.

    ``C R = <y q^T>`` with q = R^T y: one transposed read and one outer-product update. With gains g the effective matrix is
    diag(g) R, so the stored R changes by ``rate <r q^T>``, r = y / g being what the tile returned.

    Attributes:
        rate: learning rate, 1 / (unit of z)**2.
    """

    kind: Literal["natural"] = "natural"
    needs: ClassVar[Needs] = Needs(transposed_read=True, writable=True)
    whitens: ClassVar[bool] = True
    rate: Annotated[float, Field(gt=0.0, le=100)] = 1e-4

    def learn(self, matrix: Matrix, passed: Passed, memory: Memory, factor: float = 1.0) -> None:
        """One transposed read, one outer product, and the gain."""
        q = matrix.backward(passed.y)
        matrix.tile.update(OuterProduct(q, passed.r * np.float32(1.0 / len(q))), factor * self.rate)
        matrix.restore_norm(passed)
