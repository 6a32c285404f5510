"""Kernels compiled without counting references make no array, nor does what they call: Numba refuses it, but only where nothing is cached.

A function is compiled with the options of whoever calls it first, so that with a warm cache nobody notices.
"""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numba.core import config
from numba.core.dispatcher import Dispatcher

import analog_sim
import learning

MAKERS = {
    "empty",
    "zeros",
    "ones",
    "full",
    "empty_like",
    "zeros_like",
    "ones_like",
    "full_like",
    "arange",
    "array",
    "copy",
}

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="with the compiler off there are no kernels")


def kernels() -> Iterator[Dispatcher]:
    """Every kernel of the packages."""
    for package in (analog_sim, learning):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".kernels" in found.name or "._" in found.name:
                for value in vars(importlib.import_module(found.name)).values():
                    if isinstance(value, Dispatcher) and value.py_func.__module__ == found.name:
                        yield value


def made_in(function: Callable[..., Any], seen: set[Any]) -> str:
    """The first place in a function, or in what it calls, where an array is made; "" where there is none."""
    if function in seen:
        return ""
    seen.add(function)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = _named(call.func, inspect.unwrap(function).__globals__)
        name = ast.unparse(call.func)
        if called is not None and getattr(np, getattr(called, "__name__", ""), None) is called:
            if called.__name__ in MAKERS:
                return f"{function.__qualname__}: {name}"
            continue
        inner = called.py_func if isinstance(called, Dispatcher) else called
        ours = inspect.isfunction(inner) and inner.__module__.partition(".")[0] in ("analog_sim", "learning")
        if ours and (found := made_in(inner, seen)):
            return f"{function.__qualname__} -> {found}"
    return ""


def _named(node: ast.expr, names: dict[str, Any]) -> Any:
    """What a name or a dotted name stands for; None for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_named(node.value, names), node.attr, None)
    return None


def test_kernels_without_counting_make_no_array() -> None:
    found = [kernel for kernel in kernels() if kernel.targetoptions.get("_nrt") is False]
    assert len(found) > 20, "the kernels are found"
    assert [problem for kernel in found if (problem := made_in(kernel.py_func, set()))] == []
