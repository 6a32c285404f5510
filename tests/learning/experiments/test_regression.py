"""Numbers to be predicted, from the file to the report: trained on a chip, estimated, searched for and compared in R2."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import RULES

from analog_sim.config import UserError, validate
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.estimation.run import describe as describe_estimate
from learning.experiments.estimation.run import estimate
from learning.experiments.report.estimate.results import EstimateResults
from learning.experiments.report.paired import compare_runs
from learning.experiments.report.rebuild import rebuild
from learning.experiments.report.training.results import TrainingResults
from learning.experiments.runs.run_folder import RunDirectory
from learning.experiments.training.data import training_data
from learning.experiments.training.run import describe, train
from learning.experiments.training.search import search
from learning.experiments.training.trainer import Trainer


def table(folder: Path) -> str:
    """A plane with little noise, in units that are far from 1."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 2))
    y = 500.0 + 40.0 * x[:, 0] - 20.0 * x[:, 1] + rng.normal(0.0, 1.0, 200)
    lines = [f"{a:.4f},{b:.4f},{t:.3f}" for (a, b), t in zip(x, y, strict=True)]
    (folder / "plane.csv").write_text("\n".join(["a,b,height", *lines]) + "\n", encoding="utf-8")
    return str(folder / "plane.csv")


def training(folder: Path, **change: Any) -> TrainExperiment:
    return validate(
        {
            "schema": "train/1",
            "dataset": {"csv": table(folder), "target": "height"},
            "network": {"layers": [{"kind": "linear", "units": 1}]},
            "loss": "mse",
            "learning_rate": 0.1,
            "batch": 4,
            "epochs": 6,
            "twin": None,
            "parallel": {"jobs": 1},
            "targets": [0.5],
        }
        | change,
        TrainExperiment,
    )


def test_a_training_is_judged_by_r2_and_mean_squared_error(tmp_path: Path) -> None:
    experiment = training(tmp_path, seeds=[0, 1], twin={})
    outcome = train(experiment, out=tmp_path / "run", say=lambda line: None, progress=False)
    assert outcome.table.header[2:7] == ("R2", "sd", "best", "MSE", "vs twin")
    assert "samples to R2 0.5" in outcome.table.header
    last = outcome.results.curves[-1]
    assert float(last["r2"] or 0.0) > 0.95, "the plane is linear, its noise a thousandth of its variance"
    assert float(last["mse"] or 0.0) < 0.1 * (40**2 + 20**2) / 3
    run = RunDirectory.open(tmp_path / "run")
    assert TrainingResults.load(run).score.key == "r2"
    page = rebuild(run.path)[1].read_text(encoding="utf-8")
    assert "mean squared error" in page
    assert "accuracy" not in page.lower().partition("<h2")[0], "nothing but numbers is predicted"
    found = compare_runs(run, run)
    assert found.scores.rows[0][3].startswith("+0.0000")


def test_an_estimate_is_judged_by_r2_and_mean_squared_error(tmp_path: Path) -> None:
    experiment = validate(
        {
            "schema": "estimate/1",
            "dataset": {"csv": table(tmp_path), "target": "height"},
            "network": {"kind": "mlp", "hidden": []},
            "training": {"loss": "mse", "epochs": 60, "rate": 0.05},
            "device": "pcm",
            "chips": 2,
            "times": ["1 s"],
            "parallel": {"jobs": 1},
        },
        Experiment,
    )
    outcome = estimate(experiment, out=tmp_path / "run", say=lambda line: None, progress=False)
    results = EstimateResults.load(RunDirectory.open(tmp_path / "run"))
    assert results.digital["r2"] > 0.98
    assert results.digital["mse"] == pytest.approx(1.0, rel=0.7), "the noise of the targets, in their own unit squared"
    assert results.threshold == pytest.approx(results.digital["r2"] - 0.01)
    assert "MSE [95 %]" in outcome.table
    assert all(float(row["mse"] or 0.0) > results.digital["mse"] * 0.5 for row in results.rows)
    with pytest.raises(UserError, match=r"training\.loss: cross_entropy is for classes"):
        describe_estimate(experiment.model_copy(update={"training": type(experiment.training)()}))
    wrong = validate({**experiment.model_dump(by_alias=True), "yield_threshold": {"accuracy": 0.9}}, Experiment)
    with pytest.raises(UserError, match=r"yield_threshold\.accuracy: the data have numbers to be predicted"):
        describe_estimate(wrong)


def test_a_search_takes_the_setting_of_highest_r2(tmp_path: Path) -> None:
    experiment = training(tmp_path, validation=40, epochs=2)
    found = search(experiment, {"learning_rate": [1e-5, 0.1]}, out=tmp_path / "search", say=lambda line: None)
    assert next(iter(found.best.values())) == {"learning_rate": 0.1}
    assert found.table.header[2] == "R2"


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_learns_numbers(rule: str, tmp_path: Path) -> None:
    experiment = training(
        tmp_path,
        rule={"kind": rule, **RULES[rule][0]},
        learning_rate=0.01,
        epochs=0.2,
        periphery={"weight_modulation": True},
    )
    trainer = Trainer(experiment, training_data(experiment.dataset, 0), 0, tmp_path)
    rows = trainer.run()
    assert all(np.isfinite(float(row["r2"] or 0.0)) for row in rows)


def test_a_loss_of_classes_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^loss: cross_entropy is for classes, .*; allowed: mse"):
        describe(training(tmp_path, loss="cross_entropy"))
