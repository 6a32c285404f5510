"""A real estimate and a real sweep on a Dask cluster of two workers that loses a worker or the scheduler.

The same bits as without, nothing lost or twice.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from estimate_helpers import SMALL, silent, small

from analog_sim.config import UserError
from learning.experiments.estimation.run import estimate
from learning.experiments.estimation.sweep import sweep

# Dask's own shutdown and its use of deprecated asyncio are not ours to mend.
pytestmark = [
    pytest.mark.jit,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(os.name == "nt", reason="kills processes by signals"),
]
dask = pytest.importorskip("dask", reason="the extra `cluster` is not installed")
distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

CHIPS = 24
RUN: dict[str, Any] = {"chips": CHIPS, "times": ["1 s"], "training": {"epochs": 1}}
SWEEP = {"device": ["ideal", "pcm"]}


@pytest.fixture(scope="module", autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The sweep without a cluster; its point of the card `pcm` is the estimate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(
            "learning.experiments.estimation.run.write_estimate_report", lambda run, results: run.path / "report.html"
        )
        patch.setattr(
            "learning.experiments.estimation.sweep.write_comparison_report",
            lambda run, comparison: run.path / "report.html",
        )
        folder = tmp_path_factory.mktemp("alone")
        sweep(sweep_file(folder, {"jobs": 1}), out=folder / "run", say=silent, progress=False)
        yield folder / "run"


def sweep_file(folder: Path, parallel: dict[str, Any]) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(SMALL | RUN | {"sweep": SWEEP, "parallel": parallel}))
    return path


def lines(path: Path) -> list[str]:
    """Of a log, in the order of its tasks: on a cluster they end in any order."""
    return sorted(path.read_text().splitlines())


@contextmanager
def once(path: Path, rows: int, act: Callable[[], None]) -> Iterator[list[int]]:
    """Act when a log has so many rows; yields the rows that were there then."""
    there: list[int] = []

    def watch() -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            found = path.read_bytes().count(b"\n") - 1 if path.exists() else 0
            if found >= rows:
                there.append(found)
                act()
                return
            time.sleep(0.005)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield there
    thread.join(timeout=10)


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def test_an_estimate_that_loses_a_worker_has_the_same_bits(alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        experiment = small(**RUN, parallel={"kind": "dask", "scheduler": cluster.scheduler_address})
        victim = next(iter(cluster.workers.values())).pid
        with once(out / "metrics.csv", 3, lambda: kill(victim)) as there:
            estimate(experiment, out=out, say=silent, progress=False)
    assert 3 <= there[0] < CHIPS, "in the middle"
    assert lines(out / "metrics.csv") == lines(alone / "1-pcm" / "metrics.csv")


class Cluster:
    """A scheduler and two workers as processes of their own, at one address through all restarts."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        worker = ["dask_worker", self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{command[0]}", *command[1:]],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for command in (scheduler, worker, worker)
        ]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def test_a_sweep_that_loses_the_scheduler_goes_on_to_the_same_bits(
    alone: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster, out = Cluster(), tmp_path / "run"
    file = sweep_file(tmp_path, {"kind": "dask", "scheduler": cluster.address})
    cluster.start()
    try:
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "20s"}),
            once(out / "1-pcm" / "metrics.csv", 3, lambda: cluster.processes[0].kill()) as there,
            pytest.raises(UserError, match=r"a worker was lost .*scheduler.*go on with --resume"),
        ):
            sweep(file, out=out, say=silent, progress=False)
        assert "Traceback" not in capfd.readouterr().err
        left = lines(out / "1-pcm" / "metrics.csv")
        assert 3 <= there[0] <= len(left) - 1 < CHIPS, "in the middle of the second point"
        assert set(left) <= set(lines(alone / "1-pcm" / "metrics.csv"))
        cluster.stop()
        cluster.start()
        sweep(file, out=out, resume=True, say=silent, progress=False)
    finally:
        cluster.stop()
    for point in ("0-ideal", "1-pcm"):
        assert lines(out / point / "metrics.csv") == lines(alone / point / "metrics.csv")
