"""Switching imperfections off and scaling them: each does what its name says and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from analog_sim.cells.cell_model import (
    CellModel,
    DriftModel,
    FaultModel,
    ReadNoiseModel,
    RelaxationModel,
    VariationModel,
    VerifyModel,
    constant_table,
)
from analog_sim.chip.clock import Clock
from analog_sim.random.streams import Streams
from analog_sim.reads.converters import AdcSpec, DacSpec
from analog_sim.tiles.nonidealities import PARTS, SCALES, WITHOUT, Hardware, only, present, scaled, without
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.wires import WiresSpec

IDEAL = Hardware(CellModel("ideal", 1e-6, 25e-6), TileSpec())
EVERYTHING = Hardware(
    CellModel(
        "bad",
        1e-6,
        25e-6,
        program_std=constant_table(1e-6),
        levels=np.linspace(1e-6, 25e-6, 8, dtype=np.float32),
        read=ReadNoiseModel(constant_table(1e-7), constant_table(1e-8)),
        drift=DriftModel(constant_table(0.05), constant_table(0.01), 20.0),
        relaxation=RelaxationModel(constant_table(-1e-7), constant_table(2e-7), 1.0, constant_table(1e-7)),
        faults=FaultModel(stuck_low=0.05),
        variation=VariationModel(g_min=0.02, g_max=0.05),
        iv_alpha=1.5,
    ),
    TileSpec(dac=DacSpec(bits=5), adc=AdcSpec(bits=5), wires=WiresSpec(word_line=30.0, bit_line=30.0)),
)
W = np.linspace(-1, 1, 24 * 16, dtype=np.float32).reshape(16, 24)
X = np.cos(np.arange(40 * 24, dtype=np.float32)).reshape(40, 24)


def error(hardware: Hardware, age: float = 1e5) -> float:
    """Relative error of the products of one chip at an age."""
    tile = Tile(hardware.tile, hardware.cell, W.shape, Streams(3), Clock())
    tile.program(W)
    tile.calibrate(X)
    tile.wait(age)
    ideal = X @ W.T
    return float(np.sqrt(np.square(tile.forward(X) - ideal).mean() / np.square(ideal).mean()))


def test_present_names_what_there_is() -> None:
    assert present(IDEAL) == ()
    assert present(EVERYTHING) == tuple(WITHOUT)
    only_noise = Hardware(replace(IDEAL.cell, read=ReadNoiseModel(constant_table(1e-7))), TileSpec())
    assert present(only_noise) == ("read_noise",)


def test_without_everything_is_exact() -> None:
    """Float32 currents through the exact chain: 1e-5 is a hundred roundings."""
    assert error(without(EVERYTHING, WITHOUT)) < 1e-5
    assert present(without(EVERYTHING, WITHOUT)) == ()
    assert error(IDEAL) < 1e-5


@pytest.mark.parametrize("name", [name for name in WITHOUT if name not in PARTS])
def test_only_one_at_a_time_makes_an_error_and_its_removal_ends_it(name: str) -> None:
    alone = only(EVERYTHING, name)
    assert set(present(alone)) <= {name, *(part for part, whole in PARTS.items() if whole == name)}
    assert error(alone) > 1e-4
    assert error(without(alone, [name])) < 1e-5


def test_a_part_keeps_its_whole() -> None:
    assert present(only(EVERYTHING, "drift_spread")) == ("drift", "drift_spread")
    calm = without(only(EVERYTHING, "drift"), ["drift_spread"])
    assert present(calm) == ("drift",)
    assert error(calm) > 1e-4


def test_originals_are_left_alone() -> None:
    before = EVERYTHING.cell.program_std.copy()
    scaled(EVERYTHING, "noise", 3.0)
    without(EVERYTHING, WITHOUT)
    assert np.array_equal(EVERYTHING.cell.program_std, before)
    assert EVERYTHING.tile.dac.bits == 5


@pytest.mark.parametrize("name", SCALES)
def test_scales_are_linear_in_their_tables(name: str) -> None:
    once, twice, none = (scaled(EVERYTHING, name, f).cell for f in (1.0, 2.0, 0.0))
    plain = EVERYTHING.cell
    assert np.array_equal(once.program_std, plain.program_std)
    touched = {
        "programming": name in ("noise", "programming"),
        "read": name in ("noise", "read_noise"),
        "spread": name in ("noise", "drift", "drift_spread"),
        "mean": name == "drift",
        "variation": name in ("noise", "variation"),
    }

    def check(kind: str, value, plain_value, zero_value) -> None:
        np.testing.assert_allclose(value, plain_value * (2.0 if touched[kind] else 1.0))
        np.testing.assert_allclose(zero_value, plain_value * (0.0 if touched[kind] else 1.0))

    check("programming", twice.program_std, plain.program_std, none.program_std)
    check("read", twice.read.white, plain.read.white, none.read.white)
    check("read", twice.read.flicker, plain.read.flicker, none.read.flicker)
    check("spread", twice.drift.nu_std, plain.drift.nu_std, none.drift.nu_std)
    check("mean", twice.drift.nu_mean, plain.drift.nu_mean, none.drift.nu_mean)
    check("spread", twice.relaxation.std, plain.relaxation.std, none.relaxation.std)
    check("mean", twice.relaxation.mean, plain.relaxation.mean, none.relaxation.mean)
    check("variation", twice.variation.g_max, plain.variation.g_max, none.variation.g_max)


def test_write_verify_is_scaled_with_its_tolerance() -> None:
    cell = replace(IDEAL.cell, verify=VerifyModel(constant_table(1e-6), 5e-7, 3))
    hardware = Hardware(cell, TileSpec())
    assert present(hardware) == ("programming",)
    verify = scaled(hardware, "programming", 0.5).cell.verify
    assert verify is not None
    np.testing.assert_allclose((verify.shot_std[0, 0], verify.tolerance), (5e-7, 2.5e-7), rtol=1e-6)
    assert error(without(hardware, ["programming"])) < 1e-5


def test_negative_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="must be >= 0"):
        scaled(IDEAL, "noise", -1.0)
