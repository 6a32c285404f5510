"""What every pulse law states, and what the parametric ones share. It never draws a step: the emulator's kernels do."""

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, Self, final

import numpy as np
from pydantic import Field, model_validator

from analog_sim.cells.cell_model import PulseModel
from analog_sim.config import Part, Q, at_key
from devices.pulse.amplitude import Amplitude, Width
from devices.pulse.history import History
from devices.window import F32, F64, FINE_NODES, Values, Window, tabulate


class PulseLaw(Part):
    """Response of one cell to one programming pulse, as claims in closed form and as the tables of the emulator.

    ``dg = step_mean(u) + step_std(u) z``, z ~ N(0, 1), u in [0, 1]; then clipped to the cell's bounds. That is the step of the nominal
    pulse; of other pulses it is `amplitude` and `width` times as large.

    Attributes:
        amplitude, width: what the amplitude of a pulse, and its width, do to its step; None: only nominal pulses can be sent.
        history: what the pulses before do to a step; the law is then that of a long run in one direction. None: nothing.
    """

    amplitude: Amplitude | None = None
    width: Width | None = None
    history: History | None = None

    @abstractmethod
    def step_mean(self, u: Values, up: bool, window: Window) -> F64:
        """Mean signed change in siemens of one pulse at state u; `up` potentiates, else depresses."""

    @abstractmethod
    def step_std(self, u: Values, up: bool, window: Window) -> F64:
        """Cycle-to-cycle standard deviation of that change in siemens."""

    @abstractmethod
    def compile(self, window: Window) -> PulseModel:
        """Fill the tables of the emulator."""

    @final
    def model(self, window: Window) -> PulseModel:
        """The tables of `compile`, with what amplitude, width and history do to a step."""
        amplitude = None if self.amplitude is None else self.amplitude.compile()
        width = None if self.width is None else self.width.compile()
        history = None if self.history is None else self.history.compile()
        return replace(self.compile(window), amplitude=amplitude, width=width, history=history)

    @abstractmethod
    def windows(self, window: Window) -> F32 | None:
        """Own (g_min, g_max) of every table: (T, 2) siemens; None when all share the nominal window."""


class SizedPulse(PulseLaw):
    """A law in units of a step size: ``mean = +-s_dir shape(u)``, ``std = s spread(u)``.

    ``s_up = s (1 + asymmetry)``, ``s_down = s (1 - asymmetry)``; the size s is given in exactly one of three ways.

    Attributes:
        step: size of a step s in siemens. fraction: of the window instead, s / (g_max - g_min). states: how many fill the window instead,
            (g_max - g_min) / s.
        asymmetry: relative excess of potentiation over depression, in (-1, 1).
    """

    step: Annotated[float, Q("conductance", "uS", gt=0)] | None = None
    fraction: Annotated[float, Q("fraction", "", gt=0, le=1)] | None = None
    states: Annotated[float, Field(ge=1, le=1e9)] | None = None
    asymmetry: Annotated[float, Field(gt=-1, lt=1)] = 0.0

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        sizes = {"step": self.step, "fraction": self.fraction, "states": self.states}
        given = [name for name, value in sizes.items() if value is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none of them"
            raise at_key(
                given[-1] if given else "states",
                f"the size of a step needs exactly one of step, fraction, states (got {got})",
            )
        return self

    @abstractmethod
    def shape(self, u: F64, up: bool) -> F64:
        """Mean step relative to s_dir, >= 0, at states u in [0, 1]."""

    @abstractmethod
    def spread(self, u: F64, up: bool) -> F64:
        """Cycle-to-cycle standard deviation relative to s at states u in [0, 1]."""

    @property
    @abstractmethod
    def nodes(self) -> int:
        """Nodes of the uniform grid on which both are sampled; only two are kept when all is linear."""

    @final
    def size(self, window: Window) -> float:
        """The size s of a step in siemens."""
        if self.step is not None:
            return self.step
        if self.fraction is not None:
            return self.fraction * window.width
        assert self.states is not None  # exactly one is given: _one_size
        return window.width / self.states

    @final
    def direction(self, up: bool) -> float:
        """s_up / s or s_down / s."""
        return 1.0 + self.asymmetry if up else 1.0 - self.asymmetry

    @final
    def step_mean(self, u: Values, up: bool, window: Window) -> F64:
        """``+s_up shape(u)`` or ``-s_down shape(u)`` in siemens."""
        size = self.size(window) * self.direction(up)
        return (size if up else -size) * self.shape(np.clip(np.asarray(u, float), 0.0, 1.0), up)

    @final
    def step_std(self, u: Values, up: bool, window: Window) -> F64:
        """``s spread(u)`` in siemens."""
        return self.size(window) * self.spread(np.clip(np.asarray(u, float), 0.0, 1.0), up)

    @final
    def compile(self, window: Window) -> PulseModel:
        """Sample mean and standard deviation of both directions on one grid."""
        up_mean, up_std, down_mean, down_std = tabulate(
            np.linspace(0.0, 1.0, self.nodes),
            lambda u: self.step_mean(u, True, window),
            lambda u: self.step_std(u, True, window),
            lambda u: self.step_mean(u, False, window),
            lambda u: self.step_std(u, False, window),
        )
        return PulseModel(up_mean=up_mean, up_std=up_std, down_mean=down_mean, down_std=down_std)

    @final
    def windows(self, window: Window) -> F32 | None:
        """None: one law, one nominal window."""
        return None


class ParametricPulse(SizedPulse):
    """A formula for the shape, with ``std**2 = (noise mean)**2 + (noise_additive s)**2``.

    Attributes:
        noise: cycle-to-cycle standard deviation relative to the mean step at the cell's state.
        noise_additive: cycle-to-cycle standard deviation relative to s, whatever the state and the direction.
    """

    noise: Annotated[float, Field(ge=0, le=1e3)] = 0.0
    noise_additive: Annotated[float, Field(ge=0, le=1e3)] = 0.0

    @final
    def spread(self, u: F64, up: bool) -> F64:
        """``sqrt((noise s_dir / s shape)**2 + noise_additive**2)``."""
        return np.hypot(self.noise * self.direction(up) * self.shape(u, up), self.noise_additive)

    @final
    @property
    def nodes(self) -> int:
        """`FINE_NODES`."""
        return FINE_NODES
