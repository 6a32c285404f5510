"""Compile all kernels once, so that no later run waits for it: after an installation, or in the image of a cluster. It keeps no result."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a very small job of every kind and say what was compiled; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Compile all kernels once; later runs, and workers on the same machine, start without waiting.",
        epilog="example:\n  analog-hil warm",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.parse_args(arguments)

    from learning.experiments.monte_carlo.life import TerminalLife
    from learning.experiments.monte_carlo.progress import span

    folder = os.environ.get("NUMBA_CACHE_DIR")
    before, begun, done = _files(folder), time.monotonic(), []
    with tempfile.TemporaryDirectory() as scratch, TerminalLife() as say:
        for name, job in jobs(Path(scratch)):
            say(name)
            then = time.monotonic()
            job()
            done.append(f"  {name:32} {time.monotonic() - then:6.1f} s")
    print("\n".join(done))
    left = "nowhere: no cache folder can be written, and every run compiles anew" if folder is None else folder
    print(f"{_files(folder) - before} compiled in {span(time.monotonic() - begun)}, {_files(folder)} kept in\n  {left}")
    return 0


def jobs(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is compiled, and a job that needs it. Results go below `folder`."""
    for name, keys in ESTIMATES.items():
        yield f"estimate: {name}", lambda name=name, keys=keys: _estimate(folder / name.replace(" ", "_"), keys)
    for name, keys in TRAININGS.items():
        yield f"train: {name}", lambda name=name, keys=keys: _train(folder / name.replace(" ", "_"), keys)
    for card in ("pcm", "ecram"):
        yield f"characterise: {card}", lambda card=card: _characterise(folder / card, card)
    yield "fit: pulses and retention", lambda: _fit(folder / "fit")


_DATA: Mapping[str, Any] = MappingProxyType({"name": "digits", "train_limit": 96, "test_limit": 32})
_ESTIMATE: Mapping[str, Any] = MappingProxyType(
    {
        "schema": "estimate/1", "dataset": _DATA, "network": {"kind": "mlp", "hidden": [12]}, "training": {"epochs": 1},
        "device": "pcm", "tile": {"dac": {"bits": 8}, "adc": {"bits": 9}}, "chips": 1, "times": ["1 s", "1 day"],
        "calibration": 32, "parallel": {"jobs": 1},
    }
)  # fmt: skip
ESTIMATES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "drift": {},
        "relaxation, wires": {
            "device": "reram_wan2022",
            "tile": {"wires": {"word_line": "1 ohm", "bit_line": "1 ohm"}},
        },
        "convolution": {
            "network": {
                "layers": [
                    {"kind": "conv2d", "channels": 4, "kernel": 3},
                    "relu",
                    "flatten",
                    {"kind": "linear", "units": 10},
                ]
            }
        },
    }
)
"""Name -> keys on top of a small estimate."""

_TRAIN: Mapping[str, Any] = MappingProxyType(
    {
        "schema": "train/1", "dataset": _DATA, "device": "ecram", "rule": "backprop", "learning_rate": 0.05, "batch": 16,
        "epochs": 1, "evaluate_every": 96, "seeds": [0], "parallel": {"jobs": 1}, "tile": {"dac": {"bits": 8}, "adc": {"bits": 9}},
        "network": {"layers": ["flatten", {"kind": "linear", "units": 12}, "relu", {"kind": "linear", "units": 10}]},
    }
)  # fmt: skip
TRAININGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "pulses": {
            "arms": [
                {"name": scheme, "set": {"tile.writing": scheme}}
                for scheme in ("stochastic_pulse", "deterministic_pulse", "mixed_precision", "sign", "write_verify")
            ]
        },
    }
)
"""Name -> keys on top of a small training."""


def _estimate(folder: Path, keys: Mapping[str, Any]) -> None:
    from analog_sim.config import validate
    from learning.experiments.configs.estimate import Experiment
    from learning.experiments.estimation.run import estimate

    estimate(validate({**_ESTIMATE, **keys}, Experiment), out=folder, say=_silent, progress=False)


def _train(folder: Path, keys: Mapping[str, Any]) -> None:
    from analog_sim.config import validate
    from learning.experiments.configs.train import TrainExperiment
    from learning.experiments.training.run import train

    train(validate({**_TRAIN, **keys}, TrainExperiment), out=folder, say=_silent, progress=False)


def _characterise(folder: Path, card: str) -> None:
    from devices.card import load_card
    from learning.experiments.report.device.results import measure

    measure(load_card(card), cells=20, seed=0)


def _fit(folder: Path) -> None:
    pass


def _silent(line: str) -> None:
    """Say nothing."""


def _files(folder: str | None) -> int:
    """Compiled kernels in the cache."""
    return 0 if folder is None else sum(1 for _ in Path(folder).rglob("*.nbc"))
