"""What a verdict rests on: folds that hold everything out once, ratios with intervals, equivalence, counted resamples, one splitting
of reads for both tools, and the card that is delivered.
"""

from dataclasses import replace

import numpy as np
import pytest
from known_labs import cell, plan
from scipy import interpolate

from devices.measurements.data.split import folds, folds_of
from devices.measurements.data.start_states import StartStates
from devices.measurements.data.traces import Traces, joined
from devices.measurements.fit.pulse.moments import smoothed
from devices.measurements.fit.smoothing import smoothing_spline
from devices.measurements.proof.proof import Proof
from devices.measurements.proof.proof import compare as compare_samples
from devices.measurements.proof.quantities import shown_by
from devices.measurements.proof.replay import replay
from devices.measurements.proof.resampling import Binned, drawn_clusters, two_sample
from devices.measurements.proof.shown import Shown


def lab(devices: int, mean: float = 1.0, seed: int = 0) -> Traces:
    start = np.random.default_rng(seed).uniform(3e-6, 8e-6, devices)
    return replay(
        cell(round(60 / mean), 0.3, 0.0), plan(devices, 1), StartStates(start, np.full(devices, np.nan)), seed=seed
    )


@pytest.mark.parametrize("n", [8, 29, 60])
def test_the_smoothing_spline_is_that_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    x = np.sort(rng.uniform(size=n))
    y = 1e-6 * (np.sin(5 * x) + 0.3 * rng.normal(size=n))
    at = np.linspace(x[0], x[-1], 101)
    wanted = interpolate.make_smoothing_spline(x, y)(at)
    np.testing.assert_allclose(smoothing_spline(x, y)(at), wanted, atol=1e-5 * np.ptp(wanted))


def test_counted_resamples_have_the_distances_of_samples() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=600)
    binned = Binned.of(values)
    one, other = rng.integers(0, 600, 200), rng.integers(0, 600, 350)
    counts = [np.bincount(binned.bin[part], minlength=len(binned.centre))[None].astype(float) for part in (one, other)]
    np.testing.assert_allclose(binned.distances(*counts)[0], two_sample(values[one], values[other]), rtol=1e-12)
    many = Binned.of(rng.normal(size=50_000))
    assert len(many.centre) <= 1024
    assert many.counts.sum() == 50_000


def test_clusters_are_drawn_until_there_are_enough_values() -> None:
    count = np.array([10, 10, 40])
    weight = drawn_clusters(count, 60, 500, np.random.default_rng(1))
    sizes = weight @ count
    assert (sizes >= 60).all()
    assert (sizes < 100).all()
    np.testing.assert_allclose(weight.mean(axis=0), weight.mean(), rtol=0.15)


@pytest.mark.parametrize(("devices", "by"), [(20, "device"), (1, "stretch")])
def test_folds_hold_every_step_out_once(devices: int, by: str) -> None:
    traces = lab(devices)
    parts = folds(traces)
    assert len(parts) == 3
    assert {part.by for part in parts} == {by}
    held = joined([part.held_out for part in parts if part.held_out is not None])
    np.testing.assert_array_equal(np.sort(held.changes()[0]), np.sort(traces.changes()[0]))
    for part in parts:
        assert part.held_out is not None
        assert part.fit.steps + part.held_out.steps == traces.steps
        np.testing.assert_array_equal(traces.g[part.place], part.held_out.g[part.held_out.start[:-1]])
    assert sorted(np.concatenate(folds_of(10, 0.3, np.random.default_rng(0)))) == list(range(10))


def test_too_few_to_hold_out_are_one_fold() -> None:
    (only,) = folds(lab(1).take([0]), by="device")
    assert only.held_out is None
    assert "not proven" in only.text


@pytest.mark.jit
def test_the_ratio_of_mean_steps_is_found_at_equal_states() -> None:
    """Ramps saturate, so that their ends tell little of the step; the interval holds the truth."""
    measured = lab(12)
    for mean in (0.5, 1.0, 1.5):
        copy = joined([lab(12, mean, seed=1 + k) for k in range(6)])
        rows = shown_by(measured, copy, (smoothed(measured), smoothed(copy)), several=True)
        own = [row for row in rows if row.quantity == "mean step" and row.required]
        assert [row.place for row in own] == ["potentiation", "depression"]
        for row in own:
            assert row.ratio == pytest.approx(mean, abs=0.12)
            assert row.half < 0.15
            assert row.shown == (mean == 1.0)
            assert row.refuted == (mean != 1.0)


def row(ratio: float, half: float, *, required: bool = True) -> Shown:
    return Shown("mean step", "potentiation", ratio, half, 1.5 * half, required, 10)


def test_a_good_verdict_needs_the_mean_step_shown() -> None:
    rng = np.random.default_rng(2)
    a, b, c = (rng.normal(1.0, 0.3, 4000) for _ in range(3))
    good = Proof("pulse", "how", (compare_samples(a, b, c, label="all", direction=1, whole=True, rng=rng),))
    assert good.verdict == "good"
    assert replace(good, shown=(row(1.0, 0.2),)).verdict == "good"
    vague = replace(good, shown=(row(1.0, 0.3),))
    assert vague.verdict == "unproven"
    assert "the mean step is not shown: potentiation 1.00 (0.70 to 1.30)" in vague.sentence()
    assert replace(good, shown=(row(1.4, 0.1),)).verdict == "fair"
    assert replace(good, shown=(row(0.4, 0.1),)).verdict == "bad"
    assert replace(good, shown=(row(0.4, 0.1, required=False),)).verdict == "fair"
    assert replace(good, shown=(row(0.4, 0.9, required=False),)).verdict == "good", "a region that tells nothing"
    other = replace(good, differs=("the card that is delivered has twice the spread",))
    assert other.verdict == "unproven"
    assert "twice the spread" in other.sentence()
