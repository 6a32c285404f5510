"""Whether the word-line converters of a tile have codes for negative inputs, and what becomes of inputs that are negative after all."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


class NegativeInputWarning(UserWarning):
    """Inputs are negative where the converters were set for inputs that are not; said once by each tile."""


class Polarity:
    """Shared by the forward converters of a tile; those of the transposed read always have both signs.

    Args:
        signed: True, False or "auto", as `DacSpec.signed`.

    Attributes:
        unsigned: whether b bits are the codes 0 ... 2**b - 1 now. clipped: negative inputs that were set to 0 so far.
    """

    def __init__(self, signed: Literal["auto"] | bool) -> None:
        self._signed = signed
        self.unsigned = signed is False
        self.clipped = 0
        self._said = False

    def choose(self, x: F32) -> None:
        """Look at the sample inputs of a calibration; inputs that were negative after one are expected to be so again."""
        if self._signed == "auto":
            self.unsigned = not self._said and not bool((x < 0).any())

    def admit(self, x: F32) -> F32:
        """Inputs as the converters can drive them: unsigned ones go back to both signs ("auto"), or set negative inputs to 0 (False)."""
        if not self.unsigned or not x.size or x.min() >= 0:
            return x
        if self._signed == "auto":
            self.unsigned = False
            self._say("the converters have codes for both signs again")
            return x
        self.clipped += int((x < 0).sum())
        self._say(
            f"{self.clipped} of {x.size} inputs are set to 0, and all later ones (`signed: auto` or true drives them)"
        )
        return np.maximum(x, np.float32(0.0))

    def _say(self, what: str) -> None:
        if not self._said:
            self._said = True
            warnings.warn(
                f"tile.dac: inputs are negative that were not expected to be: {what}",
                NegativeInputWarning,
                stacklevel=5,
            )

    def drivable(self, known: F32) -> F32:
        """Known inputs of both signs as converters can drive them that have no codes for negative ones at all: 0 in their place."""
        return np.maximum(known, np.float32(0.0)) if self._signed is False else known

    @contextmanager
    def both_signs(self) -> Iterator[None]:
        """Codes for both signs meanwhile, for known inputs of both signs; converters that have none keep to theirs."""
        kept = self.unsigned
        self.unsigned = self._signed is False
        yield
        self.unsigned = kept

    def state(self) -> list[int]:
        """For a checkpoint."""
        return [int(self.unsigned), self.clipped, int(self._said)]

    def restore(self, state: list[int]) -> None:
        """Put back what `state` returned."""
        self.unsigned, self.clipped, self._said = bool(state[0]), int(state[1]), bool(state[2])
