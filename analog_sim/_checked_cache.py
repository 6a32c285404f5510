"""Make Numba's disk cache survive damage: a file that is not as it was written is dropped, and the kernel compiled again.

Numba unpickles what it finds and ends with whatever that raises, in every later run until someone deletes the file; a
flipped bit within machine code is not seen at all. Here every file gets a digest behind its end, where Numba, which
reads a pickle up to its own end, never looks: caches stay readable with and without this. It never decides what is cached.
"""

import hashlib
import importlib.abc
import importlib.util
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from analog_sim._late_cache import patch as _look_late
from analog_sim._shared_cache import patch as _share_places

MARK = b"\0analog-hil sha256 "
_CACHING = "numba.core.caching"


def sealed(content: bytes) -> bytes:
    """Content with its digest behind it."""
    return content + MARK + hashlib.sha256(content).digest()


def intact(content: bytes) -> bool:
    """Whether content is as `sealed` made it; content without a digest is left for Numba to judge."""
    body, mark, digest = content[: -len(MARK) - 32], content[-len(MARK) - 32 : -32], content[-32:]
    return mark != MARK or hashlib.sha256(body).digest() == digest


def _drop(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def checked(base: Any) -> Any:
    """Return a subclass of Numba's `IndexDataCacheFile` that seals what it writes and drops what is damaged."""

    class CheckedCacheFile(base):
        """Index and data files of one kernel."""

        def load(self, key: Any) -> Any:
            """The entry of `key`, None when there is none that is intact."""
            try:
                return super().load(key)
            except Exception:  # unpickling damaged bytes raises anything
                self._forget()
                return None

        def save(self, key: Any, data: Any) -> None:
            """Keep an entry; a cache that cannot be written only costs the next run its time."""
            try:
                try:
                    super().save(key, data)
                except OSError:
                    raise
                except Exception:  # a damaged index
                    self._forget()
                    super().save(key, data)
            except OSError as error:
                warnings.warn(
                    f"{self._cache_path}: compiled kernels cannot be kept ({error.strerror}); the next run compiles them again",
                    stacklevel=2,
                )

        def _load_index(self) -> Any:
            with suppress(FileNotFoundError), open(self._index_path, "rb") as file:
                if not intact(file.read()):
                    _drop(self._index_path)
            return super()._load_index()

        def _load_data(self, name: str) -> Any:
            with open(self._data_path(name), "rb") as file:
                if not intact(file.read()):
                    raise ValueError("damaged")
            return super()._load_data(name)

        @contextmanager
        def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
            written = io.BytesIO()
            yield written
            with super()._open_for_write(filepath) as file:
                file.write(sealed(written.getvalue()))

        def _forget(self) -> None:
            """Drop the index, and with it all entries: data files without an index are overwritten."""
            _drop(self._index_path)

    return CheckedCacheFile


def _patch(caching: ModuleType) -> None:
    if not getattr(caching.IndexDataCacheFile, "_analog_hil", False):
        made = checked(caching.IndexDataCacheFile)
        made._analog_hil = True
        caching.IndexDataCacheFile = made  # type: ignore[attr-defined]
        _share_places(caching)
        _look_late(caching)


class _AfterImport(importlib.abc.MetaPathFinder):
    """Patches Numba's caching when it is imported: this package imports Numba late, if at all."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _CACHING:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_patch(module: ModuleType) -> None:
            execute(module)
            _patch(module)

        spec.loader.exec_module = execute_and_patch  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Seal and check the cache files of every kernel that is made from now on in this process."""
    if _CACHING in sys.modules:
        _patch(sys.modules[_CACHING])
    elif not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())
