"""scripts/characterise.py from the command line: a table, figures and a page, and one line for a mistake."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from learning.experiments.commands._cli import main_guard


@pytest.fixture
def script() -> ModuleType:
    return importlib.import_module("learning.experiments.commands.characterise")


@pytest.mark.jit
def test_table_figures_and_page(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = ["ecram", "--set", "g_max=21 uS", "--against", "pcm", "--cells", "20", "--out", str(out)]
    assert main_guard(script.main, arguments) == 0
    printed = capsys.readouterr().out
    assert "1 µS to 21 µS" in printed
    assert str(out / "report.html") in printed
    for name in ("pulse_ramps", "steps_against_state", "programming_error", "read_noise"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 5000
    assert "g_max: 21 uS" in (out / "config.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pmc"], "unknown name 'pmc', did you mean 'pcm'?"),
        (["pcm", "--set", "g_min=30 uS"], "must be < g_max"),
        (["pcm", "--against", "nowhere.yaml"], "no such file"),
    ],
)
def test_mistakes_end_in_one_line(
    script: ModuleType, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main_guard(script.main, arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_too_few_cells(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        script.main(["pcm", "--cells", "3"])
    assert caught.value.code == 2
    assert "from 10 to 100000" in capsys.readouterr().err
