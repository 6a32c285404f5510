"""The runs of the commands from Python: on a file, a mapping, a torch module, arrays, a DataFrame. It only prepares and hands on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from analog_sim.config import StrictModel, UserError, dump_yaml, load_config, validate
from learning.experiments.interactive.data import FILE, dataset_section
from learning.experiments.interactive.results import EstimateRun, FitRun, RunResult, SweepRun, TrainingRun
from learning.experiments.interactive.settings import nested, overrides
from learning.experiments.interactive.talk import talk
from learning.experiments.monte_carlo.life import TerminalLife
from learning.experiments.monte_carlo.screen import in_notebook
from learning.experiments.runs.examples import config_file
from learning.experiments.runs.run_folder import CONFIG, RunDirectory, fresh_folder

M = TypeVar("M", bound=StrictModel)
What = Any
"""A file or the name of an example, a mapping as in a file, a configuration, a torch module, or data."""
RUNS = Path("runs")


def estimate(
    what: What,
    data: Any = None,
    *,
    label: str | None = None,
    out: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> EstimateRun:
    """Estimate how accurate a network is on emulated chips over time.

    Args:
        what: a file or the name of an example (`digits_pcm`), a mapping as in a file, an `Experiment`, or a torch module, which is taken
            with its weights. data: samples, instead of the file's; see `analog_hil.datasets`. label: column of the labels of a DataFrame.
        out: folder of the run (default: under runs/). resume: go on with the run there. progress: say what is done, and how far it is.
        settings: keys of the file (`chips=5`, `times=["1 s", "1 day"]`, `device=card`); `adc_bits=6` is `tile.adc.bits`, and two
            underscores are a dot: `tile__adc__bits=6`.

    Raises:
        UserError: anything the user can mend, before any work.
    """
    from learning.experiments.configs.estimate import Experiment
    from learning.experiments.estimation.load import load_estimate
    from learning.experiments.estimation.run import estimate as run

    with _begun(out, _name(what, settings, "estimate")) as folder:
        given, base = _module(what, "ah.estimate")
        keys = dict(settings)
        if data is not None:
            keys["dataset"] = dataset_section(data, folder, label=label)
        experiment = _configured(base, keys, Experiment, "ah.estimate", lambda path, more: load_estimate(path, more)[0])
        with _kept_torch_threads(), talk(progress) as say:
            outcome = run(experiment, out=folder, resume=resume, say=say, progress=progress, given=given)
    return EstimateRun(folder, outcome.results)


def train(
    what: What,
    data: Any = None,
    *,
    label: str | None = None,
    out: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> TrainingRun:
    """Train a network in place, on emulated chips or ideal digital tiles, every arm beside its ideal digital twin.

    Args:
        what: a file or the name of an example (`digits_node_perturbation`), a mapping as in a file, or a `TrainExperiment`.
        data, label, out, resume, progress, settings: as in `estimate`.

    Raises:
        UserError: anything the user can mend, before any work.
    """
    from learning.experiments.configs.train import TrainExperiment
    from learning.experiments.training.load import load_training
    from learning.experiments.training.run import train as run

    with _begun(out, _name(what, settings, "train")) as folder:
        keys = dict(settings)
        if data is not None:
            keys["dataset"] = dataset_section(data, folder, label=label)
        experiment = _configured(
            what, keys, TrainExperiment, "ah.train", lambda path, more: load_training(path, more)[0]
        )
        with _kept_torch_threads(), talk(progress) as say:
            outcome = run(experiment, out=folder, resume=resume, say=say, progress=progress)
    return TrainingRun(folder, outcome.results)


def sweep(
    what: What,
    over: Mapping[str, Any] | None = None,
    data: Any = None,
    *,
    label: str | None = None,
    out: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> SweepRun:
    """Run an estimate at every point of a product of values, and compare.

    Args:
        what: as in `estimate`. over: dotted key -> values, `{"tile.adc.bits": [4, 6, 8]}`; None: the file's own `sweep`.
        data, label, out, resume, progress, settings: as in `estimate`.

    Raises:
        UserError: anything the user can mend, before any work.
    """
    from learning.experiments.estimation.sweep import sweep as run
    from learning.experiments.report.estimate.comparison import Comparison

    with _begun(out, f"{_name(what, settings, 'estimate')}-sweep") as folder:
        given, base = _module(what, "ah.sweep")
        keys = dict(settings)
        if data is not None:
            keys["dataset"] = dataset_section(data, folder, label=label)
        keys |= {f"sweep.{key}": _listed(key, values) for key, values in (over or {}).items()}
        path, more = _as_file(base, keys, folder, "ah.sweep")
        with _kept_torch_threads(), talk(progress) as say:
            run(path, overrides=more, out=folder, resume=resume, say=say, progress=progress, given=given)
    return SweepRun(folder, Comparison.load(RunDirectory.open(folder)))


def fit(
    what: What,
    *,
    out: str | PathLike[str] | None = None,
    progress: bool = True,
    role: str | None = None,
    columns: Mapping[str, Any] | None = None,
    **settings: Any,
) -> FitRun:
    """Fit a device card to measurements and validate it on held-out data.

    Args:
        what: a measurement's file or the name of an example (`measurements/pulse_ramps`), a mapping as in a file, a
            `MeasurementConfig`, or the measurement itself: a DataFrame or a mapping of columns, one row per operation.
        out: folder of the run (default: under runs/). progress: say what is done.
        role: of a DataFrame: what its rows are, pulses (default), retention, noise or programming.
        columns: of a DataFrame: quantity -> column, or `{"name": column, "unit": "uS"}`; a column that is called like a quantity
            (`cell`, `v`, `width`, `g`, ...) need not be named, and is in SI.
        settings: keys of the file (`name="my_cell"`, `held_out__by="device"`); of a DataFrame also those of its reader (`v_read="0.2 V"`).

    Raises:
        UserError: anything the user can mend.
    """
    from devices.measurements.configuration.measurement_config import MeasurementConfig
    from learning.experiments.fitting.run import fit_card
    from learning.experiments.interactive.measurement import frame_section, is_measurement

    with _begun(out, f"fit-{_name(what, settings, 'my_cell')}") as folder:
        base: Any = what
        keys = dict(settings)
        if is_measurement(what):
            base, keys = frame_section(what, folder, role=role or "pulses", columns=columns or {}, settings=keys)
        elif role is not None or columns is not None:
            raise UserError("ah.fit: role and columns are for a DataFrame; a file says them itself")
        config = _configured(
            base,
            keys,
            MeasurementConfig,
            "ah.fit",
            lambda path, more: load_config(path, MeasurementConfig, overrides=more),
        )
        alive = progress and not in_notebook()
        with TerminalLife() if alive else talk(progress) as say:
            result, _ = fit_card(config, folder, say)
    return FitRun(folder, result.card, result.sentences)


def load_run(folder: str | PathLike[str]) -> RunResult:
    """The results of an earlier run, from its folder, whichever command or call made it.

    Raises:
        UserError: no finished run there.
    """
    from analog_sim.config import find_key
    from learning.experiments.report.estimate.comparison import Comparison
    from learning.experiments.report.estimate.results import EstimateResults
    from learning.experiments.report.measurement.results import FitSummary
    from learning.experiments.report.training.results import TrainingResults

    run = RunDirectory.open(_path(folder, "ah.load_run"))
    kind = run.kind
    if kind == "estimate" and run.load_json("summary"):
        return EstimateRun(run.path, EstimateResults.load(run))
    if kind == "training" and run.load_json("summary"):
        return TrainingRun(run.path, TrainingResults.load(run))
    if kind == "sweep" and run.load_json("summary"):
        return SweepRun(run.path, Comparison.load(run))
    name, _ = find_key(run.path / CONFIG, "name")
    card = run.path / f"{name}.yaml"
    if kind == "fit" and card.is_file():
        fitted = FitSummary.load(run)
        return FitRun(run.path, card, tuple(fitted.sentences) if fitted is not None else ())
    if run.finished:
        raise UserError(
            f"ah.load_run: {run.path} is a {kind}, whose results are files: open {run.path / 'report.html'}, or read its tables/"
        )
    raise UserError(f"{run.path}: holds no finished run; go on with it first")


def _module(what: What, where: str) -> tuple[Any, Any]:
    """The source of a torch module and what a file about it would hold; (None, what) for anything else."""
    if isinstance(what, str | PathLike | Mapping | StrictModel):
        return None, what
    from learning.torch_bridge.source import GivenSource

    try:
        given = GivenSource.of(what)
    except UserError as error:
        raise UserError(
            f"{where}: must be a file, the name of an example, a mapping, a configuration or a torch module ({error})"
        ) from error
    return given, {"schema": "estimate/1", "name": type(what).__name__, "module": given.name}


def _configured(
    base: What, keys: Mapping[str, Any], model: type[M], where: str, load: Callable[[Path, list[str]], M]
) -> M:
    """The checked configuration. Raises UserError."""
    if isinstance(base, str | PathLike):
        return load(_file(base, where), overrides(keys, where))
    if isinstance(base, model) and not keys:
        return base
    if not isinstance(base, Mapping | model):
        raise UserError(f"{where}: must be a file, the name of an example, or a mapping (got {type(base).__name__})")
    return validate(
        nested(keys, base if isinstance(base, Mapping) else base.model_dump(by_alias=True)), model, source=where
    )


def _as_file(base: What, keys: dict[str, Any], folder: Path, where: str) -> tuple[Path, list[str]]:
    """A file for what needs one, and what is put on top of it; a mapping is written to experiment.yaml in the folder."""
    import yaml

    from analog_sim.config.yaml12 import Dumper
    from learning.experiments.interactive.settings import plain
    from learning.experiments.runs.files import write_text

    if isinstance(base, str | PathLike):
        return _file(base, where), overrides(keys, where)
    path = folder / "experiment.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    text = dump_yaml(base) if isinstance(base, StrictModel) else yaml.dump(plain(base), Dumper=Dumper, sort_keys=False)
    write_text(path, text)
    return path, overrides(keys, where)


def _file(base: str | PathLike[str], where: str) -> Path:
    from argparse import ArgumentTypeError

    try:
        return config_file(str(base))
    except ArgumentTypeError as error:
        raise UserError(f"{where}: {error}") from error


def _name(what: What, settings: Mapping[str, Any], default: str) -> str:
    """What the folder of a run is called after: the name that was given, of the file, or of the module's class."""
    if isinstance(settings.get("name"), str):
        return str(settings["name"])
    if isinstance(what, str | PathLike):
        return Path(what).stem
    given = (
        what.get("name")
        if isinstance(what, Mapping)
        else getattr(what, "name", None)
        if isinstance(what, StrictModel)
        else None
    )
    return given if isinstance(given, str) else default


def _path(folder: Any, what: str) -> Path:
    if not isinstance(folder, str | PathLike):
        raise UserError(f"{what}: must be a folder (got {type(folder).__name__})")
    return Path(folder)


def _listed(key: str, values: Any) -> list[Any]:
    """The values of a swept key. Raises UserError."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise UserError(f"sweep: {key}: must be a list of values, for example [4, 6] (got {values!r})")
    return list(values)


@contextmanager
def _begun(out: str | PathLike[str] | None, name: str) -> Iterator[Path]:
    """The folder of a run; one that nothing came of is taken away again."""
    folder = _path(out, "out") if out is not None else fresh_folder(RUNS, name)
    try:
        yield folder
    except BaseException:
        if not (folder / CONFIG).exists():
            for name_ in (FILE, "experiment.yaml", "measured.csv"):
                with suppress(OSError):
                    (folder / name_).unlink()
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def _kept_torch_threads() -> Iterator[None]:
    """Runs use one thread of torch; afterwards there are as many as before."""
    from learning.torch_bridge.arrays import torch_threads

    with torch_threads():
        yield
