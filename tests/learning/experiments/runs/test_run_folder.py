"""The run folder: what is written, what a resume refuses, who may write."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import yaml

from analog_sim.config import Q, StrictModel, UserError
from learning.experiments.report.head import configuration_of
from learning.experiments.report.rebuild import rebuild
from learning.experiments.runs.run_folder import RunDirectory


class Noise(StrictModel):
    sigma: Annotated[float, Q("conductance", "uS", ge=0)] = 0.5


class Config(StrictModel):
    chips: int = 25
    jobs: int = 1
    noise: Noise = Noise()


def create(path: Path | None, config: Config | None = None, **options) -> RunDirectory:
    return RunDirectory.create(path, config if config is not None else Config(), name="demo", seed=7, **options)


def begun(path: Path) -> RunDirectory:
    """A run that has results."""
    run = create(path)
    run.log("metrics", {"chip": int})
    return run


def test_a_run_records_what_was_asked_and_where(tmp_path: Path) -> None:
    run = create(tmp_path / "run", command=["estimate.py", "a b.yaml"], threads=2)
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text()) == {
        "chips": 25,
        "jobs": 1,
        "noise": {"sigma": "0.5 uS"},
    }
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert environment["seed"] == 7
    assert environment["command"] == ["estimate.py", "a b.yaml"]
    assert environment["threads"] == 2
    assert environment["versions"]["numpy"] == np.__version__
    assert environment["cores"] == os.cpu_count()
    assert environment["processor"]
    assert run.environment.seed == 7
    assert run.environment.model_dump() == {key: value for key, value in environment.items() if key != "check"} | {
        "previous_starts": []
    }
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    if git.returncode == 0:
        assert environment["git"].removesuffix("-dirty") == git.stdout.strip()


def test_the_default_folder_is_named_and_never_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [create(None).path for _ in range(3)]
    assert len(set(paths)) == 3
    assert all(path.parent == Path("runs") and path.name.startswith("demo-20") for path in paths)


def test_arrays_and_json_come_back(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    assert run.load_arrays("weights") is None
    assert run.load_json("summary") is None
    w = np.arange(6, dtype=np.float32).reshape(2, 3)
    run.save_arrays("weights", {"w": w, "n": 3})
    run.save_json("summary", {"digital": 0.1 + 0.2})
    again = RunDirectory.open(tmp_path / "run")
    arrays = again.load_arrays("weights")
    assert arrays is not None
    assert arrays["w"].dtype == np.float32
    np.testing.assert_array_equal(arrays["w"], w)
    assert arrays["n"] == 3
    assert again.load_json("summary") == {"digital": 0.30000000000000004}
    assert not list((tmp_path / "run").rglob("*.new"))


def test_resume_goes_on_and_remembers_every_start(tmp_path: Path) -> None:
    log = create(tmp_path / "run", command=["first"]).log("metrics", {"chip": int, "x": float}, ("chip",))
    log.append({"chip": 0, "x": 0.1})
    for number in ("second", "third"):
        run = create(tmp_path / "run", resume=True, command=[number])
    assert [start["command"] for start in run.environment.previous_starts] == [["first"], ["second"]]
    assert run.log("metrics", {"chip": int, "x": float}, ("chip",)).rows == [{"chip": 0, "x": 0.1}]


def test_resume_with_another_configuration_names_the_keys(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    other = Config(chips=5, jobs=4, noise=Noise(sigma=0.75))
    with pytest.raises(UserError) as error:
        create(tmp_path / "run", other, resume=True, free=("jobs",))
    assert "chips: was 25, now 5" in str(error.value)
    assert "noise.sigma: was '0.5 uS', now '0.75 uS'" in str(error.value)
    assert "jobs" not in str(error.value)
    create(tmp_path / "run", Config(jobs=4), resume=True, free=("jobs",))
    create(tmp_path / "run", Config(jobs=4, noise=Noise(sigma=9.0)), resume=True, free=("noise",))


@pytest.mark.parametrize("damage", ["[" * 5000, "a: [1", "a: 1\na: 2", "a: \x01"])
def test_a_damaged_configuration_is_refused_by_whoever_reads_it(tmp_path: Path, damage: str) -> None:
    """By a report, which met the limit of recursion as a traceback, and by a resume."""
    run = begun(tmp_path / "run")
    (tmp_path / "run/config.yaml").write_text(damage)
    for reads in (lambda: run.configuration, lambda: configuration_of(run), lambda: create(run.path, resume=True)):
        with pytest.raises(UserError, match=r"run/config.yaml: cannot be read \(.*\); choose another --out$"):
            reads()


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    with pytest.raises(UserError, match="holds a run already; give --resume"):
        create(tmp_path / "run")
    with pytest.raises(UserError, match=r"holds a run already; choose another --out$"):
        create(tmp_path / "run", resumable=False)
    with pytest.raises(UserError, match="needs the folder"):
        create(None, resume=True)
    with pytest.raises(UserError, match=r"config.yaml is missing"):
        RunDirectory.open(tmp_path)


def test_a_run_that_failed_at_once_may_start_again(tmp_path: Path) -> None:
    create(tmp_path / "run")
    create(tmp_path / "run", Config(chips=3))
    assert "chips: 3" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_run_at_work_is_left_alone(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    before = (run.path / "environment.json").read_bytes()
    with run.locked(), pytest.raises(UserError, match="another run is at work here"):
        create(tmp_path / "run", resume=True)
    assert (run.path / "environment.json").read_bytes() == before


def test_a_name_becomes_a_folder_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDirectory.create(None, Config(), name="../a b/c: d", seed=0)
    assert run.path.parent == Path("runs")
    assert run.path.name.startswith(".._a_b_c_d-20")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("runs").write_text("")
    with pytest.raises(UserError, match=r"runs/demo.* cannot be written \(Not a directory\); .*--out"):
        create(None)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("summary.json", "{", r"summary.json: cannot be read"),
        ("summary.json", "[]", r"summary.json: must hold one object \(got list\)"),
        ("environment.json", "", r"environment.json: cannot be read"),
        ("arrays/summary.npz", "zip", r"summary.npz: not a readable file of arrays"),
        ("arrays/summary.npz", "", r"summary.npz: not a readable file of arrays"),
        ("config.yaml", "a: [", r"config.yaml: cannot be read .*choose another --out"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, content: str, message: str) -> None:
    run = begun(tmp_path / "run")
    run.save_json("summary", {})
    run.save_arrays("summary", {"a": 1.0})
    (run.path / file).write_text(content)
    with pytest.raises(UserError, match=message):  # noqa: PT012  whichever of them reads that file
        run.load_json("summary")
        run.load_arrays("summary")
        create(run.path, resume=True)


def test_a_record_of_the_machine_that_is_not_there_is_no_damaged_one(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    (run.path / "environment.json").unlink()
    with pytest.raises(UserError, match=r"environment.json: is missing; a resumed run writes it anew"):
        _ = run.environment
    assert create(run.path, resume=True).environment.seed == 7


def test_a_summary_of_another_version_is_named(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    run.save_json("summary", {"kind": "training"})
    run.save_arrays("summary", {})
    with pytest.raises(UserError, match=r"summary.json has no '\w+', as this version writes it"):
        rebuild(run.path)


def test_resume_in_a_fresh_folder_starts_there(tmp_path: Path) -> None:
    assert create(tmp_path / "new", resume=True).environment.seed == 7


def test_a_folder_that_cannot_be_written_is_refused_before_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .*--out"):
        create(tmp_path / "file" / "run")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions bind neither root nor Windows here")
def test_a_read_only_folder_is_refused_before_work(tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    with pytest.raises(UserError, match=r"cannot be written .*--out"):
        create(folder)


def test_a_read_only_folder_is_refused_even_for_root() -> None:
    """/proc/self is a folder nobody can write to."""
    if not Path("/proc/self").is_dir():
        pytest.skip("needs /proc")
    with pytest.raises(UserError, match=r"/proc/self: cannot be written"):
        create(Path("/proc/self"))


HOLDER = """
    import sys, time
    from pathlib import Path
    from learning.experiments.runs.run_lock import run_lock
    with run_lock(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(60)
"""


def test_one_process_at_a_time_and_a_dead_one_frees_the_folder(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(run.path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"another run is at work here \\(process {holder.pid} on "), run.locked():
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with run.locked():
        assert f"process {os.getpid()}" in (run.path / ".lock").read_text()
    with run.locked():
        pass
