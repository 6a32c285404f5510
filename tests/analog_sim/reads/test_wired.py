"""Arrays with wires behind the `Crossbar` protocol, against solutions of their own of the same cells."""

from __future__ import annotations

from dataclasses import replace

import naive_wires as naive
import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, DriftModel, ReadNoiseModel, constant_table
from analog_sim.chip.clock import Clock
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.chip.fabric import EmulatedFabric, Fabrication
from analog_sim.chip.fixed_arrays import FixedArrays, PhysicalArray, Stock
from analog_sim.chip.sealed import SealedFabric
from analog_sim.config import UserError, validate
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.wires import Sinh, WiresSpec, exact_variance, solve_maps, solve_nonlinear

pytestmark = pytest.mark.jit

CELL = CellModel("ohmic", 1e-6, 100e-6)
WIRES = WiresSpec(word_line=2.0, bit_line=3.0, driver=50.0, sense=20.0)
ROWS, COLS = 24, 17


def array_of(
    wires: WiresSpec | None, cell: CellModel = CELL, pair: bool = True, shape: tuple[int, int] = (ROWS, COLS)
) -> EmulatedCrossbar:
    array = EmulatedCrossbar(cell, *shape, pair=pair, streams=Streams(5), wires=wires)
    g = np.random.default_rng(1).uniform(cell.g_min, cell.g_max, (array.info.planes, *shape)).astype(np.float32)
    array.program(g)
    return array


def inputs(n: int, lines: int, seed: int = 2) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).uniform(-1.0, 1.0, (n, lines))).astype(np.float32)


def wanted(g: np.ndarray, wires: WiresSpec, v: np.ndarray, transpose: bool) -> np.ndarray:
    """Currents of the pairs by solutions of whole arrays laid out here, with `solve_maps`."""
    topology = wires.backward() if transpose else wires.forward()

    def solved(cells: np.ndarray, volts: np.ndarray) -> np.ndarray:
        turned = cells.T if transpose else cells
        return np.stack([solve_maps(turned.astype(float), topology, x.astype(float)).currents for x in volts])

    if len(g) == 1:
        return solved(g[0], v)
    if wires.pair == "separate":
        return solved(g[0], v) - solved(g[1], v)
    axis = 1 if wires.pair == "columns" else 0
    shape = list(g.shape[1:])
    shape[axis] *= 2
    laid, where = np.empty(shape), [slice(None), slice(None)]
    for k in (0, 1):
        where[axis] = slice(k, None, 2)
        laid[tuple(where)] = g[k]
    if (axis == 0) != transpose:  # both lines of a pair are driven
        volts = np.empty((len(v), 2 * v.shape[1]))
        volts[:, 0::2], volts[:, 1::2] = v, -v
        return solved(laid, volts)
    both = solved(laid, v)
    return both[:, 0::2] - both[:, 1::2]


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("place", ["separate", "columns", "rows", "single"])
def test_reads_are_exact_solved_or_by_the_matrix(place: str, transpose: bool) -> None:
    wires = WIRES if place == "single" else WIRES.model_copy(update={"pair": place})
    array = array_of(wires, pair=place != "single")
    v = inputs(6, COLS if transpose else ROWS)
    expected = wanted(array.conductance_now(), wires, v, transpose)
    scale = np.abs(expected).max()
    first = array.mvm(v[:1], transpose=transpose)  # solved
    assert (array.wires_report.solved, array.wires_report.matrices) == (1, 0)
    many = array.mvm(v, transpose=transpose)  # by the matrix
    assert array.wires_report.matrices > 0
    np.testing.assert_allclose(first, expected[:1], atol=2e-6 * scale)
    np.testing.assert_allclose(many, expected, atol=2e-6 * scale)
    matrix = array.effective_now(transpose=transpose)
    np.testing.assert_allclose(v @ (matrix.T if transpose else matrix), expected, atol=2e-6 * scale)
    drop = np.abs(array_of(None, pair=place != "single").mvm(v, transpose=transpose) - expected).max()
    assert drop > 0.02 * scale, "wires that matter"


