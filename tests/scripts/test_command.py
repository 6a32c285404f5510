"""The command `analog-hil`: its help, examples by name, the small commands, and a wheel in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from report_helpers import estimate, new_run, training

from learning.experiments.commands import dispatch
from learning.experiments.runs.examples import config_file, example_names, examples

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "analog_hil", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def test_help_names_every_command_and_every_module_is_one() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in dispatch.COMMANDS)
    folder = Path(dispatch.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")} - {"dispatch"}
    assert modules == set(dispatch.COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("command", sorted(dispatch.COMMANDS))
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    program = (
        "import sys; from learning.experiments.commands import dispatch\n"
        f"try: dispatch.dispatch([{command!r}, '--help'])\n"
        "except SystemExit: pass\n"
        "print('heavy:', [name for name in ('numpy', 'numba', 'torch', 'pydantic', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"usage: analog-hil {command} " in done.stdout
    assert "example" in done.stdout
    assert done.stdout.endswith("heavy: []\n")


def test_a_command_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch.dispatch(["estimat"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("analog-hil: no command 'estimat'; did you mean 'estimate'?")
    assert error.count("\n") == 1


def test_examples_are_found_by_name_and_a_users_file_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "paper/mnist_np" in example_names()
    assert config_file("digits_pcm") == examples() / "digits_pcm.yaml"
    assert config_file("digits_pcm.yaml") == Path("digits_pcm.yaml"), "with a suffix it is a path"
    (tmp_path / "digits_pcm").write_text("schema: estimate/1\n")
    assert config_file("digits_pcm") == Path("digits_pcm")


def test_init_writes_files_that_check_in_an_empty_folder(tmp_path: Path) -> None:
    for kind in ("estimate", "card"):
        done = run("init", kind, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        text = (tmp_path / f"my_{kind}.yaml").read_text(encoding="utf-8")
        assert text.startswith(f"# yaml-language-server: $schema=analog-hil-{kind}.schema.json\n")
        assert "scripts/" not in text
        assert (tmp_path / f"analog-hil-{kind}.schema.json").stat().st_size > 1000
        checked = run("check", f"my_{kind}.yaml", cwd=tmp_path)
        assert checked.stdout == f"OK: my_{kind}.yaml\n", checked.stderr
    again = run("init", "card", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (2, "my_card.yaml: is there already; choose another name\n")
    wrong = run("init", "estimate", "x.yaml", "--from", "digits_node_perturbation", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "'train/1' is for analog-hil train" in wrong.stderr
    assert not (tmp_path / "x.yaml").exists()


def test_cards_lists_every_card_with_window_and_source() -> None:
    done = run("cards")
    assert done.returncode == 0, done.stderr
    for name in (path.stem for path in (ROOT / "devices" / "cards").glob("*.yaml")):
        assert f"{name} " in done.stdout
    assert "0 to 25 µS" in done.stdout
    assert "doi:10.1038/s41467-020-16108-9" in done.stdout
    assert run("cards", "pcm").stdout == (ROOT / "devices" / "cards" / "pcm.yaml").read_text(encoding="utf-8")


def test_runs_lists_what_runs_were_and_a_damaged_one(tmp_path: Path) -> None:
    one, two, three, four, five = (new_run(tmp_path / name) for name in ("a", "b", "c", "d", "e"))
    estimate(one).save(one)
    training(two).save(two)
    (one.path / "report.html").write_text("")
    (four.path / "summary.json").write_text("{")
    (five.path / "summary.json").write_text('{"kind": "sweep", "title": "t", "points": 3}')
    done = run("runs", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [str(each.path) for each in (one, two, three, four, five)]
    assert "  estimate  finished  " in lines[0]
    assert "(mean of 3 chips; digital " in lines[0]
    assert " at 1 s, " in lines[0]
    assert "  training  unfinished  " in lines[1]
    assert " %" in lines[1]
    assert "  unfinished" in lines[2]
    assert "  damaged: " in lines[3]
    assert "summary.json: points: input should be a valid list" in lines[4]
    assert run("runs", tmp_path / "none").stderr == f"{tmp_path / 'none'}: no such folder\n"


def test_a_wheel_begins_the_main_job_in_an_empty_folder(tmp_path: Path) -> None:
    """Built, unpacked where there is no repository, and run with the dependencies that are installed."""
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    pytest.importorskip("hatchling")
    made = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    [wheel] = tmp_path.glob("*.whl")
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    installed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], capture_output=True, text=True, check=False
    )
    assert installed.returncode == 0, installed.stderr
    program = "import sys; from analog_hil._start import main; sys.exit(main())"
    entry = (site / next(site.glob("*.dist-info")) / "entry_points.txt").read_text()
    assert "analog-hil = analog_hil._start:main" in entry

    def installed_run(*arguments: str) -> subprocess.CompletedProcess[str]:
        # PYTHONPATH comes before the editable installation that the tests run on.
        env = os.environ | {"PYTHONPATH": str(site)}
        return subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=empty, env=env, capture_output=True, text=True, check=False
        )

    where = subprocess.run(
        [sys.executable, "-c", "import learning; print(learning.__file__)"],
        cwd=empty, env=os.environ | {"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(site))
    assert installed_run("--version").stdout.startswith("analog-hil ")
    # A dry run makes every check and tile; chips would compile all kernels anew for another place, a minute.
    done = installed_run("estimate", "digits_pcm", "--set", "chips=2", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "digits: 1201 training and 596 test images" in done.stdout
    assert "chips     2" in done.stdout
    assert installed_run("init", "train").returncode == 0
    assert installed_run("check", "my_train.yaml").stdout == "OK: my_train.yaml\n"
    assert installed_run("benchmark", "--help").returncode == 0, "the cases are there"
