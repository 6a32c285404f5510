"""The configuration of an estimate: what it accepts, what it refuses with which words, and that it round-trips."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from estimate_helpers import SMALL, small

from analog_sim.config import ConfigError, dump_yaml, json_schema, load_config, override, validate
from learning.experiments.configs.estimate import Experiment, Threshold

CONFIGS = Path(__file__).resolve().parents[4] / "configs"
ESTIMATES = sorted(
    path for path in CONFIGS.glob("*.yaml") if any(s in path.read_text() for s in ("estimate/1", "base: mnist.yaml"))
)


@pytest.mark.parametrize("path", ESTIMATES, ids=lambda path: path.stem)
def test_configurations_load_and_round_trip(path: Path, tmp_path: Path) -> None:
    experiment = load_config(path, Experiment)
    assert experiment.name == path.stem
    (tmp_path / "again.yaml").write_text(dump_yaml(experiment))
    assert load_config(tmp_path / "again.yaml", Experiment) == experiment


def test_the_configurations_of_the_documentation_are_there() -> None:
    names = {path.stem for path in ESTIMATES}
    assert {"digits_pcm", "mnist", "mnist_mlp_pcm", "mnist_lenet_pcm", "fashion_mnist", "cifar10"} <= names


def test_device_by_name_path_and_change(tmp_path: Path) -> None:
    assert small(device="ideal").device.name == "ideal"
    card = tmp_path / "mine.yaml"
    card.write_text("schema: card/1\nname: mine\ng_max: 30 uS\n")
    assert small(device=str(card)).device.g_max == 30e-6
    assert override(small(), ["device=ideal"]).device.name == "ideal"
    assert override(small(), ["device.g_max=40 uS"]).device.g_max == 40e-6
    with pytest.raises(ConfigError, match=r"unknown name 'pmc', did you mean 'pcm'"):
        small(device="pmc")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chps": 3}, "unknown key 'chps', did you mean 'chips'"),
        ({"chips": 0}, "chips: must be >= 1"),
        ({"times": ["1 S"]}, "times.0: "),
        ({"times": ["1 h", "1 s"]}, r"times: must increase \(got 3600 s, 1 s\)"),
        ({"times": []}, "times: "),
        ({"tile": {"adc": {"bits": 0}}}, "tile.adc.bits: must be >= 2"),
        ({"device": {"schema": "card/1", "name": "x", "g_min": "30 uS", "g_max": "25 uS"}}, "g_min: must be < g_max"),
        ({"dataset": {"name": "minst"}}, "dataset.name: "),
        ({"dataset": {"name": "mnist", "mean": [0.1, 0.2, 0.3]}}, r"mean: must be one number or one per channel \(1\)"),
        ({"dataset": {"name": "mnist", "std": [0.0]}}, "std.0: must be > 0"),
        ({"network": {"kind": "mpl"}}, "network"),
        ({"model": {"file": "missing.py", "factory": "build"}}, "model.file: no such file"),
        ({"yield_threshold": {}}, "give exactly one of below_digital, accuracy and r2"),
        ({"yield_threshold": {"accuracy": 0.9, "below_digital": 0.1}}, "give exactly one"),
        ({"yield_threshold": {"accuracy": "90"}}, "accuracy: "),
        ({"weight_scale": "column", "tile": {"mapping": {"weight_max": 1.0}}}, "weight_scale: column needs"),
        ({"sensitivity": {"times": ["1 h"]}}, "its times must be among"),
        ({"sensitivity": {"without": ["noise"]}}, "without"),
        ({"sensitivity": {"sweeps": [{"values": [1]}]}}, "give exactly one of set and scale"),
        ({"sensitivity": {"sweeps": [{"set": "chips", "values": [1]}]}}, "set"),
        ({"sensitivity": {"sweeps": [{"scale": "noise", "values": [-1]}]}}, "must be numbers >= 0"),
        ({"sensitivity": {"sweeps": [{"scale": "noise", "values": ["a"]}]}}, "must be numbers >= 0"),
        ({"sensitivity": {"sweeps": [{"set": "tile.adc.bits", "values": [4, 4]}]}}, "must be distinct"),
        ({"sensitivity": {"sweeps": [{"set": "tile.adc.bits", "values": [4]}] * 2}}, "two sweeps of the same setting"),
    ],
)
def test_mistakes(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**change)


def test_a_model_and_a_network_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("")
    model = {"file": str(tmp_path / "m.py"), "factory": "build"}
    with pytest.raises(ConfigError, match="network: is not used when a model is given"):
        small(model=model)
    assert small(model=model, network=None).model is not None


def test_thresholds() -> None:
    assert Threshold(below_digital=0.01).value(0.97) == pytest.approx(0.96)
    assert Threshold(accuracy=0.9).value(0.97) == 0.9
    assert Threshold(below_digital=0.5).value(0.3) == 0.0
    assert validate({"below_digital": "1 %"}, Threshold).below_digital == 0.01


def test_defaults_of_studies() -> None:
    assert small().study_times == (1.0, 86400.0)
    assert small(times=["1 s"]).study_times == (1.0,)
    assert small(sensitivity={"times": ["1 day"], "chips": 2}).study_times == (86400.0,)
    assert (small(sensitivity={"chips": 2}).study_chips, small().study_chips) == (2, 3)
    assert small(chips=1, sensitivity={"chips": 2}).study_chips == 1, "--set chips=1 must do for a quick look"
    plain = {key: value for key, value in SMALL.items() if key not in ("times", "chips", "network")}
    experiment = validate(plain, Experiment)
    assert experiment.times == (1.0, 3600.0, 86400.0, 2629800.0, 31557600.0)
    assert experiment.chips == 25
    assert experiment.digital_network.kind == "mlp"


def test_schema_for_editors() -> None:
    assert "sensitivity" in json_schema(Experiment)["properties"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("times=1year", "times: must be a list; write --set 'times=[1year]' (got text '1year')"),
        ("times=1 s, 1 year", "times: must be a list; write --set 'times=[1 s, 1 year]' (got text '1 s, 1 year')"),
        ("times=soon", "times: must be a list (got text 'soon')"),
        (
            "tile.adc.bits=4,6",
            "for several values use a sweep: analog-hil sweep CONFIG --set 'sweep.tile.adc.bits=[4, 6]'",
        ),
        (
            "tile.adc.bits=[4, 6]",
            "a sweep: analog-hil sweep CONFIG --set 'sweep.tile.adc.bits=[4, 6]' (got a list of 2)",
        ),
        ("device=pcm,ecram", "a sweep: analog-hil sweep CONFIG --set 'sweep.device=[pcm, ecram]'"),
        ("tile.adc.bits=4,many", "tile.adc.bits: must be a whole number (got text '4,many')"),
    ],
)
def test_a_list_and_several_values_are_told_how_to_write(written: str, expected: str) -> None:
    """And what is advised is right: it was tried."""
    with pytest.raises(ConfigError) as error:
        load_config(CONFIGS / "digits_pcm.yaml", Experiment, overrides=[written])
    [problem] = error.value.problems
    assert expected in str(problem)


def test_editors_complete_the_names_of_cards() -> None:
    device = json_schema(Experiment)["$defs"]["complete"]["properties"]["device"]
    assert {"pcm", "ecram"} <= set(device["anyOf"][0]["anyOf"][0]["enum"])
    check = jsonschema.Draft202012Validator({"anyOf": device["anyOf"][:1]})
    assert check.is_valid("pcm")
    assert check.is_valid("mine/own.yaml")
    assert not check.is_valid(3)
