"""Names in CSV files are no formulas and come back as they were; names in Markdown are no markup."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning.experiments.report.tables import Table, markdown_text
from learning.experiments.runs.result_log import ResultLog, read_rows
from learning.experiments.runs.spreadsheet import plain_text, spreadsheet_text

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-x", "@SUM(A1)", "\tx", "'=1", "''@x"]


@given(st.text(alphabet="'=+-@\t\r 1a", max_size=6))
def test_marks_come_off_again(text: str) -> None:
    written = spreadsheet_text(text)
    assert plain_text(written) == text
    number = written.lstrip("+-").replace("1", "") == ""
    assert number or written[:1] not in ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("name", FORMULAS)
def test_results_keep_their_names(name: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    ResultLog(path, {"arm": str, "value": float}, key=("arm",)).append({"arm": name, "value": -1.5})
    assert next(csv.reader(path.read_text().splitlines()[1:]))[:2] == [f"'{name}", "-1.5"]
    assert read_rows(path, {"arm": str, "value": float}) == [{"arm": name, "value": -1.5}]
    assert ResultLog(path, {"arm": str, "value": float}, key=("arm",)).finished({"arm": name})


def test_tables(tmp_path: Path) -> None:
    table = Table(("arm", "vs twin"), (("=1+1", "-0.52"), ("a|b *c* <i>", "+1.2")), "# t")
    table.write_csv(tmp_path / "t.csv")
    rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
    assert rows == [["arm", "vs twin"], ["'=1+1", "-0.52"], ["a|b *c* <i>", "+1.2"]]
    lines = table.markdown().splitlines()
    assert lines[0] == r"\# t"
    assert lines[4:] == [r"| \=1+1 | -0.52 |", r"| a\|b \*c\* \<i\> | +1.2 |"]


def test_line_breaks_do_not_end_a_row() -> None:
    assert markdown_text("a\n| b") == r"a \| b"
