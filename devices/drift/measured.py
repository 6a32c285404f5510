"""Ageing law: measured tables of either law of the emulator, power-law drift or relaxation in log time. Never both."""

from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from analog_sim.cells.cell_model import DriftModel, RelaxationModel
from analog_sim.config import at_key
from devices.drift.bursts import aged_factor, aged_moments
from devices.drift.law import AgeingTables, DriftLaw
from devices.drift.moments import power_moment
from devices.tables_file import TablesSource, check, interpolate, load_tables, scale
from devices.window import F64, Values, Window

BURSTS = {"drift.tail": "K", "drift.skew": "K"}
RELAXATION = {
    "drift.mean": "K",
    "drift.std": "K",
    "drift.initial_std": "K",
    "drift.t_0": "",
    **BURSTS,
    "drift.returning": "",
}
POWER_LAW = {"drift.nu_mean": "K", "drift.nu_std": "K", "drift.t_ref": "", "drift.nu_low": "", "drift.nu_high": ""}


class MeasuredDrift(DriftLaw):
    """The law whose tables the file holds.

    Relaxation: ``g(t) = max(0, g_prog + mean(u) s + std(u) W(s))``, ``s = log10(1 + t / t_0)``: siemens, scaled with a card of
    another window; W is Brownian, or in bursts where there is a tail (`devices/drift/relaxation.py`). Power law:
    ``g(t) = g_prog (max(t, t_ref) / t_ref)**-nu``, nu a clipped normal per cell: no unit, not scaled.

    Both are functions of the state as written, which is what a retention measurement starts from, not of the target.

    Attributes:
        file: tables file with `drift.mean`, `drift.std`, `drift.initial_std` (K,) siemens and `drift.t_0` seconds, for bursts
            also `drift.tail` (K,) decades and `drift.skew` (K,), for cells that return `drift.returning`, a share; or with
            `drift.nu_mean`, `drift.nu_std` (K,) and `drift.t_ref` seconds, `drift.nu_low`, `drift.nu_high`.
    """

    kind: Literal["measured"] = "measured"
    file: TablesSource

    @model_validator(mode="after")
    def _tables(self) -> Self:
        try:
            arrays = load_tables(self.file)
        except ValueError as error:
            raise at_key("file", str(error)) from error
        if "drift.nu_mean" in arrays:
            check(self.file, POWER_LAW)
            return self
        check(self.file, RELAXATION, optional=frozenset((*BURSTS, "drift.returning")))
        returning = float(arrays.get("drift.returning", 0.0))
        if not 0.0 <= returning < 1.0:
            raise at_key("file", f"{self.file}: drift.returning must be within 0 and 1 (got {returning:g})")
        tail, skew = (arrays.get(name, np.zeros(2)) for name in BURSTS)
        if tail.min() < 0.0 or np.abs(skew).max() >= 1.0:
            raise at_key(
                "file",
                f"{self.file}: drift.tail must not be below 0 (got {tail.min():g}), drift.skew within -1 and 1"
                f" (got {skew.min():g} to {skew.max():g})",
            )
        return self

    @property
    def _power_law(self) -> bool:
        return "drift.nu_mean" in load_tables(self.file)

    def drift_factor(self, u: Values, t: Values, window: Window) -> F64:
        """Of the median cell."""
        if self._power_law:
            nu = np.clip(self._table("nu_mean", u), self._number("nu_low"), self._number("nu_high"))
            return np.exp(-nu * self._log_age(t))
        return aged_factor(*self._relaxation(u, t, window))

    def aged_mean(self, u: Values, t: Values, window: Window) -> F64:
        """Mean over cells in siemens, in closed form: of a clipped normal exponent, or of what is cut at 0 S."""
        if self._power_law:
            return window.conductance(u) * self._moment(u, self._log_age(t))
        return aged_moments(*self._relaxation(u, t, window))[0]

    def aged_std(self, u: Values, t: Values, window: Window) -> F64:
        """Standard deviation over cells in siemens, in closed form."""
        if self._power_law:
            age = self._log_age(t)
            variance = self._moment(u, 2.0 * age) - self._moment(u, age) ** 2
            return window.conductance(u) * np.sqrt(np.maximum(variance, 0.0))
        return aged_moments(*self._relaxation(u, t, window))[1]

    def initial_std(self, u: Values, window: Window) -> F64:
        """Of relaxation that is over before t_0; 0 S for a power law."""
        return np.zeros(np.shape(u)) if self._power_law else self._siemens("initial_std", u, window)

    def compile(self, window: Window) -> AgeingTables:
        """The tables as they are."""
        arrays = load_tables(self.file)
        if self._power_law:
            drift = DriftModel(
                nu_mean=arrays["drift.nu_mean"][None, :].astype(np.float32),
                nu_std=arrays["drift.nu_std"][None, :].astype(np.float32),
                t_ref=self._number("t_ref"),
                nu_low=self._number("nu_low"),
                nu_high=self._number("nu_high"),
            )
            return AgeingTables(drift, None)
        ratio = scale(self.file, window)
        mean, std, initial = (
            (ratio * arrays[f"drift.{name}"][None, :]).astype(np.float32) for name in ("mean", "std", "initial_std")
        )
        tail, skew = (arrays.get(name, np.zeros(2))[None, :].astype(np.float32) for name in BURSTS)
        return AgeingTables(
            None, RelaxationModel(mean, std, self._number("t_0"), initial, tail, skew, returning=self._returning)
        )

    @property
    def _returning(self) -> float:
        return float(load_tables(self.file).get("drift.returning", 0.0))

    def _number(self, name: str) -> float:
        return float(load_tables(self.file)[f"drift.{name}"])

    def _table(self, name: str, u: Values) -> F64:
        return interpolate(load_tables(self.file)[f"drift.{name}"], u)

    def _siemens(self, name: str, u: Values, window: Window) -> F64:
        return self._table(name, u) * scale(self.file, window)

    def _log_age(self, t: Values) -> F64:
        t_ref = self._number("t_ref")
        return np.log(np.maximum(np.asarray(t, float), t_ref) / t_ref)

    def _relaxation(self, u: Values, t: Values, window: Window) -> tuple[F64, F64, F64, F64, F64, F64]:
        """g, mean, std, tail, skew and decades."""
        arrays = load_tables(self.file)
        tail, skew = (interpolate(arrays.get(name, np.zeros(2)), u) for name in BURSTS)
        mean, std = (self._siemens(name, u, window) for name in ("mean", "std"))
        s = np.log10(1.0 + np.asarray(t, float) / self._number("t_0"))
        return window.conductance(u), mean, std, tail, skew, s

    def _moment(self, u: Values, age: F64) -> F64:
        """E[exp(-nu age)]."""
        return power_moment(
            self._table("nu_mean", u), self._table("nu_std", u), self._number("nu_low"), self._number("nu_high"), age
        )
