"""Let Numba look into its disk cache when a kernel is first called, and load what it finds without waking the compiler.

Numba opens the cache of every function when the module that holds it is imported, and before it loads machine code it imports all that a
compilation could need (SciPy's BLAS, lists, dictionaries, strings: a quarter of a second). A program calls few of the kernels that
it imports, and code that is loaded needs none of that. It never decides what is cached, nor what is compiled.
"""

import sys
from types import ModuleType
from typing import Any

from analog_sim._cache import kernel_key
from analog_sim._shared_cache import ROOT, module_of

_COMPILERS_OWN = (b"hashsecret",)
"""In the names of symbols that Numba makes known only when its compiler wakes: code that needs one is loaded the usual way."""


class LateCache:
    """Stands for a cache of a function, as Numba makes it, that is made when it is first looked into.

    Args:
        make: makes one. py_func: the function whose code is kept.
    """

    def __init__(self, make: Any, py_func: Any) -> None:
        self._make, self._py_func = make, py_func
        self._made: Any = None

    @property
    def made(self) -> Any:
        """Numba's own cache of this function."""
        if self._made is None:
            self._made = self._make(self._py_func)
        return self._made

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function of this signature, None when it is not there."""
        cache = self.made
        with cache._guard_against_spurious_io_errors():
            if not cache._enabled:
                return None
            data = cache._cache_file.load(cache._index_key(sig, target_context.codegen()))
            if data is None:
                return None
            if _needs_compiler(data):
                target_context.refresh()
            else:
                from numba.core.runtime import rtsys

                rtsys.initialize(target_context)
            return cache._impl.rebuild(target_context, data)
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.made, name)


def _needs_compiler(data: Any) -> bool:
    """Whether a kept function is of another form than is known here, or needs symbols that only the compiler makes known."""
    library, reload = data[0], data[7]
    if reload or library[1] != "object":
        return True
    return any(name in library[2][0] for name in _COMPILERS_OWN)


def patch(caching: ModuleType) -> None:
    """Give kernels of ours a `LateCache` in `numba.core.caching`; a Numba that is of another form is left as it is."""
    base = getattr(caching, "FunctionCache", None)
    parts = ("_load_overload", "_index_key", "_guard_against_spurious_io_errors", "load_overload")
    if base is None or not all(hasattr(base, part) for part in parts):
        return

    def late(py_func: Any) -> Any:
        module = module_of(py_func.__code__.co_filename)
        if module is None:
            return base(py_func)
        try:
            kernel_key(ROOT, module)  # of the sources as they are now, when Python runs them
        except OSError:
            return base(py_func)
        return LateCache(base, py_func)

    dispatcher = sys.modules.get("numba.core.dispatcher")
    caching.FunctionCache = late  # type: ignore[attr-defined]
    if dispatcher is not None:  # it took its name when it was imported, before us
        dispatcher.FunctionCache = late  # type: ignore[attr-defined]
