"""What goes wrong around a run: a worker is killed, a disk is full, a terminal has no `µ`, files of an arm are gone."""

import errno
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from task_helpers import chip_rows, killed_once, saying

from analog_sim.archive import read_archive
from analog_sim.config import UserError, validate
from learning.common.identity import Identity
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.monte_carlo.evaluate import Task, run_tasks
from learning.experiments.monte_carlo.worker import print_anything
from learning.experiments.parallel.loky import Loky
from learning.experiments.runs import checkpoint
from learning.experiments.runs.files import read_json, write_arrays, write_json, write_text
from learning.experiments.runs.result_log import ResultLog, read_rows
from learning.experiments.runs.run_lock import run_lock
from learning.experiments.training.run import train

COLUMNS = {"study": str, "chip": int, "time_s": float, "accuracy": float}
TASKS = [Task({"study": "nominal", "chip": chip}, (17,)) for chip in range(8)]
ROOT = Path(__file__).parents[4]
TRAINING: dict[str, Any] = {
    "schema": "train/1",
    "dataset": {"name": "digits", "train_limit": 64, "test_limit": 30},
    "network": {"layers": ["flatten", {"kind": "linear", "units": 10}]},
    "rule": "backprop",
    "learning_rate": 0.1,
    "batch": 8,
    "evaluate_every": 16,
    "probe": 20,
    "twin": None,
    "arms": [{"name": "a"}, {"name": "b", "set": {"learning_rate": 0.05}}],
    "parallel": {"jobs": 1},
}


def log_in(folder: Path) -> ResultLog:
    return ResultLog(folder / "metrics.csv", COLUMNS, ("study", "chip"))


@pytest.mark.skipif(os.name == "nt", reason="kills a process by a signal")
def test_a_killed_worker_is_one_line_and_the_run_goes_on_where_it_was(tmp_path: Path) -> None:
    function = functools.partial(killed_once, str(tmp_path / "flag"))
    run: Callable[[], list[Any]] = lambda: run_tasks(  # noqa: E731
        function, TASKS, results=log_in(tmp_path), parallel=Loky(jobs=2), progress=False
    )
    try:
        with pytest.raises(UserError, match=r"a worker was lost .*go on with --resume, with fewer --jobs") as error:
            run()
        assert "\n" not in str(error.value)
        assert run() == [{**task.key, **row} for task in TASKS for row in chip_rows(task)]
        assert len(log_in(tmp_path).rows) == 2 * len(TASKS), "nothing twice"
    finally:
        joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


def test_nothing_is_logged_once_a_file_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_text("one")
    bound = Identity({}).with_files({"w": path})

    def changing(task: Task) -> list[dict]:
        if task.key["chip"] == 2:
            path.write_text("other")
        return chip_rows(task)

    with pytest.raises(UserError, match="w: changed while the run was at work"):
        run_tasks(changing, TASKS, results=log_in(tmp_path), progress=False, identity=bound)
    assert {row["chip"] for row in log_in(tmp_path).rows} == {0, 1}


def test_a_worker_of_another_version_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("learning.experiments.monte_carlo.evaluate.program_digest", lambda: "another")
    try:
        with pytest.raises(UserError, match="runs another version of the program"):
            run_tasks(chip_rows, TASKS, results=log_in(tmp_path), parallel=Loky(jobs=2), progress=False)
    finally:
        joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
    assert log_in(tmp_path).rows == []


