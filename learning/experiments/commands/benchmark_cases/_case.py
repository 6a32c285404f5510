"""One row of the benchmark: ours against a reference, on the same data. Never decides what is fast enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """What is timed.

    Attributes:
        name: "family/variant", for example "mvm/read_noise".
        size: the characteristic dimension. batch: vectors or samples per call (1 where there is no batch).
        ours: one call of our code. reference: one call of the reference, None when there is none to run here.
        reference_name: what the reference is.
        also: further references by name, timed in the same round; their ratios are reported as `ratio_<name>`.
        per_call: quantities that one call of ours handles, by name ("pulse": 1.5e6): reported as `ns_per_<name>`.
        facts: further fields for the record (bytes per cell, a setting), copied as they are.
        threads: thread counts at which the case makes sense; "one" or "all".
    """

    name: str
    size: int
    batch: int
    ours: Callable[[], object]
    reference: Callable[[], object] | None
    reference_name: str
    also: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    per_call: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    threads: tuple[str, ...] = ("one", "all")
