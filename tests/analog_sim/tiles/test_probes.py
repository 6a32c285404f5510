"""Known inputs of the drift compensation: orthogonal, reproducible, and as sharp as one-hot inputs at the same number of reads."""

import numpy as np
import pytest

from analog_sim.random.streams import Streams
from analog_sim.tiles.probes import MOST, Probes


@pytest.mark.parametrize("lines", [1, 2, 7, 64, 100])
def test_a_complete_set_is_orthogonal_over_the_lines(lines):
    x = Probes(lines, None, Streams(0).stream("probe")).inputs()
    assert set(np.unique(x)) <= {-1.0, 1.0}
    np.testing.assert_array_equal(x.T @ x, len(x) * np.eye(lines))


@pytest.mark.parametrize(("lines", "count"), [(1, None), (63, 5), (64, None), (65, None), (300, 700)])
def test_rows_are_those_of_a_hadamard_matrix_with_signs(lines, count):
    probes = Probes(lines, count, Streams(3).stream("probe"))
    shared = np.bitwise_count(probes._rows[:, None] & np.arange(lines)[None, :])
    np.testing.assert_array_equal(probes.inputs(), np.where(shared & 1, -probes._signs, probes._signs))
    assert probes.inputs().flags.c_contiguous


def test_size():
    def rows(lines, count):
        return Probes(lines, count, Streams(0).stream("probe")).inputs()

    assert len(rows(100, None)) == 128
    assert len(rows(4000, None)) == MOST
    assert rows(5, 20).shape == (20, 5)
    np.testing.assert_array_equal(rows(50, 9), rows(50, 9))
    # Few of them: what does not cancel has the variance K (1 - K / N) of the rows that are missing, not K.
    x = np.concatenate([Probes(64, 32, Streams(k).stream("probe")).inputs()[None] for k in range(40)])
    cross = np.einsum("ski,skj->sij", x, x)[:, *np.triu_indices(64, 1)]
    assert np.var(cross) == pytest.approx(32 * (1 - 32 / 64), rel=0.1)


def test_the_gain_is_sharper_than_with_one_hot_inputs():
    """The gain against the best one of each of 200 drifting matrices, read with noise, at equal numbers of reads; one-hot inputs and mean
    magnitudes are what IBM's AIHWKit measures. Over matrices it scatters sqrt(6 / pi) times as much, because it weighs with w**2, as the
    error of a product does, and not with abs(w)."""
    draw, n = np.random.default_rng(0), 64
    w = np.clip(draw.standard_normal((n, n)), -3, 3)
    inputs = Probes(n, None, Streams(0).stream("probe")).inputs()
    assert len(inputs) == n
    ours, one_hot, random, best = [], [], [], []
    for _ in range(200):
        later = w * np.exp(-14.0 * np.abs(0.06 + 0.02 * draw.standard_normal(w.shape)))
        noise = 0.03 * draw.standard_normal((4, n, n))  # of a read, whatever its input

        def gain(x, w=w, later=later, noise=noise):
            y0, y = x @ w + noise[0], x @ later + noise[1]
            return (y0 * y0).sum() / (y0 * y).sum()

        ours.append(gain(inputs))
        random.append(gain(draw.choice([-1.0, 1.0], (32, n)), noise=noise[:, :32]))
        one_hot.append(np.abs(w + noise[2]).sum() / np.abs(later + noise[3]).sum())
        best.append((w * w).sum() / (w * later).sum())
    assert np.std(ours) < 1.15 * np.sqrt(6 / np.pi) * np.std(one_hot)
    assert np.std(np.subtract(ours, best)) < 0.25 * np.std(np.subtract(one_hot, best))
    assert np.std(np.subtract(ours, best)) < 0.25 * np.std(np.subtract(random, best)), "what 32 random inputs did"
