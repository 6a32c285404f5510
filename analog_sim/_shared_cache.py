"""Let the same sources share compiled kernels wherever they are installed. It never decides what is cached.

Numba files a compiled function under the folder of its source, so that another environment, a wheel or a second clone of the
same version would compile everything anew. Our cache folder is named by a digest of all kernel sources (`_cache`); within it
the dotted name of a module says all, and the place says nothing.
"""

import os
from functools import cache
from pathlib import Path
from types import ModuleType

from analog_sim._cache import PACKAGES, source_digest

ROOT = Path(__file__).resolve().parent.parent


@cache
def _digest() -> str:
    return source_digest(ROOT)


def place_of(file: str, folder: str) -> str | None:
    """Folder of a source's kernels within the cache, `analog_sim.reads.kernels`; None where Numba decides.

    That is for sources of other packages, and in a cache folder that is not named by our sources: the user's own, or one that
    another version has left in the environment.
    """
    below, _, _ = os.path.abspath(file).removeprefix(str(ROOT) + os.sep).rpartition(os.sep)
    if below.split(os.sep)[0] not in PACKAGES or os.path.basename(folder) != _digest():
        return None
    return below.replace(os.sep, ".")


def patch(caching: ModuleType) -> None:
    """Put our own places before those of `numba.core.caching`; a Numba that has other ones is left as it is."""
    base = getattr(caching, "UserProvidedCacheLocator", None)
    implementation = getattr(caching, "CacheImpl", None)
    if base is None or implementation is None:
        return

    class SharedLocator(base):  # type: ignore[misc, valid-type]
        """Files kernels by the name of their module."""

        @classmethod
        def get_suitable_cache_subpath(cls, py_file: str) -> str:
            """The folder within the cache."""
            found = place_of(py_file, caching.config.CACHE_DIR)
            return found if found is not None else str(super().get_suitable_cache_subpath(py_file))

    implementation._locator_classes = [
        SharedLocator if each is base else each for each in implementation._locator_classes
    ]
