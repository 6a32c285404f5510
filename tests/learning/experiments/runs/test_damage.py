"""Damaged folders of runs: one line that names the file, or the same results as before; never a traceback, a hang, or silent nonsense.

What counts as nonsense: a report, a table or rows that differ in any bit from those of the undamaged run without a refusal or a
warning; a finished row that is in the file before and not after, without being told; and a value that was not measured in the
place of one that was. Each case damages one file of a finished estimate, a sweep or a training run (seeded), rebuilds its report
and resumes it. `ANALOG_HIL_FUZZ=150 pytest tests/learning/experiments/runs/test_damage.py` runs all cases, continuous integration a part;
`ANALOG_HIL_FUZZ_FIRST=5000` takes others.
"""

import os
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from damage_helpers import copied, damage
from estimate_helpers import SMALL, silent, small
from fuzz_helpers import fuzz_seeds
from hang_helpers import no_hang
from markupsafe import Markup

from analog_sim.config import UserError, validate
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.estimation.run import estimate
from learning.experiments.estimation.sweep import sweep
from learning.experiments.report.page import _Embedded
from learning.experiments.report.rebuild import rebuild
from learning.experiments.runs.run_folder import SHOWN
from learning.experiments.training.run import train

CASES = fuzz_seeds(24)
SECONDS = 120
TINY: dict[str, Any] = {
    "dataset": {"name": "digits", "train_limit": 100, "test_limit": 30},
    "training": {"epochs": 1},
    "network": {"kind": "mlp", "hidden": [6]},
    "chips": 2,
    "times": ["1 s", "1 day"],
    "calibration": 10,
}
TRAINING = {
    "schema": "train/1",
    "dataset": {"name": "digits", "train_limit": 64, "test_limit": 30},
    "network": {"layers": ["flatten", {"kind": "linear", "units": 10}]},
    "rule": "backprop",
    "learning_rate": 0.1,
    "batch": 8,
    "epochs": 1,
    "evaluate_every": 32,
    "probe": 20,
    "device": "ideal",
    "tile": {"writing": "ideal"},
    "arms": [{"name": "a"}, {"name": "b", "set": {"learning_rate": 0.05}}],
    "parallel": {"jobs": 1},
}
Resume = Callable[[Path], object]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Resume]]]:
    """Finished runs, and how each is resumed; figures are left out, which take longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        nothing = _Embedded(Markup(""), "", "", raster=False, width=1, least=1, series=Markup(""))
        patch.setattr("learning.experiments.report.page._embed", lambda plot, folder: nothing)
        base = tmp_path_factory.mktemp("runs")
        one, setup, points = small(**TINY), validate(TRAINING, TrainExperiment), base / "sweep.yaml"
        points.write_text(yaml.safe_dump(SMALL | TINY | {"times": ["1 s"], "sweep": {"device": ["ideal", "pcm"]}}))
        resume: dict[str, Resume] = {
            "estimate": lambda out: (
                estimate(one, out=out, resume=out.exists(), say=silent, progress=False).results.rows
            ),
            "sweep": lambda out: sweep(points, out=out, resume=out.exists(), say=silent, progress=False)[0],
            "training": lambda out: trained(setup, out),
        }
        for name, start in resume.items():
            start(base / name)
        # As if killed while arm b ended: its record and its rows are not in the folder yet, its checkpoint is.
        cut = copied(base / "training", base / "interrupted")
        lines = (cut / "metrics.csv").read_text().splitlines(keepends=True)
        (cut / "metrics.csv").write_text("".join(line for line in lines if not line.startswith("b,")))
        (cut / "arms" / "b-0" / "arm.json").unlink()
        resume["interrupted"] = resume["training"]
        yield {name: (base / name, start) for name, start in resume.items()}


def trained(setup: TrainExperiment, out: Path) -> tuple[object, ...]:
    """Table and every row of a training run."""
    found = train(setup, out=out, resume=out.exists(), say=silent)
    return found.table, list(found.results.curves), list(found.results.layers)


def outcome(action: Callable[[], object]) -> tuple[object, str]:
    """What an action returned, and what it told: a line of refusal, or its warnings."""
    with warnings.catch_warnings(record=True) as told, no_hang(SECONDS):
        warnings.simplefilter("always")
        try:
            found = action()
        except UserError as error:
            return None, str(error)
    return found, "\n".join(str(warning.message) for warning in told)


@pytest.mark.jit
@pytest.mark.skipif(os.name == "nt", reason="limits time by signals")
def test_damage_is_told_or_leaves_the_results_as_they_were(
    runs: dict[str, tuple[Path, Resume]], tmp_path: Path
) -> None:
    kinds = ("estimate", "training", "sweep", "interrupted", "training", "interrupted")
    wanted = {name: result_of(*runs["training" if name == "interrupted" else name]) for name in runs}
    refused = 0
    for seed in CASES:
        name = kinds[seed % len(kinds)]
        folder, start = runs[name]
        table, results = wanted[name]
        before = rows_in(folder)
        out = copied(folder, tmp_path / "run")
        case = f"case {seed}: {damage(out, random.Random(seed))} of {name}"
        damaged = rows_in(out)
        for action, right in ((lambda out=out: rebuild(out)[0], table), (lambda out=out, s=start: s(out), results)):
            found, told = outcome(action)
            if found is None:
                refused += 1
                assert told.startswith(str(out)) or str(out) in told.partition("\n")[0], (
                    f"{case}: names no file: {told}"
                )
                assert told.count("\n") <= SHOWN + 1, f"{case}: {told}"
            else:
                assert found == right, f"{case}: other results in silence: {told}"
        lost = {row for file, rows in damaged.items() for row in rows} & {r for rows in before.values() for r in rows}
        lost -= {row for rows in rows_in(out).values() for row in rows}
        assert not lost or told, f"{case}: rows lost in silence: {lost}"
        shutil.rmtree(tmp_path / "run")
    assert refused >= len(CASES) // 3, "damage that nobody sees is no test"


def result_of(folder: Path, start: Resume) -> tuple[object, object]:
    """What a report and a resume of an undamaged run give; those of an interrupted one are those of the whole, or a refusal."""
    return rebuild(folder)[0], start(folder)


def rows_in(folder: Path) -> dict[str, list[bytes]]:
    """File -> its lines, of all results below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes().splitlines()
        for path in folder.rglob("metrics.csv")
        if path.is_file()
    }
