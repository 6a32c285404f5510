"""Options of kernels that several files share. No kernel."""

from typing import Any

from numba.core import config

JIT_OFF = bool(config.DISABLE_JIT)  # type: ignore[attr-defined]
"""Whether kernels run as plain Python (NUMBA_DISABLE_JIT): what is written in the compiler's own language needs a twin then."""

WITHIN: dict[str, Any] = {"forceinline": True, "_nrt": False}
"""For helpers that are compiled into the loop that calls them, and make no array.

Without `_nrt`, Numba counts references to every array argument and view at each call: two atomic operations apiece, which cost a short
row of cells more than the arithmetic on it.
"""

CALLED: dict[str, Any] = {"cache": True, "_nrt": False}
"""For helpers that are called, not compiled into their caller, and make no array: once for many pulses, so that the call costs nothing."""
