"""When a network counts as converged. It never trains."""

STILL_TO_GAIN = 0.0025
"""A network has converged when more training would move its score (a share of samples classified rightly, or R2) by no more than this."""


def to_gain(half: float, last: float) -> float:
    """What more training may still gain: what is missing to 1, or what the second half of the training gained if that is less.

    Learning curves flatten: twice the training again gains no more than the last doubling did.
    """
    return min(1.0 - last, abs(last - half))
