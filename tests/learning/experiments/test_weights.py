"""A network that learned on a chip is estimated afterwards, and a trained one is the start of learning: `weights:` in both files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from estimate_helpers import SMALL, silent

from analog_sim.config import UserError, validate
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.estimation.run import describe as describe_estimate
from learning.experiments.estimation.run import estimate
from learning.experiments.runs.network_file import NETWORK_FILE, network_file, read_network
from learning.experiments.training.chip import build
from learning.experiments.training.data import training_data
from learning.experiments.training.run import describe, place, train
from learning.network.learned import LearnedNetwork
from learning.torch_bridge.digital.digital_training import predict
from learning.torch_bridge.digital.torch_network import torch_learned

TRAIN: dict[str, Any] = {
    "schema": "train/1",
    "dataset": SMALL["dataset"],
    "network": {"kind": "mlp", "hidden": [12]},
    "decorrelation": {"method": {"kind": "natural", "rate": 1e-3}, "where": "chip"},
    "device": "ecram",
    "learning_rate": 0.1,
    "batch": 20,
    "epochs": 2,
    "arms": [{"name": "one"}],
    "parallel": {"kind": "loky", "jobs": 1},
}


def training(**change: Any) -> TrainExperiment:
    return validate(TRAIN | change, TrainExperiment)


def estimation(weights: Path, **change: Any) -> Experiment:
    fields = {key: value for key, value in SMALL.items() if key != "network"}
    return validate(fields | {"weights": str(weights), "chips": 1, "times": ["1 s"]} | change, Experiment)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned") / "run"
    train(training(), out=folder, say=silent)
    return folder


@pytest.mark.jit
def test_what_learned_on_a_chip_is_estimated_on_others(run: Path, tmp_path: Path) -> None:
    arm = place(run, "one", 0)
    learned = read_network(run)
    assert network_file(arm / "checkpoint.npz") == network_file(run) == arm / NETWORK_FILE
    assert learned.on_chip == ("fc1", "fc2")
    last = float((arm / "metrics.csv").read_text().splitlines()[-1].split(",")[3])
    found = estimate(estimation(run), out=tmp_path / "on", say=silent, progress=False)
    assert found.results.layers == ("fc1_R", "fc1", "fc2_R", "fc2"), "matrices that were on the chip are there again"
    assert found.results.digital_score == pytest.approx(last, abs=0.05), "the chip's converters and noise are gone"
    by_arm = estimate(estimation(arm, network=TRAIN["network"]), out=tmp_path / "arm", say=silent, progress=False)
    assert by_arm.results.rows == found.results.rows

    again = estimate(estimation(run), out=tmp_path / "on", resume=True, say=silent, progress=False)
    assert again.results.rows == found.results.rows


@pytest.mark.jit
def test_the_run_is_bound_to_the_contents_of_the_weights(run: Path, tmp_path: Path) -> None:
    train(training(seeds=[1], epochs=0.2, twin=None), out=tmp_path / "other", say=silent)
    file = tmp_path / "mine.npz"
    file.write_bytes(network_file(run).read_bytes())
    estimate(estimation(file), out=tmp_path / "estimate", say=silent, progress=False)
    start = training(weights=str(file), epochs=0.2, twin=None)
    train(start, out=tmp_path / "train", say=silent)
    file.write_bytes(network_file(tmp_path / "other").read_bytes())
    for resumed in (
        lambda: estimate(estimation(file), out=tmp_path / "estimate", resume=True, say=silent, progress=False),
        lambda: train(start, out=tmp_path / "train", resume=True, say=silent),
    ):
        with pytest.raises(UserError, match=r"weights .*mine.npz: was \w{12}, now \w{12}"):
            resumed()


@pytest.mark.jit
def test_a_trained_network_is_the_start_of_learning(run: Path, tmp_path: Path) -> None:
    estimate(
        validate(SMALL | {"chips": 1, "times": ["1 s"]}, Experiment),
        out=tmp_path / "digital",
        say=silent,
        progress=False,
    )
    for folder, decorrelation in (
        (tmp_path / "digital", None),
        (tmp_path / "digital", TRAIN["decorrelation"]),
        (run, None),
    ):
        setup = training(weights=str(folder), decorrelation=decorrelation, network=None)
        data = training_data(setup.dataset, 0)
        network = build(setup.model_copy(update={"device": None}), data, 3).network
        learned = read_network(folder)
        np.testing.assert_allclose(network.output(data.x_eval), predict(torch_learned(learned), data.x_eval), atol=2e-3)
    found = train(
        training(weights=str(tmp_path / "digital"), network=None, epochs=0.5), out=tmp_path / "on", say=silent
    )
    first = found.results.curves[0]
    assert first["samples"] == 0
    assert float(first["accuracy"] or 0) > 0.6, "learning starts from what was trained, not from random weights"


def test_wrong_weights_in_one_line(run: Path, tmp_path: Path) -> None:
    def refused(weights: Path, match: str, **change: Any) -> None:
        for attempt in (
            lambda: describe_estimate(estimation(weights, **change)),
            lambda: describe(training(weights=str(weights), decorrelation=None, twin=None, device=None, **change)),
        ):
            with pytest.raises(UserError, match=match) as caught:
                attempt()
            assert "\n" not in str(caught.value)

    arm = place(run, "one", 0)
    refused(
        tmp_path / "nothing", "weights: no such file or folder: .*nothing; give the folder of an arm that has ended"
    )
    refused(tmp_path, "holds no trained network")
    several = tmp_path / "several"
    for name in ("a-0", "b-0", "ideal_digital_twin-0"):
        (several / "arms" / name).mkdir(parents=True)
    refused(several, "has 2 arms and seeds; write one of them: .*a-0, .*b-0$")
    begun = tmp_path / "begun" / "arms" / "a-0"
    begun.mkdir(parents=True)
    (begun / "checkpoint.npz").write_bytes((arm / "checkpoint.npz").read_bytes())
    for path in (begun.parent.parent, begun, begun / "checkpoint.npz"):
        refused(path, "the arm has not ended yet; go on with its run by --resume")
    (tmp_path / "network.npz").write_bytes((arm / "checkpoint.npz").read_bytes())
    refused(tmp_path / "network.npz", "not a trained network of this program")
    refused(run, "is of another network: its layer 'fc1' is linear .units 12.", network={"kind": "mlp", "hidden": [13]})
    refused(run, "its network is for samples of shape .1, 8, 8.", dataset={"name": "digits", "flatten": True})


def test_a_damaged_file_is_refused_in_one_line(run: Path, tmp_path: Path) -> None:
    whole = network_file(run).read_bytes()
    path = tmp_path / "network.npz"
    rng = np.random.default_rng(0)
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError) as caught:
            read_network(path)
        assert "\n" not in str(caught.value)
    for _ in range(20):
        flipped = bytearray(whole)
        flipped[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        said, found = read_or_refused(path)
        assert "\n" not in said
        for key, value in ({} if found is None else found.arrays).items():
            np.testing.assert_array_equal(
                read_network(run).arrays[key], value
            )  # a bit of the archive's own bookkeeping


def read_or_refused(path: Path) -> tuple[str, LearnedNetwork | None]:
    try:
        return "", read_network(path)
    except UserError as error:
        return str(error), None
