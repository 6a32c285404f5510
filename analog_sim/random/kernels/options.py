"""Options of kernels that several files share. No kernel.

What a first product has to compile decides how long a user waits for it. So these kernels make no array (their scratch lies on the stack,
`memory.room`, or is handed to them), which leaves out the counting of references and Numba's own functions for arrays; and what is
compiled into a loop has no wrapper for calls from Python.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba.core import config
from numba.extending import register_jitable

F = TypeVar("F", bound=Callable[..., Any])

JIT_OFF = bool(config.DISABLE_JIT)  # type: ignore[attr-defined]
"""Whether kernels run as plain Python (NUMBA_DISABLE_JIT): what is written in the compiler's own language needs a twin then."""

KERNEL: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": False, "_nrt": False}
"""For kernels that make no array.

Without `_nrt`, Numba counts references to every array argument and view at each call: two atomic operations apiece, which cost a short
row of cells more than the arithmetic on it.
"""

WITHIN: dict[str, Any] = {"forceinline": True, "_nrt": False}
"""For helpers that are compiled into the loop that calls them, make no array, and are called from Python too; see `within`."""

CALLED: dict[str, Any] = {"cache": True, "_nrt": False}
"""The same for kernels that are done before another thread could begin, and for helpers that are called, not compiled into their caller."""


def within(function: F) -> F:
    """Decorate a helper that is compiled into the kernel that calls it, and makes no array.

    For Python it stays the plain function that it is: a wrapper by which Python called the compiled one took a fifth of the time of
    compiling it.
    """
    made: F = register_jitable(forceinline=True, _nrt=False)(function)
    return made
