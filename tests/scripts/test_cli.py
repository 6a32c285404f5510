import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from analog_sim.config import ConfigError, Location, Problem, UserError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ENTRY_POINTS = sorted(path for path in SCRIPTS.glob("*.py") if not path.name.startswith("_"))
CALLERS = [path for path in ENTRY_POINTS if path.name not in ("draw_rooms.py", "build_docs.py")]
"""Scripts that are a command; draw_rooms.py and build_docs.py are tools of the repository."""


@pytest.fixture
def cli() -> ModuleType:
    from learning.experiments.commands import _cli

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
        "chip": None,
    }


def test_every_option(cli: ModuleType) -> None:
    line = "a.yaml --set a.b=1 --set c=[1,2] --jobs 2 --out runs/x --resume --seed 0 --dry-run --chip replay:runs/y"
    options = cli.parser("What.", "python x.py a.yaml").parse_args(line.split())
    assert options.overrides == ["a.b=1", "c=[1,2]"]
    assert (options.jobs, options.out, options.seed, options.chip) == (2, Path("runs/x"), 0, "replay:runs/y")
    assert options.resume
    assert options.dry_run


def test_parsers_share_nothing(cli: ModuleType) -> None:
    first, second = (cli.parser("What.", "x").parse_args(["a.yaml", *more]) for more in (["--set", "a=1"], []))
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
    text = cli.parser("What it does.", "analog-hil x a").format_help()
    assert "What it does." in text
    assert "example:\n  analog-hil x a" in text


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


def test_guard_shows_warnings_as_lines(cli: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    before = warnings.showwarning

    def main(arguments: object) -> None:
        warnings.filterwarnings("default", "2 % of the updates")
        warnings.warn("2 % of the updates are clipped", stacklevel=1)

    assert cli.main_guard(main) == 0
    assert capsys.readouterr().err == "warning: 2 % of the updates are clipped\n"
    assert warnings.showwarning is before


def test_guard_on_interruption(cli: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(arguments: Sequence[str] | None) -> int:
        raise KeyboardInterrupt

    assert cli.main_guard(stopped) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.skipif(os.name == "nt", reason="sends SIGTERM")
def test_guard_on_termination(cli: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def stopped(arguments: Sequence[str] | None) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        return 0

    assert cli.main_guard(stopped) == 143
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_guard_on_an_import_that_an_interruption_broke(cli: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """A compiled module that is interrupted while it is imported says that the import failed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background of a shell ignores it

    def stopped(arguments: Sequence[str] | None) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("numpy._core.multiarray failed to import") from None
        return 0

    try:
        assert cli.main_guard(stopped) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_command_that_is_interrupted_while_it_starts_says_so_in_one_line(name: str, status: int) -> None:
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background of a shell ignores it\n"
        "from analog_hil import _start\n"
        "sys.argv = ['analog-hil', 'serve', 'serve_ecram']\n"
        f"_start.check = lambda: signal.raise_signal(signal.{name})\n"
        "sys.exit(_start.main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "interrupted\n")


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r}); sys.argv = ['check_config.py', '--help']\n"
        f"try: runpy.run_path({str(SCRIPTS / 'check_config.py')!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('heavy:', [name for name in ('numpy', 'numba', 'torch', 'pydantic', 'yaml') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("heavy: []\n")


@pytest.mark.parametrize(
    ("script", "config", "right"),
    [
        ("estimate_accuracy.py", "configs/digits_node_perturbation.yaml", "'train/1' is for analog-hil train"),
        ("train.py", "configs/digits_pcm.yaml", "'estimate/1' is for analog-hil estimate"),
        ("sweep.py", "devices/cards/pcm.yaml", "'card/1' is for analog-hil characterise"),
        ("fit_device.py", "devices/cards/pcm.yaml", "'card/1' is for analog-hil characterise"),
        ("characterise.py", "configs/measurements/template.yaml", "'measurements/1' is for analog-hil fit"),
    ],
)
def test_a_file_for_another_script_is_sent_there_in_one_line(script: str, config: str, right: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / script, SCRIPTS.parent / config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert right in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["devices", "learning", "analog_sim"])
def test_another_package_of_our_name_ends_every_script_with_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    for script in CALLERS:
        # -P and the two paths: the user's folder first, as with PYTHONPATH=. in a folder that has its own `devices/`
        env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(SCRIPTS), str(SCRIPTS.parent)])}
        done = subprocess.run(
            [sys.executable, "-P", script, "x.yaml"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, script
        assert done.stderr.count("\n") == 1, done.stderr
        assert f"'{name}'" in done.stderr
        assert str(tmp_path / name) in done.stderr


def test_a_folder_of_our_name_in_the_working_directory_does_no_harm(tmp_path: Path) -> None:
    for name in ("devices", "learning"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong one')\n")
    config = SCRIPTS.parent / "configs" / "digits_pcm.yaml"
    done = subprocess.run(
        [sys.executable, SCRIPTS / "check_config.py", config], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_installation_that_is_missing_is_named() -> None:
    program = (
        "import runpy, sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'analog_sim': raise ModuleNotFoundError(name)\n"
        f"sys.meta_path.insert(0, Absent()); sys.path.insert(0, {str(SCRIPTS)!r}); sys.argv = ['train.py', 'x.yaml']\n"
        f"runpy.run_path({str(SCRIPTS / 'train.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("analog-hil is not installed; in its folder: python -m pip install")


@pytest.mark.parametrize("script", [path.name for path in ENTRY_POINTS if path.name != "build_docs.py"])
def test_analog_sim_is_imported_before_any_thread_pool(script: str, tmp_path: Path) -> None:
    """It settles how long idle OpenMP threads spin, which a library reads once, when it is loaded."""
    program = (
        "import runpy, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('analog_sim', 'torch', 'numba', 'numpy', 'sklearn', 'scipy'): print('first:', name); sys.exit()\n"
        f"sys.meta_path.insert(0, Watch()); sys.path.insert(0, {str(SCRIPTS)!r}); sys.argv = [{script!r}, 'x.yaml']\n"
        f"runpy.run_path({str(SCRIPTS / script)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "first: analog_sim\n", done.stderr
