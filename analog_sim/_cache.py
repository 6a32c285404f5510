"""Give Numba a cache folder of its own for this exact version of the sources. It never imports Numba and never deletes a folder in use.

Numba's disk cache notices an edit of the file that holds a kernel, not of a helper that the kernel inlines from another file, and would then run old code.
So the folder's name is a digest of every source file that compiled code can come from.
"""

import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("analog_sim", "devices", "learning")
KEEP_DAYS = 30.0

_MENTIONS_NUMBA = re.compile(rb"\b(?:numba|njit)\b")
_IMPORTS = re.compile(
    rb"^[ \t]*(?:from[ \t]+((?:analog_sim|devices|learning)[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([^\n]*))",
    re.M,
)


def _imported_modules(source: bytes) -> Iterable[str]:
    """Names of our own modules that a source file imports (a superset: an imported name may be a function)."""
    for package, names, plain in _IMPORTS.findall(source):
        if package:
            yield package.decode()
            for name in re.findall(rb"\w+", names):
                yield f"{package.decode()}.{name.decode()}"
        else:
            yield from (name.decode() for name in re.findall(rb"[\w.]+", plain))


def kernel_sources(root: Path) -> list[Path]:
    """Source files below `root` that can end up inside a kernel: those that mention Numba, and what they import of ours, transitively."""
    sources: dict[str, tuple[Path, bytes]] = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = (path, path.read_bytes())
    pending = [name for name, (_, text) in sources.items() if _MENTIONS_NUMBA.search(text)]
    reached: set[str] = set()
    while pending:
        name = pending.pop()
        if name in sources and name not in reached:
            reached.add(name)
            pending.extend(_imported_modules(sources[name][1]))
    return [sources[name][0] for name in sorted(reached)]


def source_digest(root: Path) -> str:
    """SHA-256 over names and bytes of all kernel sources and the versions of Python and Numba: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    try:
        numba_version = version("numba")
    except PackageNotFoundError:
        numba_version = "absent"
    digest.update(f"{sys.implementation.cache_tag} numba {numba_version}\0".encode())
    for path in kernel_sources(root):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def user_cache_folder() -> Path:
    """`$XDG_CACHE_HOME/analog-hil`, `%LOCALAPPDATA%/analog-hil`, `~/Library/Caches/analog-hil` or `~/.cache/analog-hil`, by platform."""
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "analog-hil"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "analog-hil"
    home = Path(os.path.expanduser("~"))
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "analog-hil"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)  # also marks the folder as in use, see prune()
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def prune(parent: Path, keep: Path, days: float = KEEP_DAYS) -> None:
    """Remove cache folders under `parent` that no process has opened for `days`; `keep` stays. Failures are ignored: it is only housekeeping."""
    oldest = time.time() - days * 86400.0
    try:
        stale = [
            folder
            for folder in parent.iterdir()
            if folder != keep and folder.is_dir() and folder.stat().st_mtime < oldest
        ]
    except OSError:
        return
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)


def configure() -> Path | None:
    """Point Numba's disk cache at the folder of these sources; return it, or None when the user's own NUMBA_CACHE_DIR stands."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return None
    digest = source_digest(Path(__file__).resolve().parent.parent)
    parent = user_cache_folder() / "numba"
    if not _writable(parent / digest):
        user = os.getuid() if sys.platform != "win32" else os.environ.get("USERNAME", "user")
        parent = Path(tempfile.gettempdir()) / f"analog-hil-{user}" / "numba"
        if not _writable(parent / digest):
            return None  # Numba then falls back to its own choice of folder
    folder = parent / digest
    prune(parent, keep=folder)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:  # it read the environment when it was imported, before us
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder
