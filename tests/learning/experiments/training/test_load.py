"""A mistake inside `arms:`, `hardware:` or `sweep:` of a training file has file and line, like all others."""

from pathlib import Path

import pytest

from analog_sim.config import ConfigError
from learning.experiments.configs.train import arms_of
from learning.experiments.training.load import load_training

FILE = """schema: train/1
dataset: {name: digits}
network: {layers: [flatten, {kind: linear, units: 10}]}
learning_rate: 0.1
"""


def problems(tmp_path: Path, text: str, overrides: tuple[str, ...] = ()) -> list[str]:
    path = tmp_path / "a.yaml"
    path.write_text(FILE + text)
    with pytest.raises(ConfigError) as caught:
        load_training(path, overrides)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_an_arm(tmp_path: Path) -> None:
    text = "arms:\n- name: a\n- name: b\n  set:\n    device: ecram\n    tile:\n      adc:\n        bits: 1\n"
    assert problems(tmp_path, text) == ["a.yaml:12: arms[b].tile.adc.bits: must be >= 2 (got 1)"]


def test_hardware_is_told_once_for_all_arms(tmp_path: Path) -> None:
    text = "arms: [{name: a}, {name: b}]\nhardware:\n- name: h\n  set:\n    tile.adc.bits: 1\n"
    assert problems(tmp_path, text) == ["a.yaml:9: hardware[h].tile.adc.bits: must be >= 2 (got 1)"]


def test_a_sweep(tmp_path: Path) -> None:
    assert problems(tmp_path, "sweep:\n  tile.adc.bits: [4, 1]\n") == [
        "a.yaml:6: sweep.tile.adc.bits: must be >= 2 (got 1)"
    ]


def test_a_key_that_all_arms_share(tmp_path: Path) -> None:
    text = "arms:\n- name: a\n  set:\n    seeds: [1]\n"
    assert problems(tmp_path, text) == ["a.yaml:8: arms[a].seeds: is shared by all arms"]


def test_an_option_is_named_itself(tmp_path: Path) -> None:
    text = "arms: [{name: a, set: {batch: 4}}]\n"
    assert problems(tmp_path, text, ("arms.0.set.batch=0",)) == [
        "--set arms.0.set.batch=0: arms[a].batch: must be >= 1 (got 0)"
    ]


def test_a_card_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in an arm are relative to the file, wherever the program was started."""
    (tmp_path / "mine.yaml").write_text("schema: card/1\nname: mine\ng_max: 20 uS\n")
    path = tmp_path / "a.yaml"
    path.write_text(FILE + "arms: [{name: a, set: {device: mine.yaml}}]\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    device = arms_of(load_training(path)[0])["a"].device
    assert device is not None
    assert device.name == "mine"
