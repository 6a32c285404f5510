"""Characterisation of a card: what is measured agrees with the card, what is drawn is what was measured, the page is whole."""

from pathlib import Path

import numpy as np
import pytest
from page_helpers import check_page, page_text

from devices.card import DeviceCard, load_card
from learning.experiments.report.device.figures import (
    ageing,
    pulse_ramps,
    read_noise,
    steps_against_state,
    symmetry_point,
)
from learning.experiments.report.device.page import numbers_table, write_device_report
from learning.experiments.report.device.results import READ_AGES_MEASURED, DeviceResults, device_claims, measure
from learning.experiments.runs.run_folder import RunDirectory

pytestmark = pytest.mark.jit
CELLS = 600


@pytest.fixture(scope="module")
def card() -> DeviceCard:
    """A card with everything: pulses, spread, drift and noise."""
    return load_card("generic_pcm", overrides=["g_min=0.5", "pulse.step=2 uS", "pulse.down=[0, 9.75]"])


@pytest.fixture(scope="module")
def results(card: DeviceCard) -> DeviceResults:
    return measure(card, cells=CELLS, seed=3)


def test_measured_cells_agree_with_the_claims(card: DeviceCard, results: DeviceResults) -> None:
    """Means and spreads of 600 cells: within 6 standard errors (and a table's error) of the closed forms."""
    claims = device_claims(card, results)
    assert results.steps is not None
    assert results.aged is not None
    assert results.read_std is not None
    assert results.read_growth is not None
    assert claims.step_mean is not None
    assert claims.step_spread is not None
    inner = (results.step_states > 0.2) & (results.step_states < 0.8)  # away from the bounds, where steps are cut
    at = results.step_states[inner]
    # Potentiation only: a RESET of this card leaves the window, and is cut everywhere.
    mean, spread = (np.interp(at, claims.u, law[0]) for law in (claims.step_mean, claims.step_spread))
    assert (np.abs(results.steps[0][inner].mean(axis=1) - mean) < 6 * spread / np.sqrt(CELLS)).all()
    np.testing.assert_allclose(results.steps[0][inner].std(axis=1), spread, rtol=6 / np.sqrt(2 * CELLS))
    far = results.targets > 3e-6
    wanted = np.interp(results.targets[far], claims.g, claims.program_std)
    np.testing.assert_allclose(results.errors[far].std(axis=1), wanted, rtol=6 / np.sqrt(2 * CELLS))
    np.testing.assert_allclose(np.median(results.aged, axis=2), claims.median, rtol=0.05)
    late = results.ageing_times > 100.0
    np.testing.assert_allclose(results.aged.std(axis=2)[:, late], claims.spread[:, late], rtol=6 / np.sqrt(2 * CELLS))
    middle = np.interp(results.read_states[2:], claims.u, claims.read_std[:, 0])
    np.testing.assert_allclose(results.read_std[2:, 0], middle, rtol=6 / np.sqrt(8 * CELLS))
    assert results.read_growth.shape == (results.ageing_states.size, READ_AGES_MEASURED.size)


def test_the_same_seed_measures_the_same(card: DeviceCard, results: DeviceResults) -> None:
    again = measure(card, cells=CELLS, seed=3)
    other = measure(card, cells=CELLS, seed=4)
    assert results.ramps is not None
    assert again.ramps is not None
    assert other.ramps is not None
    np.testing.assert_array_equal(again.ramps.g, results.ramps.g)
    assert not np.array_equal(other.ramps.g, results.ramps.g)


def test_ramps_go_up_and_down_twice(card: DeviceCard, results: DeviceResults) -> None:
    ramps = results.ramps
    assert ramps is not None
    assert ramps.g.shape == (400, 1 + 2 * (ramps.up + ramps.down))
    median = np.median(ramps.g, axis=0)
    first, second, third = ramps.turns
    assert median[first] > 0.7 * card.g_max > 5 * median[second]
    assert median[third] > 0.7 * card.g_max


def test_figures_draw_the_measurement(card: DeviceCard, results: DeviceResults) -> None:
    claims = device_claims(card, results)
    assert results.ramps is not None
    assert results.read_std is not None
    [axes] = pulse_ramps(results.ramps, claims).axes
    median = np.median(results.ramps.g, axis=0) * 1e6
    drawn = [line for line in axes.lines if line.get_linewidth() == 1.8]
    assert len(drawn) == 4, "two half cycles up, two down"
    np.testing.assert_allclose(drawn[0].get_ydata(), median[: results.ramps.up + 1])
    _, relative = steps_against_state(results, claims).axes
    assert len(relative.lines) == 4
    left, right = ageing(results, claims).axes
    assert left.get_xscale() == left.get_yscale() == "log"
    assert len(left.lines) == 2 * results.ageing_states.size
    noise, _ = read_noise(results, claims).axes
    dots = [line for line in noise.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[0].get_ydata(), results.read_std[:, 0] * 1e9)
    compared, _ = ageing(results, claims, device_claims(load_card("pcm"), results)).axes
    assert len(compared.lines) == 3 * results.ageing_states.size
    assert right.get_ylim()[0] == 0.0


def test_symmetry_point() -> None:
    results = measure(load_card("ecram"), cells=10)
    for name, expected in (("ecram", 0.414), ("reram_soft_bounds", 0.375), ("ideal", None), ("pcm", None)):
        point = symmetry_point(device_claims(load_card(name), results))
        assert point == (None if expected is None else pytest.approx(expected, abs=2e-3)), name


def test_the_page_is_whole(card: DeviceCard, results: DeviceResults, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", card, name="characterise", seed=3)
    page = write_device_report(run, card, results, load_card("pcm"))
    check_page(page)
    text = page_text(page)
    for wanted in (
        "Device card generic_pcm",
        "conductance window",
        "500 nS to 20 µS",
        "Dashed lines: pcm",
        "Read noise",
    ):
        assert wanted in text, wanted
    names = {path.stem for path in (tmp_path / "run/figures").glob("*.png")}
    assert names == {"pulse_ramps", "steps_against_state", "programming_error", "ageing", "read_noise"}


@pytest.mark.parametrize("name", ["ideal", "reram_milo2021", "fefet"])
def test_cards_that_lack_something(name: str, tmp_path: Path) -> None:
    card = load_card(name)
    results = measure(card, cells=20)
    run = RunDirectory.create(tmp_path / "run", card, name="characterise", seed=0)
    check_page(write_device_report(run, card, results))
    assert (results.ramps is None) == (card.pulse is None)
    assert results.aged is None
    assert (results.read_std is None) == (card.read_noise.kind == "none")
    rows = dict(numbers_table([(card, device_claims(card, results))]).rows)
    assert rows["programmable levels"] == ("32" if name == "fefet" else "any")
