"""The whole estimate: reproducible chip by chip, resumable to the bit, and checked before any work."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from estimate_helpers import silent, small

from analog_sim.config import UserError
from learning.experiments.configs.estimate import Experiment
from learning.experiments.estimation.run import describe, estimate
from learning.experiments.report.estimate.results import EstimateResults
from learning.experiments.runs.result_log import Row
from learning.experiments.runs.run_folder import RunDirectory

EXAMPLE = Path(__file__).resolve().parents[4] / "docs" / "examples" / "my_model.py"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "estimate-cache"))


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the figures, which take longer than the chips here."""
    monkeypatch.setattr(
        "learning.experiments.estimation.run.write_estimate_report", lambda run, results: run.path / "report.html"
    )


def run(experiment: Experiment, out: Path, **options: Any) -> list[Row]:
    return list(estimate(experiment, out=out, say=silent, progress=False, **options).results.rows)


def test_report_and_results(tmp_path: Path) -> None:
    studies = {"chips": 2, "without": ["drift"], "sweeps": [{"set": "tile.adc.bits", "values": [4, 8]}]}
    lines: list[str] = []
    outcome = estimate(small(sensitivity=studies), out=tmp_path / "run", say=lines.append, progress=False)
    assert outcome.report == tmp_path / "run" / "report.html"
    assert outcome.report.stat().st_size > 10_000
    assert len(outcome.results.rows) == 3 * 2 + 3 * 2 * 2
    assert "1 day" in outcome.table
    assert "digital twin" in outcome.table
    assert any("epoch 4 of 4" in line for line in lines)
    again = EstimateResults.load(RunDirectory.open(tmp_path / "run"))
    assert list(again.rows) == list(outcome.results.rows)
    assert again.threshold == pytest.approx(outcome.results.digital_score - 0.01)


@pytest.mark.usefixtures("no_report")
def test_a_chip_alone_is_the_chip_among_all(tmp_path: Path) -> None:
    rows = run(small(), tmp_path / "all")
    alone = run(small(), tmp_path / "one", chip=2)
    assert alone == [row for row in rows if row["chip"] == 2]
    assert len(alone) == 2
    assert run(small(seed=1), tmp_path / "seed", chip=2) != alone


@pytest.mark.usefixtures("no_report")
def test_resuming_gives_the_same_bits_and_may_add_chips(tmp_path: Path) -> None:
    rows = run(small(), tmp_path / "all")
    run(small(chips=2), tmp_path / "part")
    log = tmp_path / "part" / "metrics.csv"
    log.write_text("\n".join(log.read_text().splitlines()[:-1]) + "\n1,cut")  # killed in the middle of chip 1
    with pytest.warns(UserWarning, match="dropped"):
        resumed = run(small(), tmp_path / "part", resume=True)
    assert resumed == rows
    with pytest.raises(UserError, match=r"cannot resume, .*\n.*seed: was 0, now 5"):
        run(small(seed=5), tmp_path / "part", resume=True)
    with pytest.raises(UserError, match="holds a run already"):
        run(small(), tmp_path / "part")


@pytest.mark.usefixtures("no_report")
def test_resuming_with_fewer_chips_leaves_the_others_out_of_the_results(tmp_path: Path) -> None:
    out, studies = tmp_path / "run", {"chips": 2, "without": ["drift"], "times": ["1 s"]}
    rows = run(small(sensitivity=studies), out)
    file = (out / "metrics.csv").read_bytes()
    fewer = run(small(chips=2), out, resume=True)
    assert fewer == [row for row in rows if row["study"] == "nominal" and row["chip"] in (0, 1)]
    assert (out / "metrics.csv").read_bytes() == file, "results are only ever appended"
    assert list(EstimateResults.load(RunDirectory.open(out)).rows) == fewer
    with pytest.raises(UserError, match=r"study = without.* was measured at 1 s, now asked for at 1 day"):
        run(small(sensitivity={**studies, "times": ["1 day"]}), out, resume=True)


@pytest.mark.usefixtures("no_report")
@pytest.mark.jit
def test_workers_do_not_change_the_results(tmp_path: Path) -> None:
    rows = run(small(), tmp_path / "one")
    parallel = {"kind": "loky", "jobs": 2}
    assert run(small(parallel=parallel), tmp_path / "two") == rows


def user_model(tmp_path: Path, checkpoint: bool = True) -> dict[str, Any]:
    model: dict[str, Any] = {"file": str(EXAMPLE), "factory": "build"}
    if checkpoint:
        from learning.torch_bridge.user_models.load_model import load_factory

        torch.manual_seed(0)
        torch.save(load_factory(f"{EXAMPLE}:build").state_dict(), tmp_path / "w.pt")
        model["checkpoint"] = str(tmp_path / "w.pt")
    return {"network": None, "model": model, "dataset": {"name": "digits", "train_limit": 100, "test_limit": 20}}


