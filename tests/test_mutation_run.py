"""The mutation run can still be done: every fault's text is in the sources, once, and its tests are there. The run itself is by hand."""

from pathlib import Path

import mutation_run
import pytest
from mutation_run import MUTANTS, ROOT, Mutant, source_of


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_fault_finds_its_text_and_its_tests(mutant: Mutant) -> None:
    assert mutant.new != mutant.old
    assert source_of(mutant, ROOT).suffix == ".py"
    assert mutation_run.tests_of(mutant, ROOT)


def test_there_are_faults_of_every_subject() -> None:
    assert len(MUTANTS) >= 20
    assert {m.subject for m in MUTANTS} == {"sensing", "ageing", "pulses", "intervals", "resume"}


def test_a_text_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 times"):
        source_of(Mutant("pulses", "nothing", "no such " + "text", "", "test_tile.py"), ROOT)


def test_the_copy_has_every_source(tmp_path: Path) -> None:
    mutation_run.copy_to(tmp_path / "copy")
    for package in (*mutation_run.PACKAGES, "tests"):
        wanted, found = (
            {path.relative_to(root) for path in (root / package).rglob("*.py")} for root in (ROOT, tmp_path / "copy")
        )
        assert found == wanted
    assert wanted
