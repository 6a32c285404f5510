"""A small estimate for tests: few digits, a small network, few chips."""

from typing import Any

from analog_sim.config import validate
from learning.experiments.configs.estimate import Experiment

SMALL: dict[str, Any] = {
    "schema": "estimate/1",
    "name": "small",
    "dataset": {"name": "digits", "train_limit": 300, "test_limit": 60},
    "network": {"kind": "mlp", "hidden": [12]},
    "training": {"epochs": 4, "rate": 1e-2, "batch": 32},
    "device": "pcm",
    "tile": {"dac": {"bits": 8}, "adc": {"bits": 9}, "compensation": "global"},
    "chips": 3,
    "times": ["1 s", "1 day"],
    "calibration": 40,
    "parallel": {"kind": "loky", "jobs": 1},
}


def small(**change: Any) -> Experiment:
    """The small estimate with some keys replaced."""
    return validate(SMALL | change, Experiment)


def silent(line: str) -> None:
    """Take a line of progress and drop it."""
