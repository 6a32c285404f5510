"""configs/mnist_tiki_taka.yaml written for IBM's aihwkit: runs in an interpreter of its own that has aihwkit, without this project.

    PYTHON tests/peer_aihwkit.py DATA.npz --seed 0 --rate 0.05 --rate 0.2

DATA.npz holds x, y, x_test, y_test. A line of JSON for every writing and rate: test accuracy in %, seconds of processor time of the pass.
What is not stated here is the default of aihwkit and of the task: 7-bit DAC scaled by the largest input, 9-bit ADC over 12 weights with
noise 0.06, trains of at most 31 slots with update management. `tests/tiki_taka_peer.py` starts it, beside ours.
"""

import argparse
import json
import time

import numpy as np
import torch
from aihwkit.nn import AnalogLinear, AnalogSequential
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import (
    ChoppedTransferCompound,
    DynamicTransferCompound,
    SingleRPUConfig,
    SoftBoundsReferenceDevice,
    UnitCellRPUConfig,
)
from aihwkit.simulator.parameters import BoundManagementType, IOParameters, NoiseManagementType

BATCH = 64
WRITINGS = ("stochastic_pulse", "tiki_taka_v2", "tiki_taka_chopped", "agad")
KINDS = ("ours", "presets", "managed")
"""Settings beyond the task. ours: those of our schemes: 0.1 of the largest product's slots on the fast array, choppers 0.1, tail 1, and a
converter that clips. presets: those of aihwkit's presets of the schemes (fast_lr 0.5, choppers 0.01 and 0.02, tail 5), a converter that
clips. managed: as ours, and every read that clips is done again at half the input (iterative bound management, aihwkit's default)."""


def cells(seed: int, zeroed: bool) -> SoftBoundsReferenceDevice:
    """Soft bounds, with noise in proportion to the step. zeroed: every cell has a reference at its own symmetric point."""
    spread = {"dw_min_dtod": 0.3, "dw_min_std": 0.3, "up_down_dtod": 0.2, "w_max_dtod": 0.3, "w_min_dtod": 0.3}
    return SoftBoundsReferenceDevice(
        construction_seed=seed, mult_noise=True, subtract_symmetry_point=zeroed, dw_min=0.02, w_max=1.0, w_min=-1.0, **spread
    )  # fmt: skip


def device(writing: str, seed: int, kind: str):
    """The cells of a weight and how they are written; TTv2 with a fast array that is zeroed, as ours is."""
    if writing == "stochastic_pulse":
        return cells(seed, False)
    unscaled = IOParameters(
        noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE
    )  # of the lines of the fast array, as in aihwkit's presets
    pair = [cells(seed, writing == "tiki_taka_v2"), cells(seed + 1, False)]
    preset = kind == "presets"
    common = {
        "unit_cell_devices": pair,
        "transfer_forward": unscaled,
        "fast_lr": 0.5 if preset else 0.1,
        "auto_scale": True,
        "auto_granularity": 1000.0,
    }
    if writing == "tiki_taka_v2":
        return ChoppedTransferCompound(in_chop_prob=0.0, **common)
    if writing == "tiki_taka_chopped":
        return ChoppedTransferCompound(in_chop_prob=0.01 if preset else 0.1, **common)
    tail, chop = (5.0, 0.02) if preset else (1.0, 0.1)
    return DynamicTransferCompound(in_chop_prob=chop, tail_weightening=tail, **common)


def layer(inputs: int, outputs: int, writing: str, seed: int, kind: str) -> AnalogLinear:
    """A layer on a tile; its biases are digital."""
    made = SingleRPUConfig if writing == "stochastic_pulse" else UnitCellRPUConfig
    config = made(device=device(writing, seed, kind))
    if kind != "managed":
        config.forward.bound_management = config.backward.bound_management = BoundManagementType.NONE
    return AnalogLinear(inputs, outputs, rpu_config=config)


def trained(data: dict[str, torch.Tensor], writing: str, seed: int, rate: float, kind: str) -> dict[str, object]:
    """One pass over the images."""
    torch.manual_seed(seed)
    first, second = (
        layer(*size, writing, 1000 * seed + 10 * k + 1, kind) for k, size in enumerate([(784, 256), (256, 10)])
    )
    model = AnalogSequential(first, torch.nn.Sigmoid(), second)
    optimizer = AnalogSGD(model.parameters(), lr=rate)
    optimizer.regroup_param_groups(model)
    start = time.process_time()
    for chosen in torch.randperm(len(data["x"])).split(BATCH):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(data["x"][chosen]), data["y"][chosen]).backward()
        optimizer.step()
    seconds = time.process_time() - start
    model.eval()
    with torch.no_grad():
        right = torch.cat([model(part).argmax(dim=1) for part in data["x_test"].split(500)]) == data["y_test"]
    accuracy = 100.0 * float(right.float().mean())
    return {"kind": kind, "writing": writing, "rate": rate, "seed": seed, "accuracy": accuracy, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, action="append", required=True)
    parser.add_argument("--writing", action="append", choices=WRITINGS)
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with np.load(arguments.data) as file:
        data = {name: torch.from_numpy(file[name]) for name in file.files}
    for rate in arguments.rate:
        for writing in arguments.writing or WRITINGS:
            print(json.dumps(trained(data, writing, arguments.seed, rate, arguments.kind)), flush=True)


if __name__ == "__main__":
    main()
