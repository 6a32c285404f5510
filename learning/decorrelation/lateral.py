"""Anti-Hebbian lateral connections: each cell of R sees only the two outputs it joins. It never needs a transposed read.

Foldiak, "Forming sparse representations by local anti-Hebbian learning", Biol. Cybern. 64, 165 (1990), doi:10.1007/BF02331346,
in its feed-forward form R = I - M.
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from analog_sim.writing.proposal import Dense, OuterProduct
from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.decorrelation.base import Matrix, Method, Passed


class Lateral(Method):
    """``R <- R - rate (C - diag C)``, C = <y y^T>, with one scalar output gain that restores the mean norm.

    Not a gradient of the correlations but downhill as long as the symmetric part of R stays positive, as from I + small noise.
    The self-connections are put back by a diagonal correction, which needs no read of R.

    Attributes:
        rate: learning rate, 1 / (unit of z)**2.
    """

    kind: Literal["lateral"] = "lateral"
    needs: ClassVar[Needs] = Needs(writable=True)
    rate: Annotated[float, Field(gt=0.0, le=100)] = 1e-4

    def learn(self, matrix: Matrix, passed: Passed, memory: Memory, factor: float = 1.0) -> None:
        """One outer product and the diagonal that it must not have."""
        rate = factor * self.rate
        d = passed.r * np.float32(1.0 / len(passed.r))
        matrix.tile.update(OuterProduct(passed.y, d), rate)
        matrix.tile.update(Dense(np.diag(-(passed.y * d).sum(axis=0))), rate)
        matrix.restore_norm(passed)
