"""Tiki-Taka beside IBM's aihwkit, in one run: `python tests/tiki_taka_peer.py KIT_PYTHON --out runs.jsonl`; see docs/results/learning.md.

KIT_PYTHON is an interpreter that has aihwkit (its wheels are for other versions of Python than ours). For one seed after the other the arms
of configs/mnist_tiki_taka.yaml are trained here and there in turn, on the same images. A run that is in --out already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from analog_sim.config import load_config
from learning.experiments.configs.train import TrainExperiment, arms_of
from learning.experiments.training.data import TrainData, training_data
from learning.experiments.training.trainer import Trainer

HERE = Path(__file__).parent
CONFIG = HERE.parent / "configs" / "mnist_tiki_taka.yaml"
WRITINGS = ("stochastic_pulse", "tiki_taka_v1", "tiki_taka_v2", "tiki_taka_chopped", "agad")
KINDS = ("ours", "presets", "managed")
RATES = (0.05, 0.2)


def ours(arm: TrainExperiment, data: TrainData, seed: int) -> tuple[float, float]:
    """Test accuracy in % and seconds of processor time of one pass, evaluations left out."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(arm, data, seed, Path(folder))
        start = time.process_time()
        for _ in range(trainer.total):
            trainer.step()
        seconds = time.process_time() - start
        return 100.0 * float(trainer.run()[-1]["accuracy"] or 0.0), seconds


def of_the_kit(python: str, images: Path, writing: str, seed: int, rate: float, kind: str) -> dict[str, Any]:
    """The same run by aihwkit, in a process of its own with one thread."""
    one = {f"{pool}_NUM_THREADS": "1" for pool in ("OMP", "OPENBLAS", "MKL")}
    what = ["--seed", str(seed), "--rate", str(rate), "--writing", writing, "--kind", kind]
    script = str(HERE / "peer_aihwkit.py")
    done = subprocess.run(
        [python, script, str(images), *what], env=os.environ | one, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kit_python")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    experiment = load_config(CONFIG, TrainExperiment)
    arms = dict(zip(WRITINGS, arms_of(experiment).values(), strict=True))
    data = training_data(experiment.dataset, 0)
    arguments.out.touch()
    done = [json.loads(line) for line in arguments.out.read_text().splitlines()]
    known = {(run["who"], run["writing"], run["rate"], run["seed"]) for run in done}
    with tempfile.TemporaryDirectory() as folder, arguments.out.open("a") as out:
        images = Path(folder) / "task.npz"
        flat, flat_test = (x.reshape(len(x), -1) for x in (data.x, data.x_eval))
        np.savez(images, x=flat, y=data.y, x_test=flat_test, y_test=data.y_eval)
        ours(arms["stochastic_pulse"], data, 0)  # compiles
        for seed, rate, writing in ((s, r, w) for s in range(arguments.seeds) for r in RATES for w in WRITINGS):
            for who in ("here", *(arguments.kind or KINDS)):
                if (who, writing, rate, seed) in known:
                    continue
                run = {"who": who, "writing": writing, "rate": rate, "seed": seed}
                if who == "here":
                    arm = arms[writing].model_copy(update={"learning_rate": rate})
                    run["accuracy"], run["seconds"] = ours(arm, data, seed)
                else:
                    run |= of_the_kit(arguments.kit_python, images, writing, seed, rate, who)
                done.append(run)
                print(json.dumps(run), file=out, flush=True)
    for line in table(done):
        print(line)


def table(runs: list[dict[str, Any]]) -> list[str]:
    """Mean (sd) of the accuracies in % and mean seconds, a row for a writing and a rate, a column for each who."""
    who = ["here", *(kind for kind in KINDS if any(run["who"] == kind for run in runs))]
    lines = ["| writing | rate | " + " | ".join(who) + " |", "|---" * (2 + len(who)) + "|"]
    for writing in WRITINGS:
        for rate in RATES:
            cells = []
            for name in who:
                of = [r for r in runs if (r["who"], r["writing"], r["rate"]) == (name, writing, rate)]
                got = np.array([(run["accuracy"], run["seconds"]) for run in of])
                spread = got[:, 0].std(ddof=1) if len(of) > 1 else float("nan")
                cells.append(f"{got[:, 0].mean():.2f} ({spread:.2f}), {got[:, 1].mean():.1f} s" if len(of) else "")
            lines.append(f"| `{writing}` | {rate} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
