"""Tiki-Taka and its successors: lines move in turn, by what was read, against a slow twin; and they find what noisy gradients mean."""

import naive_transfer
import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, PulseModel, VariationModel, constant_table
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.random.streams import Streams
from analog_sim.reads.converters import AdcSpec
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.agad import Agad
from analog_sim.writing.proposal import Dense, OuterProduct
from analog_sim.writing.pulsed import send_lines
from analog_sim.writing.stochastic_pulse import StochasticPulse
from analog_sim.writing.tiki_taka_chopped import TikiTakaChopped
from analog_sim.writing.tiki_taka_v1 import TikiTakaV1
from analog_sim.writing.tiki_taka_v2 import TikiTakaV2

G_MAX, STEP = 20e-6, 0.02e-6
STEADY = CellModel(
    "steady",
    0.0,
    G_MAX,
    pulse=PulseModel(constant_table(STEP), constant_table(0.0), constant_table(-STEP), constant_table(0.0)),
)
N_OUT, N_IN = 5, 8
S = Streams(1)
X, D = S.stream("x").normals((6, N_IN)), 0.3 * S.stream("d").normals((6, N_OUT))
MAPPING = MappingSpec(weight_max=2.0, sides="two")
WEIGHT_STEP = 2 * STEP / G_MAX * 2.0


def tile_of(writing, cell=STEADY, shape=(N_OUT, N_IN), mapping=MAPPING, **spec):
    tile = Tile(TileSpec(mapping=mapping, writing=writing, **spec), cell, shape, Streams(3))
    tile.program(np.zeros(shape, np.float32))
    return tile


def soft_bounds(step, spread=0.0):
    up, down = np.array([[step, 0.0]], np.float32), np.array([[0.0, -step]], np.float32)
    pulse = PulseModel(up, 0.3 * up, down, -0.3 * down)
    return CellModel("soft bounds", 0.0, G_MAX, pulse=pulse, variation=VariationModel(gain_up=spread, gain_down=spread))


