"""Let Python's search for cyclic garbage rest while much is imported at once. It never frees or keeps anything of a user's.

Importing NumPy, Numba and our own modules makes 70,000 objects that live until the process ends. Python looks through them again and
again while they are made, and three times when it ends: a fifth of a short program.
"""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import BuiltinFunctionType, FunctionType, ModuleType

FEW = 25_000
"""Objects up to which a process has only just begun: Python has 5,000 when it starts, with NumPy 18,000, with torch 166,000."""

_STATIC = (type, FunctionType, BuiltinFunctionType, ModuleType, str, bytes, int, float, bool, tuple, type(None))


def only_begun() -> bool:
    """Whether nothing has happened in this process but imports: few objects, and no name in the main module for anything that could die."""
    if len(gc.get_objects()) > FEW:
        return False
    main = sys.modules.get("__main__")
    held = [value for name, value in vars(main).items() if not name.startswith("__")] if main is not None else []
    return all(isinstance(value, _STATIC) for value in held)


@contextmanager
def resting() -> Iterator[None]:
    """Within the block, for imports, no garbage is looked for; afterwards what there is counts as old.

    At the beginning of a process (`only_begun`) it is not looked through again until the process ends (`gc.freeze`), since it is modules,
    classes and functions; later only its age changes, because a user's objects are among it. Without effect where the search is off.
    """
    if not gc.isenabled():
        yield
        return
    begun, frozen = only_begun(), gc.get_freeze_count()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if begun:
            gc.freeze()
            _thaw_at_the_end()
        elif not frozen:
            gc.freeze()
            gc.unfreeze()  # into the oldest generation, which is looked through least often


@cache
def _thaw_at_the_end() -> None:
    """Once everything else is done, look for the user's garbage, as Python does, and let Python find the rest with the modules.

    A module that was there may hold, by now, a file that is not written yet: Python must see it when it puts modules away, which it does
    whether the search is on or not. Only the search before, through everything that is still in use, is left out.
    """

    def end() -> None:
        gc.collect()
        gc.unfreeze()
        gc.disable()

    atexit.register(end)
