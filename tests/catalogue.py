"""One row per implementation: what a parametrised test needs to try it. `tests/test_catalogue.py` fails when an implementation has no row.

A registry is a package whose parts are found by `analog_sim.config.discover`; its rows map a kind to configurations worth testing
(fields besides `kind`), at least one.
"""

from pathlib import Path
from typing import Any

from conformance.foreign import SECTION

Rows = dict[str, list[dict[str, Any]]]

MEASURED = Path(__file__).parent / "devices" / "measurements" / "files"
"""Samples of the lab formats and of the tables file, written by make_files.py in the same folder."""
TABLES = str(MEASURED / "tables.npz")

OWN_DATA = Path(__file__).parent / "learning" / "data" / "files"
"""Samples of the user's own data, written by make_files.py in the same folder."""

DATA: Rows = {
    "cifar10": [{"mean": [0.49, 0.48, 0.45], "std": [0.25, 0.24, 0.26]}],
    "csv": [
        {"csv": str(OWN_DATA / "mine.csv"), "label": "class", "normalise": "standard"},
        {
            "csv": str(OWN_DATA / "mine.csv"),
            "label": "class",
            "columns": ["d", "a"],
            "test": str(OWN_DATA / "mine.csv"),
        },
        {"csv": str(OWN_DATA / "mine.csv"), "target": ["c", "d"], "columns": ["a", "b"]},
    ],
    "digits": [{}, {"flatten": True, "train_limit": 100, "normalise": "range"}],
    "factory": [{"factory": str(OWN_DATA / "my_data.py") + ":load", "shape": [3, 1, 8], "order": "kept"}],
    "fashion_mnist": [{}],
    "file": [{"file": str(OWN_DATA / "mine.npz")}],
    "images": [{"images": str(OWN_DATA / "pictures"), "test_fraction": 0.4}],
    "mnist": [{"mean": [0.13], "std": [0.31]}],
}

LAYERS: Rows = {
    "avg_pool": [{"size": 2}, {"size": 3, "stride": 1}],
    "batch_norm": [{}],
    "conv2d": [{"channels": 3, "kernel": 3}, {"channels": 2, "kernel": 2, "stride": 2, "padding": 1}],
    "dropout": [{"share": 0.2}],
    "flatten": [{}],
    "gelu": [{}],
    "identity": [{}],
    "leaky_relu": [{}, {"leak": 0.2}],
    "linear": [{"units": 4}],
    "max_pool": [{"size": 2}, {"size": 3, "stride": 2}],
    "relu": [{}],
    "sigmoid": [{}],
    "tanh": [{}],
}

NETWORKS: Rows = {
    "conv": [{"channels": [2], "hidden": [5], "batch_norm": False}],
    "layers": [{"layers": ["flatten", {"kind": "linear", "units": 10}]}],
    "lenet": [{"channels": [2, 3], "hidden": [6]}],
    "mlp": [{}, {"hidden": [7, 6], "activation": "gelu", "init": "lecun_uniform"}],
}

LOSSES: Rows = {"cross_entropy": [{}], "mse": [{}]}

RULES: Rows = {
    "activity_node_perturbation": [{}, {"two_sided": True}, {"reread_first": True}],
    "backprop": [{}],
    "direct_feedback_alignment": [{}],
    "feedback_alignment": [{}],
    "iterative_node_perturbation": [{}, {"two_sided": True}],
    "multiplexed": [
        {"perturb": "overlay"},
        {"perturb": "write", "tau_p": 2, "tau_theta": 4, "perturbations": 2},
        {"code": "sequential", "perturb": "overlay", "perturbations": 4},
    ],
    "node_perturbation": [{}, {"two_sided": True}, {"reread_first": True}],
    "physics_aware": [{}],
    "weight_perturbation": [{"perturb": "overlay"}, {"perturb": "write"}, {"perturb": "overlay", "two_sided": False}],
}

DECORRELATION: Rows = {
    "centre": [{}],
    "cholesky": [{"interval": 10}],
    "kappa": [{}, {"kappa": 0.2}, {"diagonal": "probes"}],
    "lateral": [{}],
    "natural": [{}],
    "off_diagonal": [{}, {"diagonal": "probes"}],
    "pca": [{"interval": 10}],
    "zca": [{"interval": 10}],
}

OPTIMIZERS: Rows = {
    "adam": [{}, {"beta1": 0.5, "eps": 1e-4}],
    "momentum": [{}, {"beta": 0.5}],
    "sgd": [{}],
}

