"""Compile all kernels once, so that no later run waits for it: after an installation, or in the image of a cluster. It keeps no result."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from learning.experiments.commands._cli import HelpText


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a very small job of every kind and say what was compiled; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Compile all kernels once; later runs, and workers on the same machine, start without waiting.",
        epilog="example:\n  analog-hil warm",
        formatter_class=HelpText,
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
            done.append(f"  {name:38} {time.monotonic() - then:6.1f} s")
    print("\n".join(done))
    left = "nowhere: no cache folder can be written, and every run compiles anew" if folder is None else folder
    print(
        f"{_files(folder) - before} kernels compiled in {span(time.monotonic() - begun)}, {_files(folder)} kept in\n  {left}"
    )
    return 0


def jobs(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is compiled, and a job that needs it. Results go below `folder`."""
    for name, keys in ESTIMATES.items():
        yield f"estimate: {name}", partial(_estimate, folder / name.replace(" ", "_"), keys)
    for name, keys in TRAININGS.items():
        yield f"train: {name}", partial(_train, folder / name.replace(" ", "_"), keys)
    for card in ("pcm", "ecram"):
        yield f"characterise: {card}", partial(_characterise, card)
    yield "read: known inputs of wide arrays", _known_inputs
    yield "fit: pulses", partial(_fit, folder / "fit")


_DATA: Mapping[str, Any] = MappingProxyType({"name": "digits", "train_limit": 96, "test_limit": 32})
_WIRES = MappingProxyType({"word_line": "1 ohm", "bit_line": "1 ohm"})
_CONVOLUTION = MappingProxyType({"kind": "conv2d", "channels": 4, "kernel": 3})
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
            "tile": {"wires": _WIRES},
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
        "transfer, soft bounds": {"device": "reram_soft_bounds", "tile": {"writing": "tiki_taka_v2"}},
        "perturbation, decorrelation": {
            "rule": {"kind": "activity_node_perturbation", "sigma": 0.05},
            "decorrelation": {"method": {"kind": "natural", "rate": 1e-3}, "where": "chip", "identity": "bypass"},
        },
        "convolution, relaxation, wires": {
            "device": "generic_reram", "optimizer": "adam", "tile": {"wires": _WIRES},
            "network": {"layers": [_CONVOLUTION, "relu", "flatten", {"kind": "linear", "units": 10}]},
        },
    }
)  # fmt: skip
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


def _known_inputs() -> None:
    from analog_sim.random.streams import Streams
    from analog_sim.reads.packed_matrix import PackedMatrix
    from analog_sim.reads.walsh import WORTH_LOOKING, WalshRows
    from analog_sim.tiles.probes import Probes

    inputs = Probes(64, None, Streams(0).stream("probe")).inputs()
    found = WalshRows.of(inputs, cols=WORTH_LOOKING)
    assert found is not None
    found.multiply(PackedMatrix(64, 1))


def _characterise(card: str) -> None:
    from devices.card import load_card
    from learning.experiments.report.device.results import measure

    measure(load_card(card), cells=20, seed=0)


def _fit(folder: Path) -> None:
    """Pulses of made-up cells, which step by a soft-bounds law with noise."""
    import csv

    import numpy as np

    from analog_sim.config import validate
    from devices.measurements.configuration.measurement_config import MeasurementConfig
    from devices.measurements.pipeline.pipeline import fit_measurements

    rng = np.random.default_rng(0)
    folder.mkdir()
    with (folder / "pulses.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("cell", "v", "g"))
        for cell in range(3):
            g = 5.0
            for sign in (1.0, -1.0) * 2:
                for _ in range(20):
                    g = max(1.0, g + sign * (0.5 + sign * (25.0 - g) / 50.0) * (1.0 + 0.3 * rng.normal()))
                    rows.writerow((cell, 1.5 * sign, g))
    columns = {"cell": "cell", "v": {"name": "v", "unit": "V"}, "g": {"name": "g", "unit": "uS"}}
    reader = {
        "kind": "csv",
        "path": str(folder / "pulses.csv"),
        "role": "pulses",
        "columns": columns,
        "v_read": "0.2 V",
    }
    config = {"schema": "measurements/1", "name": "made_up", "measurements": [reader]}
    fit_measurements(validate(config, MeasurementConfig), folder, _silent)


def _silent(line: str) -> None:
    """Say nothing."""


def _files(folder: str | None) -> int:
    """Compiled kernels in the cache."""
    return 0 if folder is None else sum(1 for _ in Path(folder).rglob("*.nbc"))
