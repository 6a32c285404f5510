"""The page of growth: exponents and bends of laws that are known, and the whole command in its quick form."""

import json
from pathlib import Path

import pytest

from learning.experiments.commands import benchmark
from learning.experiments.commands.growth.axes import axes
from learning.experiments.commands.growth.law import growth
from learning.experiments.commands.growth.measure import GrowthPoint, GrowthSeries
from learning.experiments.commands.growth.page import text

SIZES = [32.0, 64.0, 128.0, 256.0, 512.0, 1024.0]


def test_the_exponent_of_a_power_law() -> None:
    law = growth(SIZES, [3e-9 * n**2.1 for n in SIZES])
    assert law.exponent == pytest.approx(2.1, abs=1e-9)
    assert law.bend is None


def test_a_growth_bends_where_its_exponent_changes() -> None:
    law = growth(SIZES, [1e-3 if n <= 128 else 1e-3 * (n / 128) ** 2 for n in SIZES])
    assert (law.bend, law.before, law.exponent) == (128.0, pytest.approx(0, abs=1e-9), pytest.approx(2.0))


def test_a_small_change_is_no_bend() -> None:
    assert growth(SIZES, [n**2.0 if n <= 128 else 128**2 * (n / 128) ** 2.2 for n in SIZES]).bend is None


def test_one_point_is_no_growth() -> None:
    with pytest.raises(ValueError, match="two points"):
        growth([1.0], [1.0])


def test_the_chip_ahead_is_as_many_arrays_as_it_has_cells() -> None:
    """1e8 cells are 5e7 pairs: 48 arrays of 1024 x 1024."""
    points = tuple(GrowthPoint(n, 1e-9 * n**2, 14 * 2 * n**2) for n in (512, 1024, 2048))
    page = text([GrowthSeries("reads", "lines", False, points)], "the command")
    assert "| reads | 48 of 1024 x 1024 | 50 ms | 1.3 GiB |" in page
    assert "| 2.00 |" in page


def test_every_axis_grows() -> None:
    for axis in axes():
        assert list(axis.values) == sorted(set(axis.values)), axis.name
        assert list(axis.quick) == sorted(set(axis.quick)), axis.name
    assert len({axis.name for axis in axes()}) == len(axes())
    assert {axis.of for axis in axes()} == {"lines", "vectors", "chips", "threads", "layers", "perturbations"}


@pytest.mark.jit
def test_the_command_in_its_quick_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["growth", "--quick", "--out", str(tmp_path)]) == 0
    assert f"page: {tmp_path / 'growth.md'}" in capsys.readouterr().out
    found = json.loads((tmp_path / "growth.json").read_text())
    assert [series["name"] for series in found] == [axis.name for axis in axes()]
    assert all(point["seconds"] > 0 and point["bytes"] > 0 for series in found for point in series["points"])
    page = (tmp_path / "growth.md").read_text()
    assert all(f"| {axis.name} |" in page for axis in axes())
    assert (tmp_path / "growth.svg").stat().st_size > 1000
    assert (tmp_path / "growth.png").stat().st_size > 1000


def test_growth_is_measured_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["growth", "mvm"])
    assert "growth measures by itself" in capsys.readouterr().err