PULSE: Rows = {
    "measured": [{"file": TABLES}],
    "exp_step": [
        {
            "fraction": 0.02,
            "A_up": 0.3,
            "A_down": 0.2,
            "gamma_up": 1.5,
            "gamma_down": 2.0,
            "slope": 0.9,
            "offset": 0.1,
            "noise": 0.5,
        }
    ],
    "linear_step": [
        {"states": 50, "asymmetry": 0.1, "gamma_up": 0.2, "gamma_down": 0.6, "noise": 0.3},
        {"states": 50, "noise_additive": 0.3},
    ],
    "piecewise": [
        {
            "step": "0.5 uS",
            "asymmetry": 0.1,
            "up": [1.0, 0.8, 0.3],
            "down": [0.2, 1.0],
            "up_std": [0.5],
            "down_std": [0.2, 0.6, 0.4, 0.1],
        }
    ],
    "power_step": [{"states": 80, "gamma_up": 1.7, "gamma_down": 2.4, "noise": 0.4}],
    "soft_bounds": [
        {"step": "0.6 uS", "asymmetry": -0.2, "noise": 0.2, "noise_additive": 0.4},
        {
            "step": "0.6 uS",
            "amplitude": {
                "nominal": "1.5 V",
                "nominal_down": "1.2 V",
                "volts": ["0.9 V", "1.5 V", "1.8 V"],
                "volts_down": ["0.8 V", "1.2 V", "1.5 V"],
                "up": [0.0, 1.0, 1.9],
                "down": [0.05, 1.0, 2.2],
            },
            "width": {
                "nominal": "100 ns",
                "seconds": ["10 ns", "100 ns", "1 us"],
                "up": [0.2, 1.0, 2.5],
                "down": [0.1, 1.0, 3.0],
            },
        },
    ],
}

PROGRAMMING: Rows = {
    "measured": [{"file": TABLES}],
    "gaussian": [{"std": "0.3 uS", "fraction": 0.01, "relative": 0.02}],
    "none": [{}],
    "polynomial": [{"coefficients": ["0.3 uS", "2 uS", "-1.2 uS"], "reference_g_max": "25 uS", "scale": 0.8}],
    "write_verify": [{"shot_std": "1.5 uS", "shot_relative": 0.05, "tolerance": "0.8 uS", "max_iterations": 4}],
}

READ_NOISE: Rows = {
    "measured": [{"file": TABLES}, {"file": TABLES, "lowest": "12 uS", "exponent": 1.5}],
    "constant": [{"std": "0.2 uS", "fraction": 0.005}, {"std": "1 uS", "of": "reading"}],
    "flicker": [{"coefficient": 0.01, "exponent": 0.5, "cap": 0.03, "t_read": "100 ns", "relative": 0.01}],
    "none": [{}],
    "polynomial": [{"coefficients": ["0.13 uS", "0.4 uS"], "reference_g_max": "20 uS"}],
    "proportional": [{"relative": 0.03, "floor": "0.1 uS"}],
}

DRIFT: Rows = {
    "measured": [{"file": TABLES}, {"file": str(MEASURED / "power_law_tables.npz")}],
    "none": [{}],
    "power_law": [
        {
            "mean": {"level": 0.03, "slope": -0.02, "low": 0.02, "high": 0.12},
            "std": {"level": 0.01, "slope": -0.01, "low": 0.008, "high": 0.04},
            "low": 0.0,
            "high": 0.15,
            "t_ref": "20 s",
        },
        {
            "mean": {"level": 0.03},
            "std": {"level": 0.03},
            "low": 0.0,
            "below": "reflect",
            "state": "written",
            "t_ref": "1 s",
        },
    ],
    "relaxation": [
        {
            "mean": ["0.05 uS", "-0.3 uS"],
            "std": ["0.3 uS", "1 uS", "-0.8 uS"],
            "initial": ["0.2 uS", "0.1 uS"],
            "reference_g_max": "40 uS",
            "t_0": "2 s",
        },
        {
            "mean": ["-0.1 uS"],
            "std": ["1 uS", "0.5 uS"],
            "initial": ["0.1 uS"],
            "tail": [0.8, -0.5],
            "skew": [0.4, -0.6],
            "reference_g_max": "40 uS",
            "t_0": "2 s",
        },
        {
            "mean": ["-0.1 uS"],
            "std": ["1 uS", "0.5 uS"],
            "tail": [0.5],
            "skew": [0.3],
            "returning": 0.4,
            "reference_g_max": "40 uS",
        },
    ],
}

WRITING: Rows = {
    "agad": [{}, {"chopper": 0.5, "tail": 2.0, "zero_shift": 3, "zero_reads": 2}],
    "deterministic_pulse": [{}, {"length": 15}],
    "ideal": [{}],
    "mixed_precision": [{}, {"pair": "one_sided", "refresh": {"every": 50}}, {"every": 4, "threshold": 2.0}],
    "sign": [{}, {"threshold": 0.1, "every": 4}],
    "stochastic_pulse": [{}, {"length": 7, "balance": False, "adapt_length": False}, {"pair": "one_sided"}],
    "tiki_taka_chopped": [{}, {"chopper": 0.3, "forget": True, "momentum": 0.1}],
    "tiki_taka_v1": [{}, {"auto_scale": False, "fast_rate": 1.0, "zero_shift": 0}],
    "tiki_taka_v2": [{}, {"granularity": "gradient", "every": 3, "max_pulses": 5}],
    "write_verify": [{}, {"tolerance": 0.05, "every": 2, "rounds": 3}],
}

