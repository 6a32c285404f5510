"""How the learning rate falls over a run. It knows nothing but the share of the run that is done."""

import math
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def rate_factor(schedule: Schedule, final: float, progress: float) -> float:
    """Learning rate relative to its start.

    ``constant: 1; linear: 1 - (1 - final) p; cosine: final + (1 - final) (1 + cos(pi p)) / 2``.

    Args:
        schedule: which. final: factor at the end. progress: p, share of the batches that are done, 0 to 1.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return 1.0 - (1.0 - final) * progress
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress))
