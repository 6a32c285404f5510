"""The version of an installed library, and of this program."""

from __future__ import annotations

import importlib.metadata


def version_of(library: str) -> str:
    """The version of `library`, or "not installed": a program that runs from a folder on the path is not installed either."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