READERS: Rows = {
    "arc_one": [{"path": str(MEASURED / "arc_one.csv")}],
    "arc_two": [{"path": str(MEASURED / "arc_two.h5")}],
    "csv": [
        {
            "path": str(MEASURED / "csv.csv"),
            "role": "pulses",
            "columns": {"cell": "cell", "v": "V pulse", "width": "width", "i": "I read"},
            "v_read": "0.2 V",
        }
    ],
    "keithley": [
        {
            "path": str(MEASURED / "keithley.tsv"),
            "columns": {"cell": "Run", "v": "PulseV", "i": "ReadI", "status": "Status"},
            "v_read": "0.2 V",
        }
    ],
    "keysight_b1500": [
        {
            "path": str(MEASURED / "keysight_b1500.csv"),
            "columns": {"v": "Vpulse", "i": "Imeas"},
            "v_read": "0.2 V",
        }
    ],
    "neurosim": [{"path": str(MEASURED / "neurosim.txt"), "unit": "uS"}],
    "noise_series": [{"path": str(MEASURED / "noise_series.tsv"), "sample_rate": "100 Hz", "leading": 2}],
    "operations": [{"path": str(MEASURED / "operations.record")}],
    "pulse_ramps": [
        {
            "path": str(MEASURED / "pulse_ramps.csv"),
            "value": "resistance",
            "direction": ["up", "down"],
            "device": "one",
        }
    ],
    "pymeasure": [
        {
            "path": str(MEASURED / "pymeasure.csv"),
            "columns": {"cell": "Cell", "v": "Pulse", "i": "Current"},
            "parameters": {"v_read": "Read voltage"},
        }
    ],
    "retention": [{"path": str(MEASURED / "retention.csv"), "layout_is": "wide", "unit": "uS"}],
    "step_distribution": [{"path": str(MEASURED / "step_distribution.txt"), "direction": "up"}],
    "step_distribution_npz": [{"path": str(MEASURED / "step_distribution_npz.npz")}],
}

PARALLEL: Rows = {
    "dask": [{"jobs": 2, "scheduler": "tcp://node01:8786"}],
    "loky": [{"jobs": 2}],
    "slurm": [
        {
            "jobs": 2,
            "cores": 4,
            "memory": "8GB",
            "walltime": "02:00:00",
            "queue": "short",
            "account": "lab",
            "prologue": ["source venv/bin/activate"],
        }
    ],
}

CHIPS: Rows = {
    "arc2": [{"firmware": "arc2.bin", "v_max": 0.3, "v_up": 2.0, "v_down": -2.0}],  # as daffodil
    "daffodil": [{}],  # tests/conformance puts a fake of its library there
    "emulated": [{}],
    "factory": [{"factory": str(Path(__file__).parent / "conformance" / "resistors.py") + ":chip"}],
    "fixed_arrays": [
        {"arrays": 4, "bad_cells": 0.0, "record": False},
        {"arrays": 4, "bad_cells": 0.0, "subtracts": True, "record": False},
    ],
    "replay": [{"record": "operations.record"}],
    "scpi": [
        {"address": "scpi://127.0.0.1:5025", "timeout": 120.0}
    ],  # tests/conformance serves a chip and puts its port here
    "sealed": [{}, {"record": False}],
    "twin": [{"folder": "twin.npz"}],  # tests/conformance puts a twin's file there
    "visa": [{"address": "TCPIP::127.0.0.1::5025::SOCKET", "timeout": 120.0}, SECTION],
}

REGISTRIES: dict[str, tuple[str, Rows]] = {
    "analog_sim.chip.backends": ("analog_sim.chip.backend:ChipBackend", CHIPS),
    "analog_sim.writing": ("analog_sim.writing.scheme:WriteScheme", WRITING),
    "devices.drift": ("devices.drift.law:DriftLaw", DRIFT),
    "devices.measurements.readers": ("devices.measurements.columns.reader:Reader", READERS),
    "devices.programming": ("devices.programming.law:ProgrammingLaw", PROGRAMMING),
    "devices.pulse": ("devices.pulse.law:PulseLaw", PULSE),
    "devices.read_noise": ("devices.read_noise.law:ReadNoiseLaw", READ_NOISE),
    "learning.data": ("learning.data.spec:DataSpec", DATA),
    "learning.decorrelation": ("learning.decorrelation.base:Method", DECORRELATION),
    "learning.losses": ("learning.losses.base:Loss", LOSSES),
    "learning.network.forms": ("learning.network.spec:NetworkSpec", NETWORKS),
    "learning.network.layers": ("learning.network.layers.base:Layer", LAYERS),
    "learning.experiments.parallel": ("learning.experiments.parallel.base:Parallel", PARALLEL),
    "learning.optimizers": ("learning.optimizers.base:Optimizer", OPTIMIZERS),
    "learning.rules": ("learning.rules.base:Rule", RULES),
}
