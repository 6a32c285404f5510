"""Read noise that differs from cell to cell: drawn once, the mean square that of the tables, seen by every way of reading."""

import numpy as np
import pytest

from analog_sim.cells.ageing import Ageing
from analog_sim.cells.cell_model import CellModel, ReadNoiseModel, VariationModel, VerifyModel, constant_table
from analog_sim.cells.programming import program
from analog_sim.cells.state import fabricate
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.random.streams import Streams

G_MIN, G_MAX, STD = 2e-6, 40e-6, 1e-7


def cell(spread: float, **parts: object) -> CellModel:
    read = ReadNoiseModel(white=constant_table(STD))
    variation = VariationModel(read_noise=spread, gain_common=0.1)
    return CellModel("x", G_MIN, G_MAX, read=read, variation=variation, **parts)  # type: ignore[arg-type]


def test_the_mean_square_is_that_of_the_tables() -> None:
    """40,000 cells: mean square 1 and standard deviation of the logarithm within five standard errors."""
    model = cell(0.5)
    state = fabricate(model, 1, 200, 200, Streams(1))
    gains = state.read_gains()
    assert gains is not None
    error = np.sqrt((np.exp(4 * 0.5**2) - 1.0) / gains.size)  # of a log-normal square
    assert np.mean(gains.astype(np.float64) ** 2) == pytest.approx(1.0, abs=5 * error)
    assert np.log(gains).std() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(2 * gains.size) + 1e-3)
    variance = Ageing(model, Streams(1)).read_variance(state.g, state, 0.0)
    np.testing.assert_allclose(variance, (STD * gains) ** 2, rtol=1e-5)
    rows = np.array([3, 7])
    some = Ageing(model, Streams(1)).read_variance(state.g[:, rows], state, 0.0, rows)
    np.testing.assert_array_equal(some, np.asarray(variance)[:, rows])


def test_a_spread_of_the_noise_changes_no_other_draw() -> None:
    one = fabricate(cell(0.0), 2, 8, 8, Streams(1))
    other = fabricate(cell(0.5), 2, 8, 8, Streams(1))
    assert one.read_gain is None
    for name, values in one.arrays().items():
        np.testing.assert_array_equal(values, other.arrays()[name])
    quiet = CellModel("x", G_MIN, G_MAX, variation=VariationModel(read_noise=0.5))
    assert fabricate(quiet, 1, 4, 4, Streams(1)).read_gain is None, "no noise, nothing that differs"


def test_reads_of_cells_and_of_vectors_have_the_noise_of_the_cells() -> None:
    """1500 reads of 24 cells: every standard deviation within 4.5 of its errors (chance 24 * 2 * 7e-6 = 0.0004)."""
    chip = EmulatedCrossbar(cell(0.7), 6, 4, pair=False, streams=Streams(2))
    chip.program(np.full((1, 6, 4), 20e-6, np.float32))
    gains = chip.cells.read_gains()
    assert gains is not None
    count = 1500
    reads = np.array([chip.read_conductance()[0] for _ in range(count)])
    np.testing.assert_allclose(reads.std(axis=0), STD * gains[0], rtol=4.5 / np.sqrt(2 * count))
    v = np.eye(6, dtype=np.float32)
    currents = np.array([chip.mvm(v) for _ in range(count)])
    np.testing.assert_allclose(currents.std(axis=0), STD * gains[0], rtol=4.5 / np.sqrt(2 * count))


def test_a_verifying_read_has_the_noise_of_its_cell() -> None:
    """Cells that read without noise are written within the tolerance; those of loud cells are not."""
    loop = VerifyModel(shot_std=constant_table(1e-6), tolerance=0.2e-6, max_iterations=200)
    model = cell(0.5, verify=loop)
    target = np.full((1, 2, 500), 20e-6, np.float32)
    gains = np.concatenate([np.zeros((1, 1, 500)), np.full((1, 1, 500), 10.0)], axis=1).astype(np.float32)
    bounds = (np.full((1, 1, 1), G_MIN, np.float32), np.full((1, 1, 1), G_MAX, np.float32))
    written = program(model, target, *bounds, Streams(1).stream("programming"), gains)
    error = np.abs(written.g - target)[0]
    assert error[0].max() <= 0.2e-6 * 1.0001
    assert error[1].std() > 2 * error[0].std()
