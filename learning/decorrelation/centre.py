"""The mean alone: inputs are centred and nothing is decorrelated. The control of every other method; it has no matrix and no cells.

What a decorrelating layer gains without its R. On inputs that are all positive (images, rectified units) the mean is the largest
correlation that there is: LeCun et al., "Efficient BackProp" (1998), section 4.3, doi:10.1007/3-540-49430-8_2.
"""

from typing import ClassVar, Literal

from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.decorrelation.base import Matrix, Method, Passed


class Centre(Method):
    """``R = I``, ``y = z - mean z``."""

    kind: Literal["centre"] = "centre"
    needs: ClassVar[Needs] = Needs()
    stands_still: ClassVar[bool] = True

    def learn(self, matrix: Matrix, passed: Passed, memory: Memory, factor: float = 1.0) -> None:
        """Nothing: the running mean is the layer's own."""
