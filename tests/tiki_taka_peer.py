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
WRITINGS = {
    "stochastic_pulse": "stochastic pulses",
    "tiki_taka_v2": "TTv2",
    "tiki_taka_chopped": "chopped",
    "agad": "AGAD",
}
"""Write scheme -> arm of the configuration."""
KINDS = ("ours", "presets", "managed")
RATES = (0.05, 0.2)


def here(arm: TrainExperiment, data: TrainData, writing: str, seed: int, rate: float) -> dict[str, Any]:
    """Test accuracy in % and seconds of processor time of one pass by our code, evaluations left out."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(arm.model_copy(update={"learning_rate": rate}), data, seed, Path(folder))
        start = time.process_time()
        for _ in range(trainer.total):
            trainer.step()
        seconds = time.process_time() - start
        accuracy = 100.0 * float(trainer.run()[-1]["accuracy"] or 0.0)
    return {"who": "here", "writing": writing, "rate": rate, "seed": seed, "accuracy": accuracy, "seconds": seconds}


def of_the_kit(python: str, images: Path, writings: list[str], key: tuple[int, float, str]) -> list[dict[str, Any]]:
    """The same runs by aihwkit, in a process of its own with one thread; key: seed, rate, kind of settings."""
    one = {f"{pool}_NUM_THREADS": "1" for pool in ("OMP", "OPENBLAS", "MKL")}
    seed, rate, kind = key
    what = ["--seed", str(seed), "--rate", str(rate), "--kind", kind, *(f"--writing={name}" for name in writings)]
    command = [python, str(HERE / "peer_aihwkit.py"), str(images), *what]
    done = subprocess.run(command, env=os.environ | one, capture_output=True, text=True, check=True)
    return [{"who": kind} | json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kit_python")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rate", type=float, action="append")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    experiment = load_config(CONFIG, TrainExperiment)
    found = arms_of(experiment)
    arms = {writing: found[arm] for writing, arm in WRITINGS.items()}
    data = training_data(experiment.dataset, 0)
    arguments.out.touch()
    done = [json.loads(line) for line in arguments.out.read_text().splitlines()]
    known = {(run["who"], run["writing"], run["rate"], run["seed"]) for run in done}
    with tempfile.TemporaryDirectory() as folder, arguments.out.open("a") as out:
        images = Path(folder) / "task.npz"
        flat, flat_test = (x.reshape(len(x), -1) for x in (data.x, data.x_eval))
        np.savez(images, x=flat, y=data.y, x_test=flat_test, y_test=data.y_eval)
        here(arms["agad"], data, "agad", 0, 0.2)  # compiles
        for seed, rate in ((s, r) for s in range(arguments.seeds) for r in arguments.rate or RATES):
            for who in ("here", *(arguments.kind or KINDS)):
                left = [name for name in WRITINGS if (who, name, rate, seed) not in known]
                if who != "here" and left:
                    runs = of_the_kit(arguments.kit_python, images, left, (seed, rate, who))
                else:
                    runs = [here(arms[name], data, name, seed, rate) for name in left]
                done += runs
                out.write("".join(f"{json.dumps(run)}\n" for run in runs))
                out.flush()
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
