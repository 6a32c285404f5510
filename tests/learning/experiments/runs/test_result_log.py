"""The results on disk: exact numbers, torn ends, tasks half written."""

import math
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analog_sim.config import UserError
from learning.experiments.runs.result_log import ResultLog, read_rows, read_value, write_value

COLUMNS = {"study": str, "chip": int, "time_s": float, "accuracy": float, "good": bool}
KEY = ("study", "chip")


def task_rows(chip: int, study: str = "nominal", times: tuple[float, ...] = (1.0, 3600.0)) -> list[dict]:
    return [
        {"study": study, "chip": chip, "time_s": t, "accuracy": 0.9 + chip / 7 / t, "good": chip % 2 == 0}
        for t in times
    ]


@given(st.floats(allow_nan=False) | st.none())
def test_floats_come_back_bit_for_bit(value: float | None) -> None:
    assert read_value(write_value(value, float), float) == value


def test_nan_comes_back() -> None:
    assert math.isnan(read_value(write_value(math.nan, float), float))


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\r\n"), max_size=20))
def test_any_text_survives_the_file(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        ResultLog(path, {"name": str, "x": float}, ("name",)).append({"name": text, "x": 1.5})
        assert ResultLog(path, {"name": str, "x": float}, ("name",)).rows == [{"name": text, "x": 1.5}]


def test_rows_come_back_with_their_types(tmp_path: Path) -> None:
    log = ResultLog(tmp_path / "metrics.csv", COLUMNS, KEY)
    log.append(task_rows(0))
    log.append([{"study": "12", "chip": 3, "time_s": 0.1 + 0.2, "accuracy": None, "good": None}])
    again = ResultLog(tmp_path / "metrics.csv", COLUMNS, KEY)
    assert again.rows == log.rows
    assert again.rows[-1] == {"study": "12", "chip": 3, "time_s": 0.30000000000000004, "accuracy": None, "good": None}
    assert [type(v) for v in again.rows[0].values()] == [str, int, float, float, bool]
    assert again.finished({"study": "nominal", "chip": 0})
    assert not again.finished({"study": "nominal", "chip": 3})
    assert read_rows(tmp_path / "metrics.csv", {"chip": int}) == [{"chip": 0}, {"chip": 0}, {"chip": 3}]
    assert log.select(chip=3) == log.rows[-1:]


@pytest.mark.parametrize("cut", range(1, 140, 7))
def test_a_file_cut_anywhere_keeps_whole_tasks_only(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "metrics.csv"
    log = ResultLog(path, COLUMNS, KEY)
    for chip in range(3):
        log.append(task_rows(chip))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with pytest.warns(UserWarning, match="left by an interrupted run"):
        kept = ResultLog(path, COLUMNS, KEY)
    chips = sorted({row["chip"] for row in kept.rows})
    assert kept.rows == [row for chip in chips for row in log.select(chip=chip)]
    for chip in set(range(3)) - set(chips):
        kept.append(task_rows(chip))
    assert path.read_bytes() == whole, "the repaired and completed file is that of an uninterrupted run"


def test_a_cut_between_two_rows_of_a_task_drops_the_task(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    ResultLog(path, COLUMNS, KEY).append(task_rows(0))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.warns(UserWarning, match="1 of its 2 rows"):
        assert ResultLog(path, COLUMNS, KEY).rows == []
    assert ResultLog(path, COLUMNS, KEY).rows == [], "repaired once, silent afterwards"


def test_a_header_cut_short_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("study,ch")
    with pytest.warns(UserWarning, match="cut short"):
        ResultLog(path, COLUMNS, KEY).append(task_rows(0))
    assert len(ResultLog(path, COLUMNS, KEY).rows) == 2


def test_a_killed_writer_leaves_whole_tasks(tmp_path: Path) -> None:
    """Kill -9 while appending as fast as it goes; whatever is there must load, and be complete task by task."""
    path = tmp_path / "metrics.csv"
    code = f"""
        from learning.experiments.runs.result_log import ResultLog
        log = ResultLog({str(path)!r}, {{"chip": int, "x": float}}, ("chip",))
        for chip in range(100000):
            log.append([{{"chip": chip, "x": chip / 3 + k}} for k in range(4)])
            print(chip, flush=True)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 50:
            process.kill()
            break
    process.stdout.close()
    process.wait()
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        rows = ResultLog(path, {"chip": int, "x": float}, ("chip",)).rows
    assert len(rows) >= 4 * 51
    assert rows == [{"chip": chip, "x": chip / 3 + k} for chip in range(len(rows) // 4) for k in range(4)]


def test_rows_after_a_checkpoint_are_dropped(tmp_path: Path) -> None:
    columns = {"samples": int, "loss": float}
    log = ResultLog(tmp_path / "curve.csv", columns)
    for samples in (100, 200, 300):
        log.append({"samples": samples, "loss": 1 / samples})
    log.keep(lambda row: row["samples"] <= 200)
    assert ResultLog(tmp_path / "curve.csv", columns).rows == [
        {"samples": 100, "loss": 1 / 100},
        {"samples": 200, "loss": 1 / 200},
    ]


def test_wrong_rows_are_refused_and_leave_the_file_alone(tmp_path: Path) -> None:
    log = ResultLog(tmp_path / "metrics.csv", COLUMNS, KEY)
    before = (tmp_path / "metrics.csv").read_bytes()
    good = task_rows(0)[0]
    with pytest.raises(ValueError, match="missing \\['good'\\]"):
        log.append({k: v for k, v in good.items() if k != "good"})
    with pytest.raises(TypeError, match="integer"):
        log.append({**good, "chip": 0.5})
    with pytest.raises(TypeError, match="text"):
        log.append({**good, "study": 3})
    with pytest.raises(ValueError, match="text on one line"):
        log.append({**good, "study": "two\nlines"})
    with pytest.raises(TypeError, match="true or false"):
        log.append({**good, "good": "yes"})
    with pytest.raises(ValueError, match="rows of one task"):
        log.append([*task_rows(0), *task_rows(1)])
    assert (tmp_path / "metrics.csv").read_bytes() == before
    with pytest.raises(ValueError, match="not among the columns"):
        ResultLog(tmp_path / "other.csv", COLUMNS, ("layer",))


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="has other columns; got 'a,b'"):
        ResultLog(path, COLUMNS, KEY)
    ResultLog(tmp_path / "numbers.csv", {"x": float})
    line = f"abc,{zlib.crc32(b'abc'):08x}"
    (tmp_path / "numbers.csv").write_text(f"x,check\n{line}\n")
    with pytest.raises(UserError, match=r"numbers.csv:2: not a row of results \(could not convert"):
        ResultLog(tmp_path / "numbers.csv", {"x": float})
    with pytest.raises(UserError, match=r"numbers.csv:2: not a row of results"):
        read_rows(tmp_path / "numbers.csv", {"x": float})
    with pytest.raises(UserError, match="columns \\['y'\\] are missing"):
        read_rows(tmp_path / "numbers.csv", {"y": float})
    with pytest.raises(UserError, match="cannot be read"):
        read_rows(tmp_path / "absent.csv", {"y": float})


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot read and write"):
        ResultLog(tmp_path / "file" / "metrics.csv", COLUMNS, KEY)
