"""Give Numba a cache folder of its own for this exact version of the sources. It never imports Numba.

Numba's disk cache notices an edit of the file that holds a kernel, but not of a helper that the kernel inlines from
another file: it would then silently run old code. So the folder's name is a digest of every source file that compiled
code can come from. Runs at every import of the package, hence plain string handling and late imports.
"""

import hashlib
import importlib.util
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("analog_sim", "devices", "learning")
KEEP_DAYS = 30.0

_IMPORTS = re.compile(
    rb"^[ \t]*(?:from[ \t]+((?:analog_sim|devices|learning)[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)"
    rb"|import[ \t]+([^\n]*))",
    re.MULTILINE,
)


def _sources(folder: str, module: str) -> Iterator[tuple[str, str]]:
    """(module name, path) of every Python file below a package's folder."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        name = entry.name
        if name == "__init__.py":
            yield module, entry.path
        elif name.endswith(".py"):
            yield f"{module}.{name[:-3]}", entry.path
        elif "." not in name and name != "__pycache__" and entry.is_dir():
            yield from _sources(entry.path, f"{module}.{name}")


def _imported_modules(source: bytes) -> Iterator[str]:
    """Names of our own modules that a source file imports (a superset: an imported name may be a function)."""
    for package, names, plain in _IMPORTS.findall(source):
        if package:
            yield package.decode()
            for name in re.findall(rb"\w+", names):
                yield f"{package.decode()}.{name.decode()}"
        else:
            yield from (name.decode() for name in re.findall(rb"[\w.]+", plain))


def kernel_sources(root: Path) -> dict[str, bytes]:
    """Module name and text of every source below `root` that can end up inside a kernel, sorted by name.

    Those are the files that mention Numba, and what they import of ours, transitively.
    """
    text: dict[str, bytes] = {}
    for package in PACKAGES:
        for module, path in _sources(os.path.join(root, package), package):
            with open(path, "rb") as file:
                text[module] = file.read()
    pending = [module for module, source in text.items() if b"numba" in source or b"njit" in source]
    reached: dict[str, bytes] = {}
    while pending:
        module = pending.pop()
        if module in text and module not in reached:
            reached[module] = text[module]
            pending.extend(_imported_modules(text[module]))
    return dict(sorted(reached.items()))


def source_digest(root: Path) -> str:
    """SHA-256 over all kernel sources, the version of Python and the installation of Numba: 64 hexadecimal digits."""
    spec = importlib.util.find_spec("numba")
    numba = spec.origin if spec is not None and spec.origin is not None else "absent"
    digest = hashlib.sha256(f"{sys.implementation.cache_tag}\0{numba}\0".encode())
    for module, source in kernel_sources(root).items():
        digest.update(f"{module}\0{len(source)}\0".encode())
        digest.update(source)
    return digest.hexdigest()


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
    """Make the folder and mark it as in use (see prune); False when that is not possible."""
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
    """Point Numba's disk cache at the folder of these sources and return it.

    None when the user's own NUMBA_CACHE_DIR stands, or when no folder can be written and Numba is left to itself.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return None
    digest = source_digest(Path(__file__).resolve().parent.parent)
    parent: Path | None = user_cache_folder() / "numba"
    if parent is not None and not _usable(parent / digest):
        parent = _fallback_parent()
    if parent is None or not _usable(parent / digest):
        return None
    folder = parent / digest
    prune(parent, keep=folder)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:  # it read the environment when it was imported, before us
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder
