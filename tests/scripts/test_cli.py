import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from analog_sim.config import ConfigError, Location, Problem, UserError

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import _cli

    return _cli


def test_defaults(cli: ModuleType) -> None:
    options = vars(cli.parser("What.", "python x.py a.yaml").parse_args(["a.yaml"]))
    assert options == {
        "config": Path("a.yaml"),
        "overrides": [],
        "jobs": None,
        "out": None,
        "resume": False,
        "seed": None,
        "dry_run": False,
        "backend": "emulated",
    }


def test_every_option(cli: ModuleType) -> None:
    line = "a.yaml --set a.b=1 --set c=[1,2] --jobs 2 --out runs/x --resume --seed 0 --dry-run --backend replay"
    options = cli.parser("What.", "python x.py a.yaml").parse_args(line.split())
    assert options.overrides == ["a.b=1", "c=[1,2]"]
    assert (options.jobs, options.out, options.seed, options.backend) == (2, Path("runs/x"), 0, "replay")
    assert options.resume
    assert options.dry_run


def test_parsers_share_nothing(cli: ModuleType) -> None:
    first, second = (cli.parser("What.", "x").parse_args(["a", *more]) for more in (["--set", "a=1"], []))
    assert (first.overrides, second.overrides) == (["a=1"], [])


@pytest.mark.parametrize("arguments", [["--jobs", "0"], ["--jobs", "two"], ["--seed", "-1"], ["--see", "1"], ["--set"]])
def test_bad_options_end_with_status_2(
    cli: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.parser("What.", "x").parse_args(["a.yaml", *arguments])
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_help_has_the_example(cli: ModuleType) -> None:
    text = cli.parser("What it does.", "python scripts/x.py configs/a.yaml").format_help()
    assert "What it does." in text
    assert "example:\n  python scripts/x.py configs/a.yaml" in text


def test_guard_turns_user_errors_into_lines(cli: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(arguments: Sequence[str] | None) -> int:
        raise ConfigError([Problem(Location("a.yaml", 3), "x", "wrong"), Problem(Location("a.yaml", 4), "y", "bad")])

    assert cli.main_guard(fails) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "a.yaml:3: x: wrong\na.yaml:4: y: bad\n")

    def data_missing(arguments: Sequence[str] | None) -> int:
        raise UserError("no data")

    assert cli.main_guard(data_missing) == 2
    assert capsys.readouterr().err == "no data\n"


def test_guard_lets_results_and_real_faults_through(cli: ModuleType) -> None:
    assert cli.main_guard(lambda arguments: None) == 0
    assert cli.main_guard(lambda arguments: 3) == 3
    assert cli.main_guard(lambda arguments: len(arguments), ["a", "b"]) == 2

    def broken(arguments: Sequence[str] | None) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.main_guard(broken)


def test_guard_on_interruption(cli: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(arguments: Sequence[str] | None) -> int:
        raise KeyboardInterrupt

    assert cli.main_guard(stopped) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r}); sys.argv = ['check_config.py', '--help']\n"
        f"try: runpy.run_path({str(SCRIPTS / 'check_config.py')!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('heavy:', [name for name in ('numpy', 'pydantic', 'yaml', 'analog_sim') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("heavy: []\n")
