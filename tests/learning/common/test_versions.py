"""Versions of installed libraries; a program that runs from a folder on the path has none, which must not end a run."""

from __future__ import annotations

import numpy

from learning.common.versions import version_of


def test_an_installed_library_has_its_version() -> None:
    assert version_of("numpy") == numpy.__version__


def test_what_is_not_installed_says_so() -> None:
    assert version_of("no-such-library") == "not installed"
