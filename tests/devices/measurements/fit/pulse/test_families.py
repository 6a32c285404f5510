"""Every value that a search can reach makes a law that a card can hold: noiseless, flat, huge and tiny measurements among them."""

import itertools

import numpy as np
import pytest

from devices.measurements.card_files.card_file import CardParts, part_of_law
from devices.measurements.fit.parameters import Param
from devices.measurements.fit.pulse.families import Start, families
from devices.measurements.fit.pulse.laws import tables_of
from devices.window import LARGEST_S, Window

WINDOWS = {
    "usual": Window(1e-6, 5e-5),
    "from 0 S": Window(0.0, 1e-5),
    "femtosiemens": Window(1e-15, 2e-15),
    "up to the largest": Window(0.1, LARGEST_S),
    "narrow": Window(1e-5, 1.001e-5),
}
STEPS = {
    "usual": (0.01, 0.01),
    "no noise": (0.01, 0.0),
    "no step": (0.0, 0.0),
    "no step, noise": (0.0, 5.0),
    "whole window": (2.0, 0.3),
    "spread unknown": (0.01, np.nan),
}


def corners(params: list[tuple[Param, float]]) -> dict[str, list[float]]:
    """What an optimiser may be asked for: where it begins, and the ends of all bounds."""
    limits = [param.limits() for param, _ in params]
    found = {"start": [param.inward(value) for param, value in params]}
    found |= {"low": [low for low, _ in limits], "high": [high for _, high in limits]}
    return found | {f"by turns {n}": [pair[(k // (1 + n)) % 2] for k, pair in enumerate(limits)] for n in range(3)}


@pytest.mark.parametrize(("window", "steps"), list(zip(itertools.cycle(WINDOWS), STEPS, strict=False)))
def test_what_a_search_reaches_is_within_the_bounds_of_a_card(window: str, steps: str) -> None:
    (size, std), own = STEPS[steps], WINDOWS[window]
    mean = np.stack([np.full(9, -size), np.full(9, size)]) * own.width
    for measured in ((True, True), (True, False)):
        start = Start(mean, np.full((2, 9), std) * own.width, 0.0, own, measured, hard=False)
        for family in itertools.chain.from_iterable(families(free_bounds=True).values()):
            params = family.params(start)
            for name, x in corners(params).items():
                assert np.isfinite(x).all(), (family.kind, name)
                values = {param.name: param.outward(at) for (param, _), at in zip(params, x, strict=True)}
                for param, _ in params:
                    assert param.low <= values[param.name] <= param.high
                law, bounds = family.part(values, start), family.window(values, start)
                tables = tables_of(law, bounds)
                assert np.isfinite(tables.mean).all()
                card = CardParts("c", "", bounds, {"pulse": part_of_law(law)}).card()
                assert card.pulse is not None
                np.testing.assert_allclose(
                    card.pulse.step_mean(np.array(0.3), True, bounds),
                    law.step_mean(np.array(0.3), True, bounds),
                    rtol=1e-5,
                )


def test_the_bound_of_a_value_survives_the_logarithm() -> None:
    param = Param("noise", log=True, low=1e-4, high=1e3)
    assert np.exp(np.log(1e-4)) != 1e-4  # what the bound is for
    assert [param.outward(x) for x in param.limits()] == [pytest.approx(1e-4), pytest.approx(1e3)]
    assert all(1e-4 <= param.outward(x) <= 1e3 for x in (*param.limits(), -100.0, 100.0))