def test_a_small_array_against_every_node() -> None:
    wires = WiresSpec(word_line=40.0, bit_line=70.0, driver=100.0, sense_at="top")
    array = array_of(wires, pair=False, shape=(4, 3))
    v = inputs(3, 4)
    expected, _ = naive.nodal(array.conductance_now()[0].astype(float), wires.forward(), v.astype(float))
    np.testing.assert_allclose(array.mvm(v), expected, rtol=2e-5, atol=1e-6 * np.abs(expected).max())


def test_zero_ohm_are_the_same_bits_as_no_wires() -> None:
    noisy = replace(CELL, read=ReadNoiseModel(constant_table(1e-6)))
    plain, zero = (array_of(wires, noisy) for wires in (None, WiresSpec(word_line=0.0, bit_line=0.0)))
    for transpose in (False, True):
        v = inputs(5, COLS if transpose else ROWS)
        np.testing.assert_array_equal(plain.mvm(v, transpose=transpose), zero.mvm(v, transpose=transpose))


OTHERS = {
    "word_line": {"word_line": 4.0},
    "bit_line": {"bit_line": 1.0},
    "driver": {"driver": 5.0},
    "sense": {"sense": 5.0},
    "drive": {"drive": "both"},
    "sense_at": {"sense_at": "top"},
    "far_ends": {"far_ends": "grounded"},
    "selector": {"selector": 1000.0},
    "pair": {"pair": "columns"},
    "transposed": {"transposed": {"driver": 3.0}},
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_field_changes_a_read(name: str) -> None:
    other = WiresSpec.model_validate(WIRES.model_dump(exclude_unset=True) | OTHERS[name])
    transpose = name == "transposed"
    v = inputs(5, COLS if transpose else ROWS)
    a, b = (array_of(wires).mvm(v, transpose=transpose) for wires in (WIRES, other))
    assert np.abs(a - b).max() > 1e-3 * np.abs(a).max()


def test_the_other_fields_are_of_the_solution() -> None:
    """`tolerance` bounds the error, `update` and `noise` say how; every other field has been varied, here or in the tests of tiles."""
    assert set(OTHERS) | {"tolerance", "update", "noise", "preset", "column_gain", "programming", "rounds"} == set(
        WiresSpec.model_fields
    )
    found = []
    for tolerance in (1e-3, 1e-9):
        array = array_of(WIRES.model_copy(update={"tolerance": tolerance}))
        array.mvm(inputs(30, ROWS))
        found.append(array.wires_report.error)
        assert found[-1] <= tolerance
    assert found[0] > found[1]


def test_reads_follow_drift() -> None:
    ageing = replace(CELL, drift=DriftModel(constant_table(0.05), constant_table(0.01), 1.0))
    array, v = array_of(WIRES, ageing), inputs(5, ROWS)
    before = array.mvm(v)
    made = array.wires_report.matrices
    array.mvm(v)
    assert array.wires_report.matrices == made, "held while no cell ages visibly"
    array.wait(1e6)
    expected = wanted(array.conductance_now(), WIRES, v, False)
    np.testing.assert_allclose(array.mvm(v), expected, atol=2e-6 * np.abs(expected).max())
    assert np.abs(before - expected).max() > 0.1 * np.abs(expected).max()
    assert array.wires_report.matrices == 2 * made


@pytest.mark.parametrize("update", ["exact", "tracked", "first_order"])
def test_changed_cells_are_solved_anew_and_checkpoints_go_on_to_the_bit(update: str) -> None:
    wires = WIRES.model_copy(update={"update": update, "tolerance": 1e-6})
    array, random = array_of(wires), np.random.default_rng(3)
    few, many = inputs(1, ROWS), inputs(30, ROWS)

    def step(arrays: list[EmulatedCrossbar], dg: np.ndarray) -> list[np.ndarray]:
        for each in arrays:
            each.add_ideal(dg)
        return [np.concatenate([each.mvm(few), each.mvm(many), each.mvm(few)]) for each in arrays]

    changes = [(1e-7 * random.standard_normal((ROWS, COLS))).astype(np.float32) for _ in range(6)]
    for dg in changes[:3]:
        step([array], dg)
    other = array_of(wires)
    other.clock.restore(array.clock.now)
    other.restore(array.state())
    other.cells.restore(array.cells.arrays())
    np.testing.assert_array_equal(array.mvm(few), other.mvm(few))
    for dg in changes[3:]:
        first, second = step([array, other], dg)
        np.testing.assert_array_equal(first, second)
        expected = wanted(array.conductance_now(), wires, np.concatenate([few, many, few]), False)
        close = 5e-4 if update == "first_order" else 4e-6
        np.testing.assert_allclose(first, expected, atol=close * np.abs(expected).max())
    assert (array.wires_report.corrected > 0) == (update != "exact")
    assert array.wires_report.error <= (1e-4 if update == "first_order" else 1e-6)
    assert array.wires_report == other.wires_report


@pytest.mark.parametrize("selector", [0.0, 2000.0])
@pytest.mark.parametrize("place", ["separate", "single"])
def test_variance_of_read_noise(place: str, selector: float) -> None:
    noisy = replace(CELL, read=ReadNoiseModel(constant_table(2e-6)))
    wires = WIRES.model_copy(update={"selector": selector})
    array = array_of(wires, noisy, pair=place != "single")
    v, g = np.abs(inputs(4, ROWS)), array.conductance_now().astype(float)
    _, variance = array.sense(v)
    bare = wires.model_copy(update={"selector": 0.0}).forward()
    d, slope = g / (1.0 + g * selector), 1.0 / np.square(1.0 + g * selector)
    expected = sum(exact_variance(a, 2e-6 * s, bare, v.astype(float)) for a, s in zip(d, slope, strict=True))
    np.testing.assert_allclose(np.sqrt(variance), np.sqrt(expected), rtol=0.01)
    _, plain = array_of(None, noisy, pair=place != "single").sense(v)
    assert plain.max() > 1.2 * expected.max(), "not the plain sum of squares"


@pytest.mark.parametrize("place", ["columns", "rows"])
@pytest.mark.parametrize("transpose", [False, True])
def test_variance_of_pairs_beside_each_other_against_draws(place: str, transpose: bool) -> None:
    """Brute force: cells moved at random and solved. The std of 400 draws scatters by 3.5 %; limit 5 sigma, 24 lines at most."""
    noisy = replace(CELL, read=ReadNoiseModel(constant_table(2e-6)))
    wires = WIRES.model_copy(update={"pair": place})
    array, random = array_of(wires, noisy, shape=(8, 6)), np.random.default_rng(7)
    v = np.abs(inputs(1, 6 if transpose else 8))
    _, variance = array.sense(v, transpose=transpose)
    g = array.conductance_now()
    noise = 2e-6 * random.standard_normal((400, *g.shape))
    draws = np.stack([wanted(np.maximum(g + n, 0.0), wires, v, transpose)[0] for n in noise])
    np.testing.assert_allclose(np.sqrt(variance[0]), draws.std(axis=0), rtol=0.18)


@pytest.mark.parametrize("place", ["separate", "columns", "rows", "single"])
@pytest.mark.parametrize("transpose", [False, True])
def test_the_form_of_all_inputs_against_one_solve_each(place: str, transpose: bool) -> None:
    """Random voltages of both signs, positive ones, half of the lines: the standard deviations agree to 4 %, and the report says so."""
    random = np.random.default_rng(8)
    noisy = replace(CELL, read=ReadNoiseModel(np.linspace(1e-6, 3e-6, 65, dtype=np.float32)[None]))
    wires = WIRES if place == "single" else WIRES.model_copy(update={"pair": place})
    lines = 60 if transpose else 90
    v = np.concatenate([inputs(3, lines), np.abs(inputs(3, lines)), 0.2 * (np.arange(lines) < lines // 2)[None]])
    v = np.concatenate([v, random.permutation(v.ravel()).reshape(v.shape)]).astype(np.float32)
    found = []
    for noise in ("form", "per_input"):
        array = array_of(wires.model_copy(update={"noise": noise}), noisy, place != "single", (90, 60))
        found.append(array.sense(v, transpose=transpose)[1])
        assert (array.wires_report.noise_error > 0.0) == (noise == "form")
        assert array.wires_report.noise_error < 0.04
    np.testing.assert_allclose(np.sqrt(found[0]), np.sqrt(found[1]), rtol=0.04)
    assert not np.array_equal(*found)


def test_a_few_noisy_inputs_are_solved() -> None:
    noisy = replace(CELL, read=ReadNoiseModel(constant_table(2e-6)))
    variances = []
    for noise in ("form", "per_input"):
        array = array_of(WIRES.model_copy(update={"noise": noise}), noisy)
        variances.append(array.sense(inputs(4, ROWS))[1])
        assert array.wires_report.noise_error == 0.0
    np.testing.assert_array_equal(*variances)


def test_silent_cells_stay_silent_in_the_form() -> None:
    """Rows, or all cells, without noise: variance 0, not nan."""
    noisy = replace(CELL, read=ReadNoiseModel(np.array([[0.0] * 33 + [1e-6] * 32], np.float32)))
    array = array_of(WIRES, noisy, pair=False)
    g = np.full((1, ROWS, COLS), 2e-6, np.float32)
    g[0, 3, 5] = 9e-5
    array.program(g)
    variance = array.sense(inputs(20, ROWS))[1]
    assert np.isfinite(variance).all()
    assert (variance[:, 5] > 0.0).all()
    np.testing.assert_allclose(np.delete(variance, 5, axis=1), 0.0, atol=1e-6 * variance.max())


@pytest.mark.parametrize("place", ["separate", "rows"])
@pytest.mark.parametrize("transpose", [False, True])
def test_cells_with_a_curved_characteristic(place: str, transpose: bool) -> None:
    """Currents against Newton's method on the cells laid out here; the noise against draws of all cells (400: 18 % is five sigma)."""
    curved = replace(CELL, iv_alpha=8.0, read=ReadNoiseModel(constant_table(2e-6)))
    wires = WIRES.model_copy(update={"pair": place})
    array, random = array_of(wires, curved, shape=(8, 6)), np.random.default_rng(11)
    v = inputs(1, 6 if transpose else 8)
    current, variance = array.sense(v, transpose=transpose)
    topology, law = (wires.backward() if transpose else wires.forward()), Sinh(8.0)

    def solved(g: np.ndarray) -> np.ndarray:
        def one(cells: np.ndarray, volts: np.ndarray) -> np.ndarray:
            turned = np.ascontiguousarray(cells.T if transpose else cells, float)
            return solve_nonlinear(turned, topology, law, volts, 1e-9).maps.currents

        x = v[0].astype(float)
        if place == "separate":
            return one(g[0], x) - one(g[1], x)
        laid = g.transpose(1, 0, 2).reshape(-1, g.shape[2])
        if transpose:
            both = one(laid, x)
            return both[0::2] - both[1::2]
        return one(laid, np.stack([x, -x], 1).ravel())

    g = array.conductance_now()
    exact = solved(g)
    np.testing.assert_allclose(current[0], exact, atol=2e-6 * np.abs(exact).max())
    plain = wanted(g, wires, v, transpose)[0]
    assert np.abs(plain - exact).max() > 0.01 * np.abs(exact).max(), "the curve matters"
    draws = np.stack([solved(np.maximum(g + 2e-6 * random.standard_normal(g.shape), 0.0)) for _ in range(400)])
    np.testing.assert_allclose(np.sqrt(variance[0]), draws.std(axis=0), rtol=0.18)
    assert array.wires_report.solved == 1


@pytest.mark.parametrize("place", ["separate", "rows"])
def test_first_order_follows_large_changes(place: str) -> None:
    """Cells that move by a third: products within 5 % of the IR drop, the noise within 3 %, forward and back; made anew when needed."""
    noisy = replace(CELL, read=ReadNoiseModel(np.linspace(1e-6, 3e-6, 65, dtype=np.float32)[None]))
    wires = WIRES.model_copy(update={"update": "first_order", "pair": place})
    array, random = array_of(wires, noisy, shape=(90, 60)), np.random.default_rng(9)
    for _ in range(6):
        array.add_ideal((6e-6 * random.standard_normal((90, 60))).astype(np.float32), two_sided=True)
        for transpose in (False, True):
            v = np.concatenate([inputs(3, 60 if transpose else 90), np.abs(inputs(3, 60 if transpose else 90))])
            current, variance = array.sense(v, transpose=transpose)
            expected = wanted(array.conductance_now(), wires, v, transpose)
            net = array.net_now()
            drop = v @ (net.T if transpose else net) - expected
            assert np.sqrt(((current - expected) ** 2).mean() / (drop**2).mean()) < 0.05
            exact = array_of(wires.model_copy(update={"update": "exact", "noise": "per_input"}), noisy, shape=(90, 60))
            exact.restore(array.state())
            np.testing.assert_allclose(np.sqrt(variance), np.sqrt(exact.sense(v, transpose=transpose)[1]), rtol=0.03)
    report = array.wires_report
    assert report.corrected > 0
    assert 0.0 < report.drop_error < 0.05
    assert report.solved == 0


def test_noise_where_one_line_has_no_resistance() -> None:
    noisy = replace(CELL, read=ReadNoiseModel(constant_table(2e-6)))
    wires = WiresSpec(word_line=0.0, bit_line=3.0)
    array, v = array_of(wires, noisy, pair=False), np.abs(inputs(3, ROWS))
    _, variance = array.sense(v)
    slight = WiresSpec(word_line=1e-4, bit_line=3.0).forward()
    expected = exact_variance(array.conductance_now()[0], np.full((ROWS, COLS), 2e-6), slight, v)
    np.testing.assert_allclose(np.sqrt(variance), np.sqrt(expected), rtol=0.01)


@pytest.mark.parametrize("mapping", [{}, {"kind": "reference"}, {"max_rows": 10, "max_cols": 8}, {"slices": 2}])
def test_a_programmed_tile(mapping: dict) -> None:
    """Weights read through the wires: what the arrays' own solutions give, forward and back, from an open and a sealed chip."""
    spec = TileSpec.model_validate({"mapping": mapping, "wires": WIRES, "compensation": "none"})
    ideal = spec.model_copy(update={"wires": None})
    w = np.random.default_rng(4).standard_normal((COLS, ROWS)).astype(np.float32)
    x, d = inputs(6, ROWS, 5), inputs(6, COLS, 6)
    fabric = EmulatedFabric(CELL, Streams(9), Clock())
    tiles = [
        Tile(spec, fabric, w.shape, Streams(9)),
        Tile(spec, SealedFabric(EmulatedFabric(CELL, Streams(9), Clock())), w.shape, Streams(9)),
    ]
    for tile in tiles:
        tile.program(w)
    np.testing.assert_allclose(tiles[0].forward(x), tiles[1].forward(x), atol=1e-6)
    np.testing.assert_allclose(tiles[0].backward(d), tiles[1].backward(d), atol=1e-6)
    plain = Tile(ideal, CELL, w.shape, Streams(9))
    plain.program(w)
    for got, without in ((tiles[0].forward(x), plain.forward(x)), (tiles[0].backward(d), plain.backward(d))):
        assert 0.01 < np.abs(got - without).max() / np.abs(without).max() < 0.5
    if not mapping:
        [array] = tiles[0].arrays
        volts = x / np.abs(x).max(axis=1, keepdims=True) * np.float32(CELL.cost.v_read)
        currents = wanted(array.inside.conductance_now(), WIRES, volts, False)
        scale = np.abs(x).max(axis=1, keepdims=True) / (CELL.cost.v_read * tiles[0].scale)
        np.testing.assert_allclose(tiles[0].forward(x), currents * scale, atol=1e-5)
    assert tiles[0].writing_statistics()["wires_matrices"] > 0
    np.testing.assert_array_equal(tiles[0].read_weights(exact=True), plain.read_weights(exact=True))


def test_what_wires_are_refused_for() -> None:
    curved = replace(CELL, iv_alpha=2.0)
    with pytest.raises(UserError, match=r"tile\.wires\.selector: .*iv_alpha = 2 per volt"):
        Tile(TileSpec(wires=WIRES.model_copy(update={"selector": 5.0})), curved, (3, 4), Streams(0))
    Tile(TileSpec(wires=WiresSpec(word_line=0.0, bit_line=0.0)), curved, (3, 4), Streams(0))
    there = PhysicalArray("a", array_of(None, pair=True), np.zeros((2, ROWS, COLS), bool))
    chip = FixedArrays(CELL, Clock(), Stock.of([there]), (ROWS, COLS), paired=True)
    with pytest.raises(UserError, match=r"tile\.wires: .* have their own wires"):
        chip.crossbar(("x",), 4, 4, pair=True, wishes=Fabrication(wires=WIRES))
    with pytest.raises(UserError, match="grounded"):
        validate({"wires": {"word_line": 0.0, "bit_line": 1.0, "far_ends": "grounded"}}, TileSpec)
