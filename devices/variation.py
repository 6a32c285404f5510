"""Device-to-device spread: how much cells of one chip differ. The differences are drawn when a chip is fabricated."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from analog_sim.cells.cell_model import VariationModel
from analog_sim.config import Q, StrictModel, at_key

Spread = Annotated[float, Q("fraction", "", ge=0)]


class Variation(StrictModel):
    """Relative standard deviations of normal draws around 1, one draw per cell.

    ``gain_up = max(0, 1 + up_share (step z0 + asymmetry z5) + step_up z1)`` and
    ``gain_down = max(0, 1 + down_share (step z0 - asymmetry z5) + step_down z2)`` multiply the cell's steps; its bounds are
    ``g_min + window g_min z3``, ``g_max + window g_max z4``.

    Attributes:
        step: spread of the step size common to both directions.
        asymmetry: antisymmetric spread: one draw, added to the gain of the up step and subtracted from that of the down step.
        step_up, step_down: own spread of each direction, drawn independently.
        up_share, down_share: what the draws of `step` and `asymmetry` are multiplied with in each direction. Other than 1 where a source
            states them in units of another step than the direction's own.
        g_min, g_max: spread of the bounds relative to the window. Where g_min lies less than three standard deviations above 0 S the lower
            bounds are log-normal of the same mean and standard deviation, so that nothing is cut off; g_min: 0 cannot spread.
        symmetry: what a spread of the bounds does to the steps of a cell. "moves": a step is a function of the state between the cell's
            own bounds, so that the conductance at which up and down cancel moves with them. "kept": as after a calibration of every cell
            (a reference at its symmetric point), or in models that state the step at one weight: each direction's steps are scaled so that
            the mean step at the nominal symmetric conductance is the nominal one, whatever the bounds. For soft bounds this is
            ``s_up (g_hi - g) / (g_hi - g_sym)`` with s_up the step at g_sym, up, and likewise down. The noise of a step is scaled with it.
        read_noise: spread of the size of the read noise, as standard deviation s of its natural logarithm: a cell has
            ``exp(s z6 - s**2)`` times the noise of the card, which is the root mean square over cells. Cells one standard deviation to
            either side then differ by ``exp(2 s)``.
        kept_at: another state, in (0, 1), whose nominal steps are kept instead of those of the symmetric one.
    """

    step: Spread = 0.0
    asymmetry: Spread = 0.0
    step_up: Spread = 0.0
    step_down: Spread = 0.0
    up_share: Annotated[float, Field(gt=0, le=100)] = 1.0
    down_share: Annotated[float, Field(gt=0, le=100)] = 1.0
    g_min: Spread = 0.0
    g_max: Spread = 0.0
    symmetry: Literal["moves", "kept"] = "moves"
    kept_at: Annotated[float, Q("fraction", "", gt=0, lt=1)] | None = None
    read_noise: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _kept(self) -> Self:
        if self.kept_at is not None and self.symmetry != "kept":
            raise at_key("kept_at", "only with symmetry: kept (got symmetry: moves)")
        return self

    def gain_std(self, up: bool) -> float:
        """Standard deviation of a cell's gain in one direction, before gains below 0 are cut and before `symmetry` changes it."""
        shared = math.hypot(self.step, self.asymmetry) * (self.up_share if up else self.down_share)
        return math.hypot(shared, self.step_up if up else self.step_down)

    def compile(self) -> VariationModel:
        """Return the spreads as the emulator wants them."""
        return VariationModel(
            gain_common=self.step,
            gain_up=self.step_up,
            gain_down=self.step_down,
            g_min=self.g_min,
            g_max=self.g_max,
            asymmetry=self.asymmetry,
            up_share=self.up_share,
            down_share=self.down_share,
            symmetry=self.symmetry,
            kept_at=self.kept_at,
            read_noise=self.read_noise,
        )
