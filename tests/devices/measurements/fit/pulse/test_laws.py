"""Every pulse law recovered from emulated traces: no bias, and 95 % intervals that cover the truth in 95 % of many chips."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statistics_helpers import TEST_ALPHA, bonferroni
from trace_writers import Lab, measure

from devices.card import DeviceCard
from devices.measurements.data.split import Split, split
from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.comparison_of_laws import best_first
from devices.measurements.fit.pulse.families import PIECEWISE_NODES, families
from devices.measurements.fit.pulse.fit import adequacy_notes, fit_pulses
from devices.measurements.fit.pulse.laws import LawFit, fit_law, tables_of
from devices.measurements.fit.pulse.moments import first_look
from devices.window import Window

WINDOW = Window(2e-6, 40e-6)
READ_STD = 0.2e-6
SIZE = WINDOW.width / 60

LAWS: dict[str, tuple[dict[str, Any], dict[str, float], int]] = {
    "soft_bounds": (
        {"states": 60, "asymmetry": 0.1},
        {"s_up": 1.1 * SIZE, "s_down": 0.9 * SIZE},
        40,
    ),
    "linear_step": (
        {"states": 60, "gamma_up": 0.5, "gamma_down": 0.3},
        {"s_up": SIZE, "s_down": SIZE, "gamma_up": 0.5, "gamma_down": 0.3},
        15,
    ),
    "power_step": (
        {"states": 60, "gamma_up": 1.5, "gamma_down": 2.0},
        {"s_up": SIZE, "s_down": SIZE, "gamma_up": 1.5, "gamma_down": 2.0},
        15,
    ),
    "exp_step": (
        {"states": 60, "A_up": 0.06, "A_down": 0.04, "gamma_up": 2.5, "gamma_down": 3.0},
        {"s_up": SIZE, "s_down": SIZE, "A_up": 0.06, "A_down": 0.04, "gamma_up": 2.5, "gamma_down": 3.0},
        10,
    ),
}
"""Law -> fields of the card, true parameters of the fit, number of chips."""


def traces_of_lab(lab: Lab) -> Traces:
    cells, reads = lab.g.shape
    ids, nothing = np.arange(cells), np.full(cells, np.nan)
    pulses = np.tile((lab.direction != 0).astype(np.int64), cells)
    return Traces(
        lab.g.ravel(), pulses, np.tile(lab.direction, cells), np.arange(cells + 1) * reads, ids, ids, nothing, nothing
    )


def card(kind: str, fields: dict[str, Any], **more: Any) -> DeviceCard:
    return DeviceCard.model_validate(
        {
            "name": kind,
            "g_min": 2.0,
            "g_max": 40.0,
            "pulse": {"kind": kind, "noise": 0.3, "noise_additive": 0.2, **fields},
            "read_noise": {"kind": "constant", "std": "0.2 uS"},
            **more,
        }
    )


def fit(kind: str, traces: Traces, variant: int | None = None) -> LawFit:
    variant = (
        (1 if kind == "linear_step" else 0) if variant is None else variant
    )  # the first linear one is a constant step
    return fit_law(families(False)[kind][variant], traces, first_look(traces, WINDOW), None)


@pytest.mark.jit
@pytest.mark.parametrize("kind", LAWS)
def test_intervals_cover_the_truth(kind: str) -> None:
    fields, truth, chips = LAWS[kind]
    truth = {**truth, "noise": 0.3, "noise_additive": 0.2, "read_std": READ_STD}
    cell = card(kind, fields).compile()
    covered, tried = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    errors: dict[str, list[float]] = {name: [] for name in truth}
    for seed in range(chips):
        found = fit(kind, traces_of_lab(measure(cell, cells=8, up=90, down=90, start=0.05, seed=seed)))
        assert found.converged
        for estimate in found.estimates:
            if not estimate.fixed:
                tried[estimate.name] += 1
                covered[estimate.name] += estimate.low <= truth[estimate.name] <= estimate.high
                errors[estimate.name].append((estimate.value - truth[estimate.name]) / estimate.std)
    alpha = bonferroni(TEST_ALPHA, len(truth))
    for name in truth:
        assert tried[name] >= 0.5 * chips, f"{name}: not determined in most chips"
        # Intervals from the curvature of the likelihood cover 93 % rather than 95 % on samples of this size.
        least = stats.binom.ppf(alpha, tried[name], 0.93)
        assert covered[name] >= least, (
            f"{name}: {covered[name]} of {tried[name]} intervals cover the truth, allowed {least}"
        )
        assert abs(np.mean(errors[name])) < 6.0 / np.sqrt(tried[name]) + 0.25, f"{name}: biased"


@pytest.mark.jit
def test_piecewise_follows_any_shape() -> None:
    nodes = {"up": [1.0, 0.4, 1.2], "down": [0.3, 1.0, 0.6]}
    true = card(
        "piecewise",
        {"step": "0.7 uS", **nodes},
        pulse={"kind": "piecewise", "step": "0.7 uS", "up_std": [0.3], "down_std": [0.3], **nodes},
    )
    traces = traces_of_lab(measure(true.compile(), cells=20, up=80, down=80, start=0.05, seed=3))
    found = fit("piecewise", traces, PIECEWISE_NODES.index(3))
    for estimate in found.estimates:
        if "[" in estimate.name:
            side, node = estimate.name[:-1].split("[")
            assert abs(estimate.value - 0.7e-6 * nodes[side][int(node)]) < 4.5 * estimate.std, estimate
    assert found.score.adequate
    law = tables_of(found.part, found.window)
    u = np.linspace(0, 1, law.mean.shape[1])
    np.testing.assert_allclose(law.mean[1], 0.7e-6 * np.interp(u, [0, 0.5, 1], nodes["up"]), atol=0.12e-6)


@pytest.mark.jit
def test_laws_are_told_apart_and_an_unfit_one_is_called_so() -> None:
    """A step that grows with the state: no saturating law fits."""
    pulse = {
        "kind": "exp_step",
        "states": 150,
        "A_up": -0.8,
        "A_down": -0.8,
        "gamma_up": 1.0,
        "gamma_down": 1.0,
        "noise": 0.2,
    }
    true = card("exp_step", {}, pulse=pulse)
    traces = traces_of_lab(measure(true.compile(), cells=16, up=60, down=60, start=0.02, seed=4))
    laws = {kind: families(False)[kind] for kind in ("soft_bounds", "linear_step", "power_step", "exp_step")}
    found = fit_pulses(split(traces), window=WINDOW, laws=laws, read_noise="correlated", tables_per_device=False)
    assert found.laws[0].kind == "exp_step"
    assert max(found.laws, key=lambda law: law.score.held_out).kind == "exp_step"
    assert found.laws[0].score.adequate
    verdicts = {law.kind: law.score.adequate for law in found.laws}
    assert not verdicts["soft_bounds"]
    assert not verdicts["linear_step"]
    poor = fit_pulses(
        Split(traces, None, "none", ""),
        window=WINDOW,
        laws={"soft_bounds": laws["soft_bounds"]},
        read_noise="correlated",
        tables_per_device=False,
    )
    assert any("no pulse law fits" in note for note in adequacy_notes(poor.laws))


@pytest.mark.jit
def test_held_out_reads_decide_between_laws_before_aic() -> None:
    """A law that gains by AIC and loses clearly on held-out reads comes last; one that loses as little as chance does not."""
    traces = traces_of_lab(
        measure(card("linear_step", {"states": 60}).compile(), cells=4, up=30, down=30, start=0.1, seed=8)
    )
    fit = fit_law(families(False)["linear_step"][0], traces, first_look(traces, WINDOW), traces, max_iterations=5)
    own, reads = fit.score, int(traces.inside().sum())
    flexible = replace(
        fit, kind="flexible", score=replace(own, loglik=own.loglik + 50.0, held_out=own.held_out - 40.0 / reads)
    )
    near = replace(fit, kind="near", score=replace(own, loglik=own.loglik + 10.0, held_out=own.held_out - 1.0 / reads))
    assert [law.kind for law in best_first([flexible, fit, near], traces)] == ["near", "linear_step", "flexible"]
    assert [law.kind for law in best_first([flexible, fit, near], None)] == ["flexible", "near", "linear_step"]


@pytest.mark.jit
def test_read_noise_is_separated_only_when_it_is_there() -> None:
    laws = {"soft_bounds": families(False)["soft_bounds"]}
    quiet = card("soft_bounds", {"states": 60}, read_noise={"kind": "none"})
    for true, expected in ((quiet, 0.0), (card("soft_bounds", {"states": 60}), READ_STD)):
        traces = traces_of_lab(measure(true.compile(), cells=10, up=60, down=60, start=0.1, seed=5))
        found = fit_pulses(
            Split(traces, None, "none", ""), window=WINDOW, laws=laws, read_noise="correlated", tables_per_device=False
        )
        assert found.read_std == pytest.approx(expected, rel=0.15, abs=1e-12)
        kept = fit_pulses(
            Split(traces, None, "none", ""),
            window=WINDOW,
            laws=laws,
            read_noise="none",
            tables_per_device=False,
        )
        assert kept.read_std == 0.0


@pytest.mark.jit
def test_one_direction_only_is_mirrored_and_said_so() -> None:
    lab = measure(card("soft_bounds", {"states": 60}).compile(), cells=10, up=60, down=0, start=0.1, seed=6)
    laws = {kind: families(True)[kind] for kind in ("soft_bounds", "exp_step", "piecewise")}
    found = fit_pulses(
        Split(traces_of_lab(lab), None, "none", ""),
        window=None,
        laws=laws,
        read_noise="correlated",
        tables_per_device=False,
    )
    np.testing.assert_allclose(found.tables.down, -found.tables.up[:, ::-1, ::-1], rtol=1e-6)
    assert any("no depression was measured" in note for note in found.notes)
    for law in found.laws:
        u = np.linspace(0, 1, 5)
        np.testing.assert_allclose(
            law.part.step_mean(u, False, law.window),
            -law.part.step_mean(1 - u, True, law.window),
            rtol=1e-6,
            atol=1e-12,
        )


@pytest.mark.jit
def test_several_devices_are_several_tables() -> None:
    true = card("linear_step", {"states": 100}, variation={"step": 0.3, "g_max": 0.2})
    lab = measure(true.compile(), cells=8, up=130, down=130, start=0.0, seed=7, repeats=2)
    laws = {"linear_step": families(True)["linear_step"]}
    found = fit_pulses(
        Split(traces_of_lab(lab), None, "none", ""),
        window=None,
        laws=laws,
        read_noise="correlated",
        tables_per_device=None,
    )
    assert found.tables.up.shape[0] == 8
    assert found.tables.windows is not None
    top = np.array([lab.g[c].max() for c in range(8)])
    np.testing.assert_allclose(found.tables.windows[:, 1], top, atol=1.2e-6)
    assert found.gains is None
    assert found.window.g_max <= np.quantile(top, 0.3)
