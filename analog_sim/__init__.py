"""The emulator: many cells, wires, converters and a clock, in SI units. It never knows a technology by name, nor a loss.

Importing the package is cheap: it imports neither Numba nor NumPy. It only fixes where compiled kernels are cached and
how long idle threads of OpenMP and OpenBLAS spin, all of which must be settled before Numba and NumPy start.
"""

from analog_sim._cache import configure as _configure_cache
from analog_sim._checked_cache import install as _install_checked_cache
from analog_sim._guard import check_shadowing
from analog_sim._moved import install as _install_old_names
from analog_sim.threads import limit_spinning as _limit_spinning

__all__ = ["check_shadowing"]

__analog_hil__ = True

_configure_cache()
_install_old_names()
_install_checked_cache()
_limit_spinning()
