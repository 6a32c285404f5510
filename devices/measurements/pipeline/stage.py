"""What the pipeline knows of a quantity: a stage has its data, is fitted, and then compiles into a card and is proven. It never fits.

Each quantity has a file of its own beside this one.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from devices.measurements.card_files.card_file import CardParts
from devices.measurements.proof.proof import Proof, ReportKey
from devices.window import Window

F64 = npt.NDArray[np.float64]
Say = Callable[[str], None]


class FittedStage(Protocol):
    """A quantity after its fit."""

    @property
    def report_key(self) -> ReportKey:
        """Under which reports find it."""
        ...

    @property
    def window(self) -> Window:
        """Over which its tables are."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the report."""
        ...

    def compile(self, parts: CardParts) -> None:
        """Add what was fitted to a card."""
        ...

    def prove(self, say: Say) -> Proof | None:
        """Compare emulated cells with what the fit has not seen; None where there is nothing to compare."""
        ...


class Stage(Protocol):
    """A quantity before its fit: its data, and how the configuration wants them fitted."""

    @property
    def reads(self) -> F64 | None:
        """Conductances that a window has to hold, siemens; None: the fit finds the window itself."""
        ...

    def fit(self, window: Window | None, fitted: Sequence[FittedStage], say: Say) -> FittedStage:
        """Fit the quantity.

        Args:
            window: of the card; None only where the fit finds it. fitted: the stages before this one. say: told what is going on.
        """
        ...
