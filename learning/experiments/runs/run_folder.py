"""The folder of one run: what was asked, on which machine, what came out. It never computes a result.

config.yaml       the resolved configuration, every default written out
identity.json     digests of all that decides the results (learning.common.identity)
environment.json  versions, git commit, processor, threads, seed, command line
metrics.csv       append-only results (learning.experiments.runs.result_log); other logs beside it
summary.json      the few numbers a report starts from
arrays/*.npz      weights, conductances, histograms
figures/          PNG and SVG;  report.html
"""

from __future__ import annotations

import itertools
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy.typing as npt
from pydantic import BaseModel, Field

from analog_sim.config import ConfigError, Location, UserError, dump_yaml, find_key
from analog_sim.config.yaml12 import parse
from learning.common.identity import Identity
from learning.common.versions import version_of
from learning.experiments.runs.files import (
    JsonRecord,
    checked_record,
    read_arrays,
    read_json,
    read_text,
    write_arrays,
    write_json,
    write_text,
    writing,
)
from learning.experiments.runs.result_log import ResultLog
from learning.experiments.runs.run_lock import LOCK, run_lock

PACKAGES = ("analog-hil", "numpy", "scipy", "numba", "torch", "scikit-learn", "joblib", "pydantic", "matplotlib")
CONFIG, ENVIRONMENT, IDENTITY = "config.yaml", "environment.json", "identity.json"
RESULTS = ("metrics.csv", "search.csv", "layers.csv", "summary.json", "arms", "arrays")
"""Files and folders of a run that hold results."""

INTERRUPTED = "run that can go on: "
"""Begins the note of an interruption that names a run's folder; the last such note is of the whole run."""

KINDS = {
    "estimate/1": "estimate",
    "train/1": "training",
    "card/1": "characterise",
    "measurements/1": "fit",
    "calibrate/1": "calibration",
}
"""Schema of a run's configuration -> what kind of run it was, for one without a summary that says so."""

SHOWN = 12
"""Differing keys that a refusal lists."""


