"""The search: the same number of candidates for every arm, held-out images, divergence cannot win, resume."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from analog_sim.config import ConfigError, UserError, validate
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.training.search import judge, search, settings_of

SMALL: dict[str, Any] = {
    "dataset": {"name": "digits", "train_limit": 400, "test_limit": 10},
    "validation": 100,
    "network": {"layers": ["flatten", {"kind": "linear", "units": 10}]},
    "learning_rate": 0.1,
    "batch": 10,
    "twin": None,
    "parallel": {"jobs": 1},
    "arms": [
        {"name": "plain"},
        {"name": "decorrelated", "set": {"decorrelation": {"method": "natural", "where": "digital"}}},
    ],
}


def experiment(**changes: Any) -> TrainExperiment:
    return validate({**SMALL, **changes}, TrainExperiment)


def quiet(line: str) -> None:
    pass


def test_every_arm_gets_the_same_number_of_candidates() -> None:
    grid = {"learning_rate": [0.01, 1.0], "decorrelation.method.rate": [1e-5, 1e-4, 1e-3]}
    setup = experiment()
    plain = settings_of(setup, grid)
    assert [one["learning_rate"] for one in plain] == [0.01, 0.0251, 0.0631, 0.158, 0.398, 1.0]
    assert all(set(one) == {"learning_rate"} for one in plain)
    decorrelated = experiment(decorrelation={"method": "natural", "where": "digital"})
    assert len(settings_of(decorrelated, grid)) == 6
    assert len(settings_of(setup, {"learning_rate": [0.1, 0.2]})) == 2
    centred = experiment(decorrelation={"method": "centre"})
    assert settings_of(centred, grid) == plain  # a method that has no rate
    misspelt = {"learning_rate": [0.1], "decorrelation.method.rat": [1e-5, 1e-4]}
    assert all("decorrelation.method.rat" in one for one in settings_of(centred, misspelt))  # for the reader to refuse


def test_only_the_arms_called_for_are_tried(tmp_path: Path) -> None:
    found = search(experiment(), {"learning_rate": [0.1]}, only=["decorrelated"], out=tmp_path / "one", say=quiet)
    assert list(found.best) == ["decorrelated"]
    with pytest.raises(UserError, match="no arm is called 'plan'; there are plain, decorrelated"):
        search(experiment(), {"learning_rate": [0.1]}, only=["plan"], out=tmp_path / "two", say=quiet)


def test_the_best_rate_wins_and_divergence_does_not(tmp_path: Path) -> None:
    grid = {"learning_rate": [1e-5, 0.2, 1e6]}
    found = search(experiment(loss="mse"), grid, out=tmp_path / "run", command="the command", say=quiet)
    assert {arm: best["learning_rate"] for arm, best in found.best.items()} == {"plain": 0.2, "decorrelated": 0.2}
    text = found.file.read_text()
    assert text.startswith("# the command\n")
    assert yaml.safe_load(text)[0] == {"name": "plain", "set": {"learning_rate": 0.2}}
    assert "diverged" in found.table.text()
    again = search(experiment(loss="mse"), grid, out=tmp_path / "run", resume=True, say=quiet)
    assert again.table == found.table


def test_an_arm_that_always_diverges_has_no_best() -> None:
    rows = [
        {"arm": "a", "setting": '{"x": 1}', "seed": seed, "accuracy": value, "loss": None, "message": ""}
        for seed, value in ((0, 0.9), (1, None))
    ]
    table, best = judge(rows)
    assert best == {}
    assert table.rows == (("a", "x=1", "diverged", ""),)


def test_the_test_images_are_never_seen(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="validation: a search needs held-out training samples"):
        search(experiment(validation=0), {"learning_rate": [0.1]}, out=tmp_path / "run", say=quiet)


def test_a_misspelt_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"search, arm plain: learning_rat: unknown key.*learning_rate"):
        search(experiment(), {"learning_rat": [0.1]}, out=tmp_path / "run", say=quiet)
    with pytest.raises(UserError, match="at least one key"):
        search(experiment(), {}, out=tmp_path / "run", say=quiet)
