"""What is held fast: an estimate, one training arm per write scheme, fits of published measurements, each as a small table of text.

Numbers are written with the digits that stay the same on other processors: tables of estimates and of training were the same with vector
units and BLAS kernels of AVX2 and of AVX-512, so these are compared as text. Fits go through optimisers of scipy, whose last steps differ:
their numbers are compared to half a per cent. `tests/golden/write.py` makes the tables, `tests/golden/test_golden.py` compares.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from catalogue import WRITING

from analog_sim.config import load_config, validate
from devices.card import load_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.pipeline.fit_result import FitResult
from devices.measurements.pipeline.pipeline import fit_measurements
from learning.experiments.configs.train import TrainExperiment

HERE = Path(__file__).resolve().parent
TABLES = HERE / "tables"
CONFIGS = HERE.parents[1] / "configs"
WEIGHTS = HERE / "digits_mlp.npz"

QUICK_FITS = ("enode",)
"""Measurements whose fit takes a second."""
SLOW_FITS = ("gong", "noise_techA", "pulse_ramps", "relaxation_techC", "taox")
"""Those that tests/devices/measurements/pipeline/test_real_measurements.py fits anyway, and compares there."""
STATES = 5
"""States of the window at which a card's laws are shown."""

ARM: Mapping[str, Any] = {
    "schema": "train/1",
    "dataset": {"name": "digits", "train_limit": 160, "test_limit": 200},
    "network": {"layers": ["flatten", {"kind": "linear", "units": 12}, "relu", {"kind": "linear", "units": 10}]},
    "rule": "backprop",
    "learning_rate": 0.1,
    "batch": 8,
    "epochs": 2,
    "evaluate_every": 160,
    "probe": 20,
    "calibration": 40,
    "tile": {"dac": {"bits": 8}, "adc": {"bits": 9}},
    "parallel": {"jobs": 1},
}

SLOW_LEARNERS: Mapping[str, Any] = {"learning_rate": 1.0, "batch": 4, "epochs": 4, "evaluate_every": 320}
"""Of arms whose write scheme gathers gradients on cells before it writes a weight."""
OFTEN: Mapping[str, Any] = {"every": 1, "granularity": 10.0}
"""Of the buffered ones, so that a short arm sees many transfers."""


def lines_of_estimate() -> Iterator[str]:
    """`configs/digits_pcm.yaml` from frozen weights: right test images of 596 for every chip and time; two chips of every study."""
    import torch

    from learning.experiments.estimation.chip import run_chip
    from learning.experiments.estimation.defaults import with_compensation
    from learning.experiments.estimation.load import load_estimate
    from learning.experiments.estimation.prepared import check, prepare_estimate
    from learning.experiments.estimation.studies import hardware_of, variants
    from learning.experiments.monte_carlo.evaluate import Task

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "digits_mlp.pt"
        with np.load(WEIGHTS) as frozen:
            torch.save({name: torch.tensor(frozen[name].astype(np.float32)) for name in frozen.files}, checkpoint)
        model = f"{{file: {HERE / 'digits_mlp.py'}, factory: build, checkpoint: {checkpoint}}}"
        changes = ["network=null", f"model={model}", "sensitivity.chips=2"]
        experiment, _ = load_estimate(CONFIGS / "digits_pcm.yaml", changes)
        experiment = with_compensation(experiment, hardware_of(experiment))
        prepared = prepare_estimate(experiment, check(experiment), lambda line: None)
        images = len(prepared.y_test)
        yield f"digital: {round(prepared.digital['accuracy'] * images)} of {images}"
        for variant in variants(experiment):
            for number in range(variant.chips):
                key = {"study": variant.study, "value": variant.value, "chip": number}
                rows = run_chip(prepared, Task(key, (variant,)))
                right = " ".join(f"{round(float(row['accuracy'] or 0.0) * images)}" for row in rows)
                errors = [
                    f"{row[name]:.3g}" for row in rows[:1] for name in row if name.startswith("mvm_error") and row[name]
                ]
                yield " ".join([f"{variant.study} {variant.value}".strip(), f"chip {number}: {right}", *errors])


