"""Let Numba look into its disk cache when a kernel is first called, and load what it finds without waking the compiler.

Numba opens the cache of every function when the module that holds it is imported, and before it loads machine code it imports all that a
compilation could need (SciPy's BLAS, lists, dictionaries, strings: a quarter of a second). A program calls few of the kernels that
it imports, and code that is loaded needs none of that. It never decides what is cached, nor what is compiled.
What is not there is asked of the room `compiling`.
"""

import sys
from types import ModuleType
from typing import Any

from analog_sim._cache import kernel_key
from analog_sim._shared_cache import ROOT, module_of

_COMPILERS_OWN = (b"hashsecret",)
"""In the names of symbols that Numba makes known only when its compiler wakes: code that needs one is loaded the usual way."""

_MEMORY_MANAGER = b"NRT_"
"""What the names of symbols of Numba's memory manager begin with: it is compiled for code that makes or counts arrays, and takes 20 ms."""


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
        """The compiled function of this signature, None when it is not there and is to be compiled here."""
        found = self._load(sig, target_context)
        if found is None and self.made._enabled:
            from analog_sim.compiling.missing import made_elsewhere

            if made_elsewhere(self._py_func, sig, self.made._cache_file._cache_path):
                found = self._load(sig, target_context)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function."""
        from analog_sim.compiling.missing import keep

        keep(lambda: self.made.save_overload(sig, data), self._py_func, sig)

    def _load(self, sig: Any, target_context: Any) -> Any:
        """The kept function, None without one."""
        cache = self.made
        with cache._guard_against_spurious_io_errors():
            if not cache._enabled:
                return None
            data = cache._cache_file.load(cache._index_key(sig, target_context.codegen()))
            if data is None:
                return None
            if _needs_compiler(data):
                target_context.refresh()
            elif _MEMORY_MANAGER in data[0][2][0]:
                from numba.core.runtime import rtsys

                rtsys.initialize(target_context)
            return _rebuilt(cache._impl, target_context, data)
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.made, name)


def _rebuilt(impl: Any, target_context: Any, data: Any) -> Any:
    """The kept function, whose bitcode is parsed when a kernel that is compiled anew takes it into itself, or asks what is defined.

    Numba parses it, and names all that it defines, for every function that it loads: a third of the time of loading.
    """
    (name, kind, (code, bitcode)), *rest = data
    codegen = target_context.codegen()
    if not _is_known(codegen, kind):
        return impl.rebuild(target_context, data)
    from llvmlite import binding

    engine = codegen._engine
    parsed: list[Any] = []
    # What Python calls is looked up at once. An object file holds the names of its symbols as they are.
    engine._defined_symbols |= {symbol for symbol in _entries(rest[0]) if symbol.encode() in code}
    found = impl.rebuild(target_context, ((name, kind, (code, binding.parse_assembly("").as_bitcode())), *rest))
    library = found.library

    def parse() -> Any:
        if not parsed:
            parsed.append(binding.parse_bitcode(bitcode))
            engine._load_defined_symbols(parsed[0])
        return parsed[0]

    library._shared_module = None
    library._get_module_for_linking = parse
    _not_parsed(engine).append(parse)
    return found


def _entries(function: Any) -> set[str]:
    """Symbols by which a function is called: by itself, from Python, from C."""
    return {function.llvm_func_name, function.llvm_cpython_wrapper_name, function.llvm_cfunc_wrapper_name}


def _is_known(codegen: Any, kind: str) -> bool:
    """Whether a kept function of this kind is code with bitcode beside it, and Numba of the form that the above relies on."""
    engine, library = getattr(codegen, "_engine", None), getattr(codegen, "_library_class", None)
    return (
        kind == "object"
        and isinstance(getattr(engine, "_defined_symbols", None), set)
        and hasattr(engine, "_load_defined_symbols")
        and hasattr(engine, "is_symbol_defined")
        and hasattr(library, "_get_module_for_linking")
    )


def _not_parsed(engine: Any) -> list[Any]:
    """What parses the functions of an engine that are not parsed yet; all are when somebody asks it for a symbol."""
    waiting: list[Any] | None = getattr(engine, "_waiting", None)
    if waiting is None:
        waiting = engine._waiting = []
        known = engine.is_symbol_defined

        def is_symbol_defined(name: str) -> bool:
            while waiting and not known(name):
                waiting.pop()()
            return bool(known(name))

        engine.is_symbol_defined = is_symbol_defined
    return waiting


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
