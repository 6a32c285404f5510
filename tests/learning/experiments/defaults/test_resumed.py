"""A run that goes on keeps the defaults it was started with, though the program's have changed since."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from estimate_helpers import silent, small

from analog_sim.config import SI, Q, StrictModel, UserError, dump_yaml, validate
from analog_sim.writing.choice import scheme_for
from analog_sim.writing.sign import Sign
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.defaults.resumed import as_started
from learning.experiments.defaults.settled import checked_decisions
from learning.experiments.estimation.run import estimate
from learning.experiments.runs.run_folder import CONFIG, RunDirectory
from learning.experiments.training.run import train
from learning.network import training_spec


class Short(StrictModel):
    kind: Literal["short"] = "short"
    length: int = 1


class Long(StrictModel):
    kind: Literal["long"] = "long"
    length: int = 10
    width: int = 2


class Inner(StrictModel):
    time: Annotated[float, Q("time", "s", gt=0)] = 1.0
    noise: float = 0.1


class Before(StrictModel):
    name: str = "x"
    inner: Inner = Inner()
    rod: Short | Long = Short()
    values: tuple[int, ...] = (1, 2)


class ChangedInner(Inner):
    time: Annotated[float, Q("time", "s", gt=0)] = 60.0
    noise: float = 0.0


class After(StrictModel):
    """The same with other defaults."""

    name: str = "y"
    inner: ChangedInner = ChangedInner()
    rod: Short | Long = Long()
    values: tuple[int, ...] = ()


def started(folder: Path, **given: Any) -> Path:
    (folder / CONFIG).write_text(dump_yaml(validate(given, Before)), encoding="utf-8")
    return folder


def test_what_is_left_out_is_as_it_was(tmp_path: Path) -> None:
    folder = started(tmp_path, inner={"noise": 0.3})
    again = as_started(validate({}, After), folder)
    assert (again.name, again.inner.time, again.inner.noise, again.rod, again.values) == (
        "x",
        1.0,
        0.3,
        Short(),
        (1, 2),
    )


def test_what_is_given_stays(tmp_path: Path) -> None:
    folder = started(tmp_path)
    again = as_started(
        validate({"inner": {"time": "5 ms"}, "rod": {"kind": "long", "width": 7}, "values": [3]}, After), folder
    )
    assert (again.inner.time, again.inner.noise) == (5e-3, 0.1)
    assert again.rod == Long(width=7), "a part of another kind is not mixed with the old one"
    assert again.values == (3,)
    made = as_started(After(rod=Long(), inner=ChangedInner(time=SI(3.0))), folder)
    assert (made.rod, made.inner.time) == (Long(), 3.0), (
        "a kind that a Python program leaves to its class counts as given"
    )


def test_a_folder_that_says_nothing_changes_nothing(tmp_path: Path) -> None:
    config = validate({}, After)
    assert as_started(config, None) is config
    assert as_started(config, tmp_path / "nowhere") is config
    (tmp_path / CONFIG).write_text("name: [\n", encoding="utf-8")
    assert as_started(config, tmp_path) is config


@pytest.mark.jit
def test_an_estimate_goes_on_with_the_defaults_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = small(training={"batch": 150}, tile={}, chips=1, times=["1 s"])
    first = estimate(left_out, out=tmp_path / "run", say=silent, progress=False)
    config = (tmp_path / "run" / CONFIG).read_text(encoding="utf-8")
    assert "compensation: global" in config
    monkeypatch.setattr(training_spec, "LEAST_STEPS", 2)
    monkeypatch.setattr(training_spec, "LEAST_EPOCHS", 2)
    again = estimate(
        left_out.model_copy(update={"chips": 2}), out=tmp_path / "run", resume=True, say=silent, progress=False
    )
    now = (tmp_path / "run" / CONFIG).read_text(encoding="utf-8")
    assert now == config.replace("chips: 1\n", "chips: 2\n")
    assert again.results.digital_score == first.results.digital_score
    assert again.results.rows[0] == first.results.rows[0]
    with pytest.raises(UserError, match=r"tile\.compensation: was 'global', now 'none'"):
        estimate(small(tile={"compensation": "none"}), out=tmp_path / "run", resume=True, say=silent, progress=False)


@pytest.mark.jit
def test_training_goes_on_with_what_was_decided_for_its_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = validate(
        {
            "schema": "train/1",
            "dataset": {"name": "digits", "train_limit": 64, "test_limit": 20},
            "network": {"layers": ["flatten", {"kind": "linear", "units": 10}]},
            "learning_rate": 0.1,
            "batch": 16,
            "device": "ecram",
            "twin": None,
            "parallel": {"kind": "loky", "jobs": 1},
        },
        TrainExperiment,
    )
    train(experiment, out=tmp_path / "run", say=silent)
    kept = RunDirectory(tmp_path / "run").load_json("decisions")
    assert kept is not None
    ((arm, decided),) = kept.items()
    assert decided["tile.writing"] == scheme_for(experiment.device.compile()).model_dump(mode="json")
    monkeypatch.setattr("learning.experiments.defaults.settled.scheme_for", lambda cell: Sign())
    said: list[str] = []
    train(experiment, out=tmp_path / "run", resume=True, say=said.append)
    assert RunDirectory(tmp_path / "run").load_json("decisions") == {arm: decided}
    assert any("weights are written by stochastic_pulse" in line for line in said)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": "text"}, r"a: must be decisions \(got 'text'\)"),
        ({"a": {"learning_rate": 1.0}}, "a: 'learning_rate' is not decided"),
        ({"a": {"tile.writing": {"kind": "sing"}}}, "a: tile.writing: no such decision"),
        ({"a": {"tile.writing": None}}, "a: tile.writing: no such decision"),
        ({"a": {"tile.compensation": "glob"}}, "a: tile.compensation: no such decision"),
        ({"a": {"tile.compensation": 7.5}}, "a: tile.compensation: no such decision"),
    ],
)
def test_decisions_that_nobody_made_are_refused_by_file_and_arm(content: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"decisions\.json: {message}.*; choose another --out"):
        checked_decisions(content, Path("decisions.json"))
