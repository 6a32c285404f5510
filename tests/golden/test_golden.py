"""Nothing is lost: an estimate, a training arm per write scheme and fits of measurements give the tables that were kept, to the digit.

A table that changes for a reason is written again by `python tests/golden/write.py NAME`, and the reason goes into the changelog.
"""

import pytest
from golden.cases import CASES, FITS, QUICK_FITS, TABLES, different, table, text

KEPT = {path.stem for path in TABLES.iterdir()}


@pytest.mark.jit
@pytest.mark.filterwarnings("ignore:.*ask for more pulses than a train")
@pytest.mark.parametrize("name", CASES)
def test_same_table_as_before(name: str) -> None:
    """A write scheme that is new is run, and has nothing before it until `tests/golden/write.py` keeps its table."""
    found = text(CASES[name]())
    assert found == table(name) if name in KEPT else "right, loss" in found


@pytest.mark.jit
@pytest.mark.data
@pytest.mark.parametrize("name", QUICK_FITS)
def test_same_fit_as_before(name: str) -> None:
    assert different(text(FITS[f"fit_{name}"]()), table(f"fit_{name}")) == []


def test_what_counts_as_different() -> None:
    kept = "good: 3 of 20\nstd (S): 1e-06 -2.5e-7\n"
    assert different(kept, kept) == []
    assert different("good: 3 of 20\nstd (S): 1.004e-06 -2.5e-7\n", kept) == []
    assert len(different("good: 3 of 20\nstd (S): 1.006e-06 -2.5e-7\n", kept)) == 1
    assert len(different("fair: 4 of 20\n", kept)) == 2


def test_every_table_is_compared() -> None:
    assert {*CASES, *FITS} >= KEPT
    assert {*FITS} <= KEPT
    assert len(KEPT) >= 17, "a table is lost"
