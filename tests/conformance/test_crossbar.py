"""What everything above relies on, of any chip: `pytest tests/conformance --chip module:factory`.

Measured through the protocol alone, on arrays that are small enough for any chip. Noise is estimated from repeated reads; a bound of six
standard errors on at most 20 comparisons per chip gives a false alarm in fewer than 1 of 10,000 runs.
"""

from __future__ import annotations

import numpy as np
import pytest

from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.fabric import Fabric
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts, PulseTrain

SIX = 6.0
SHAPES = [(1, 1), (3, 2), (4, 7)]


def array(chip: Fabric, rows: int = 4, cols: int = 3, *, pair: bool = True) -> Crossbar:
    return chip.at("conformance").crossbar(("array", rows, cols), rows, cols, pair=pair)


def planes(crossbar: Crossbar) -> tuple[int, int, int]:
    info = crossbar.info
    return info.planes, info.rows, info.cols


def middle(crossbar: Crossbar, at: float = 0.5) -> np.ndarray:
    info = crossbar.info
    return np.full(planes(crossbar), info.g_min + at * (info.g_max - info.g_min), np.float32)


def mean_read(crossbar: Crossbar, reads: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Mean of repeated reads of all cells, and its standard error (with a floor of a millionth of the range)."""
    each = np.stack([crossbar.read_conductance() for _ in range(reads)]).astype(np.float64)
    return each.mean(axis=0), each.std(axis=0, ddof=1) / reads**0.5 + 1e-6 * crossbar.info.g_max


def started(chip: Fabric, rows: int = 4, cols: int = 3, *, pair: bool = True, at: float = 0.5) -> Crossbar:
    crossbar = array(chip, rows, cols, pair=pair)
    if crossbar.info.programmable:
        crossbar.program(middle(crossbar, at))
    return crossbar


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
@pytest.mark.parametrize("pair", [False, True])
def test_an_array_is_what_was_asked_for(chip: Fabric, rows: int, cols: int, pair: bool) -> None:
    try:
        info = array(chip, rows, cols, pair=pair).info
    except UserError as refusal:
        pytest.skip(str(refusal))
    assert (info.rows, info.cols, info.pair) == (rows, cols, pair)
    assert 0.0 <= info.g_min < info.g_max
    assert info.v_max > 0.0


def test_the_inside_is_shown_or_not_as_info_says(chip: Fabric) -> None:
    crossbar = array(chip)
    assert (crossbar.inside is not None) == crossbar.info.inspectable


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
def test_a_read_is_the_product_with_what_the_cells_hold(chip: Fabric, rows: int, cols: int) -> None:
    crossbar = started(chip, rows, cols)
    rng = np.random.default_rng(5)
    v = (crossbar.info.v_max / 2 * rng.uniform(-1, 1, (2, rows))).astype(np.float32)
    reads = np.stack([crossbar.mvm(v) for _ in range(16)]).astype(np.float64)
    assert reads.dtype == np.float64
    assert reads.shape == (16, 2, cols)
    g, error = mean_read(crossbar, 16)
    sign = np.array([1.0, -1.0][: len(g)])
    wanted = v @ np.einsum("p,pij->ij", sign, g)
    spread = np.sqrt(reads.var(axis=0, ddof=1) / 16 + np.square(v) @ np.square(error).sum(axis=0))
    floor = 1e-5 * crossbar.info.v_max * crossbar.info.g_max * rows
    assert (np.abs(reads.mean(axis=0) - wanted) <= SIX * spread + floor).all()


def test_a_transposed_read_uses_the_same_cells(chip: Fabric) -> None:
    crossbar = started(chip)
    v = np.full((16, crossbar.info.cols), crossbar.info.v_max / 2, np.float32)
    if not crossbar.info.transposed_read:
        with pytest.raises(ValueError, match="transposed"):
            crossbar.mvm(v, transpose=True)
        return
    back = crossbar.mvm(v, transpose=True).astype(np.float64)
    assert back.shape == (16, crossbar.info.rows)
    g, error = mean_read(crossbar, 16)
    sign = np.array([1.0, -1.0][: len(g)])
    wanted = np.einsum("p,pij->ij", sign, g) @ v[0]
    spread = np.sqrt(back.var(axis=0, ddof=1) / 16 + np.square(error).sum(axis=0) @ np.square(v[0]))
    assert (np.abs(back.mean(axis=0) - wanted) <= SIX * spread + 1e-5 * crossbar.info.g_max * v.max() * 4).all()


def test_no_volts_give_no_current(chip: Fabric) -> None:
    crossbar = started(chip)
    current = crossbar.mvm(np.zeros((3, crossbar.info.rows), np.float32))
    assert np.abs(current).max() <= 1e-3 * crossbar.info.v_max * crossbar.info.g_max


def test_an_empty_batch_is_a_batch(chip: Fabric) -> None:
    crossbar = started(chip)
    assert crossbar.mvm(np.zeros((0, crossbar.info.rows), np.float32)).shape == (0, crossbar.info.cols)


def test_part_of_the_cells_can_be_read(chip: Fabric) -> None:
    crossbar = started(chip)
    part = crossbar.read_conductance(slice(1, 3), slice(2, 3))
    assert part.shape == (crossbar.info.planes, 2, 1)
    for wrong in (slice(3, 3), slice(0, 4, 2)):
        with pytest.raises(ValueError, match="read_conductance"):
            crossbar.read_conductance(wrong)


def test_programming_reaches_its_targets(chip: Fabric) -> None:
    crossbar = array(chip)
    info = crossbar.info
    if not info.programmable:
        with pytest.raises(ValueError, match="program"):
            crossbar.program(middle(crossbar))
        return
    for at in (0.25, 0.75):
        crossbar.program(middle(crossbar, at))
        g, _ = mean_read(crossbar)
        assert abs(np.median(g) - middle(crossbar, at)[0, 0, 0]) < 0.15 * (info.g_max - info.g_min)


def test_programming_leaves_masked_cells_alone(chip: Fabric) -> None:
    crossbar = started(chip, at=0.25)
    if not crossbar.info.programmable:
        pytest.skip("this chip cannot be programmed")
    before, error = mean_read(crossbar)
    mask = np.zeros(planes(crossbar), np.bool_)
    mask[:, 0] = True
    crossbar.program(middle(crossbar, 0.9), mask)
    after, later = mean_read(crossbar)
    assert (after[:, 0] > before[:, 0]).all()
    window = crossbar.info.g_max - crossbar.info.g_min
    assert (np.abs(after - before)[:, 1:] <= SIX * np.hypot(error, later)[:, 1:] + 0.02 * window).all()


def test_pulses_move_the_cells_with_their_sign(chip: Fabric) -> None:
    crossbar = started(chip)
    if not crossbar.info.pulsed:
        with pytest.raises(ValueError, match="puls"):
            crossbar.pulse(PulseCounts(np.ones(planes(crossbar), np.int16)))
        return
    for sign in (1, -1):
        before, _ = mean_read(crossbar)
        crossbar.pulse(PulseCounts(np.full(planes(crossbar), 40 * sign, np.int16)))
        after, _ = mean_read(crossbar)
        assert sign * (after - before).mean() > 0.0


def test_rows_that_a_plan_names_are_those_that_move(chip: Fabric) -> None:
    """The hint of a write scheme is about rows of the array that it was given, counted through both planes."""
    crossbar = started(chip)
    if not crossbar.info.pulsed:
        pytest.skip("this chip cannot be pulsed")
    rows = crossbar.info.rows
    counts = np.zeros(planes(crossbar), np.int16)
    counts[0, 1], counts[1, rows - 1] = 40, -40
    before, error = mean_read(crossbar)
    crossbar.pulse(PulseCounts(counts, rows=np.array([1, 2 * rows - 1])))
    after, later = mean_read(crossbar)
    moved = after - before
    assert moved[0, 1].mean() > 0.0 > moved[1, rows - 1].mean()
    window = crossbar.info.g_max - crossbar.info.g_min
    assert (np.abs(moved) <= SIX * np.hypot(error, later) + 0.02 * window)[counts == 0].all()


def test_a_train_moves_the_pairs_with_the_sign_of_its_products(chip: Fabric) -> None:
    crossbar = started(chip)
    info = crossbar.info
    ones = np.uint64(2**31 - 1)
    plan = PulseTrain(
        np.full((2, info.rows), ones),
        np.full((2, info.cols), ones),
        np.ones((2, info.rows), np.int8),
        np.full((2, info.cols), -1, np.int8),
        31,
    )
    if not (info.pulsed and info.parallel_pulse):
        with pytest.raises(ValueError, match="puls"):
            crossbar.pulse(plan)
        return
    before, _ = mean_read(crossbar)
    crossbar.pulse(plan)
    after, _ = mean_read(crossbar)
    change = (after - before).mean(axis=(1, 2))
    assert change[0] < 0.0 < change[1]


def test_a_one_sided_train_potentiates_the_cell_of_its_sign_alone(chip: Fabric) -> None:
    crossbar = started(chip)
    info = crossbar.info
    if not (info.pulsed and info.parallel_pulse and info.pair):
        pytest.skip("this chip sends no trains to pairs")
    ones = np.uint64(2**31 - 1)
    bits = np.full((2, info.rows), ones), np.full((2, info.cols), ones)
    signs = np.ones((2, info.rows), np.int8), np.full((2, info.cols), -1, np.int8)
    before, error = mean_read(crossbar)
    crossbar.pulse(PulseTrain(*bits, *signs, 31, "one_sided"))
    after, later = mean_read(crossbar)
    window = info.g_max - info.g_min
    assert (np.abs(after - before)[0] <= SIX * np.hypot(error, later)[0] + 0.02 * window).all()
    assert (after - before)[1].mean() > 0.0


def test_no_pulses_change_nothing(chip: Fabric) -> None:
    crossbar = started(chip)
    if not crossbar.info.pulsed:
        pytest.skip("this chip cannot be pulsed")
    before, error = mean_read(crossbar)
    crossbar.pulse(PulseCounts(np.zeros(planes(crossbar), np.int16)))
    after, later = mean_read(crossbar)
    window = crossbar.info.g_max - crossbar.info.g_min
    assert (np.abs(after - before) <= SIX * np.hypot(error, later) + 0.02 * window).all()


def test_time_passes(chip: Fabric) -> None:
    crossbar = started(chip)
    before = crossbar.time
    crossbar.wait(0.25)
    assert crossbar.time >= before + 0.25
    with pytest.raises(ValueError, match=r"negative|backwards|>= 0"):
        crossbar.wait(-1.0)


def test_operations_are_counted(chip: Fabric) -> None:
    crossbar = started(chip)
    crossbar.mvm(np.zeros((5, crossbar.info.rows), np.float32))
    assert crossbar.log.units("mvm") in (5, 10)  # a pair on two arrays is read twice
    crossbar.flush()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 100.0])
def test_volts_beyond_the_limit_are_refused_and_nothing_happens(chip: Fabric, bad: float) -> None:
    crossbar = started(chip)
    if crossbar.info.inspectable:
        pytest.skip("the open emulator trusts its converters; the sealed one checks")
    before = crossbar.log.units("mvm")
    v = np.zeros((2, crossbar.info.rows), np.float32)
    v[1, 0] = np.float32(bad)
    with pytest.raises(ValueError, match="volts"):
        crossbar.mvm(v)
    assert crossbar.log.units("mvm") == before


def test_wrong_shapes_are_refused(chip: Fabric) -> None:
    crossbar = started(chip)
    info = crossbar.info
    with pytest.raises(ValueError):
        crossbar.mvm(np.zeros((2, info.rows + 1), np.float32))
    if info.programmable:
        wrong = np.full((info.planes, info.rows, info.cols + 1), info.g_min, np.float32)
        with pytest.raises(ValueError, match="shape"):
            crossbar.program(wrong)
        broken = middle(crossbar)
        broken[0, 0, 0] = np.nan
        with pytest.raises(ValueError, match="finite"):
            crossbar.program(broken)
    if info.pulsed:
        with pytest.raises(ValueError, match=r"shape|needs"):
            crossbar.pulse(PulseCounts(np.zeros((info.planes, info.rows + 1, info.cols), np.int16)))
