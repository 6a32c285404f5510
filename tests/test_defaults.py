"""docs/defaults.md: every sentence of its table is really said, on the terminal and in the report of a run with that default."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from catalogue import CHIPS
from estimate_helpers import SMALL

from analog_sim.config import validate
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.estimation.run import estimate
from learning.experiments.training.run import train

PAGE = Path(__file__).parents[1] / "docs" / "defaults.md"
ESTIMATE: dict[str, Any] = {key: value for key, value in SMALL.items() if key not in ("tile", "training")} | {
    "dataset": {"name": "digits", "train_limit": 60, "test_limit": 20},
    "chips": 1,
    "times": ["1 s"],
    "calibration": 10,
}
TRAIN: dict[str, Any] = {
    "schema": "train/1",
    "dataset": {"name": "digits", "train_limit": 64, "test_limit": 20},
    "network": {"layers": ["flatten", {"kind": "linear", "units": 6}, "relu", {"kind": "linear", "units": 10}]},
    "learning_rate": 0.002,
    "batch": 16,
    "device": "reram_soft_bounds",
    "parallel": {"kind": "loky", "jobs": 1},
}
NATURAL = {"method": {"kind": "natural", "rate": 1e-3}}
CHANGES: dict[str, dict[str, Any]] = {
    "estimate": {},
    "estimate, 2 epochs": {"training": {"epochs": 2}},
    "estimate, none": {"tile": {"compensation": "none"}},
    "train": {},
    "train, 6 epochs": {"epochs": 6, "twin": {"learning_rate": 0.3}},
    "train, pcm": {"device": "pcm"},
    "train, pcm_accumulate": {"device": "pcm_accumulate"},
    "train, ideal": {"tile": {"writing": "ideal"}},
    "train, mixed precision": {"tile": {"writing": "mixed_precision"}},
    "train, decorrelated": {"decorrelation": NATURAL},
    "train, matrices digital": {"decorrelation": NATURAL | {"where": "digital"}},
    "train, digital": {"device": None},
    "train, sealed": {"chip": {"kind": "sealed", "record": False}},
    "train, own chip": {"chip": CHIPS["factory"][0] | {"kind": "factory"}, "rule": "activity_node_perturbation"},
}


@dataclass(frozen=True)
class Row:
    """One row of the table: run, key, and the sentence."""

    run: str
    key: str
    sentence: str


def rows() -> Iterator[Row]:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        quoted = re.fullmatch(r'"(.+)"', cells[-1]) if line.startswith("|") and len(cells) == 5 else None
        if quoted is not None:
            yield Row(cells[0], cells[1], quoted[1])


ROWS = tuple(rows())


def said(run: str, folder: Path) -> tuple[str, str]:
    """Terminal and report of a run."""
    lines: list[str] = []
    if run.startswith("estimate"):
        experiment = validate(ESTIMATE | CHANGES[run], Experiment)
        page = estimate(experiment, out=folder, say=lines.append, progress=False).report
    else:
        page = train(validate(TRAIN | CHANGES[run], TrainExperiment), out=folder, say=lines.append).report
    return "\n".join(lines), html.unescape(page.read_text(encoding="utf-8"))


def test_the_table_is_read() -> None:
    assert len(ROWS) > 25
    assert {row.run for row in ROWS} == set(CHANGES)


@pytest.mark.jit
@pytest.mark.parametrize("run", CHANGES)
def test_every_sentence_is_said_in_a_run_with_that_default(run: str, tmp_path: Path) -> None:
    terminal, report = said(run, tmp_path / "run")
    for row in ROWS:
        if row.run == run:
            assert row.sentence in terminal, f"{row.key}: not on the terminal"
            assert row.sentence in report, f"{row.key}: not in the report"
