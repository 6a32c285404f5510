"""What a comparison must show before a fit is called good: a quantity of the emulated cells within a margin of the measured one.

A difference that is not significant is no proof of likeness: few data make no difference significant. So the whole interval of the
ratio must lie within the margin (a test of equivalence), and what is neither shown nor refuted is unproven. It never computes a ratio.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Quantity = Literal["mean step", "scatter of steps", "spread between devices"]


@dataclass(frozen=True)
class Margin:
    """Ratios of emulated to measured within which a fit is good, and within which it is fair."""

    low: float
    high: float
    fair_low: float
    fair_high: float


MARGINS: Mapping[Quantity, Margin] = MappingProxyType(
    {
        "mean step": Margin(0.75, 1.25, 0.5, 1.5),
        "scatter of steps": Margin(0.75, 1.33, 0.6, 1.67),
        "spread between devices": Margin(0.65, 1.42, 0.4, 2.0),
    }
)
"""A card with any of them wrong by half (0.5 or 1.5 times) lies outside."""


@dataclass(frozen=True)
class Shown:
    """One quantity, emulated over measured.

    Attributes:
        quantity: what. place: direction and region, in words. ratio: emulated over measured.
        half: half-width of its 95 % interval. wide: of the 99.5 % interval, which refutes.
        required: whether a good fit needs it shown; else it can only refute, and never as more than fair.
        samples: clusters (devices, traces or stretches) that the interval rests on.
    """

    quantity: Quantity
    place: str
    ratio: float
    half: float
    wide: float
    required: bool
    samples: int

    @property
    def margin(self) -> Margin:
        """Of the quantity."""
        return MARGINS[self.quantity]

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return max(0.0, self.ratio - self.half)

    @property
    def high(self) -> float:
        """Upper end."""
        return self.ratio + self.half

    @property
    def shown(self) -> bool:
        """Whether the whole interval lies within the margin."""
        return self.margin.low <= self.low and self.high <= self.margin.high

    @property
    def refuted(self) -> bool:
        """Whether the ratio lies outside the margin and is not 1 by chance."""
        outside = not self.margin.low <= self.ratio <= self.margin.high
        return outside and abs(self.ratio - 1.0) > self.wide

    @property
    def badly(self) -> bool:
        """Whether it is refuted by more than a fair fit may be off; what is not required makes a fit fair at worst."""
        return self.refuted and self.required and not self.margin.fair_low <= self.ratio <= self.margin.fair_high

    def text(self) -> str:
        """The interval in words."""
        return f"{self.place} {self.ratio:.2f} ({self.low:.2f} to {self.high:.2f})"


def words(rows: tuple[Shown, ...], quantity: Quantity) -> str:
    """A clause on the required rows of one quantity; empty without any."""
    own = [row for row in rows if row.quantity == quantity and row.required]
    if not own:
        return ""
    return f"{quantity} {', '.join(row.text() for row in own)} of the measured one"
