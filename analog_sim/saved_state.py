"""Typed records of what a checkpoint keeps, and the one place that takes them back: whatever does not fit is refused in one line.

Whatever has a state describes it as a `TypedDict`: plain values, arrays, lists, and other such records. `state()` returns one, `restore()`
hands what it is given to `taken`, which looks at every key and kind, and puts arrays back by `put`, which looks at their shapes.
It never reads a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np
import numpy.typing as npt

State = Mapping[str, object]
"""A record whose kind only its owner knows: of a write scheme, of a tile."""
T = TypeVar("T")
_NUMBERS = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}


def taken(kind: type[T], state: State, where: str = "") -> T:
    """`state` as a record of a `TypedDict`, after a look at all that is in it.

    Args:
        kind: the record. state: what a checkpoint held: lists may stand for tuples, whole numbers for others. where: what it is of, for
            the message.

    Raises:
        ValueError: one line: a key that is missing or unknown, a value of another kind.
    """
    _check(kind, state, where)
    return cast(T, state)


def put(into: npt.NDArray[Any], saved: npt.NDArray[Any], what: str) -> None:
    """Copy a saved array into one that is there. Raises ValueError when their shapes differ, because NumPy would spread a smaller one."""
    if np.shape(saved) != into.shape:
        raise ValueError(f"{what}: saved with shape {np.shape(saved)}, here {into.shape}")
    into[...] = saved


@cache
def _fields(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Kind of every key of a record, and the keys that must be there."""
    return get_type_hints(kind), frozenset(kind.__required_keys__)


def _check(kind: Any, value: object, where: str) -> None:
    if is_typeddict(kind):
        _check_record(kind, value, where)
        return
    origin, inner = get_origin(kind), get_args(kind)
    if kind in (Any, object):
        return
    if origin in (Union, UnionType):
        _check_union(inner, value, where)
    elif origin is np.ndarray:
        _check_array(inner, value, where)
    elif origin is list:
        _need(isinstance(value, list | tuple), "a list", value, where)
        for number, item in enumerate(cast("list[object]", value)):
            _check(inner[0], item, f"{where}[{number}]")
    elif origin is not None and issubclass(origin, Mapping):
        _need(isinstance(value, Mapping), "a record", value, where)
        for name, item in cast(State, value).items():
            _check(inner[1], item, _below(where, name))
    elif kind is None or kind is NoneType:
        _need(value is None, "nothing", value, where)
    else:
        allowed = _NUMBERS[kind]
        number = isinstance(value, allowed) and (kind is bool or not isinstance(value, bool))
        _need(
            number or (isinstance(value, np.generic) and isinstance(value.item(), allowed)), kind.__name__, value, where
        )


def _check_record(kind: Any, value: object, where: str) -> None:
    _need(isinstance(value, Mapping), "a record", value, where)
    found = cast(State, value)
    hints, required = _fields(kind)
    if missing := sorted(required - set(found)):
        raise ValueError(f"{_below(where, missing[0])}: is missing")
    if extra := sorted(set(found) - set(hints)):
        raise ValueError(f"{_below(where, extra[0])}: is not known here; allowed: {', '.join(hints) or 'nothing'}")
    for name, item in found.items():
        _check(hints[name], item, _below(where, name))


def _check_union(kinds: tuple[Any, ...], value: object, where: str) -> None:
    """The first kind that fits; the message is that of the last, since None comes first or not at all."""
    reason: ValueError | None = None
    for kind in sorted(kinds, key=lambda one: one is not NoneType):
        try:
            _check(kind, value, where)
            return
        except ValueError as error:
            reason = error
    assert reason is not None
    raise reason


def _check_array(inner: tuple[Any, ...], value: object, where: str) -> None:
    _need(isinstance(value, np.ndarray), "an array", value, where)
    wanted = get_args(inner[1])
    dtype = cast("npt.NDArray[Any]", value).dtype
    if wanted and wanted[0] is not Any:
        fits = np.issubdtype(dtype, wanted[0])
        _need(fits, f"an array of {wanted[0].__name__}", dtype, where)


def _need(fits: bool, wanted: str, got: object, where: str) -> None:
    if not fits:
        shown = got if isinstance(got, int | float | str | np.dtype) or got is None else type(got).__name__
        raise ValueError(f"{where or 'state'}: must be {wanted} (got {shown})")


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
