"""Non-linear cells: the equations hold at every node, or the solver says that it failed."""

import numpy as np
import pytest

from analog_sim.wires import Sinh, Table, WiresError, simple, solve_maps, solve_nonlinear


def case() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(25)
    return random.uniform(0.0, 1e-4, (9, 7)), random.uniform(-0.5, 0.5, 9)


@pytest.mark.parametrize("a", [0.5, 4.0, 20.0])
@pytest.mark.parametrize("ends", [{}, {"drive": "both", "far_ends": "grounded"}], ids=str)
def test_kirchhoff_and_energy_with_sinh_cells(a: float, ends: dict[str, object]) -> None:
    g, v = case()
    found = solve_nonlinear(g, simple(20.0, 20.0, driver=100.0, **ends), Sinh(a), v)
    maps = found.maps
    np.testing.assert_allclose(maps.cell, g * np.sinh(a * (maps.word - maps.bit)) / a, rtol=1e-12)
    assert maps.residual < 1e-7, "the law of the cells and Kirchhoff's law hold together"
    assert maps.supplied == pytest.approx(maps.dissipated, rel=1e-7)
    assert 1 <= found.iterations <= 15


def test_ohmic_laws_are_the_linear_read() -> None:
    g, v = case()
    wires = simple(20.0, 20.0)
    linear = solve_maps(g, wires, v)
    for law in (Sinh(0.0), Table((-1.0, 0.0, 2.0), (-1.0, 0.0, 2.0))):
        np.testing.assert_allclose(solve_nonlinear(g, wires, law, v).maps.currents, linear.currents, rtol=1e-8)


def test_a_fine_table_of_the_law_is_the_law() -> None:
    g, v = case()
    points = np.linspace(-1.0, 1.0, 2001)
    table = Table(tuple(points), tuple(Sinh(4.0).current(points)))
    wires = simple(20.0, 20.0)
    wanted = solve_nonlinear(g, wires, Sinh(4.0), v).maps.currents
    np.testing.assert_allclose(
        solve_nonlinear(g, wires, table, v).maps.currents, wanted, atol=1e-5 * np.abs(wanted).max()
    )


def test_a_threshold_with_flat_parts() -> None:
    """No current below 0.2 V: tangents of zero conductance."""
    g, v = case()
    law = Table((-1.0, -0.2, 0.2, 1.0), (-0.8, 0.0, 0.0, 0.8))
    found = solve_nonlinear(g, simple(20.0, 20.0), law, v)
    assert found.maps.residual < 1e-7
    assert found.maps.supplied == pytest.approx(found.maps.dissipated, rel=1e-7)


def test_without_wires_the_law_itself() -> None:
    g, v = case()
    found = solve_nonlinear(g, simple(0.0, 0.0), Sinh(3.0), v)
    np.testing.assert_allclose(found.maps.currents, np.sinh(3.0 * v) / 3.0 @ g, rtol=1e-12)


def test_it_says_when_it_does_not_converge() -> None:
    g, v = case()
    with pytest.raises(WiresError, match=r"non-linear cells: residual .* after 1 Newton steps, wanted 1\.0e-12"):
        solve_nonlinear(g, simple(20.0, 20.0), Sinh(20.0), v, tolerance=1e-12, most=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sinh(-1.0), "sinh law: a: got -1"),
        (lambda: Table((0.0,), (0.0,)), "two or more of each"),
        (lambda: Table((0.0, 0.0), (0.0, 1.0)), "voltages must increase"),
        (lambda: Table((0.0, 1.0), (1.0, 0.0)), "currents must not decrease"),
        (
            lambda: solve_nonlinear(np.ones((2, 2)), simple(1.0, 1.0, selector=5.0), Sinh(1.0), np.ones(2)),
            "a selector in series is not supported",
        ),
        (
            lambda: solve_nonlinear(np.ones((2, 2)), simple(0.0, 1.0), Sinh(1.0), np.ones(2)),
            "one kind of line without resistance",
        ),
    ],
)
def test_what_is_refused(make: object, message: str) -> None:
    with pytest.raises(WiresError, match=message):
        make()  # type: ignore[operator]
