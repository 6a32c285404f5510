"""Every random stream that an object holds, found by looking: for tests that none is shared, restarted or forgotten."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from analog_sim.random.streams import Stream, Streams


def streams_in(thing: Any) -> list[Stream]:
    """All streams below `thing`, each object once, in the order in which they are found."""
    return list(_walk(thing, set()))


def _walk(thing: Any, seen: set[int]) -> Iterator[Stream]:
    if id(thing) in seen or thing is None or isinstance(thing, str | bytes | int | float | np.ndarray | Streams | type):
        return
    seen.add(id(thing))
    if isinstance(thing, Stream):
        yield thing
    elif isinstance(thing, Mapping):
        for value in thing.values():
            yield from _walk(value, seen)
    elif isinstance(thing, list | tuple | set | frozenset):
        for value in thing:
            yield from _walk(value, seen)
    elif type(thing).__module__.split(".")[0] in ("analog_sim", "learning"):
        for value in vars(thing).values() if hasattr(thing, "__dict__") else ():
            yield from _walk(value, seen)


def positions(thing: Any) -> dict[str, int]:
    """Key of every stream below `thing` -> its position; raises AssertionError when two of them are the same stream."""
    found: dict[str, int] = {}
    for stream in streams_in(thing):
        key = stream.state()["key"]
        assert key not in found, f"two objects draw from stream {stream.name}"
        found[key] = stream.position
    return found


def names(thing: Any) -> dict[str, str]:
    """Key of every stream below `thing` -> its name, for messages."""
    return {stream.state()["key"]: stream.name for stream in streams_in(thing)}
