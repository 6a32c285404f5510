"""Effective matrices and single reads against the naive nodal solution, sparse LU, badcrossbar, and the limits of physics."""

from __future__ import annotations

import subprocess
import sys

import naive_wires as naive
import numpy as np
import pytest
from hypothesis import given
from wires_helpers import arrays

from analog_sim.threads import thread_policy
from analog_sim.wires import (
    Topology,
    WiresError,
    WiresSpec,
    currents,
    effective_matrix,
    factored,
    read,
    simple,
    transposed_matrix,
)
from analog_sim.wires.reference import solve

BOUND = 1e-6
"""Of a current error, relative to the largest current of the input."""


def error(found: np.ndarray, wanted: np.ndarray) -> float:
    scale = np.abs(wanted).max(1)
    return float((np.abs(found - wanted).max(1) / np.where(scale > 0.0, scale, 1.0)).max())


def inputs(rows: int) -> np.ndarray:
    random = np.random.default_rng(9)
    return np.concatenate(
        [random.uniform(-1.0, 1.0, (2, rows)), random.uniform(0.0, 1.0, (2, rows)), np.eye(rows)[:: -(-rows // 4)]]
    )


@given(arrays())
def test_any_array_is_its_nodal_solution(case: tuple[np.ndarray, Topology]) -> None:
    g, topology = case
    v = inputs(len(g))
    wanted, _ = naive.nodal(g, topology, v)
    found = effective_matrix(g, topology)
    assert error(v @ found.matrix, wanted) < BOUND
    assert error(read(g, topology, v), wanted) < BOUND


@pytest.mark.parametrize("far_ends", ["open", "grounded"])
def test_zero_resistance_is_the_ideal_array_to_the_bit(far_ends: str) -> None:
    g = np.random.default_rng(0).uniform(0.0, 1e-4, (7, 5))
    found = effective_matrix(g, simple(0.0, 0.0))
    np.testing.assert_array_equal(found.matrix, g)
    assert (found.error, found.method) == (0.0, "closed form")
    tiny = effective_matrix(g, simple(1e-9, 1e-9, far_ends="open"), 1e-10)
    np.testing.assert_allclose(tiny.matrix, g, rtol=1e-8)


KINDS = ["uniform", "decades", "high", "low", "shorts", "column of shorts", "one cell", "stuck at zero"]


def cells(kind: str, shape: tuple[int, int]) -> np.ndarray:
    random = np.random.default_rng(11)
    uniform = random.uniform(1e-6, 1e-4, shape)
    if kind == "decades":
        return 10 ** random.uniform(-9.0, -3.0, shape)
    if kind in ("high", "low"):
        return np.full(shape, 1e-3 if kind == "high" else 1e-9)
    if kind == "shorts":
        return np.where(random.random(shape) < 0.003, 1e-2, uniform)
    if kind == "column of shorts":
        uniform[:, shape[1] // 2] = 1e-2
    if kind == "one cell":
        uniform[...] = 0.0
        uniform[shape[0] // 3, shape[1] // 2] = 1e-3
    if kind == "stuck at zero":
        uniform[random.random(shape) < 0.7] = 0.0
    return uniform


@pytest.mark.jit
@pytest.mark.parametrize("ohm", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("kind", KINDS)
def test_against_sparse_lu(kind: str, ohm: float) -> None:
    g, topology = cells(kind, (53, 70)), simple(ohm, ohm, driver=10.0)
    v = inputs(53)
    wanted = solve(g, topology, v)
    assert wanted.residual < 1e-12, "the reference states its own error"
    found = effective_matrix(g, topology)
    assert found.error <= 1e-7
    assert error(v @ found.matrix, wanted.currents) < BOUND
    assert error(currents(factored(g, topology), v), wanted.currents) < BOUND


@pytest.mark.jit
@pytest.mark.parametrize(
    ("shape", "ohm"), [((1, 1), 1.0), ((1, 300), 5.0), ((300, 1), 5.0), ((128, 128), 1.0), ((160, 96), 5.0)]
)
def test_shapes_against_sparse_lu(shape: tuple[int, int], ohm: float) -> None:
    g, topology = cells("uniform", shape), simple(ohm, 2.0 * ohm)
    v = inputs(shape[0])
    wanted = solve(g, topology, v).currents
    assert error(v @ effective_matrix(g, topology).matrix, wanted) < BOUND
    assert error(currents(factored(g, topology), v), wanted) < BOUND


@pytest.mark.jit
def test_a_large_array_against_sparse_lu() -> None:
    """256 x 256; 512 x 512 is in `scripts/benchmark.py wires` (field `error`), because LU takes a minute."""
    g, topology = cells("uniform", (256, 256)), simple(1.0, 1.0)
    v = inputs(256)
    wanted = solve(g, topology, v, refinements=1).currents
    found = effective_matrix(g, topology)
    assert found.method == "series"
    assert error(v @ found.matrix, wanted) < BOUND
    assert error(currents(factored(g, topology), v), wanted) < BOUND


@pytest.mark.jit
def test_shorts_need_fields_of_their_own_and_many_fall_back() -> None:
    """The pitfall of a fixed order and basis: shorts of 10 mS on 5 ohm, 128 x 128, gave errors of 6e-5 to 3e-3."""
    random = np.random.default_rng(12)
    g, topology, methods = random.uniform(1e-6, 1e-4, (128, 128)), simple(5.0, 5.0), []
    v = inputs(128)
    for number in (18, 52, 400):
        shorted = g.copy()
        shorted.ravel()[random.choice(g.size, number, replace=False)] = 1e-2
        found = effective_matrix(shorted, topology)
        methods.append(found.method)
        assert error(v @ found.matrix, currents(factored(shorted, topology), v, 1e-9)) < BOUND
    assert methods == ["series", "series", "conjugate gradients"]


@pytest.mark.jit
def test_the_measured_error_is_no_flattery() -> None:
    """Over arrays and tolerances: the true error of random inputs stays within ten times what was measured."""
    random = np.random.default_rng(13)
    for tolerance in (1e-4, 1e-6, 1e-9):
        for ohm in (1.0, 10.0):
            g, topology = random.uniform(1e-6, 1e-4, (64, 80)), simple(ohm, ohm)
            found = effective_matrix(g, topology, tolerance)
            v = random.uniform(-1.0, 1.0, (6, 64))
            true = error(v @ found.matrix, currents(factored(g, topology), v, 1e-12))
            assert found.error <= tolerance
            assert true <= 10.0 * max(found.error, 1e-3 * tolerance)


@pytest.mark.jit
def test_same_bits_on_any_number_of_threads_and_in_any_batch() -> None:
    g, topology = cells("uniform", (90, 70)), simple(5.0, 5.0)
    v = inputs(90)
    with thread_policy(1):
        one, alone = effective_matrix(g, topology).matrix, currents(factored(g, topology), v)
    with thread_policy(2):
        two, together = effective_matrix(g, topology).matrix, currents(factored(g, topology), v)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(currents(factored(g, topology), v[2])[0], together[2])


@pytest.mark.parametrize("shape", [(6, 11), (11, 6)], ids=str)
@pytest.mark.parametrize("sense", [100.0, 0.0], ids=["reciprocal", "own terminals"])
def test_transposed_reads_have_their_own_terminals(shape: tuple[int, int], sense: float) -> None:
    g = np.random.default_rng(14).uniform(0.0, 1e-3, shape)
    spec = WiresSpec(word_line=3.0, bit_line=5.0, driver=100.0, sense=sense, sense_at="both")
    forward, backward = spec.forward(), spec.backward()
    assert forward.reciprocal(backward) == (sense == 100.0)
    v = inputs(shape[1])
    wanted, _ = naive.nodal(np.ascontiguousarray(g.T), backward, v)
    assert error(v @ transposed_matrix(g, forward, backward).matrix, wanted) < BOUND
    known = effective_matrix(g, forward)
    assert error(v @ transposed_matrix(g, forward, backward, known).matrix, wanted) < BOUND


@pytest.mark.parametrize(
    "ends",
    [
        {"driver": 60.0},
        {"sense": 30.0, "drive": "both", "sense_at": "both"},
        {"drive": "right", "sense_at": "top", "far_ends": "grounded"},
        {"selector": 2e3},
    ],
    ids=str,
)
def test_tall_arrays_are_solved_from_their_bit_lines(ends: dict[str, object]) -> None:
    g, topology = np.random.default_rng(14).uniform(0.0, 1e-4, (70, 24)), simple(3.0, 4.0, **ends)
    g[3, 5] = 1e-2
    v = inputs(70)
    found = effective_matrix(g, topology)
    assert found.method == "series"
    true = error(v @ found.matrix, solve(g, topology, v).currents)
    assert true < 10.0 * found.error + 1e-9
    assert true < BOUND


def test_reciprocity_of_the_solver() -> None:
    """Two solves that share nothing: forward, and of the transposed array with the same network."""
    g = np.random.default_rng(15).uniform(0.0, 1e-3, (9, 14))
    forward = simple(3.0, 5.0, driver=100.0, sense=20.0, far_ends="grounded")
    backward = Topology(forward.bit, forward.word)
    a = effective_matrix(g, forward, 1e-10).matrix
    b = effective_matrix(np.ascontiguousarray(g.T), backward, 1e-10).matrix
    np.testing.assert_allclose(a, b.T, rtol=1e-6, atol=1e-9 * a.max())


def test_wires_never_add_current() -> None:
    g = np.random.default_rng(16).uniform(0.0, 1e-3, (12, 12))
    found = effective_matrix(g, simple(10.0, 10.0)).matrix
    assert (found >= 0.0).all()
    assert (found.sum(0) <= g.sum(0)).all(), "all inputs at 1 V: resistance in series only takes away"


def test_all_cells_open() -> None:
    found = effective_matrix(np.zeros((4, 3)), simple(1.0, 1.0))
    np.testing.assert_array_equal(found.matrix, np.zeros((4, 3)))
    np.testing.assert_array_equal(currents(factored(np.zeros((4, 3)), simple(1.0, 1.0)), np.ones(4)), np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("g", "message"),
    [
        (np.array([[1e-6, -1e-6]]), r"conductance of cell \(0, 1\): got -1e-06 S, allowed: finite, >= 0 S"),
        (np.array([[np.nan, 1e-6]]), r"conductance of cell \(0, 0\): got nan S"),
        (np.array([[1e-6], [np.inf]]), r"conductance of cell \(1, 0\): got inf S"),
        (np.zeros((0, 3)), r"got an array of shape \(0, 3\)"),
        (np.zeros(3), r"got an array of shape \(3,\)"),
    ],
)
def test_bad_cells_are_refused(g: np.ndarray, message: str) -> None:
    with pytest.raises(WiresError, match=message):
        effective_matrix(g, simple(1.0, 1.0))


def test_bad_inputs_and_tolerances_are_refused() -> None:
    with pytest.raises(WiresError, match="a line without resistance has nothing to factor"):
        factored(np.ones((3, 2)), simple(0.0, 1.0))
    net = factored(np.ones((3, 2)), simple(1.0, 1.0))
    with pytest.raises(WiresError, match=r"input: got an array of shape \(2,\), allowed: \(3,\) or \(inputs, 3\)"):
        currents(net, np.ones(2))
    with pytest.raises(WiresError, match="a voltage that is not finite"):
        currents(net, [1.0, np.nan, 0.0])
    with pytest.raises(WiresError, match=r"tolerance: got 0\.5, allowed"):
        effective_matrix(np.ones((3, 2)), simple(1.0, 1.0), 0.5)
    assert currents(net, np.zeros((0, 3))).shape == (0, 2)


def test_too_stiff_for_the_tolerance_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_sim.wires.single.limit", lambda net: 3)
    with pytest.raises(WiresError, match="too stiff for this tolerance"):
        effective_matrix(np.full((20, 20), 1e-2), simple(100.0, 100.0))


@pytest.mark.jit
def test_against_badcrossbar() -> None:
    """An independent solver (PyPI): the same wires with every terminal one segment away."""
    probe = subprocess.run(
        [sys.executable, "-c", "from badcrossbar import compute"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        pytest.skip("badcrossbar is not installed, or lacks what it imports")
    random = np.random.default_rng(17)
    g, v = random.uniform(1e-6, 1e-4, (24, 17)), random.uniform(-1.0, 1.0, (3, 24))
    code = (
        "import numpy as np, sys, badcrossbar, logging; logging.disable(logging.CRITICAL);"
        "d = np.load(sys.argv[1]); s = badcrossbar.compute(d['v'].T, 1 / d['g'], r_i_word_line=2.0, r_i_bit_line=3.0);"
        "np.save(sys.argv[2], s.currents.output)"
    )
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        given_file, found_file = Path(folder) / "in.npz", Path(folder) / "out.npy"
        np.savez(given_file, g=g, v=v)
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, str(given_file), str(found_file)],
            check=True,
            capture_output=True,
        )
        wanted = np.load(found_file)
    assert error(v @ effective_matrix(g, simple(2.0, 3.0)).matrix, wanted) < BOUND
    assert error(currents(factored(g, simple(2.0, 3.0)), v), wanted) < BOUND


def test_shorts_on_stiff_lines_are_solved_or_refused() -> None:
    """Cells of 10 S on segments of 10 kohm, 1e11 times what the others conduct: a small residual says little of the error there."""
    random, refused = np.random.default_rng(3), 0
    topology = simple(1e4, 1e4, far_ends="grounded")
    for _ in range(12):
        g = random.uniform(1e-6, 1e-4, (2, 9))
        g[random.random(g.shape) < 0.3] = 10.0
        v = random.uniform(0.1, 1.0, (1, 2))
        wanted = naive.nodal(g, topology, v)[0]
        try:
            error = np.abs(read(g, topology, v) - wanted).max() / np.abs(wanted).max()
        except WiresError:
            refused += 1
        else:
            assert error < 1e-6
    assert refused < 12
