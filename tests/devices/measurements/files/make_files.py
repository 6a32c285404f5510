"""Writes the small sample of every lab format, and the tables file, that the catalogue's rows read. Run it in this folder."""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[3])]

from trace_writers import (  # noqa: E402
    PULSE_FORMATS,
    measure,
    write_distribution,
    write_noise_lines,
    write_retention_wide,
)

from analog_sim.chip.clock import Clock  # noqa: E402
from analog_sim.chip.fabric import EmulatedFabric  # noqa: E402
from analog_sim.chip.record.taped import recording  # noqa: E402
from analog_sim.chip.sealed import SealedFabric  # noqa: E402
from analog_sim.pulses.plans import PulseCounts  # noqa: E402
from analog_sim.random.streams import Streams  # noqa: E402
from devices.card import DeviceCard  # noqa: E402
from devices.measurements.fit.pulse.quantiles import scores  # noqa: E402
from devices.tables_file import save_tables  # noqa: E402
from devices.window import Window  # noqa: E402


def main() -> None:
    card = DeviceCard.model_validate(
        {"name": "sample", "g_min": 2.0, "g_max": 40.0, "pulse": {"kind": "soft_bounds", "states": 30, "noise": 0.2}}
    )
    lab = measure(card.compile(), cells=2, up=12, down=12, start=0.1, seed=1)
    for kind, (write, suffix) in PULSE_FORMATS.items():
        write(HERE / f"{kind}{suffix}", lab)
    z, u = scores(9), np.linspace(0.0, 1.0, 5)
    mean, std = 2e-6 * (1.0 - u), 0.5e-6 + 0.2e-6 * u
    table = mean[:, None] + std[:, None] * z
    probabilities = np.linspace(0.0, 1.0, 11)
    steps = np.quantile(np.random.default_rng(0).normal(1e-6, 2e-7, 1000), probabilities)
    write_distribution(
        HERE / "step_distribution.txt", np.linspace(2e-6, 40e-6, 4), probabilities, np.repeat(steps[:, None], 4, 1)
    )
    np.savez(
        HERE / "step_distribution_npz.npz",
        cdf=probabilities,
        G=np.linspace(2e-6, 40e-6, 4),
        dG_inc=np.repeat(steps[:, None], 4, 1),
        dG_dec=-np.repeat(steps[::-1, None], 4, 1),
    )
    rng = np.random.default_rng(1)
    start = rng.uniform(2e-6, 40e-6, 6)
    write_retention_wide(
        HERE / "retention.csv", np.array([0.0, 1.0, 100.0]), start[:, None] + rng.normal(0, 1e-7, (6, 3))
    )
    write_noise_lines(HERE / "noise_series.tsv", 1e-5 + rng.normal(0, 1e-7, (2, 300)), 100.0)
    save_tables(
        HERE / "tables.npz",
        Window(2e-6, 40e-6),
        {
            "pulse.up": table[None],
            "pulse.down": -table[::-1, ::-1][None],
            "programming.std": 1e-6 * np.array([0.2, 0.5, 0.3]),
            "read_noise.white": 1e-6 * np.array([0.1, 0.2, 0.4]),
            "read_noise.flicker": 1e-6 * np.array([0.05, 0.02, 0.03]),
            "read_noise.t_read": 1e-6,
            "drift.mean": 1e-6 * np.array([0.1, -0.1, -0.3]),
            "drift.std": 1e-6 * np.array([0.3, 0.8, 0.5]),
            "drift.initial_std": 1e-6 * np.array([0.1, 0.2, 0.1]),
            "drift.t_0": 0.5,
        },
    )
    save_tables(
        HERE / "burst_tables.npz",
        Window(2e-6, 40e-6),
        {
            "drift.mean": 1e-6 * np.array([0.1, -0.1, -0.3]),
            "drift.std": 1e-6 * np.array([0.3, 0.8, 0.5]),
            "drift.initial_std": 1e-6 * np.array([0.1, 0.2, 0.1]),
            "drift.tail": [4.0, 1.0, 0.5],
            "drift.skew": [0.6, 0.0, -0.5],
            "drift.t_0": 0.5,
        },
    )
    save_tables(
        HERE / "power_law_tables.npz",
        Window(2e-6, 40e-6),
        {
            "drift.nu_mean": [0.06, 0.04, 0.03],
            "drift.nu_std": [0.03, 0.01, 0.01],
            "drift.t_ref": 10.0,
            "drift.nu_low": 0.0,
            "drift.nu_high": 0.1,
        },
    )
    write_record(HERE / "operations.record", card)


def write_record(path: Path, card: DeviceCard) -> None:
    """A session on a recorded chip: four cells programmed, read, pulsed, left alone."""
    path.unlink(missing_ok=True)
    fabric = recording(SealedFabric(EmulatedFabric(card.compile(), Streams(1), Clock())), path, {}, remembers=False)
    chip = fabric.crossbar(("sample",), 2, 2, pair=False)
    chip.program(np.array([[[10e-6, 15e-6], [20e-6, 25e-6]]], np.float32))
    chip.read_conductance()
    for sign in (1, 1, 1, -1, -1):
        chip.pulse(PulseCounts(np.full((1, 2, 2), sign, np.int16)))
        chip.read_conductance()
    for seconds in (1.0, 10.0):
        chip.wait(seconds)
        chip.read_conductance()
    fabric.record.close()


if __name__ == "__main__":
    main()
