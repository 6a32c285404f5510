"""The two thin scripts over runs: rebuild a report, run a sweep."""

import subprocess
import sys
from pathlib import Path

import yaml
from estimate_helpers import SMALL
from report_helpers import estimate, new_run, training

from learning.experiments.report.estimate.page import write_estimate_report

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_reports_are_rebuilt(tmp_path: Path) -> None:
    one, two = new_run(tmp_path / "one"), new_run(tmp_path / "two")
    page = write_estimate_report(one, estimate(one))
    first = page.read_bytes()
    page.unlink()
    training(two)
    done = run("report.py", one.path, two.path)
    assert done.returncode == 0, done.stderr
    assert page.read_bytes() == first
    assert (two.path / "report.html").exists()
    assert f"report: {page}" in done.stdout
    assert "np + natural" in done.stdout


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run("report.py", tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"{tmp_path}: not the folder of a run: config.yaml is missing\n"


def test_a_sweep_says_what_it_would_do(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL | {"sweep": {"device": ["ideal", "pcm"]}}))
    done = run("sweep.py", path, "--dry-run", "--jobs", 1, "--seed", 3)
    assert done.returncode == 0, done.stderr
    assert "0-ideal: device = ideal" in done.stdout
    assert "1-pcm: device = pcm" in done.stdout
    assert not (tmp_path / "runs").exists()
    refused = run("sweep.py", path, "--chip", "no_such_kind")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "chip.kind" in refused.stderr
