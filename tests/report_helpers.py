"""Small made-up results of an estimate and of a training run, for the tests of reports."""

from pathlib import Path

import numpy as np

from analog_sim.config import StrictModel
from learning.experiments.monte_carlo.score import ACCURACY
from learning.experiments.report.estimate.results import (
    KEY,
    LAYER_ERROR,
    ConductanceMap,
    DropMap,
    EstimateResults,
    WeightTransfer,
    estimate_columns,
)
from learning.experiments.report.training.results import (
    LAYER_COLUMNS,
    OF_AN_ARM,
    ConductanceHistory,
    TrainingResults,
    curve_columns,
)
from learning.experiments.runs.run_folder import RunDirectory

HOUR = 3600.0
TIMES = (1.0, HOUR, 86400.0)
LAYERS = ("fc1", "fc2")


class Config(StrictModel):
    name: str = "a <b> & c"
    chips: int = 3


def new_run(folder: Path) -> RunDirectory:
    return RunDirectory.create(folder, Config(), name="demo", seed=3, command=["estimate.py", "x.yaml"], threads=1)


def nominal_accuracy(chip: int, time: float) -> float:
    """Accuracy of a chip: falls by one point per decade of hours, differs by a point from chip to chip."""
    return 0.95 - 0.01 * chip - 0.002 * float(np.log10(time))


def estimate(
    run: RunDirectory,
    *,
    chips: int = 3,
    times: tuple[float, ...] = TIMES,
    studies: dict[str, dict[str, float]] | None = None,
) -> EstimateResults:
    """Results whose studies add a fixed amount to every chip's nominal accuracy."""
    log = run.log("metrics", estimate_columns(LAYERS), KEY)
    errors = {LAYER_ERROR + layer: 0.03 * (k + 1) for k, layer in enumerate(LAYERS)}
    for study, values in ({"nominal": {"": 0.0}} | (studies or {})).items():
        for value, shift in values.items():
            for chip in range(chips):
                log.append(
                    {
                        "study": study,
                        "value": value,
                        "chip": chip,
                        "time_s": t,
                        "accuracy": nominal_accuracy(chip, max(t, 1.0)) + shift,
                        **(errors if study == "nominal" else dict.fromkeys(errors)),
                    }
                    for t in times
                )
    w = np.linspace(-1, 1, 50, dtype=np.float32)
    results = EstimateResults(
        title="demo <estimate>",
        rows=log.rows,
        layers=LAYERS,
        digital={"accuracy": 0.96},
        n_test=100,
        threshold=0.94,
        transfer=(WeightTransfer("fc1", w, times, np.stack([w * 0.9] * len(times))),),
        maps=(ConductanceMap("fc1", "chip 0, 1 s", np.full((2, 4, 5), 5e-6, np.float32)),),
        drops=(DropMap("fc1", "chip 0, 1 s", *np.full((2, 2, 4, 5), [[[[0.9]]], [[[1e-6]]]], np.float32)),),
        costs={"energy per inference (J)": 3.2e-9, "operations": 12.0},
        notes=("A note & more.",),
    )
    results.save(run)
    return results


def training(
    run: RunDirectory, *, arms: tuple[str, ...] = ("twin", "np", "np + natural"), seeds: int = 2
) -> TrainingResults:
    """Results of a digital twin and analogue arms that learn at different speed."""
    curves, layers = run.log("metrics", {**OF_AN_ARM, **curve_columns(ACCURACY)}), run.log("layers", LAYER_COLUMNS)
    for k, arm in enumerate(arms):
        for seed in range(seeds):
            for samples in (0, 1000, 2000):
                digital = arm == "twin"
                curves.append(
                    {
                        "arm": arm,
                        "seed": seed,
                        "samples": samples,
                        "epoch": samples / 2000,
                        "loss": 2.0 / (1 + samples),
                        "accuracy": 0.1 + samples / 2500 - 0.05 * k + 0.01 * seed,
                        "pulses": None if digital else 10.0 * samples,
                        "chip_time_s": None if digital else 1e-3 * samples,
                        "energy_J": None,
                    }
                )
                if not digital:
                    layers.append(
                        {
                            "arm": arm,
                            "seed": seed,
                            "samples": samples,
                            "layer": "fc1",
                            "gradient_cosine": 0.3 * k,
                            "decorrelation_loss": 0.1 / (1 + samples) if "natural" in arm else None,
                            "pulses_mean": samples / 100,
                            "pulses_max": samples / 10,
                        }
                    )
    histogram = ConductanceHistory(
        "np",
        "fc1",
        np.array([0, 1000, 2000]),
        np.linspace(0, 1e-5, 5),
        np.array([[0, 9, 1, 0], [1, 8, 1, 0], [2, 6, 2, 0]]),
    )
    results = TrainingResults(
        title="demo training",
        curves=curves.rows,
        layers=layers.rows,
        n_test=100,
        twins={arm: "twin" for arm in arms if arm != "twin"} if "twin" in arms else {},
        conductances=(histogram,),
        costs={"np": {"latency (s)": 0.002}},
    )
    results.save(run)
    return results
