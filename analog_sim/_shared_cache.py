"""Let the same sources share compiled kernels wherever they are installed. It never decides what is cached.

Numba files a compiled function under the folder of its source, so that another environment, a wheel or a second clone of the
same version would compile everything anew. In our cache folder the dotted name of a module and its key (`_cache.kernel_key`) say all,
and the place says nothing.
"""

import os
from pathlib import Path
from types import ModuleType

from analog_sim._cache import PACKAGES, compiler_key, kernel_key, prune

ROOT = Path(__file__).resolve().parent.parent


def module_of(file: str) -> str | None:
    """Dotted name of a source of ours, None for any other file."""
    below = os.path.abspath(file).removeprefix(str(ROOT) + os.sep)
    module = below.removesuffix(".py").replace(os.sep, ".").removesuffix(".__init__")
    return module if module.partition(".")[0] in PACKAGES else None


def place_of(file: str, folder: str) -> str | None:
    """Folder of a source's kernels within the cache, `analog_sim.reads.kernels.net-KEY`; None where Numba decides.

    That is for sources of other packages, and in a cache folder that is not ours but the user's own.
    """
    module = module_of(file)
    if module is None or os.path.basename(folder) != compiler_key():
        return None
    try:
        return f"{module}-{kernel_key(ROOT, module)}"
    except OSError:
        return None


def patch(caching: ModuleType) -> None:
    """Put our own places before those of `numba.core.caching`; a Numba that has other ones is left as it is."""
    base = getattr(caching, "UserProvidedCacheLocator", None)
    implementation = getattr(caching, "CacheImpl", None)
    if base is None or implementation is None:
        return

    class SharedLocator(base):  # type: ignore[misc, valid-type]
        """Files kernels by the name of their module and what they can see."""

        @classmethod
        def get_suitable_cache_subpath(cls, py_file: str) -> str:
            """The folder within the cache."""
            found = place_of(py_file, caching.config.CACHE_DIR)
            return found if found is not None else str(super().get_suitable_cache_subpath(py_file))

        def ensure_cache_path(self) -> None:
            """Make the folder, and remove those that nobody has used for long; one that is there is marked as in use."""
            place = Path(self.get_cache_path())
            if place_of(self._py_file, str(place.parent)) == place.name:
                try:
                    os.utime(place)
                except FileNotFoundError:
                    prune(place.parent, keep=place)
                    prune(place.parent.parent, keep=place.parent)
            super().ensure_cache_path()

    implementation._locator_classes = [
        SharedLocator if each is base else each for each in implementation._locator_classes
    ]
