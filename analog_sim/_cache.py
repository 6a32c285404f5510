"""Give Numba a cache folder of its own, and every file of kernels a key made of the sources it can see. It never imports Numba.

Numba's disk cache notices an edit of the file that holds a kernel, but not of a helper that the kernel inlines from another file: it
would then silently run old code. So what is compiled from a file lies in a folder that is named by a digest of this file and of all
files of ours that it imports, directly or not. An edit compiles anew what could have changed, and nothing else.
Runs at every import of the package, hence plain string handling and late imports.
"""

import hashlib
import importlib.util
import os
import re
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGES = ("analog_sim", "devices", "learning")
KEEP_DAYS = 30.0

_IMPORTS = re.compile(
    rb"^[ \t]*(?:from[ \t]+((?:analog_sim|devices|learning)[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)"
    rb"|import[ \t]+([^\n]*))",
    re.MULTILINE,
)


def _imported_modules(source: bytes) -> Iterator[str]:
    """Names of our own modules that a source file imports (a superset: an imported name may be a function)."""
    for package, names, plain in _IMPORTS.findall(source):
        if package:
            yield package.decode()
            for name in re.findall(rb"\w+", names):
                yield f"{package.decode()}.{name.decode()}"
        else:
            yield from (name.decode() for name in re.findall(rb"[\w.]+", plain))


def _source(root: Path, module: str) -> bytes | None:
    """Text of a module of ours below `root`; None for a name that is no module."""
    path = os.path.join(root, *module.split("."))
    for file in (f"{path}.py", os.path.join(path, "__init__.py")):
        try:
            with open(file, "rb") as found:
                return found.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return None


@cache
def _read(root: Path, module: str) -> tuple[bytes | None, tuple[str, ...]]:
    """Text of a module and the names it imports, as they are when they are first asked for: Python runs no later edit either."""
    source = _source(root, module)
    return source, () if source is None else tuple(_imported_modules(source))


def closure(root: Path, module: str) -> dict[str, bytes]:
    """Module name and text of everything of ours that a kernel of `module` can be made of, sorted by name.

    That is the module, and what it imports of ours, transitively.
    """
    reached: dict[str, bytes] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        if name in reached:
            continue
        source, imported = _read(root, name) if name.partition(".")[0] in PACKAGES else (None, ())
        if source is not None:
            reached[name] = source
            pending.extend(imported)
    return dict(sorted(reached.items()))


@cache
def kernel_key(root: Path, module: str) -> str:
    """Digest of the `closure` of a module: 24 hexadecimal digits of its SHA-256. Raises FileNotFoundError without its source."""
    digest, sources = hashlib.sha256(), closure(root, module)
    if module not in sources:
        raise FileNotFoundError(f"no source of {module} below {root}")
    for name, source in sources.items():
        digest.update(f"{name}\0{len(source)}\0".encode())
        digest.update(source)
    return digest.hexdigest()[:24]


@cache
def compiler_key() -> str:
    """Digest of the version of Python and the place of Numba's installation: 16 hexadecimal digits of their SHA-256."""
    spec = importlib.util.find_spec("numba")
    numba = spec.origin if spec is not None and spec.origin is not None else "absent"
    return hashlib.sha256(f"{sys.implementation.cache_tag}\0{numba}\0".encode()).hexdigest()[:16]


def user_cache_folder() -> Path:
    """The user's cache folder for this project, by platform.

    `$XDG_CACHE_HOME/analog-hil`, `%LOCALAPPDATA%/analog-hil`, `~/Library/Caches/analog-hil` or `~/.cache/analog-hil`.
    """
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "analog-hil"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "analog-hil"
    home = Path(os.path.expanduser("~"))
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "analog-hil"


def _usable(folder: Path) -> bool:
    """Make the folder and mark it as in use, see `prune`; False when that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def prune(parent: Path, keep: Path, days: float = KEEP_DAYS) -> None:
    """Remove the cache folders in `parent` that no process has used for `days`, but for `keep`.

    It is housekeeping only: what cannot be removed is left.
    """
    oldest = time.time() - days * 86400.0
    try:
        stale = [f for f in os.scandir(parent) if f.is_dir() and f.name != keep.name and f.stat().st_mtime < oldest]
    except OSError:
        return
    if stale:
        import shutil

        for folder in stale:
            shutil.rmtree(folder.path, ignore_errors=True)


def _fallback_parent() -> Path | None:
    """A private folder of this user's in the temporary folder, for a home that cannot be written; None without one.

    Numba unpickles what it finds in its cache, so a folder that another user prepared under our name is refused.
    """
    import stat
    import tempfile

    try:
        folder = Path(tempfile.gettempdir()) / f"analog-hil-{os.getuid() if sys.platform != 'win32' else 'user'}"
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    if sys.platform != "win32" and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        return None
    return folder / "numba"


def configure() -> Path | None:
    """Point Numba's disk cache at our folder and return it; the folders of the kernels lie in it, see `_shared_cache`.

    None when the user's own NUMBA_CACHE_DIR stands, or when no folder can be written and Numba is left to itself.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return None
    parent: Path | None = user_cache_folder() / "numba"
    if parent is not None and not _usable(parent / compiler_key()):
        parent = _fallback_parent()
    if parent is None or not _usable(parent / compiler_key()):
        return None
    folder = parent / compiler_key()
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:  # it read the environment when it was imported, before us
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder
