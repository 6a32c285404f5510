"""The quadratic form of the read noise under wires: its kernels against their definition, and the form against the exact variance."""

from __future__ import annotations

import numpy as np
import pytest

from analog_sim.reads.kernels.wired import form_inputs, quadratic_form
from analog_sim.reads.wired_layout import LineLayout
from analog_sim.reads.wired_noise import CellResponse, NoiseForm
from analog_sim.wires import MODES, WiresSpec, exact_variance, response, smooth_modes


def naive_form(x: np.ndarray, local: np.ndarray, fields: np.ndarray, v: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Variance of one input by the sums of the module's first lines; x: variance times reach squared."""
    alpha = modes @ v
    rest = v - alpha @ modes
    y = x * local**2
    total = np.zeros(x.shape[2])
    theta = np.array(
        [[(x * local * fields[:, a])[:, i].sum() / y[:, i].sum() for i in range(len(v))] for a in range(len(modes))]
    )
    for k in range(x.shape[2]):
        for i in range(len(v)):
            total[k] += y[:, i, k].sum() * (rest[i] + alpha @ theta[:, i]) ** 2
            for a in range(len(modes)):
                for b in range(len(modes)):
                    exact = (x[:, i, k] * fields[:, a, i, k] * fields[:, b, i, k]).sum()
                    total[k] += alpha[a] * alpha[b] * (exact - y[:, i, k].sum() * theta[a, i] * theta[b, i])
    return total


def random_response(random: np.random.Generator, n: int, m: int) -> tuple[CellResponse, np.ndarray]:
    def drawn(*shape: int) -> np.ndarray:
        return random.uniform(0.5, 1.0, shape).astype(np.float32)

    modes = smooth_modes(n).astype(np.float32)
    return CellResponse(modes, drawn(2, n, m), drawn(2, n, m), drawn(2, len(modes), n, m)), drawn(2, n, m)


@pytest.mark.parametrize("n", [2, 3, 7, 40])
def test_the_kernels_do_what_the_first_lines_say(n: int) -> None:
    random = np.random.default_rng(40)
    cells, variance = random_response(random, n, 3)
    v = random.normal(size=(2, n)).astype(np.float32)
    found = NoiseForm(cells, variance).variance(v)
    for k in range(2):
        x = (variance * cells.reach**2).astype(float)
        wanted = naive_form(
            x, cells.local.astype(float), cells.fields.astype(float), v[k].astype(float), cells.modes.astype(float)
        )
        np.testing.assert_allclose(found[k], np.maximum(wanted, 0.0), rtol=2e-4, atol=1e-5 * np.abs(wanted).max())


def test_smooth_inputs_are_exact() -> None:
    """For an input in the span of the modes the variance is the sum with its own fields."""
    random = np.random.default_rng(41)
    cells, variance = random_response(random, 30, 4)
    alpha = random.normal(size=len(cells.modes)).astype(np.float32)
    fields = np.einsum("a,paik->pik", alpha, cells.fields)
    wanted = (variance * cells.reach**2 * fields**2).sum((0, 1))
    found = NoiseForm(cells, variance).variance((alpha @ cells.modes)[None])[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.jit  # the bits of a product of our own; without the JIT it is BLAS's
def test_rows_depend_on_their_input_alone() -> None:
    random = np.random.default_rng(42)
    cells, variance = random_response(random, 33, 5)
    form, v = NoiseForm(cells, variance), random.normal(size=(9, 33)).astype(np.float32)
    np.testing.assert_array_equal(form.variance(v), np.concatenate([form.variance(x[None]) for x in v]))


def test_kernels_alone() -> None:
    """The inputs of the form with and without a basis."""
    random = np.random.default_rng(43)
    v, shift = random.normal(size=(3, 20)).astype(np.float32), random.normal(size=(MODES, 20)).astype(np.float32)
    modes, basis = smooth_modes(20).astype(np.float32), random.normal(size=(8, 20)).astype(np.float32)
    alpha = v @ modes.T
    q = (v + alpha @ shift) ** 2
    pairs = np.stack([alpha[:, a] * alpha[:, b] for a in range(MODES) for b in range(a, MODES)], 1)
    for given, first in ((np.zeros((0, 20), np.float32), q), (basis, q @ basis.T)):
        out = np.empty((3, first.shape[1] + 10), np.float32)
        form_inputs(v, modes, shift, given, np.empty(20, np.float32), out)
        np.testing.assert_allclose(out, np.concatenate([first, pairs], 1), rtol=2e-4, atol=1e-4)
    form, shifted = np.empty((30, 4), np.float32), np.empty((MODES, 20), np.float32)
    cells, variance = random_response(random, 20, 4)
    quadratic_form(variance, cells.reach, cells.local, cells.fields, cells.modes, shifted, form)
    np.testing.assert_allclose(form[:20], (variance * (cells.reach * cells.local) ** 2).sum(0), rtol=1e-5)


def at_size(shape: tuple[int, int], ohm: float, even: bool) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations by the form and exactly: positive, both signs, sparse (three lines of thirty are the worst), smooth, half."""
    random = np.random.default_rng(44)
    rows = shape[0]
    g = random.uniform(1e-6, 1e-4, shape)
    layout = LineLayout(WiresSpec(word_line=ohm, bit_line=ohm), False, False)
    sigma = np.full(shape, 1e-6) if even else 0.02 * g + 1e-7
    cells = CellResponse.of(layout, rows, [response(g, layout.topology, layout.modes(rows)[1])])
    inputs = [random.uniform(0.0, 1.0, rows), random.uniform(-1.0, 1.0, rows), 1.0 * (random.random(rows) < 0.1)]
    inputs += [np.sort(random.uniform(0.0, 1.0, rows)), 1.0 * (np.arange(rows) < rows // 2)]
    inputs[2][0] = 1.0
    v = np.stack(inputs).astype(np.float32)
    form = NoiseForm(cells, np.square(sigma)[None].astype(np.float32), even)
    return np.sqrt(form.variance(v)), np.sqrt(exact_variance(g, sigma, layout.topology, v))


@pytest.mark.jit
@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize(
    ("shape", "ohm", "bound"), [((256, 256), 1.0, 0.03), ((100, 30), 5.0, 0.03), ((30, 100), 5.0, 0.12)]
)
def test_the_form_against_the_exact_variance(shape: tuple[int, int], ohm: float, even: bool, bound: float) -> None:
    found, exact = at_size(shape, ohm, even)
    assert np.abs(found / exact - 1.0).max() < bound
