"""Currents of an array with wires against sparse LU of the same nodal matrix: one input, the whole effective matrix, a small change.

`single` and `full` factor the array anew at every call, as the reference does; the reference's matrix is assembled beforehand. `error`
is the largest current error over the largest current, against LU with iterative refinement. For
`update` the reference is our own whole matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from analog_sim.wires import Topology, Tracker, currents, effective_matrix, factored, simple
from analog_sim.wires.reference import assemble, factorise, solve, sources
from learning.experiments.commands.benchmark_cases._case import Case

SIZES = (32, 64, 128, 256, 512, 1024)
LARGEST_REFERENCE = 512
"""Above it LU takes minutes and tens of GB: ours is timed alone."""
BLOCK = 64
UPDATE_TOLERANCE = 1e-8


class Later(Mapping[str, object]):
    """Facts that are computed when the row is written: not for cases that are left out."""

    def __init__(self, compute: Callable[[], dict[str, object]]) -> None:
        self.compute = compute
        self.known: dict[str, object] | None = None

    def _facts(self) -> dict[str, object]:
        if self.known is None:
            self.known = self.compute()
        return self.known

    def __getitem__(self, key: str) -> object:
        return self._facts()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts())

    def __len__(self) -> int:
        return len(self._facts())


def cases() -> Iterator[Case]:
    """Yield one input and the whole matrix at 1 ohm and 5 ohm, and a small change at 1 ohm."""
    for size in SIZES:
        for ohm in (1.0, 5.0):
            if ohm == 1.0 or 64 <= size <= 512:
                yield from _cases(size, ohm)
        if size >= 64:
            yield _update(size)


def _cells(size: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(size).uniform(1e-6, 100e-6, (size, size))


def _cases(size: int, ohm: float) -> Iterator[Case]:
    g, wires = _cells(size), simple(ohm, ohm)
    v = np.random.default_rng(1).uniform(0.0, 1.0, size)
    suffix = "" if ohm == 1.0 else f"_{ohm:g}_ohm"
    lu: dict[str, Any] = {}

    def prepare() -> None:
        if not lu:
            lu["matrix"], lu["b"] = assemble(g, wires), sources(np.eye(size), (size, size), wires)
            lu["one"] = sources(v[None], (size, size), wires)

    def single() -> object:
        prepare()
        return factorise(lu["matrix"]).solve(lu["one"])

    def full() -> object:
        prepare()
        factors = factorise(lu["matrix"])
        return [factors.solve(lu["b"][:, k : k + BLOCK]) for k in range(0, size, BLOCK)]

    compared = size <= LARGEST_REFERENCE
    name = "scipy splu, MMD_AT_PLUS_A, symmetric mode"
    yield Case(
        f"wires/single{suffix}",
        size,
        1,
        ours=lambda: currents(factored(g, wires), v),
        reference=single if compared else None,
        reference_name=name,
        facts=Later(lambda: {"ohm": ohm, "error": _error(g, wires, v, currents(factored(g, wires), v))}),
    )
    yield Case(
        f"wires/full{suffix}",
        size,
        size,
        ours=lambda: effective_matrix(g, wires),
        reference=full if compared else None,
        reference_name=name,
        facts=Later(lambda: {"ohm": ohm, **_full_facts(g, wires)}),
    )


def _inputs(size: int) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(2)
    return np.concatenate(
        [random.uniform(-1.0, 1.0, (2, size)), random.uniform(0.0, 1.0, (2, size)), np.eye(size)[:: -(-size // 4)]]
    )


def _full_facts(g: np.ndarray[Any, Any], wires: Topology) -> dict[str, object]:
    found, v = effective_matrix(g, wires), _inputs(len(g))
    return {
        "error": _error(g, wires, v, v @ found.matrix),
        "measured": found.error,
        "order": found.order,
        "basis": found.basis,
    }


def _error(
    g: np.ndarray[Any, Any], wires: Topology, v: np.ndarray[Any, Any], found: np.ndarray[Any, Any]
) -> float | str:
    """Largest over the inputs of current error / largest current."""
    if len(g) > LARGEST_REFERENCE:
        return "no reference"
    wanted = solve(g, wires, v).currents
    return float((np.abs(found - wanted).max(1) / np.abs(wanted).max(1)).max())


def _update(size: int) -> Case:
    """1 % of the cells changed by 1 %, another change each time, against a whole matrix to the same tolerance."""
    g, wires, random = _cells(size), simple(1.0, 1.0), np.random.default_rng(3)
    changed = []
    for _ in range(3):
        cells = g.copy()
        where = random.choice(g.size, g.size // 100, replace=False)
        cells.ravel()[where] *= 1.0 + 0.01 * random.choice([-1.0, 1.0], len(where))
        changed.append(cells)
    tracker = Tracker(wires, UPDATE_TOLERANCE)

    def ours() -> object:
        if tracker.reads == 0:
            tracker.matrix(g)
        return tracker.matrix(changed[tracker.reads % 3])

    def facts() -> dict[str, object]:
        step, v = tracker.matrix(changed[0]), _inputs(size)
        error = _error(changed[0], wires, v, v @ step.matrix)
        return {"error": error, "measured": step.error, "refreshes": tracker.refreshes, "reads": tracker.reads}

    return Case(
        "wires/update",
        size,
        size,
        ours=ours,
        reference=lambda: effective_matrix(changed[0], wires, UPDATE_TOLERANCE),
        reference_name="effective_matrix to the same tolerance",
        facts=Later(facts),
    )
