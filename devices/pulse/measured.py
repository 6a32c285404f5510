"""Pulse law: measured distributions of the step at each state, one table per measured device. Never smoothed into a formula."""

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from analog_sim.cells.cell_model import QUANTILE_Z_MAX, PulseModel
from devices.normal import below, density
from devices.pulse.law import PulseLaw
from devices.tables_file import TablesSource, check, load_tables, scale
from devices.window import F32, F64, Values, Window


class MeasuredPulse(PulseLaw):
    """``dg = Q(u, z)``, z ~ N(0, 1): Q bilinear on states and normal scores, so that skew, tails and wrong-sign steps are as measured.

    Several tables are several devices: a cell of a chip is one of them, with its own window, and u is its own state. The claims
    are those of the population: the mean over devices, and the standard deviation over cycles and devices. A card with another
    window is the same device scaled.

    Attributes:
        file: tables file with `pulse.up` and `pulse.down`, (T, K, Z) siemens at K states and Z normal scores over
            [-4, 4], and `pulse.windows`, (T, 2) siemens, when the devices have windows of their own.
    """

    kind: Literal["measured"] = "measured"
    file: TablesSource

    @model_validator(mode="after")
    def _tables(self) -> Self:
        shapes = {"pulse.up": "TKZ", "pulse.down": "TKZ", "pulse.windows": "TW"}
        check(self.file, shapes, optional=frozenset({"pulse.windows"}))
        return self

    def step_mean(self, u: Values, up: bool, window: Window) -> F64:
        """Mean over cycles and devices."""
        first, _ = self._moments(u, up, window)
        return first

    def step_std(self, u: Values, up: bool, window: Window) -> F64:
        """Standard deviation over cycles and devices."""
        first, second = self._moments(u, up, window)
        return np.sqrt(np.maximum(second - first**2, 0.0))

    def compile(self, window: Window) -> PulseModel:
        """The measured tables, with their mean and standard deviation at the nodes."""
        up, down = self._quantiles(True, window), self._quantiles(False, window)
        parts = {}
        for name, table in (("up", up), ("down", down)):
            first, second = quantile_moments(table)
            parts[name] = (first, np.sqrt(np.maximum(second - first**2, 0.0)))
        return PulseModel(
            up_mean=parts["up"][0].astype(np.float32),
            up_std=parts["up"][1].astype(np.float32),
            down_mean=parts["down"][0].astype(np.float32),
            down_std=parts["down"][1].astype(np.float32),
            up_quantiles=np.ascontiguousarray(up, np.float32),
            down_quantiles=np.ascontiguousarray(down, np.float32),
        )

    def windows(self, window: Window) -> F32 | None:
        """Own windows of the devices, moved and scaled with the card's."""
        arrays = load_tables(self.file)
        if "pulse.windows" not in arrays:
            return None
        low = float(arrays["window"][0])
        own = window.g_min + (arrays["pulse.windows"].astype(float) - low) * scale(self.file, window)
        return np.maximum(own, 0.0).astype(np.float32)

    def _quantiles(self, up: bool, window: Window) -> F64:
        return load_tables(self.file)["pulse.up" if up else "pulse.down"].astype(float) * scale(self.file, window)

    def _moments(self, u: Values, up: bool, window: Window) -> tuple[F64, F64]:
        """First and second moment over cycles and devices at states u."""
        table = self._quantiles(up, window)
        states = np.clip(np.asarray(u, float), 0.0, 1.0)
        x = states.reshape(-1) * (table.shape[1] - 1)
        k = np.minimum(x.astype(int), table.shape[1] - 2)
        f = (x - k)[None, :, None]
        first, second = quantile_moments((1.0 - f) * table[:, k] + f * table[:, k + 1])
        return first.mean(axis=0).reshape(states.shape), second.mean(axis=0).reshape(states.shape)


def quantile_moments(q: npt.NDArray[np.floating]) -> tuple[F64, F64]:
    """First and second moment of Q(z), z ~ N(0, 1), Q linear between uniform nodes over [-4, 4] and constant outside: exact.

    On a piece ``Q = a + b z`` between z0 and z1 the integrals of 1, z, z**2 against the normal density phi are ``Phi1 - Phi0``,
    ``phi0 - phi1`` and ``Phi1 - Phi0 + z0 phi0 - z1 phi1``.

    Args:
        q: (..., Z) siemens, any step size.

    Returns:
        (...) siemens and siemens squared.
    """
    q = np.asarray(q, float)
    z = np.linspace(-QUANTILE_Z_MAX, QUANTILE_Z_MAX, q.shape[-1])
    mass = np.diff(below(z))
    one = -np.diff(density(z))
    two = mass - np.diff(z * density(z))
    b = np.diff(q, axis=-1) / (z[1] - z[0])
    a = q[..., :-1] - b * z[:-1]
    tail = float(below(-QUANTILE_Z_MAX))
    ends = q[..., 0], q[..., -1]
    first = (a * mass + b * one).sum(axis=-1) + tail * (ends[0] + ends[1])
    second = (a * a * mass + 2.0 * a * b * one + b * b * two).sum(axis=-1) + tail * (ends[0] ** 2 + ends[1] ** 2)
    return first, second
