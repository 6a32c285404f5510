"""More pulses than can be sent: whole numbers of pulses within what a pulse counter holds, and one warning. Never sends a pulse."""

import warnings

import numpy as np
import numpy.typing as npt

from analog_sim.random.streams import Stream

MOST_PULSES = 2**15 - 1
"""Pulses that one cell can be asked for at once: what the counter of a pulse generator holds (16 bits with sign)."""


class PulseClippingWarning(UserWarning):
    """The learning rate asks for more pulses than can be sent; said once by each writer, with the share concerned."""


def whole_pulses(wanted: npt.NDArray[np.floating], rounding: float | Stream) -> tuple[npt.NDArray[np.int16], float]:
    """Signed numbers of pulses and the share that was clipped: ``floor(wanted + r)``, held within +-MOST_PULSES.

    Args:
        wanted: mean pulses, any shape; finite.
        rounding: r in [0, 1), or the stream that it is drawn from for every number (the mean is then `wanted`).
    """
    r = rounding.uniforms(wanted.shape) if isinstance(rounding, Stream) else rounding
    counts = np.floor(wanted + r)
    over = np.abs(counts) > MOST_PULSES
    return np.clip(counts, -MOST_PULSES, MOST_PULSES).astype(np.int16), float(over.mean())


class ClippingNote:
    """How many of the asked-for updates were clipped; warns when it first happens.

    Args:
        kind: of the write scheme. length: slots of its longest train. warn: or only count.
    """

    def __init__(self, kind: str, length: int, *, warn: bool = True) -> None:
        self._warn = warn
        self._kind = kind
        self._length = length
        self._asked = 0
        self._clipped = 0.0

    @property
    def share(self) -> float:
        """Share clipped so far: of the samples of outer products, of the cells of dense gradients."""
        return self._clipped / max(self._asked, 1)

    def trains(self, share: float, samples: int) -> None:
        """Count the samples of an outer product, `share` of which ask for more than their train can carry."""
        if self._add(share, samples):
            self._say(
                f"{100 * share:.3g} % of the samples of this batch ask for more pulses than a train of {self._length} slots can carry"
            )

    def counts(self, share: float) -> None:
        """Count one dense gradient, which asks `share` of the cells for more than `MOST_PULSES`."""
        if self._add(share, 1):
            self._say(f"{100 * share:.3g} % of the cells are asked for more than {MOST_PULSES} pulses at once")

    def _add(self, share: float, samples: int) -> bool:
        """Count; whether it is to be said."""
        first = self._warn and share > 0.0 and self._clipped == 0.0
        self._asked += samples
        self._clipped += share * samples
        return first

    def _say(self, what: str) -> None:
        warnings.warn(
            f"{self._kind}: {what}; the rest is lost (lower the learning rate or raise `length`)",
            PulseClippingWarning,
            stacklevel=5,
        )

    def state(self) -> list[float]:
        """For a checkpoint."""
        return [self._asked, self._clipped]

    def restore(self, state: list[float]) -> None:
        """Put back what `state` returned."""
        self._asked, self._clipped = int(state[0]), float(state[1])