@pytest.mark.parametrize(
    "writing",
    [
        TikiTakaV2(zero_shift=0, granularity=2.0, max_pulses=3, every=1),
        TikiTakaV2(zero_shift=0, granularity=2.0, forget=True, momentum=0.2, every=2),
        TikiTakaChopped(granularity=2.0, every=1, chopper=0.4, momentum=0.3),
        Agad(granularity=2.0, every=1, chopper=0.4, tail=2.0),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "mapping", [MAPPING, MappingSpec(weight_max=2.0, sides="two", max_rows=3, max_cols=4)], ids=str
)
def test_readings_become_the_pulses_of_the_slow_twin(writing, mapping, monkeypatch):
    """What is read is dictated; steady cells show every pulse that was sent."""
    tile, rate, samples = tile_of(writing, mapping=mapping), 0.01, 150
    script = 0.3 * S.stream("script").normals((samples, N_OUT)).astype(np.float32)
    given = iter(script)
    fast = tile.new_arrays("fast")
    monkeypatch.setattr(fast, "read_lines", lambda lines: np.stack([next(given) for _ in lines]))
    for start in range(0, samples, 6):
        tile.update(OuterProduct(X[: min(6, samples - start)], D[: min(6, samples - start)]), rate)
    agad = isinstance(writing, Agad)
    period = max(int(np.ceil(1 / writing.chopper)), 2) if agad else None
    twins = [
        [
            naive_transfer.Transfer(
                writing.transfer * rate * N_IN * writing.every / writing.granularity / WEIGHT_STEP,
                writing.max_pulses,
                writing.momentum,
                writing.forget,
                period,
                min(writing.tail / period, 1.0) if agad else 1.0,
            )
            for _ in range(N_OUT)
        ]
        for _ in range(N_IN)
    ]
    chopped = isinstance(writing, TikiTakaChopped)
    flips = Streams(3).stream("writing", "chopper").uniforms(samples) < (writing.chopper if chopped else 0.0)
    pulses = np.zeros((N_OUT, N_IN), int)
    transfers = samples // writing.every
    for k in range(transfers):
        line = k % N_IN
        pulses[:, line] += [twin.move(r, bool(flips[k])) for twin, r in zip(twins[line], script[k], strict=True)]
    assert np.abs(pulses).max() > 3
    np.testing.assert_allclose(tile.read_weights(exact=True) / WEIGHT_STEP, pulses, atol=1e-3)
    assert tile.writing_statistics()["transfers"] == transfers


def test_a_batch_longer_than_the_matrix_is_cut_so_that_no_line_is_read_twice_at_once(monkeypatch):
    tile = tile_of(TikiTakaV2(zero_shift=0, every=1))
    fast, seen = tile.new_arrays("fast"), []
    monkeypatch.setattr(fast, "read_lines", lambda lines: (seen.append(list(lines)), np.zeros((len(lines), N_OUT)))[1])
    x, d = (S.stream(name).normals((21, n)) for name, n in (("x", N_IN), ("d", N_OUT)))
    tile.update(OuterProduct(x, d), 0.01)
    tile.update(Dense(D.T @ X), 0.01)
    assert [line for lines in seen for line in lines] == [k % N_IN for k in range(22)]
    assert all(len(set(lines)) == len(lines) for lines in seen)


@pytest.mark.parametrize("cut", [{}, {"max_rows": 3, "max_cols": 2}, {"kind": "reference", "sides": "one"}], ids=str)
@pytest.mark.parametrize("pair", ["both", "one_sided"])
def test_lines_get_their_pulses_one_after_the_other(cut, pair):
    mapping = MappingSpec(**({"weight_max": 2.0, "sides": "two"} | cut))
    tile = tile_of(TikiTakaV2(zero_shift=0), mapping=mapping)
    lines, counts = np.array([5, 0, 6]), np.array([[1, -3, 0, 0, 2], [0, 0, 0, 0, 0], [-1, 1, -1, 1, -1]])
    before, time = tile.read_weights(exact=True), tile.time
    sent = sum(send_lines(block, lines, counts, StochasticPulse(pair=pair)) for block in tile.blocks)
    wanted = np.zeros((N_OUT, N_IN))
    wanted[:, lines] = counts.T
    step = WEIGHT_STEP / (1 if mapping.pair and pair == "both" else 2) * (1 if mapping.pair else 2)
    np.testing.assert_allclose(tile.read_weights(exact=True) - before, wanted * step, atol=1e-5)
    assert sent == np.abs(counts).sum() * (2 if mapping.pair and pair == "both" else 1)
    assert tile.time >= time


@pytest.mark.parametrize("proposal", [OuterProduct(X, D), Dense(D.T @ X)], ids=["outer product", "dense"])
def test_automatic_scaling_gives_the_fast_array_the_same_pulses_for_small_and_large_gradients(proposal):
    spent = []
    for factor in (1e-3, 1.0, 1e3):
        tile = tile_of(TikiTakaV2(zero_shift=0, fast_rate=0.2))
        scaled = (
            OuterProduct(proposal.x, np.float32(factor) * proposal.d)
            if isinstance(proposal, OuterProduct)
            else Dense(np.float32(factor) * proposal.dw)
        )
        for _ in range(20):
            tile.update(scaled, 0.1)
        spent.append(tile.new_arrays("fast").blocks[0].crossbar.log.units("pulse"))
    largest = np.abs(proposal.dense()).max() if isinstance(proposal, Dense) else None
    if largest is not None:  # two cells get fast_rate * BL pulses at the largest entry
        wanted = 20 * 2 * 0.2 * 31 * np.abs(proposal.dw).sum() / largest
        assert spent[1] == pytest.approx(wanted, rel=0.05)
    assert spent[0] == pytest.approx(spent[1], rel=0.1)
    assert spent[2] == pytest.approx(spent[1], rel=0.1)


def test_a_sweep_takes_as_many_samples_as_a_cell_has_states():
    """Weights of +-2 in steps of 0.004 are 1000 states: a sweep through 8 lines with 125 samples each."""
    tile = tile_of(TikiTakaV2(zero_shift=0))
    for _ in range(100):
        tile.update(OuterProduct(X, D), 0.1)
    assert round(4.0 / WEIGHT_STEP) == 1000
    assert tile.writing_statistics()["transfers"] == 600 // 125


def test_a_line_is_written_with_the_sign_of_its_chopper():
    tile = tile_of(TikiTakaChopped(every=1000, fast_rate=0.5))
    tile.update(OuterProduct(X, np.zeros_like(D)), 0.1)
    tile._writer._chopper[::2] = -1.0
    for _ in range(5):
        tile.update(OuterProduct(np.abs(X) + 0.5, np.abs(D) + 0.5), 0.1)
    fast = tile.helpers()["fast"].read_weights(exact=True)
    assert (fast[:, ::2] > 0.0).all()
    assert (fast[:, 1::2] < 0.0).all()


def test_nothing_is_learned_from_nothing():
    tile = tile_of(TikiTakaV2(zero_shift=0, granularity=1.0, every=1))
    tile.update(OuterProduct(X, np.zeros_like(D)), 0.1)
    np.testing.assert_array_equal(tile.read_weights(exact=True), 0.0)
    tile.update(OuterProduct(X, D), 0.1)
    assert tile.writing_statistics()["transfers"] == 2 * len(X)


@pytest.mark.jit
def test_zero_shifting_brings_every_cell_to_its_own_symmetric_point():
    cell = soft_bounds(0.2e-6, spread=0.2)
    tiles = [tile_of(TikiTakaV2(zero_shift=pairs), cell, (20, 30)) for pairs in (0, 300)]
    off = []
    for tile in tiles:
        tile.update(Dense(np.zeros((20, 30), np.float32)), 0.1)
        block = tile.new_arrays("fast").blocks[0].crossbar
        cells = block.cells
        # s_up (1 - u) = s_down u at the symmetric point.
        up, down = (gain.astype(float) for gain in (cells.gain_up, cells.gain_down))
        off.append(np.abs(block.conductance_now() / G_MAX - up / (up + down)).mean())
    assert off[1] < 0.4 * off[0]  # what is left is the noise of single pulses


def test_the_zero_of_a_line_is_a_mean_of_reads():
    """One noisy read would leave its error in every transfer of the line: sd s / sqrt(n); 100 means, 5 % at least of either is kept."""
    noise, shape = 0.01, (20, 5)
    spread = []
    for reads in (1, 25):
        adc = AdcSpec(range=20e-6, noise=noise)
        tile = tile_of(TikiTakaV2(zero_shift=1, zero_reads=reads), shape=shape, adc=adc)
        tile.update(Dense(np.zeros(shape, np.float32)), 0.1)
        spread.append(tile.state()["writer"]["zero"].std())
    assert spread[0] / spread[1] == pytest.approx(5.0, rel=0.35)


@pytest.mark.jit
def test_a_plain_transfer_moves_the_weights_by_what_is_read():
    """TTv1: mean change of a line ``transfer rate A``; 400 transfers of every line, Bernoulli pulses: alpha = 1e-5 for 4.4 sigma."""
    tile = tile_of(TikiTakaV1(transfer=0.5, every=1, zero_shift=0))
    held = 0.2 * S.stream("held").normals((N_IN, N_OUT)).astype(np.float32)
    tile.new_arrays("fast").read_lines = lambda lines: held[lines]
    for _ in range(400):
        tile.update(OuterProduct(np.tile(X, (2, 1))[:N_IN], np.tile(D, (2, 1))[:N_IN]), 0.004)
    moved = tile.read_weights(exact=True).T
    wanted = 400 * 0.5 * 0.004 * held
    sigma = WEIGHT_STEP * np.sqrt(np.abs(wanted) / WEIGHT_STEP + 1)
    assert np.abs(moved - wanted).max() < 4.4 * sigma.max()
    assert np.corrcoef(moved.ravel(), wanted.ravel())[0, 1] > 0.97


@pytest.mark.jit
@pytest.mark.parametrize(
    "writing",
    [
        TikiTakaV1(transfer=0.1, every=5, fast_rate=0.3),
        TikiTakaV2(granularity=60.0, every=5, fast_rate=0.3),
        TikiTakaChopped(granularity=60.0, every=5, fast_rate=0.3, chopper=0.05),
        Agad(granularity=60.0, every=5, fast_rate=0.3, chopper=0.05),
    ],
    ids=["TTv1", "TTv2", "chopped", "AGAD"],
)
@pytest.mark.parametrize("bits", [None, 8])
def test_noisy_gradients_find_the_least_squares_solution_on_soft_bounds(writing, bits):
    """Linear regression; the plain stochastic update is pulled to the symmetric point of the cells."""
    goal = 0.5 * S.stream("goal").normals((3, 4))
    tile = tile_of(writing, soft_bounds(0.1e-6, spread=0.2), (3, 4), adc=AdcSpec(bits=bits))
    inputs, noise = S.stream("inputs"), S.stream("noise")
    for _ in range(1500):
        x = inputs.normals((4, 4))
        error = x @ (tile.read_weights(exact=True) - goal).T + 0.5 * noise.normals((4, 3))
        tile.update(OuterProduct(x, error / 4), 0.02)
    error = np.abs(tile.read_weights() - goal).mean() / np.abs(goal).mean()
    assert error < 0.3
    assert tile.writing_statistics()["transfers"] == 1200
