"""Sweeps: every point as it would be alone, mistakes found before work, the comparison paired chip by chip."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from estimate_helpers import SMALL, silent
from page_helpers import check_page, page_text
from report_helpers import TIMES, estimate, new_run

from analog_sim.config import ConfigError, UserError, load_config
from learning.experiments.configs.estimate import Experiment
from learning.experiments.estimation.run import estimate as run_estimate
from learning.experiments.estimation.sweep import load_points, sweep
from learning.experiments.report.estimate.comparison import (
    Comparison,
    EstimatePoint,
    comparison_table,
    write_comparison_report,
)
from learning.experiments.report.rebuild import rebuild


def write(folder: Path, **change: object) -> Path:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL | {"training": {"epochs": 1}, "times": ["1 s"], "chips": 2} | change))
    return path


def test_a_sweep_runs_every_point_as_it_is_alone_and_resumes(tmp_path: Path) -> None:
    path = write(tmp_path, sweep={"device": ["ideal", "pcm"], "tile.adc.bits": [8]})
    table, page = sweep(path, out=tmp_path / "out", say=silent, progress=False)
    assert [row[:2] for row in table.rows] == [("ideal", "8"), ("pcm", "8")]
    assert table.header == ("device", "adc.bits", "digital", "1 s", "worst chip", "yield", "vs first point")
    check_page(page)
    assert "device = pcm, adc.bits = 8" in page_text(page)
    folders = sorted(f.name for f in (tmp_path / "out").iterdir() if f.is_dir() and f.name[0].isdigit())
    assert folders == ["0-ideal-8", "1-pcm-8"]
    alone = load_config(path, Experiment, overrides=["device=pcm", "tile.adc.bits=8"])
    run_estimate(alone, out=tmp_path / "alone", say=silent, progress=False)
    rows = (tmp_path / "out/1-pcm-8/metrics.csv").read_bytes()
    assert rows == (tmp_path / "alone/metrics.csv").read_bytes()

    kept = (tmp_path / "out/1-pcm-8/metrics.csv").read_bytes()
    (tmp_path / "out/1-pcm-8/metrics.csv").write_bytes(kept[: kept.index(b"\n") + 1])  # as if it was killed here
    with pytest.raises(UserError, match="holds a run already"):
        sweep(path, out=tmp_path / "out", say=silent, progress=False)
    again, _ = sweep(path, out=tmp_path / "out", resume=True, say=silent, progress=False)
    assert again == table
    assert (tmp_path / "out/1-pcm-8/metrics.csv").read_bytes() == kept
    first = page.read_bytes()
    rebuilt, path_again = rebuild(tmp_path / "out")
    assert (rebuilt, path_again.read_bytes()) == (table, first)


def test_mistakes_of_all_points_are_told_before_any_work(tmp_path: Path) -> None:
    path = write(tmp_path, sweep={"tile.adc.bits": [8, 0], "chips": [2, -1]})
    with pytest.raises(ConfigError) as error:
        sweep(path, out=tmp_path / "out", say=silent)
    assert "tile.adc.bits" in str(error.value)
    assert "chips" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_file_without_a_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"small.yaml: has no `sweep`"):
        load_points(write(tmp_path))


def test_resume_with_other_points_is_refused(tmp_path: Path) -> None:
    sweep(write(tmp_path, sweep={"chips": [1]}), out=tmp_path / "out", say=silent, progress=False)
    with pytest.raises(UserError, match="points: was "):
        sweep(write(tmp_path, sweep={"chips": [1, 2]}), out=tmp_path / "out", resume=True, say=silent, progress=False)


def points_of(folder: Path) -> list[EstimatePoint]:
    """Two points whose chips differ by 0.1 and 0.3 points: the change is paired."""
    points = []
    for k, shift in enumerate((0.0, 0.002)):
        run = new_run(folder / str(k))
        results = estimate(run)
        for row in results.rows:
            row["accuracy"] = float(row["accuracy"]) + (shift / 2 if row["chip"] == 0 else 1.5 * shift) * (k > 0)
        points.append(EstimatePoint({"tile.adc.bits": str(4 + k), "device": "pcm"}, str(k), results))
    return points


def test_the_change_is_paired_chip_by_chip(tmp_path: Path) -> None:
    table = comparison_table(points_of(tmp_path))
    first, second = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert first["vs first point"] == ""
    # chips change by 0.1, 0.3 and 0.3 points: mean 0.2333, sd 0.1155, half width t(0.975, 2)/sqrt(3) sd = 0.2869
    assert second["vs first point"] == "+0.23 [-0.05, +0.52]"
    assert table.header == ("adc.bits", "device", "digital", "1 s", "1 day", "worst chip", "yield", "vs first point")


def test_points_with_other_times_or_chips_are_still_compared(tmp_path: Path) -> None:
    points = points_of(tmp_path)
    other = estimate(new_run(tmp_path / "2"), chips=2, times=TIMES[:1])
    points.append(EstimatePoint({"tile.adc.bits": "none", "device": "pcm"}, "2", other))
    table = comparison_table(points)
    assert table.header[3:5] == ("first time", "last time")
    assert "2 to 3 chips" in table.caption
    assert table.rows[2][-1].startswith("+")
    assert "[" not in table.rows[2][-1]
    for k, point in enumerate(points):
        (tmp_path / str(k) / "report.html").write_text("x")
        assert point.folder == str(k)
    page = write_comparison_report(new_run(tmp_path / "sweep"), Comparison("many", tuple(points[:2])))
    text = page.read_text()
    assert "accuracy_over_tile_adc_bits" in text
    assert np.isfinite(points[0].nominal[1]).all()


def test_folders_of_no_finished_run_are_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    with pytest.raises(UserError, match="holds no finished run"):
        rebuild(run.path)
    with pytest.raises(UserError, match="no finished sweep"):
        Comparison.load(run)
    with pytest.raises(UserError, match="no points"):
        write_comparison_report(run, Comparison("none", ()))
