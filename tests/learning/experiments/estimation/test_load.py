"""A mistake in what a sensitivity sweeps has file and line, like all others."""

from pathlib import Path

import pytest

from analog_sim.config import ConfigError
from learning.experiments.estimation.load import load_estimate

FILE = """schema: estimate/1
dataset: {name: digits}
device: pcm
sensitivity:
  sweeps:
  - set: tile.adc.bits
    values:
    - 4
    - 1
"""


def test_a_value_of_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(FILE)
    with pytest.raises(
        ConfigError, match=r"a\.yaml:9: sensitivity\.sweeps\.0\.values: tile\.adc\.bits: must be >= 2 \(got 1\)"
    ):
        load_estimate(path)
