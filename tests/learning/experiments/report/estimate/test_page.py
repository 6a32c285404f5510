"""The report of an estimate: numbers as computed by hand, one page that needs nothing but itself."""

import csv
from pathlib import Path

import numpy as np
import pytest
from page_helpers import check_page, page_text
from report_helpers import HOUR, estimate, new_run, nominal_accuracy

from analog_sim.config import UserError
from learning.experiments.monte_carlo.metrics import mean_interval
from learning.experiments.report.estimate.page import estimate_table, write_estimate_report
from learning.experiments.report.estimate.results import EstimateResults, by_chip_and_time
from learning.experiments.runs.run_folder import RunDirectory

STUDIES = {
    "without": {"drift": 0.004, "read_noise": 0.001},
    "only": {"drift": -0.005, "programming": -0.002},
    "adc_bits": {"4": -0.1, "8": 0.0, "6": -0.02, "none": 0.003},
    "noise_scale": {"0": 0.01, "0.5": 0.005, "64": -0.4, "2": -0.05},
    "tile_compensation": {"none": -0.03, "global": 0.01},
}


def test_the_table_holds_the_numbers(tmp_path: Path) -> None:
    table = estimate_table(estimate(new_run(tmp_path / "run")))
    assert table.header == ("time", "accuracy % [95 %]", "sd", "worst chip", "yield >= 94 % [95 %]", "vs twin")
    digital, first, hour, day = table.rows
    assert digital[:2] == ("digital twin", "96.00 [90.16, 98.43]")
    # chips 95, 94, 93 %: mean 94, sd 1, half width t(0.975, 2)/sqrt(3) = 2.484; two of three reach 94 %
    assert first == ("1 s", "94.00 [91.52, 96.48]", "1.00", "93.00", "67 [21, 94]", "-2.00")
    assert hour[0] == "1 h"
    assert day[0] == "1 day"
    assert float(day[3]) == pytest.approx(100 * nominal_accuracy(2, 86400.0), abs=0.006)
    lines = table.text().splitlines()
    assert lines[0] == "3 chips, 100 test samples; intervals over chips: Student-t"
    assert len({len(line) for line in lines[1:3]}) == 1
    assert "94.00 [91.52, 96.48]" in lines[4]


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    path = write_estimate_report(run, estimate(run, studies=STUDIES))
    assert path == tmp_path / "run/report.html"
    check_page(path)
    text = page_text(path)
    for wanted in (
        "demo <estimate>",
        "94.00 [91.52, 96.48]",
        "A note & more.",
        "Which non-ideality costs most",
        "energy per inference",
        "3.2 nJ",
        "name: a <b> & c",
        "estimate.py x.yaml",
        "seed 3",
    ):
        assert wanted in text, wanted
    names = {file.name for file in (tmp_path / "run/figures").iterdir()}
    assert {
        "accuracy_over_time.svg",
        "accuracy_over_time.png",
        "chip_histograms.svg",
        "sensitivity_without.svg",
        "sensitivity_only.svg",
        "sensitivity_tile_compensation.svg",
        "accuracy_over_adc_bits.svg",
        "accuracy_over_noise_scale.png",
        "layer_error.svg",
        "weight_transfer_fc1.png",
        "conductance_0_fc1.png",
    } <= names
    assert "weight_transfer_fc1.svg" not in names, "dense figures are pixels only"
    with (tmp_path / "run/tables/accuracy.csv").open() as file:
        assert next(csv.reader(file))[0] == "time"


def test_a_page_is_rebuilt_from_its_folder_byte_for_byte(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    path = write_estimate_report(run, estimate(run, studies=STUDIES))
    first = path.read_bytes()
    again = RunDirectory.open(tmp_path / "run")
    assert write_estimate_report(again, EstimateResults.load(again)).read_bytes() == first


@pytest.mark.parametrize(("chips", "times"), [(1, (0.0,)), (2, (1.0,)), (1, (0.0, HOUR)), (2, (10.0, 20.0))])
def test_few_chips_and_few_times_make_a_page_too(tmp_path: Path, chips: int, times: tuple[float, ...]) -> None:
    run = new_run(tmp_path / "run")
    results = estimate(run, chips=chips, times=times, studies={"without": {"drift": 0.01}, "adc_bits": {"4": -0.1}})
    check_page(write_estimate_report(run, results))


def test_sensitivity_is_paired_chip_by_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chips differ by points, the effect is the same on each: the paired interval has no width."""
    import learning.experiments.report.estimate.page as module

    drawn = {}
    original = module.sensitivity_bars
    monkeypatch.setattr(
        module,
        "sensitivity_bars",
        lambda effects, times, label, **more: (
            drawn.setdefault(label, (effects, times)) and original(effects, times, label, **more)
        ),
    )
    run = new_run(tmp_path / "run")
    write_estimate_report(run, estimate(run, studies={"without": {"drift": 0.004}, "only": {"drift": -0.005}}))
    effects, times = drawn["accuracy regained without it (points)"]
    assert list(times) == [1.0, 86400.0], "at the first and the last time"
    for interval in effects["drift"]:
        assert (interval.low, interval.value, interval.high) == pytest.approx((0.004, 0.004, 0.004), abs=1e-12)
    effects, _ = drawn["accuracy lost by it alone (points)"]
    lost = [0.96 - (nominal_accuracy(chip, 1.0) - 0.005) for chip in range(3)]
    assert effects["drift"][0].value == pytest.approx(np.mean(lost))
    assert effects["drift"][0].low == pytest.approx(mean_interval(lost).low)


def test_results_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    results = estimate(run)
    nobody = EstimateResults("x", [], (), {"accuracy": 0.9}, 10, 0.8)
    with pytest.raises(UserError, match="no rows of the study 'nominal'"):
        estimate_table(nobody)
    with pytest.raises(UserError, match=r"no accuracy for chip 2 at 86400.0 s"):
        by_chip_and_time(results.rows[:-1])
    with pytest.raises(UserError, match="no finished estimate"):
        EstimateResults.load(new_run(tmp_path / "other"))
