"""Times and numbers as people say them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from learning.experiments.report.wording import MONTH, YEAR, engineering, time_label


@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        (0, "0 s"),
        (2.5e-7, "250 ns"),
        (1e-6, "1 µs"),
        (1.0, "1 s"),
        (90.0, "1.5 min"),
        (3600.0, "1 h"),
        (86400.0, "1 day"),
        (3 * 86400.0, "3 days"),
        (MONTH, "1 month"),
        (30 * 86400.0, "1 month"),
        (365 * 86400.0, "1 year"),
        (29 * 86400.0, "29 days"),
        (1.5 * YEAR, "1.5 years"),
        (10 * YEAR, "10 years"),
    ],
)
def test_times_are_labelled_as_people_say_them(seconds: float, label: str) -> None:
    assert time_label(seconds) == label


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 S"),
        (12.34e-6, "12.3 µS"),
        (1e-9, "1 nS"),
        (999e-12, "999 pS"),
        (-4e-3, "-4 mS"),
        (2.5e9, "2.5 GS"),
        (1e-21, "0.001 aS"),
    ],
)
def test_prefixes_are_those_of_engineers(value: float, text: str) -> None:
    assert engineering(value, "S") == text


def test_a_list_of_runs_waits_for_no_drawing_and_no_statistics() -> None:
    """What lists, compares and checks needs texts and intervals alone; importing Matplotlib and scipy.stats takes two seconds."""
    reports = "learning.experiments.report"
    wanted = f"{reports}.training.results, {reports}.estimate.results, learning.experiments.training.comparison"
    code = f"import sys, {wanted}; print(sys.modules.keys() & {{'matplotlib', 'scipy.stats'}})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
