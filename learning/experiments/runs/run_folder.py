"""The folder of one run: what was asked, on which machine, what came out. It never computes a result.

config.yaml       the resolved configuration, every default written out
environment.json  versions, git commit, processor, threads, seed, command line
metrics.csv       append-only results (learning.experiments.runs.result_log); other logs beside it
summary.json      the few numbers a report starts from
arrays/*.npz      weights, conductances, histograms
figures/          PNG and SVG;  report.html
"""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel

from analog_sim.config import UserError, dump_yaml
from learning.experiments.runs.result_log import ResultLog
from learning.experiments.runs.run_lock import LOCK, run_lock

PACKAGES = ("analog-hil", "numpy", "scipy", "numba", "torch", "scikit-learn", "joblib", "pydantic", "matplotlib")
CONFIG, ENVIRONMENT = "config.yaml", "environment.json"


class RunDirectory:
    """One run's folder; make one with `create` or `open`.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls,
        out: str | Path | None,
        config: BaseModel,
        *,
        name: str,
        seed: int,
        resume: bool = False,
        resumable: bool = True,
        free: Sequence[str] = (),
        command: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> RunDirectory:
        """Start a run in `out` (default: runs/<name>-<time>), or go on with the one that is there.

        Args:
            out: the folder. config: the resolved configuration. name: of the experiment. seed: master seed.
            resume: go on with the run in `out`; refused when the configuration differs in a dotted key not in `free`.
            resumable: whether this kind of run can go on, for the message when there is one already.
            command: the command line, for the record (default: this process's). threads: threads of one process.

        Raises:
            UserError: another configuration, a run already there or at work there, or a folder that cannot be written.
        """
        if resume and out is None:
            raise UserError("--resume: needs the folder of the run to go on with; give it by --out")
        path = Path(out) if out is not None else _fresh(Path("runs"), name)
        _check_writable(path)
        run = cls(path)
        with run.locked():
            there = run._begun()
            if there and not resume:
                way_out = "give --resume to go on with it, or another --out" if resumable else "choose another --out"
                raise UserError(f"{path}: holds a run already; {way_out}")
            text = dump_yaml(config)
            if there:
                run._refuse_other_config(text, free)
            environment = describe_environment(seed=seed, command=command, threads=threads)
            if there and (path / ENVIRONMENT).exists():  # keep the record of every start
                environment["previous_starts"] = [*run.environment.pop("previous_starts", []), run.environment]
            _write_whole(path / CONFIG, text)
            _write_whole(path / ENVIRONMENT, json.dumps(environment, indent=2) + "\n")
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Open the folder of an earlier run to read it. Raises UserError when it is not one."""
        path = Path(path)
        if not (path / CONFIG).exists():
            raise UserError(f"{path}: not the folder of a run: {CONFIG} is missing")
        return cls(path)

    @property
    def config_text(self) -> str:
        """The resolved configuration as YAML."""
        return (self.path / CONFIG).read_text(encoding="utf-8")

    @property
    def environment(self) -> dict[str, Any]:
        """What was recorded of the machine when the run started last."""
        return _read_json(self.path / ENVIRONMENT)

    @property
    def figures(self) -> Path:
        """Folder of the figures; made when first asked for."""
        folder = self.path / "figures"
        folder.mkdir(exist_ok=True)
        return folder

    def log(self, name: str, columns: Mapping[str, type], key: Sequence[str] = ()) -> ResultLog:
        """Append-only results `<name>.csv`, see `ResultLog`."""
        return ResultLog(self.path / f"{name}.csv", columns, key)

    def save_arrays(self, name: str, arrays: Mapping[str, npt.ArrayLike]) -> None:
        """Write arrays/<name>.npz, whole or not at all."""
        folder = self.path / "arrays"
        folder.mkdir(exist_ok=True)
        temporary = folder / f"{name}.npz.new"
        with temporary.open("wb") as file:
            np.savez_compressed(file, **{key: np.asarray(value) for key, value in arrays.items()})  # type: ignore[arg-type]
        temporary.replace(folder / f"{name}.npz")

    def load_arrays(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """Arrays of `save_arrays`, None when there are none. Raises UserError when the file is damaged."""
        path = self.path / "arrays" / f"{name}.npz"
        if not path.exists():
            return None
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as data:
                return {key: data[key] for key in data.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
            raise UserError(f"{path}: not a readable file of arrays ({error})") from error

    def save_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write <name>.json, whole or not at all."""
        _write_whole(self.path / f"{name}.json", json.dumps(value, indent=2) + "\n")

    def load_json(self, name: str) -> dict[str, Any] | None:
        """Value of `save_json`, None when there is none. Raises UserError when the file is damaged."""
        path = self.path / f"{name}.json"
        if not path.exists():
            return None
        return _read_json(path)

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes out while results are written; see `run_lock`."""
        return run_lock(self.path)

    def _begun(self) -> bool:
        """Whether a run left anything here beside what it wrote when it started: one that failed at once may start again."""
        if not (self.path / CONFIG).exists():
            return False
        return any(entry.name not in (CONFIG, ENVIRONMENT, LOCK) for entry in self.path.iterdir())

    def _refuse_other_config(self, text: str, free: Sequence[str]) -> None:
        try:
            before = _flat(yaml.safe_load(self.config_text))
        except (ValueError, yaml.YAMLError) as error:
            raise UserError(
                f"{self.path / CONFIG}: cannot be read ({' '.join(str(error).split())}); choose another --out"
            ) from error
        now = _flat(yaml.safe_load(text))
        differing = [
            f"{key}: was {before.get(key, '(absent)')!r}, now {now.get(key, '(absent)')!r}"
            for key in sorted(before.keys() | now.keys())
            if before.get(key, _ABSENT) != now.get(key, _ABSENT)
            and not any(key == name or key.startswith(name + ".") for name in free)
        ]
        if differing:
            raise UserError(
                f"{self.path}: cannot resume, the configuration differs from {CONFIG} there:\n  "
                + "\n  ".join(differing)
            )


def describe_environment(
    *, seed: int, command: Sequence[str] | None = None, threads: int | None = None
) -> dict[str, Any]:
    """What to know of the machine and the software to run it again; JSON-able."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command if command is not None else sys.argv),
        "seed": seed,
        "git": _git_commit(),
        "python": platform.python_version(),
        "versions": versions,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
    }


_ABSENT = object()


def _check_writable(path: Path) -> None:
    """Make the folder and try to write in it. Raises UserError."""
    probe = path / f".write-test-{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _not_writable(path, str(error.strerror)) from error


def _fresh(folder: Path, name: str) -> Path:
    """Make runs/<name>-<time>, with a number when another run took that name in the same second. Raises UserError."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    plain = re.sub(r"[^\w.+-]+", "_", name)
    for number in itertools.count(1):
        path = folder / (f"{plain}-{stamp}" if number == 1 else f"{plain}-{stamp}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise _not_writable(path, str(error.strerror)) from error
        return path
    raise AssertionError("unreachable: counting never ends")


def _not_writable(path: Path, reason: str) -> UserError:
    return UserError(f"{path}: cannot be written ({reason}); choose another folder by --out")


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if not isinstance(result, dict):
        raise UserError(f"{path}: must hold one object (got {type(result).__name__})")
    return result


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Dotted path -> leaf."""
    if isinstance(value, dict) and value:
        return {
            key: leaf
            for name, item in value.items()
            for key, leaf in _flat(item, f"{path}.{name}" if path else str(name)).items()
        }
    return {path: value}


def _git_commit() -> str | None:
    """Commit of the code that runs, with `-dirty` when files differ from it; None outside a git clone."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=here, capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _processor() -> str:
    """Name of the processor as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()