def lines_of_training(kind: str) -> Iterator[str]:
    """A few epochs on few digits, every row of the catalogue of a write scheme: pulses, right test images, loss."""
    from learning.experiments.training.data import training_data
    from learning.experiments.training.run import plan
    from learning.experiments.training.trainer import Trainer

    slow = kind.startswith("tiki_taka") or kind == "agad"
    usual = OFTEN if slow and kind != "tiki_taka_v1" else {}
    for row in WRITING[kind]:
        writing = {"kind": kind, **usual, **row}
        asked = {**ARM, **(SLOW_LEARNERS if slow else {}), "tile": {**ARM["tile"], "writing": writing}}
        card = load_card("pcm_accumulate" if row.get("pair") == "one_sided" else "reram_soft_bounds")
        asked_arm = validate(asked, TrainExperiment).model_copy(update={"device": card, "twin": None})
        (arm,) = plan(asked_arm).arms.values()
        data = training_data(arm.dataset, arm.validation)
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(arm, data, 0, Path(folder))
            rows = trainer.run()
            trainer.close()
        yield f"{card.name}, " + ", ".join(f"{name}: {value}" for name, value in writing.items())
        for found in rows:
            right = round(float(found["accuracy"] or 0.0) * len(data.y_eval))
            yield f"  {found['samples']} samples: {right} right, loss {float(found['loss'] or 0):.3g}, {found['pulses']:.0f} pulses"


def lines_of_fit(result: FitResult) -> Iterator[str]:
    """The card at a few states of its window, the verdicts."""
    card = load_card(result.card)
    cell = card.compile()
    yield f"window {cell.g_min:.4g} to {cell.g_max:.4g} S"
    at = np.linspace(0.0, 1.0, STATES)
    g = cell.g_min + at * (cell.g_max - cell.g_min)
    tables = {}
    if cell.pulse is not None:
        tables |= {
            f"{what} of a step {way} (S)": getattr(card, f"step_{what}")(at, way == "up")
            for what in ("mean", "std")
            for way in ("up", "down")
        }
    if result.noise is not None or result.pulse is not None:
        tables["read noise after a second (S)"] = card.read_std(g, 1.0)
    if result.programming is not None:
        tables["programming error (S)"] = card.program_std(g)
    if result.ageing:
        tables |= {f"change after {t:g} s, mean (S)": card.aged_mean(at, t) - g for t in (1e2, 1e4)}
        tables |= {f"change after {t:g} s, std (S)": card.aged_std(at, t) for t in (1e2, 1e4)}
    for name, values in tables.items():
        yield f"{name}: " + " ".join(f"{value:.4g}" for value in np.atleast_1d(values))
    for proof in result.proofs:
        inside = sum(found.inside for found in proof.bins)
        yield f"{proof.verdict}: {proof.what}, {inside} of {len(proof.bins)} bins within the band"


def lines_of_measurement(name: str) -> Iterator[str]:
    """Fit a packaged measurement configuration."""
    config = load_config(CONFIGS / "measurements" / f"{name}.yaml", MeasurementConfig)
    with tempfile.TemporaryDirectory() as folder:
        yield from lines_of_fit(fit_measurements(config, Path(folder)))


CASES: dict[str, Callable[[], Iterator[str]]] = {
    "estimate_digits_pcm": lines_of_estimate,
    **{f"train_{kind}": partial(lines_of_training, kind) for kind in sorted(WRITING)},
}
FITS: dict[str, Callable[[], Iterator[str]]] = {
    f"fit_{name}": partial(lines_of_measurement, name) for name in (*QUICK_FITS, *SLOW_FITS)
}
"""These need the files of ANALOG_SIM_DATA."""


def table(name: str) -> str:
    """The table as it is kept."""
    return (TABLES / f"{name}.txt").read_text(encoding="utf-8")


def text(lines: Iterable[str]) -> str:
    """Lines as a table is kept."""
    return "".join(f"{line}\n" for line in lines)


def different(found: str, kept: str, most: float = 0.005) -> list[str]:
    """Lines of two tables that differ in words, or in a number by more than the share `most` of it."""
    number = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
    lines = []
    for one, other in zip_longest(found.splitlines(), kept.splitlines(), fillvalue=""):
        near = all(
            math.isclose(float(a), float(b), rel_tol=most)
            for a, b in zip(re.findall(number, one), re.findall(number, other), strict=False)
        )
        if re.sub(number, "#", one) != re.sub(number, "#", other) or not near:
            lines.append(f"{one}, kept: {other}")
    return lines
