"""How the learning rate falls over a run, and when converters are calibrated. It knows nothing but how far the run is."""

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


def calibration_due(done: int, every: int) -> bool:
    """Whether converters are calibrated after `done` batches: 1, 2, 4, ... while these are below `every`, then every `every`.

    Outputs grow fastest at the start, so ranges must follow sooner there. It depends on nothing but `done`: a resumed run calibrates alike.
    """
    early = 0 < done < every and done & (done - 1) == 0
    return early or (done > 0 and done % every == 0)
