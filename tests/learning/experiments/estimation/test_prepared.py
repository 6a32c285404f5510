"""The check of a network before anything slow: what it depends on, and that it is not made twice for the points of a sweep."""

import pytest
from estimate_helpers import SMALL

from analog_sim.config import validate
from learning.experiments.configs.estimate import Experiment
from learning.experiments.estimation import prepared
from learning.experiments.estimation.run import describe


def test_points_of_a_sweep_that_share_a_network_check_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, prepared.Plan] = {}
    base = validate(SMALL, Experiment)
    said = describe(base, known=known)
    assert len(known) == 1

    def again(*args: object, **options: object) -> prepared.Plan:
        raise AssertionError("checked again")

    monkeypatch.setattr(prepared, "planned", again)
    assert describe(validate(SMALL | {"chips": base.chips + 1}, Experiment), known=known) != said
    with pytest.raises(AssertionError, match="checked again"):
        describe(validate(SMALL | {"network": {"kind": "mlp", "hidden": [7]}}, Experiment), known=known)
