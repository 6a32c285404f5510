"""Wires of a crossbar (IR drop): exact currents and the effective conductance matrix of an array whose lines have resistance.

How a crossbar uses it: `WiresSpec` is what a user writes; `forward()` and `backward()` are the topologies of its two directions.
`effective_matrix(g, topology)` gives the matrix that makes a read a plain product, once per programming; `transposed_matrix` the one of the
other direction; `Tracker` follows cells that change a little at every step; `arranged` and `net` place differential pairs. `read` gives the
currents of single inputs (`factored` and `currents` of many with the same cells). `solve_maps`, `solve_nonlinear` and `noise_transfer` tell
of voltages, cells that are not ohmic, and read noise.

It works on conductances in siemens and volts, in float64. It knows no chip, no clock, no device and no random stream, and caches
nothing by itself. Everything a user can get wrong is a `WiresError` of one line. Modules outside import from here only.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from analog_sim.wires.spec import TransposedSpec, WiresSpec
from analog_sim.wires.topology import End, Line, Topology, WiresError, simple

if TYPE_CHECKING:
    from analog_sim.wires.changes.first_order import FirstOrder
    from analog_sim.wires.changes.noise import NoiseTransfer, exact_variance, noise_transfer
    from analog_sim.wires.changes.response import MODES, Response, reach, response, smooth_modes
    from analog_sim.wires.changes.update import Step, Tracker
    from analog_sim.wires.compensation import Shaped, column_scale, shaped, shaped_planes
    from analog_sim.wires.effective import Effective, effective_matrix, transposed_matrix
    from analog_sim.wires.maps import Maps
    from analog_sim.wires.maps import solve as solve_maps
    from analog_sim.wires.network import Network, factored
    from analog_sim.wires.nonlinear import NonlinearRead, Sinh, Table
    from analog_sim.wires.nonlinear import solve as solve_nonlinear
    from analog_sim.wires.pairs import arranged, net, net_transposed, parted
    from analog_sim.wires.single import Solver, currents, read
    from analog_sim.wires.writing import across

__all__ = [
    "MODES",
    "Effective",
    "End",
    "FirstOrder",
    "Line",
    "Maps",
    "Network",
    "NoiseTransfer",
    "NonlinearRead",
    "Response",
    "Shaped",
    "Sinh",
    "Solver",
    "Step",
    "Table",
    "Topology",
    "Tracker",
    "TransposedSpec",
    "WiresError",
    "WiresSpec",
    "across",
    "arranged",
    "column_scale",
    "currents",
    "effective_matrix",
    "exact_variance",
    "factored",
    "net",
    "net_transposed",
    "noise_transfer",
    "parted",
    "reach",
    "read",
    "response",
    "shaped",
    "shaped_planes",
    "simple",
    "smooth_modes",
    "solve_maps",
    "solve_nonlinear",
    "transposed_matrix",
]

_WHERE = {
    "FirstOrder": "changes.first_order.FirstOrder",
    "NoiseTransfer": "changes.noise.NoiseTransfer",
    "exact_variance": "changes.noise.exact_variance",
    "noise_transfer": "changes.noise.noise_transfer",
    "MODES": "changes.response.MODES",
    "Response": "changes.response.Response",
    "reach": "changes.response.reach",
    "response": "changes.response.response",
    "smooth_modes": "changes.response.smooth_modes",
    "Step": "changes.update.Step",
    "Tracker": "changes.update.Tracker",
    "Shaped": "compensation.Shaped",
    "column_scale": "compensation.column_scale",
    "shaped": "compensation.shaped",
    "shaped_planes": "compensation.shaped_planes",
    "Effective": "effective.Effective",
    "effective_matrix": "effective.effective_matrix",
    "transposed_matrix": "effective.transposed_matrix",
    "Maps": "maps.Maps",
    "solve_maps": "maps.solve",
    "Network": "network.Network",
    "factored": "network.factored",
    "NonlinearRead": "nonlinear.NonlinearRead",
    "Sinh": "nonlinear.Sinh",
    "Table": "nonlinear.Table",
    "solve_nonlinear": "nonlinear.solve",
    "arranged": "pairs.arranged",
    "net": "pairs.net",
    "net_transposed": "pairs.net_transposed",
    "parted": "pairs.parted",
    "Solver": "single.Solver",
    "currents": "single.currents",
    "read": "single.read",
    "across": "writing.across",
}
"""Names that are imported when they are first asked for: arrays of ideal wires need none of them, nor their kernels."""


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, found = _WHERE[name].rpartition(".")
    globals()[name] = value = getattr(import_module(f"{__name__}.{module}"), found)
    return value
