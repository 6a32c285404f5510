"""Tell a user whose own folder shadows one of our packages. It never imports anything.

`devices` and `learning` are common folder names: beside the user's script such a folder wins over the installed package.
"""

import importlib.util
import re
from pathlib import Path

PACKAGES = ("analog_sim", "devices", "learning", "analog_hil")
_MARKER = re.compile(r"^__analog_hil__\s*=\s*True\b", re.MULTILINE)


class ShadowedPackageError(ImportError):
    """Another package carries the name of one of ours and comes first on sys.path."""


def check_shadowing(*packages: str) -> None:
    """Check that each of `packages` (default: all of ours) is ours, by the marker in its `__init__.py`, without importing it.

    Raises ShadowedPackageError naming the path that shadows, or saying that the package is not installed.
    """
    for name in packages or PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ShadowedPackageError(
                f"package {name!r} is not installed; install analog-hil (python -m pip install analog-hil)"
            )
        origin = spec.origin if spec.origin not in (None, "namespace") else None
        if origin is not None:
            source = Path(origin)
            if source.suffix == ".py" and _MARKER.search(source.read_text(encoding="utf-8", errors="replace")):
                continue
        where = origin or ", ".join(spec.submodule_search_locations or ["unknown"])
        raise ShadowedPackageError(
            f"package {name!r} of analog-hil is shadowed by {where}; got a package without our marker, "
            f"allowed: the installed analog-hil. Rename that folder or file, or run from another folder."
        )
