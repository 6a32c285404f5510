"""The tables of every card against its closed forms, everywhere in the window: the interpolation error is what the laws state."""

import numpy as np
import pytest
from cards_helpers import NAMES, ROWS, card_of

from devices.card import DeviceCard, load_card
from devices.drift.power_law import PowerLawDrift
from devices.window import F32, F64

U = np.linspace(0.0, 1.0, 10241)


def error(table: F32, exact: F64) -> F64:
    """Difference between table and law in units of the law's largest value."""
    assert table.shape[0] == 1
    read = np.interp(U, np.linspace(0.0, 1.0, table.shape[1]), table[0].astype(float))
    largest = float(np.abs(exact).max())
    return np.abs(read - exact) / largest if largest > 0.0 else np.abs(read)


def check(table: F32, exact: F64, what: str, rough: float = 1e-3) -> None:
    """Off by at most `rough` of the largest value, by 2e-4 except in four cells of the table, and exact with two nodes."""
    off = error(table, np.asarray(exact))
    limit = 1.2e-6 if table.shape[1] == 2 else rough
    assert off.max() <= limit, f"{what}: {off.max():.2e} of full scale at u = {U[off.argmax()]:.4f}"
    assert np.mean(off > min(limit, 2e-4)) <= 4 / 256, f"{what}: more than 2e-4 of full scale in many places"


@pytest.mark.parametrize("name", [*NAMES, *ROWS])
def test_tables_follow_the_laws(name: str) -> None:
    card = card_of(name)
    cell, g = card.compile(), card.window.conductance(U)
    check(cell.program_std, card.programming.program_std(g, card.window), f"{name}: program_std")
    check(cell.read.white, card.read_noise.white(g, card.window), f"{name}: white")
    check(cell.read.flicker, card.read_noise.flicker(g, card.window), f"{name}: flicker", rough=1.1e-2)
    if cell.pulse is not None:
        tables = ("up_mean", True, card.step_mean), ("up_std", True, card.step_std)
        tables += ("down_mean", False, card.step_mean), ("down_std", False, card.step_std)
        for field, up, law in tables:
            check(getattr(cell.pulse, field), law(U, up), f"{name}: {field}")


@pytest.mark.parametrize("name", [name for name in (*NAMES, *ROWS) if card_of(name).drift.kind == "power_law"])
def test_drift_tables_follow_the_law(name: str) -> None:
    card = card_of(name)
    assert isinstance(card.drift, PowerLawDrift)
    drift = card.drift.compile(card.window).drift
    assert drift is not None
    for table, exact in zip((drift.nu_mean, drift.nu_std), card.drift.exponent(U, card.window), strict=True):
        read = np.interp(U, np.linspace(0.0, 1.0, table.shape[1]), table[0].astype(float))
        assert np.abs(read - exact).max() < 6.5e-4


@pytest.mark.parametrize("name", [name for name in (*NAMES, *ROWS) if card_of(name).drift.kind == "relaxation"])
def test_relaxation_tables_follow_the_law(name: str) -> None:
    card = card_of(name)
    model = card.drift.compile(card.window).relaxation
    assert model is not None
    decade = 9.0 * model.t_0  # log10(1 + 9) = 1
    g = card.window.conductance(U)
    check(model.initial_std, card.drift.initial_std(U, card.window), f"{name}: initial_std")
    far = g > 6.0 * card.aged_std(U, decade)  # where nothing is cut at 0 S the moments are mean and std themselves
    assert far.mean() > 0.5
    shift = np.interp(U, np.linspace(0, 1, model.mean.shape[1]), model.mean[0])
    spread = np.interp(U, np.linspace(0, 1, model.std.shape[1]), model.std[0])
    np.testing.assert_allclose((card.aged_mean(U, decade) - g)[far], shift[far], atol=2e-4 * float(spread.max()))
    np.testing.assert_allclose(card.aged_std(U, decade)[far], spread[far], rtol=2e-3)


@pytest.mark.parametrize("name", [*NAMES, *ROWS])
def test_shapes(name: str) -> None:
    cell = card_of(name).compile()
    tables = [cell.program_std, cell.read.white, cell.read.flicker]
    if cell.pulse is not None:
        pulse = cell.pulse
        steps = [pulse.up_mean, pulse.up_std, pulse.down_mean, pulse.down_std]
        assert len({table.shape for table in steps}) == 1, "one grid for the four pulse tables"
        tables += steps
    for table in tables:
        assert table.dtype == np.float32
        assert table.ndim == 2
        assert table.shape[0] == 1


def test_only_curved_laws_take_many_nodes() -> None:
    nodes = {name: load_card(name).compile().pulse for name in ("ideal", "ecram", "pcm_accumulate", "reram_exp_step")}
    assert {name: pulse.up_mean.shape[1] for name, pulse in nodes.items() if pulse is not None} == {
        "ideal": 2,
        "ecram": 2,
        "pcm_accumulate": 7,
        "reram_exp_step": 257,
    }


def test_a_law_that_is_not_finite_is_refused() -> None:
    card = DeviceCard.model_validate(
        {"name": "x", "g_max": 10, "drift": {"kind": "power_law", "mean": {"level": 0.05}, "t_ref": "1 s"}}
    )
    broken = card.model_copy(update={"programming": _broken()})
    with pytest.raises(ValueError, match="not finite"):
        broken.compile()


def _broken() -> object:
    from devices.programming.gaussian import GaussianProgramming

    return GaussianProgramming(std=1.0).model_copy(update={"std": float("nan")})