class Environment(JsonRecord):
    """What `describe_environment` records, and the records of earlier starts."""

    started: str
    command: list[str]
    seed: int
    git: str | None
    python: str
    versions: dict[str, str]
    platform: str
    processor: str
    cores: int | None
    threads: int | None
    previous_starts: Annotated[list[dict[str, Any]], Field(default_factory=list)]


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
        identity: Identity | None = None,
        own: Sequence[str] = (),
        command: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> RunDirectory:
        """Start a run in `out` (default: runs/<name>-<time>), or go on with the one that is there.

        Args:
            out: the folder. config: the resolved configuration. name: of the experiment. seed: master seed.
            resume: go on with the run in `out`; refused when the configuration differs in a dotted key not in `free`.
            resumable: whether this kind of run can go on, for the message when there is one already.
            identity: what decides the results; a resume where it differs is refused. own: names of files that the caller
                will write into the folder.
            command: the command line, for the record (default: this process's). threads: threads of one process.

        Raises:
            UserError: another configuration or identity, a run already there or at work there, a folder that cannot be
                written, or one of `own` that would overwrite a file of the run itself.
        """
        if resume and out is None:
            raise UserError("--resume: needs the folder of the run to go on with; give it by --out")
        for file in own:
            if file.casefold() in (CONFIG, ENVIRONMENT, IDENTITY):
                raise UserError(
                    f"name: {file} is a file of the run itself; choose another name (got '{Path(file).stem}')"
                )
        path = Path(out) if out is not None else fresh_folder(Path("runs"), name)
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
                before = run.environment.model_dump()
                environment["previous_starts"] = [*before.pop("previous_starts"), before]
            if identity is not None:
                run.bind(identity, anew=not there)
            write_text(path / CONFIG, text)
            write_json(path / ENVIRONMENT, environment)
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Open the folder of an earlier run to read it. Raises UserError when it is not one."""
        path = Path(path)
        if not (path / CONFIG).exists():
            raise UserError(f"{path}: not the folder of a run: {CONFIG} is missing")
        return cls(path)

    def bind(self, identity: Identity, *, anew: bool = False) -> None:
        """Hold the run to an identity: refuse one that differs from what earlier starts recorded, and record what is new.

        Args:
            identity: of this start. anew: take the place of what a start that left no results recorded.

        Raises:
            UserError: naming every part that differs; or results are here, and nothing tells what they are of.
        """
        path, before = self.path / IDENTITY, dict[str, str]()
        if not anew:
            if not path.exists():
                raise UserError(
                    f"{self.path}: cannot resume, {IDENTITY} is missing, so nothing tells which program, data and files the "
                    "results are of; choose another --out"
                )
            found = read_json(path, "choose another --out")
            if not all(isinstance(value, str) for value in found.values()):
                raise UserError(f"{path}: must hold texts only; choose another --out")
            before = found
        if differing := identity.differences(before):
            raise UserError(
                f"{self.path}: cannot resume, what decides the results is not what the run was started with:\n  "
                + "\n  ".join(differing)
                + f"\nput it back (the program that the run was started with is in {ENVIRONMENT}), or choose another --out"
            )
        if dict(identity.parts).items() - before.items():
            write_json(path, before | dict(identity.parts))

    @property
    def config_text(self) -> str:
        """The resolved configuration as YAML. Raises UserError."""
        return read_text(self.path / CONFIG, "choose another --out")

    @property
    def configuration(self) -> Any:
        """The same as plain values. Raises UserError when it is damaged."""
        try:
            return _written(self.config_text)
        except ConfigError as error:
            found = error.problems[0].message
            raise UserError(f"{self.path / CONFIG}: cannot be read ({found}); choose another --out") from error

    @property
    def kind(self) -> str:
        """What was run: `estimate`, `training`, `sweep`, `search`, `fit`, `calibration`, `characterise`. Raises UserError."""
        said = (self.load_json("summary") or {}).get("kind")
        if isinstance(said, str):
            return said
        if (self.path / "search.csv").exists():
            return "search"
        return KINDS.get(str(find_key(self.path / CONFIG, "schema")[0]), "sweep")

    @property
    def finished(self) -> bool:
        """Whether the run came to its report."""
        return (self.path / "report.html").exists()

    @property
    def environment(self) -> Environment:
        """What was recorded of the machine when the run started last. Raises UserError when the file is damaged."""
        path, remedy = (
            self.path / ENVIRONMENT,
            "delete it: a resumed run writes it anew, without the record of earlier starts",
        )
        if not path.exists():
            raise UserError(f"{path}: is missing; a resumed run writes it anew, without the record of earlier starts")
        return checked_record(path, read_json(path, remedy), Environment, remedy)

    @property
    def figures(self) -> Path:
        """Folder of the figures; made when first asked for."""
        folder = self.path / "figures"
        with writing(folder):
            folder.mkdir(exist_ok=True)
        return folder

    def log(self, name: str, columns: Mapping[str, type], key: Sequence[str] = ()) -> ResultLog:
        """Append-only results `<name>.csv`, see `ResultLog`."""
        return ResultLog(self.path / f"{name}.csv", columns, key)

    def save_arrays(self, name: str, arrays: Mapping[str, npt.ArrayLike]) -> None:
        """Write arrays/<name>.npz, whole or not at all. Raises UserError."""
        write_arrays(self.path / "arrays" / f"{name}.npz", arrays)

    def load_arrays(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """Arrays of `save_arrays`, None when there are none. Raises UserError when the file is damaged."""
        path = self.path / "arrays" / f"{name}.npz"
        return read_arrays(path, self.again) if path.exists() else None

    def save_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write <name>.json, whole or not at all. Raises UserError."""
        write_json(self.path / f"{name}.json", value)

    def load_json(self, name: str) -> dict[str, Any] | None:
        """Value of `save_json`, None when there is none. Raises UserError when the file is damaged."""
        path = self.path / f"{name}.json"
        return read_json(path, self.again) if path.exists() else None

    @property
    def again(self) -> str:
        """What makes the results that a report is made of again, for messages."""
        return f"run the experiment again with --resume --out {self.path}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out while results are written, see `run_lock`; an interruption is told which run it was."""
        with run_lock(self.path):
            try:
                yield
            except KeyboardInterrupt as interruption:
                interruption.add_note(f"{INTERRUPTED}{self.path}")
                raise

    @contextmanager
    def nothing_half_made(self) -> Iterator[None]:
        """For a run that cannot go on: when it fails, the files that it brought are taken away, and the folder if it is empty then."""
        own = (CONFIG, ENVIRONMENT, IDENTITY, LOCK)
        before = {entry.name for entry in self.path.iterdir()}.difference(own)
        try:
            yield
        except BaseException:
            for entry in self.path.iterdir():
                if entry.name not in before:
                    with suppress(OSError):
                        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            with suppress(OSError):
                self.path.rmdir()
            raise

    def _begun(self) -> bool:
        """Whether a run left anything here beside what it wrote when it started: one that failed at once may start again."""
        left = [entry.name for entry in self.path.iterdir() if entry.name not in (CONFIG, ENVIRONMENT, IDENTITY, LOCK)]
        if (self.path / CONFIG).exists():
            if not left and not any((self.path / name).exists() for name in (ENVIRONMENT, IDENTITY)):
                raise UserError(f"{self.path / CONFIG}: is there, and no run wrote it; choose another --out")
            return bool(left)
        if found := [name for name in RESULTS if name in left]:
            raise UserError(
                f"{self.path}: holds results ({found[0]}), but {CONFIG} is missing; put it back or choose another --out"
            )
        return False

    def _refuse_other_config(self, text: str, free: Sequence[str]) -> None:
        before, now = _flat(self.configuration), _flat(_written(text))
        differing = [
            f"{key}: was {before.get(key, '(absent)')!r}, now {now.get(key, '(absent)')!r}"
            for key in sorted(before.keys() | now.keys())
            if before.get(key, _ABSENT) != now.get(key, _ABSENT)
            and not any(key == name or key.startswith(name + ".") for name in free)
        ]
        if differing:
            more = [f"... and {len(differing) - SHOWN} more"] if len(differing) > SHOWN else []
            raise UserError(
                f"{self.path}: cannot resume, the configuration differs from {CONFIG} there:\n  "
                + "\n  ".join(differing[:SHOWN] + more)
            )


def describe_environment(
    *, seed: int, command: Sequence[str] | None = None, threads: int | None = None
) -> dict[str, Any]:
    """What to know of the machine and the software to run it again; JSON-able."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command if command is not None else sys.argv),
        "seed": seed,
        "git": _git_commit(),
        "python": platform.python_version(),
        "versions": {package: version_of(package) for package in PACKAGES},
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


LONGEST_NAME = 200
"""Bytes of an experiment's name that name its folder, before the time: file systems take 255."""


def fresh_folder(folder: Path, name: str) -> Path:
    """Make runs/<name>-<time>, with a number when another run took that name in the same second. Raises UserError."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    plain = re.sub(r"[^\w.+-]+", "_", name).encode()[:LONGEST_NAME].decode(errors="ignore")
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


def _written(text: str) -> Any:
    """Plain values of a configuration as it was written. Raises ConfigError."""
    root, problems = parse(text, lambda line: Location(CONFIG, line))
    if problems:
        raise ConfigError(problems)
    return None if root is None else root.plain()


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
