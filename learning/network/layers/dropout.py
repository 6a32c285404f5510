"""Dropout, in digital training alone. A network on a chip does not have it."""

from typing import Annotated, ClassVar, Literal

from analog_sim.config import Q
from learning.network.layers.base import TrainingLayer


class Dropout(TrainingLayer):
    """While it is trained, each value is 0 with probability `share`, else divided by 1 - share (Srivastava et al., JMLR 15, 1929, 2014).

    Attributes:
        share: of the values.
    """

    kind: Literal["dropout"] = "dropout"
    share: Annotated[float, Q("fraction", "", ge=0, lt=1)] = 0.5
    reason: ClassVar[str] = "acts in digital training only; leave it out (network.kind conv: dropout: 0)"