def no_room(handle: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_in(tmp_path)
    write = {
        "metrics.csv": lambda: log.append({**TASKS[1].key, "time_s": 1.0, "accuracy": 0.5}),
        "a.json": lambda: write_json(tmp_path / "a.json", {"x": 2}),
        "t.md": lambda: write_text(tmp_path / "t.md", "new"),
        "x.npz": lambda: write_arrays(tmp_path / "x.npz", {"x": np.ones(3)}),
        "c.npz": lambda: checkpoint.save(tmp_path / "c.npz", {"x": np.ones(3)}),
    }
    log.append({**TASKS[0].key, "time_s": 1.0, "accuracy": 0.5})
    for name, action in write.items():
        if name != "metrics.csv":
            action()
    before = {name: (tmp_path / name).read_bytes() for name in write}
    monkeypatch.setattr(os, "fsync", no_room)
    for name, action in write.items():
        with pytest.raises(
            UserError, match=rf"{name}: cannot be written \(No space left on device\); what is finished"
        ):
            action()
    assert {name: (tmp_path / name).read_bytes() for name in write} == before
    assert not list(tmp_path.glob("*.new"))


def test_a_terminal_without_the_letters_shows_others(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from pathlib import Path
from learning.experiments.monte_carlo.worker import print_anything
from task_helpers import saying
from learning.experiments.monte_carlo.evaluate import Task, run_tasks
from learning.experiments.parallel.loky import Loky
from learning.experiments.runs.result_log import ResultLog
if __name__ == "__main__":
    print_anything()
    print("±5 °C, \\udce9", file=sys.stderr)
    log = ResultLog(Path({str(tmp_path / "log.csv")!r}), {{"chip": int, "x": float}}, ("chip",))
    tasks = [Task({{"chip": chip}}) for chip in range(2)]
    run_tasks(saying, tasks[:1], results=log, progress=False)
    run_tasks(saying, tasks, results=log, parallel=Loky(jobs=2), progress=False)
"""
    (tmp_path / "run.py").write_text(code, encoding="utf-8")
    for encoding, letter in (("ascii", b"u"), ("cp1252", "µ".encode("cp1252"))):
        (tmp_path / "log.csv").unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, str(tmp_path / "run.py")],
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        for chip in (b"0", b"1"):
            assert b"0.5 " + letter + b"S, \\u4e2d\\u6587, " + chip in done.stdout
        assert b"\\udce9" in done.stderr
    assert saying(TASKS[0]) == {"x": 0.5}


def test_printing_is_left_alone_where_it_can_be(capsys: pytest.CaptureFixture[str]) -> None:
    print_anything()
    print("0.5 µS, 中文")
    assert capsys.readouterr().out == "0.5 µS, 中文\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_script_ends_well_on_such_a_terminal(tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "µ 测量"
    folder.mkdir()
    (folder / "卡.yaml").write_text("schema: estimate/1\nnope: µ\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_config.py"), str(folder / "卡.yaml")],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert rb"\u5361.yaml" in done.stderr


def test_a_reader_that_leaves_is_no_fault(tmp_path: Path) -> None:
    script = """
import sys
from learning.experiments.commands._cli import main_guard
def main(arguments):
    for number in range(100000):
        print(number)
sys.exit(main_guard(main))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 1


def test_a_full_disk_anywhere_ends_a_script_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from learning.experiments.commands._cli import main_guard

    def main(arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "/dev/shm/x")

    assert main_guard(main) == 2
    assert capsys.readouterr().err.startswith("/dev/shm/x: No space left on device; make room")


def test_the_runs_own_files_are_not_overwritten_by_a_name(tmp_path: Path) -> None:
    from learning.experiments.runs.run_folder import RunDirectory

    setup = validate(TRAINING, TrainExperiment)
    for name in ("config", "Config", "identity.json"):
        file = name if "." in name else f"{name}.yaml"
        with pytest.raises(UserError, match="is a file of the run itself; choose another name"):
            RunDirectory.create(tmp_path / "r", setup, name="x", seed=0, own=[file])
    assert not (tmp_path / "r").exists()


def test_a_users_own_config_yaml_is_not_overwritten(tmp_path: Path) -> None:
    from learning.experiments.runs.run_folder import RunDirectory

    (tmp_path / "config.yaml").write_text("mine")
    with pytest.raises(UserError, match=r"config.yaml: is there, and no run wrote it"):
        RunDirectory.create(tmp_path, validate(TRAINING, TrainExperiment), name="x", seed=0)
    assert (tmp_path / "config.yaml").read_text() == "mine"


def run_training(out: Path, **change: Any) -> Any:
    return train(validate(TRAINING | change, TrainExperiment), out=out, resume=out.exists(), say=lambda line: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "learning.experiments.training.run.write_training_report", lambda run, results: run.path / "report.html"
        )
        folder = tmp_path_factory.mktemp("trained") / "run"
        run_training(folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of arms a and b to damage."""
    monkeypatch.setattr(
        "learning.experiments.training.run.write_training_report", lambda run, results: run.path / "report.html"
    )
    return Path(shutil.copytree(trained, tmp_path / "run"))


def unfinish(run: Path, arm: str) -> Path:
    """As if the run had been killed before the end of an arm was logged."""
    lines = (run / "metrics.csv").read_text().splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(line for line in lines if not line.startswith(f"{arm},")))
    return run / "arms" / f"{arm}-0"


@pytest.mark.parametrize("name", ["arm.json", "layers.csv", "whole folder"])
def test_files_of_a_finished_arm_that_are_gone_are_named(run: Path, name: str) -> None:
    folder = run / "arms" / "a-0"
    shutil.rmtree(folder) if name == "whole folder" else (folder / name).unlink()
    missing = "arm.json: is missing, though the arm has ended" if name != "layers.csv" else "layers.csv: cannot be read"
    with pytest.raises(UserError, match=missing) as error:
        run_training(run)
    assert str(folder) in str(error.value)


def test_what_the_message_says_mends_it(run: Path, trained: Path) -> None:
    shutil.rmtree(unfinish(run, "a"))
    run_training(run)
    assert sorted((run / "metrics.csv").read_text().splitlines()) == sorted(
        (trained / "metrics.csv").read_text().splitlines()
    )


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("checkpoint.npz", r"checkpoint.npz: is missing, though metrics.csv has 5 evaluations; .*delete the folder"),
        ("metrics.csv", r"metrics.csv: has 0 rows, not the 5 that checkpoint.npz was written after"),
        ("layers.csv", r"layers.csv: has 0 rows, not the 5 that checkpoint.npz was written after"),
    ],
)
def test_files_of_an_unfinished_arm_that_are_gone_are_named(run: Path, file: str, message: str) -> None:
    (unfinish(run, "b") / file).unlink()
    with pytest.raises(UserError, match=message):
        run_training(run)


def test_a_checkpoint_of_another_arm_is_refused_though_it_fits(run: Path) -> None:
    folder = unfinish(run, "b")
    shutil.copy(run / "arms" / "a-0" / "checkpoint.npz", folder / "checkpoint.npz")
    with pytest.raises(UserError, match=r"b-0/checkpoint.npz: is of another arm, seed, data or setting"):
        run_training(run)


@pytest.mark.parametrize("change", [{"network": {}}, {"network": 3}, {"done": "x"}, {"clock": None}, {"rows": [1]}])
def test_a_checkpoint_of_another_shape_is_one_line(run: Path, change: dict[str, Any]) -> None:
    path = unfinish(run, "b") / "checkpoint.npz"
    state = checkpoint.load(path)
    assert state is not None
    checkpoint.save(path, state | change)
    with pytest.raises(UserError, match=r"checkpoint.npz: (not a checkpoint of this arm|is of another)"):
        run_training(run)


def test_two_processes_do_not_train_one_arm(run: Path) -> None:
    folder = unfinish(run, "b")
    with run_lock(folder), pytest.raises(UserError, match="b-0: another run is at work here"):
        run_training(run)


def test_results_without_their_configuration_are_not_gone_on_with(run: Path) -> None:
    (run / "config.yaml").unlink()
    with pytest.raises(UserError, match=r"holds results \(metrics.csv\), but config.yaml is missing"):
        run_training(run)


def test_a_row_that_is_not_as_it_was_written_is_refused(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    for task in TASKS[:3]:
        log.append({**task.key, "time_s": 1.0, "accuracy": 0.25})
    whole = log.path.read_text()
    log.path.write_text(whole.replace("0.25", "0.75", 1))
    for read in (lambda: log_in(tmp_path), lambda: read_rows(log.path, COLUMNS)):
        with pytest.raises(UserError, match=r"metrics.csv:2: not a row of results as it was written .*--resume"):
            read()
    log.path.write_bytes(whole.encode().replace(b"nominal", b"n\xff", 1))
    with pytest.raises(UserError, match=r"metrics.csv:2: byte 1 is not UTF-8 text"):
        log_in(tmp_path)
    first = whole.splitlines(keepends=True)[1]
    log.path.write_text(whole + first)  # a task twice, at its beginning and at the end
    with pytest.warns(UserWarning, match=r"2 of its 1 rows, kept whole in metrics.csv.damaged"):
        assert {row["chip"] for row in log_in(tmp_path).rows} == {1, 2}
    assert (tmp_path / "metrics.csv.damaged").read_text() == whole + first


def test_an_archive_damaged_anywhere_is_refused_or_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    arrays = {"a": rng.normal(size=(40, 3)).astype(np.float32), "b": np.arange(90)}
    refused: list[str] = []
    for compress in (True, False):
        write_arrays(tmp_path / "x.npz", arrays, compress=compress)
        content = (tmp_path / "x.npz").read_bytes()
        for place in range(0, len(content), 7):
            for damaged in (
                content[:place],
                content[:place] + bytes([content[place] ^ 0x11]) + content[place + 1 :],
                content[:place] + bytes(9) + content[place + 9 :],
            ):
                (tmp_path / "y.npz").write_bytes(damaged)
                try:
                    found = read_archive(tmp_path / "y.npz")
                except UserError as error:
                    refused.append(str(error))
                else:
                    for name in set(found) & set(arrays):
                        np.testing.assert_array_equal(found[name], arrays[name])
    assert len(refused) > 500
    assert all(told.startswith(f"{tmp_path / 'y.npz'}: not a readable .npz file") for told in refused)
    assert not any("\n" in told for told in refused)
    np.savez(tmp_path / "o.npz", o=np.array([{}], dtype=object))
    np.save(tmp_path / "s.npy", np.ones(3))
    for name, reason in (
        ("o.npz", "array .o. holds Python objects, as lists of unequal length become"),
        ("s.npy", "a single array, float64"),
        ("absent.npz", "No such file"),
    ):
        with pytest.raises(UserError, match=reason):
            read_archive(tmp_path / name)


def test_json_that_is_not_as_it_was_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"accuracy": 0.5, "names": ["µ"]})
    assert read_json(path) == {"accuracy": 0.5, "names": ["µ"]}
    text = path.read_text(encoding="utf-8")
    for damaged, reason in (
        (text.replace("0.5", "0.75"), "is not as it was written"),
        (text[:-5], "cannot be read"),
        ("[" * 100000, "cannot be read"),
        ("3", "must hold one object"),
    ):
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(UserError, match=rf"a.json: {reason}.*; do that"):
            read_json(path, "do that")
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(UserError, match=r"byte 7 is not UTF-8 text\); do that"):
        read_json(path, "do that")