@pytest.mark.usefixtures("no_report")
def test_a_users_own_convolutional_network(tmp_path: Path) -> None:
    change = user_model(tmp_path) | {"device": "ideal", "tile": {}, "chips": 1, "times": ["1 s"]}
    outcome = estimate(small(**change), out=tmp_path / "run", say=silent, progress=False)
    assert outcome.results.layers == ("stem", "block.conv1", "block.conv2", "mix", "head")
    assert outcome.results.rows[0]["accuracy"] == outcome.results.digital_score
    assert any("block.bn1: batch normalisation folded into block.conv1" in note for note in outcome.results.notes)


@pytest.mark.usefixtures("no_report")
def test_a_users_network_without_a_checkpoint_is_trained_here(tmp_path: Path) -> None:
    lines: list[str] = []
    change = user_model(tmp_path, checkpoint=False) | {"chips": 1, "times": ["1 s"], "training": {"epochs": 1}}
    estimate(small(**change), out=tmp_path / "run", say=lines.append, progress=False)
    assert any("epoch 1 of 1" in line for line in lines)
    lines.clear()
    estimate(small(**change), out=tmp_path / "again", say=lines.append, progress=False)
    assert any("from the cache" in line for line in lines)


def test_describe_says_what_would_be_done() -> None:
    text = describe(small(sensitivity={"without": "all", "chips": 2}))
    assert "digits: 300 training and 60 test images" in text
    assert "fc1: linear, 1 x 12 x 64 weights" in text
    assert "without: 6 variants on 2 chips" in text
    assert "times     1 s, 1 day" in text


class Missing(Exception):
    """Raised in place of work that must not begin."""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digital": ["fc9"]}, "no layer 'fc9', did you mean 'fc2'"),
        ({"digital": ["fc1", "fc2"]}, "no Linear or Conv2d layer"),
        ({"network": {"kind": "lenet"}}, "lenet needs images of at least 12 x 12"),
        ({"dataset": {"name": "digits", "flatten": True}, "network": {"kind": "conv"}}, "conv needs images"),
        ({"tile": {"dac": {"bit_serial": True}}}, "bit_serial needs a number of bits"),
        ({"sensitivity": {"sweeps": [{"set": "tile.adc.bits", "values": [1]}]}}, "tile.adc.bits=1: must be >= 2"),
    ],
)
def test_mistakes_end_before_any_work(change, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object) -> None:
        raise Missing

    monkeypatch.setattr("learning.experiments.estimation.run.prepare_estimate", work)
    with pytest.raises(UserError, match=message) as caught:
        run(small(**change), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_bad_checkpoints_and_outputs_end_before_any_work(tmp_path: Path) -> None:
    change = user_model(tmp_path)
    state = torch.load(tmp_path / "w.pt", weights_only=True)
    for bad, message in (
        ({"head.weight": torch.ones(11, 32)}, r"head.weight has shape \(11, 32\), the model needs \(10, 32\)"),
        ({"head.weight": torch.full((10, 32), float("nan"))}, "head.weight: 320 of 320 values are NaN or infinite"),
    ):
        torch.save(state | bad, tmp_path / "w.pt")
        with pytest.raises(UserError, match=message):
            run(small(**change), tmp_path / "run")
    (tmp_path / "wide.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))\n"
    )
    change["model"] = {"file": str(tmp_path / "wide.py"), "factory": "build"}
    with pytest.raises(UserError, match=r"outputs have shape \(5,\), data set 'digits' has 10 classes"):
        run(small(**change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_form_of_the_images_is_a_part_of_the_networks_identity() -> None:
    """A network that was trained on other inputs must not come from the cache."""
    from learning.experiments.estimation.prepared import check, prepare_estimate

    weights = []
    for mean in (0.0, 0.3):
        experiment = small(dataset={"name": "digits", "train_limit": 100, "test_limit": 20, "mean": [mean]})
        weights.append(prepare_estimate(experiment, check(experiment), silent).weights["fc1.weight"])
    assert not np.array_equal(*weights)


def test_input_form(tmp_path: Path) -> None:
    """Flattened and normalised images reach the network."""
    from learning.data.form import formed as load_data

    spec = small(dataset={"name": "digits", "mean": [0.5], "std": [0.25], "flatten": True, "test_limit": 7}).dataset
    plain = load_data(small(dataset={"name": "digits"}).dataset)
    formed = load_data(spec)
    assert formed.x_test.shape == (7, 64)
    np.testing.assert_allclose(formed.x_test, (plain.x_test[:7].reshape(7, 64) - 0.5) / 0.25, rtol=1e-6)
    assert formed.x_test.dtype == np.float32
    assert len(formed.x_train) == len(plain.x_train)
