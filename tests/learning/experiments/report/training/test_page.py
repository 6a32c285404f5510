"""The report of training: numbers as computed by hand, arms told apart, one page that needs nothing but itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_helpers import check_page, page_text
from report_helpers import new_run, training

from analog_sim.config import UserError
from learning.experiments.report.training.figures import line_look
from learning.experiments.report.training.page import training_table, write_training_report
from learning.experiments.report.training.results import TrainingResults
from learning.experiments.runs.run_folder import RunDirectory


def test_the_table_holds_the_last_evaluation(tmp_path: Path) -> None:
    table = training_table(training(new_run(tmp_path / "run")))
    rows = {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}
    assert list(rows) == ["twin", "np", "np + natural"]
    # 0.1 + 2000/2500 - 0.05 k over two seeds 0 and 1 point: half width t(0.975, 1) * sd/sqrt(2) = 12.71 * 0.5 points
    assert rows["np"]["accuracy % [95 %]"] == "85.50 [79.15, 91.85]"
    assert rows["np"]["vs twin"] == "-5.00"
    assert rows["np + natural"]["vs twin"] == "-10.00"
    assert rows["twin"]["vs twin"] == ""
    assert (rows["np"]["pulses"], rows["np"]["chip time"], rows["np"]["energy"]) == ("20\u202f000", "2 s", "")
    assert rows["twin"]["pulses"] == ""
    assert rows["np"]["samples"] == "2\u202f000"


def test_one_seed_has_wilsons_interval(tmp_path: Path) -> None:
    table = training_table(training(new_run(tmp_path / "run"), seeds=1))
    assert table.rows[1][:3] == ("np", "1", "85.00 [76.72, 90.69]")


@pytest.mark.parametrize(
    ("arms", "seeds"),
    [(("twin", "np", "np + natural"), 2), (("np",), 1), (("twin",), 1), (tuple(f"rule{k}" for k in range(12)), 2)],
    ids=["compared", "alone", "digital", "many"],
)
def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path, arms: tuple[str, ...], seeds: int) -> None:
    run = new_run(tmp_path / "run")
    path = write_training_report(run, training(run, arms=arms, seeds=seeds))
    check_page(path)
    names = {file.name for file in (tmp_path / "run/figures").iterdir()}
    assert {"accuracy_over_samples.svg", "loss_over_samples.svg"} <= names
    analogue = arms != ("twin",)
    assert ("accuracy_over_pulses_sent.svg" in names) == analogue
    assert ("accuracy_over_chip_time.svg" in names) == analogue
    assert ("gradient_cosine.svg" in names) == analogue
    assert ("pulses_per_cell.svg" in names) == analogue
    assert ("decorrelation_loss.svg" in names) == any("natural" in arm for arm in arms)
    assert "conductances_0.png" in names
    assert "Energy and latency" in page_text(path)


def test_the_page_leads_with_chips_and_calls_only_those_so(tmp_path: Path) -> None:
    """Exact digital tiles have no pulses to count: an arm on them is no chip, however well it does."""
    run = new_run(tmp_path / "run")
    results = training(run, arms=("exact", "np", "fa"))
    rows = [{**row, "pulses": None, "chip_time_s": None} if row["arm"] == "exact" else row for row in results.curves]
    mixed = replace(results, curves=rows)
    text = page_text(write_training_report(run, mixed))
    assert "np, on the chip" in text
    assert "fa, on the chip" in text
    assert "exact, on the chip" not in text
    rows = [{**row, "pulses": None, "chip_time_s": None} for row in results.curves]
    assert "on the chip" not in page_text(write_training_report(run, replace(results, curves=rows)))


def test_a_page_is_rebuilt_from_its_folder_byte_for_byte(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    first = write_training_report(run, training(run)).read_bytes()
    again = RunDirectory.open(tmp_path / "run")
    assert write_training_report(again, TrainingResults.load(again)).read_bytes() == first


def test_arms_of_one_rule_share_a_colour_and_twins_stand_apart() -> None:
    looks = line_look(["twin", "np", "np + natural", "fa", "fa + natural"], digital=["twin"])
    assert looks["np"][0] == looks["np + natural"][0] != looks["fa"][0]
    assert looks["np"][1] == looks["fa"][1] != looks["np + natural"][1]
    assert looks["twin"][0] not in {looks["np"][0], looks["fa"][0]}
    many = line_look([f"rule{k}" for k in range(40)])
    assert len(set(many.values())) == 40


def test_a_seed_that_is_behind_does_not_bend_the_mean(tmp_path: Path) -> None:
    """A curve is drawn where every seed has been evaluated; the table takes every seed's own last row."""
    run = new_run(tmp_path / "run")
    results = training(run)
    behind = [row for row in results.curves if not (row["seed"] == 1 and row["samples"] == 2000)]
    shorter = TrainingResults("x", behind, results.layers, 100, results.twins)
    table = training_table(shorter)
    last = np.array([0.1 + 2000 / 2500 - 0.05, 0.1 + 1000 / 2500 - 0.05 + 0.01])
    assert table.rows[1][2].startswith(f"{100 * last.mean():.2f} ")
    check_page(write_training_report(run, shorter))


def test_runs_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished training"):
        TrainingResults.load(new_run(tmp_path / "run"))
    with pytest.raises(UserError, match="no rows of training"):
        training_table(TrainingResults("x", [], [], 10))
