"""Switch the imperfections of a cell and its periphery off, or scale them, one at a time: what a sensitivity study varies.

Works on compiled tables, so it serves every card. It never draws a number and never changes what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from analog_sim.cells.cell_model import CellModel, FaultModel, ReadNoiseModel, VariationModel, constant_table
from analog_sim.tiles.tile import TileSpec


@dataclass(frozen=True)
class Hardware:
    """A cell with the tile around it."""

    cell: CellModel
    tile: TileSpec


def _without_programming(h: Hardware) -> Hardware:
    return replace(h, cell=replace(h.cell, program_std=constant_table(0.0), verify=None))


def _without_levels(h: Hardware) -> Hardware:
    return replace(h, cell=replace(h.cell, levels=None))


def _without_read_noise(h: Hardware) -> Hardware:
    return replace(h, cell=replace(h.cell, read=ReadNoiseModel()))


def _without_drift(h: Hardware) -> Hardware:
    return replace(h, cell=replace(h.cell, drift=None, relaxation=None))


def _without_drift_spread(h: Hardware) -> Hardware:
    return replace(h, cell=_drift_spread(h.cell, 0.0))


def _without_variation(h: Hardware) -> Hardware:
    return replace(h, cell=replace(h.cell, variation=VariationModel(), windows=None))


def _without_faults(h: Hardware) -> Hardware:
    tile = h.tile.model_copy(update={"fault_map": None})
    return Hardware(replace(h.cell, faults=FaultModel()), tile)


def _without_curved_iv(h: Hardware) -> Hardware:
    return replace(h, cell=replace(h.cell, iv_alpha=0.0, read_disturb=0.0))


def _without_dac(h: Hardware) -> Hardware:
    ideal = {"bits": None, "gain_spread": 0.0, "offset_spread": 0.0, "inl": 0.0, "bit_serial": False}
    return replace(h, tile=h.tile.model_copy(update={"dac": h.tile.dac.model_copy(update=ideal)}))


def _without_adc(h: Hardware) -> Hardware:
    # Without quantisation nothing clips either.
    ideal = {"bits": None, "noise": 0.0, "gain_spread": 0.0, "offset_spread": 0.0, "inl": 0.0}
    return replace(h, tile=h.tile.model_copy(update={"adc": h.tile.adc.model_copy(update=ideal)}))


def _without_wires(h: Hardware) -> Hardware:
    return replace(h, tile=h.tile.model_copy(update={"wires": None}))


WITHOUT: Mapping[str, Callable[[Hardware], Hardware]] = MappingProxyType(
    {
        "programming": _without_programming,
        "levels": _without_levels,
        "read_noise": _without_read_noise,
        "drift": _without_drift,
        "drift_spread": _without_drift_spread,
        "variation": _without_variation,
        "faults": _without_faults,
        "iv_curve": _without_curved_iv,
        "dac": _without_dac,
        "adc": _without_adc,
        "wires": _without_wires,
    }
)
"""Name of a non-ideality -> what takes it away. `drift` is all that time does; `drift_spread` leaves every cell the mean exponent."""

PARTS = MappingProxyType({"drift_spread": "drift"})
"""Non-idealities that are a part of another one."""


def present(hardware: Hardware) -> tuple[str, ...]:
    """Names of the non-idealities that this hardware has, that is, whose removal changes it."""
    before = _fingerprint(hardware)
    return tuple(name for name, remove in WITHOUT.items() if _fingerprint(remove(hardware)) != before)


def without(hardware: Hardware, names: Iterable[str]) -> Hardware:
    """Return the hardware without these non-idealities."""
    for name in names:
        hardware = WITHOUT[name](hardware)
    return hardware


def only(hardware: Hardware, name: str) -> Hardware:
    """Return the hardware with this non-ideality (its parts, or the whole it is a part of, included) and no other."""
    kept = {name, PARTS.get(name, name)} | {part for part, whole in PARTS.items() if whole == name}
    return without(hardware, [other for other in WITHOUT if other not in kept])


def scaled(hardware: Hardware, name: str, factor: float) -> Hardware:
    """Return the hardware with a non-ideality `factor` times as large; see `SCALES`.

    Raises:
        ValueError: factor < 0.
    """
    if not factor >= 0.0:
        raise ValueError(f"scale of {name}: must be >= 0 (got {factor})")
    return replace(hardware, cell=SCALES[name](hardware.cell, factor))


def _programming(cell: CellModel, factor: float) -> CellModel:
    verify = cell.verify
    if verify is not None:
        shot, tolerance = verify.shot_std * np.float32(factor), verify.tolerance * factor
        verify = replace(verify, shot_std=shot, tolerance=tolerance)
    return replace(cell, program_std=cell.program_std * np.float32(factor), verify=verify)


def _read_noise(cell: CellModel, factor: float) -> CellModel:
    read = cell.read
    white, flicker = read.white * np.float32(factor), read.flicker * np.float32(factor)
    return replace(cell, read=replace(read, white=white, flicker=flicker))


def _drift(cell: CellModel, factor: float) -> CellModel:
    f, drift, relaxation = np.float32(factor), cell.drift, cell.relaxation
    if drift is not None:
        drift = replace(
            drift,
            nu_mean=drift.nu_mean * f,
            nu_std=drift.nu_std * f,
            nu_low=drift.nu_low * factor,
            nu_high=drift.nu_high * factor,
        )
    if relaxation is not None:
        relaxation = replace(
            relaxation, mean=relaxation.mean * f, std=relaxation.std * f, initial_std=relaxation.initial_std * f
        )
    return replace(cell, drift=drift, relaxation=relaxation)


def _drift_spread(cell: CellModel, factor: float) -> CellModel:
    f, drift, relaxation = np.float32(factor), cell.drift, cell.relaxation
    if drift is not None:
        drift = replace(drift, nu_std=drift.nu_std * f)
    if relaxation is not None:
        relaxation = replace(relaxation, std=relaxation.std * f, initial_std=relaxation.initial_std * f)
    return replace(cell, drift=drift, relaxation=relaxation)


def _variation(cell: CellModel, factor: float) -> CellModel:
    v = cell.variation
    names = ("gain_common", "asymmetry", "gain_up", "gain_down", "g_min", "g_max", "read_noise")
    spread = replace(v, **{name: getattr(v, name) * factor for name in names})
    return replace(cell, variation=spread)


def _noise(cell: CellModel, factor: float) -> CellModel:
    for scale in (_programming, _read_noise, _drift_spread, _variation):
        cell = scale(cell, factor)
    return cell


SCALES: Mapping[str, Callable[[CellModel, float], CellModel]] = MappingProxyType(
    {
        "noise": _noise,
        "programming": _programming,
        "read_noise": _read_noise,
        "drift": _drift,
        "drift_spread": _drift_spread,
        "variation": _variation,
    }
)
"""Name -> what scales it. `noise` is everything random: programming error, read noise, spread of the drift and of the devices."""


def _fingerprint(hardware: Hardware) -> tuple[object, ...]:
    """Comparable form of what the non-idealities act on."""
    cell = hardware.cell
    verify, drift, relaxation = cell.verify, cell.drift, cell.relaxation
    errs = cell.program_std.any() or verify is not None
    return (
        bool(errs),
        None if cell.levels is None else cell.levels.tobytes(),
        cell.read.silent,
        None if drift is None else (drift.nu_std.any(), drift.nu_mean.any()),
        None if relaxation is None else (relaxation.std.any() or relaxation.initial_std.any(), relaxation.mean.any()),
        cell.variation,
        None if cell.windows is None else cell.windows.tobytes(),
        cell.faults,
        cell.iv_alpha,
        cell.read_disturb,
        hardware.tile,
    )
