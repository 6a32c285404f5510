"""One chip: what it is follows from (seed, number), what it does from its age and its hardware."""

import pickle
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from estimate_helpers import silent, small
from stream_helpers import positions

from analog_sim.chip.backends.sealed import Sealed
from analog_sim.config import UserError
from learning.experiments.estimation.chip import Chip, run_chip
from learning.experiments.estimation.chip_snapshot import chip_snapshot
from learning.experiments.estimation.prepared import Prepared, check, prepare_estimate
from learning.experiments.estimation.studies import variants
from learning.experiments.monte_carlo.evaluate import Task
from learning.experiments.report.estimate.results import LAYER_ERROR
from learning.torch_bridge.modules import AnalogLayer

pytestmark = pytest.mark.filterwarnings("error")


@cache
def prepared() -> Prepared:
    return prepare_estimate(small(), check(small()), silent)


def chip(number: int = 0, study: int = 0, **change: Any) -> Chip:
    return Chip(prepared(), variants(small(**change))[study], number)


def held(made: Chip) -> list[np.ndarray]:
    return [tile.read_weights(exact=True) for tile in made.tiles]


def test_outputs_that_are_not_finite_are_no_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    made = chip()
    monkeypatch.setattr(made.network, "scores", lambda x, batch: np.full((len(x), 10), np.nan, np.float32))
    with pytest.raises(UserError, match="outputs of the chip at 0 s are not finite"):
        made.evaluate()["accuracy"]


def test_fewer_images_at_a_time_change_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the scores nor where the streams of noise stand afterwards."""
    found = []
    for pixels in (2**15, 5 * 64):
        monkeypatch.setattr("learning.experiments.estimation.chip.PIXELS", pixels)
        made = chip()
        seen: list[np.ndarray] = []
        sizes: list[int] = []
        scores = made.network.scores

        def noted(x: Any, batch: int, scores: Any = scores, seen: Any = seen, sizes: Any = sizes) -> Any:
            sizes.append(batch)
            seen.append(scores(x, batch))
            return seen[-1]

        monkeypatch.setattr(made.network, "scores", noted)
        made.evaluate()
        made.evaluate()
        found.append((np.stack(seen), sizes, made.costs()))
    (whole, at_once, cost), (parts, few, cost_of_parts) = found
    assert at_once == [min(prepared().batch, 512)] * 2
    assert few == [5, 5]
    assert np.array_equal(whole, parts)
    assert not np.array_equal(whole[0], whole[1]), "noise is drawn"
    assert cost.adc_conversions == cost_of_parts.adc_conversions
    assert cost.joules == pytest.approx(cost_of_parts.joules, rel=1e-12), "the same terms, added up in other parts"


def test_a_chip_is_its_seed_and_its_number() -> None:
    first, again, other = held(chip(0)), held(chip(0)), held(chip(1))
    for a, b, c in zip(first, again, other, strict=True):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)
    assert len({w.tobytes() for made in (first, other) for w in made}) == 2 * len(first)


def test_no_two_tiles_of_a_chip_share_a_stream() -> None:
    made = chip()
    assert len(positions(made.tiles)) > 4 * len(made.tiles) > 4  # says which two are the same


def test_noise_of_reads_does_not_change_the_chip() -> None:
    quiet = chip(0, study=1, sensitivity={"without": ["read_noise"]})
    quiet.evaluate()["accuracy"]
    for a, b in zip(held(chip(0)), held(quiet), strict=True):
        assert np.array_equal(a, b)


def test_time_stands_still_while_measuring_and_passes_as_told() -> None:
    made = chip()
    assert made.age == 0.0
    made.wait_until(1.0)
    assert made.age == pytest.approx(1.0, abs=1e-3)
    made.evaluate()["accuracy"]
    made.layer_errors(prepared().probes.rows)
    assert made.age == pytest.approx(1.0, abs=2e-2)  # the longest single read only
    made.wait_until(86400.0)
    assert made.age == pytest.approx(86400.0, abs=1e-2)
    made.wait_until(10.0)  # long past
    assert made.age == pytest.approx(86400.0, abs=1e-2)


def test_errors_grow_with_age_and_compensation_helps() -> None:
    def at_one_day(compensation: str) -> tuple[float, float]:
        made = chip(tile={"compensation": compensation})
        inputs = prepared().probes.rows
        made.wait_until(1.0)
        young = made.layer_errors(inputs)
        made.wait_until(86400.0)
        return young["fc1"], made.layer_errors(inputs)["fc1"]

    young, old = at_one_day("none")
    _, mended = at_one_day("global")
    assert old > 2.0 * young
    assert mended < 0.5 * old


def test_on_the_ideal_card_a_chip_is_the_digital_network() -> None:
    experiment = small(device="ideal", tile={}, bias="chip")
    p = prepare_estimate(experiment, check(experiment), silent)
    made = Chip(p, variants(experiment)[0], 0)
    made.wait_until(86400.0)
    assert made.evaluate()["accuracy"] == p.digital["accuracy"]
    assert max(made.layer_errors(p.probes.rows).values()) < 1e-5


def test_bias_on_the_chip_is_driven_by_the_largest_input() -> None:
    made = chip(bias="chip")
    layer = made.network.layers["fc1"]
    assert isinstance(layer, AnalogLayer)
    data = check(small()).data
    assert layer.bias_input == pytest.approx(data.x_train[: small().calibration].max())
    assert made.tiles[0].shape == (12, 65)


def test_a_scale_for_each_column_helps_small_columns() -> None:
    by_layer, by_column = (chip(weight_scale=scale, device="generic_pcm") for scale in ("layer", "column"))
    for one, other in zip(by_layer.network.tiles, by_column.network.tiles, strict=True):
        wanted = by_layer.network.layers["fc1"].matrices()[0] if one.shape == (12, 64) else None
        if wanted is not None:
            smallest = np.abs(wanted).max(axis=1).argmin()
            errors = [np.abs(t.read_weights(exact=True) - wanted)[smallest].mean() for t in (one, other)]
            assert errors[1] < 0.9 * errors[0]
    inputs = prepared().probes.rows
    assert by_column.layer_errors(inputs)["fc1"] < by_layer.layer_errors(inputs)["fc1"]


def test_rows_of_a_task() -> None:
    nominal, without = variants(small(sensitivity={"without": ["drift"], "times": ["1 day"]}))
    rows = run_chip(prepared(), Task({"study": "nominal", "value": "", "chip": 1}, (nominal,)))
    assert [row["time_s"] for row in rows] == [1.0, 86400.0]
    assert all(0.0 < row[LAYER_ERROR + "fc1"] < 1.0 for row in rows)
    (row,) = run_chip(prepared(), Task({"study": "without", "value": "drift", "chip": 1}, (without,)))
    assert row["time_s"] == 86400.0
    assert row[LAYER_ERROR + "fc1"] is None


def test_chip_snapshot() -> None:
    variant = variants(small())[0]
    face = chip_snapshot(prepared(), variant, 2)
    assert [t.layer for t in face.transfer] == ["fc1", "fc2"]
    assert face.transfer[0].read_back.shape == (2, face.transfer[0].target.size)
    error = face.transfer[0].read_back - face.transfer[0].target
    assert 0.0 < np.sqrt(np.square(error[0]).mean()) < 0.2 * np.abs(face.transfer[0].target).max()
    assert [m.layer for m in face.maps] == ["fc1", "fc2"]
    assert face.maps[0].conductance.shape == (2, 64, 12)
    assert face.maps[0].label == "chip 2, 1 s after programming"
    assert face.costs["array reads per inference"] == 2.0
    assert face.costs["DAC conversions per inference"] == 64 + 12
    assert face.costs["ADC conversions per inference"] == 12 + 10
    assert face.costs["energy per inference (J)"] > 0.0
    assert np.array_equal(face.maps[0].conductance, chip_snapshot(prepared(), variant, 2).maps[0].conductance)


def test_a_chip_that_was_followed_is_handed_on_as_it_was() -> None:
    """The report's chip and the first one that is estimated are one, to the bits that two of the same seed and number have."""
    variant, made = variants(small())[0], dict[int, Chip]()
    face = chip_snapshot(prepared(), variant, 1, made=made)
    ours, fresh = made[1], chip(1)
    assert (ours.age, ours.costs()) == (0.0, fresh.costs())
    for mine, new in zip(ours.tiles, fresh.tiles, strict=True):
        assert same_state(mine.state(), new.state())
    task = Task({"study": "nominal", "value": "", "chip": 1}, (variant,))
    rows = run_chip(prepared(), task, made=made)
    assert not made, "it is used once"
    assert rows == run_chip(prepared(), task, made=made) == run_chip(prepared(), task)
    alone = chip_snapshot(prepared(), variant, 1)
    assert all(np.array_equal(a.read_back, b.read_back) for a, b in zip(face.transfer, alone.transfer, strict=True))
    assert face.costs == alone.costs


def same_state(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_state(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_state, one, other))
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


def test_what_is_put_back_holds_no_copy_of_the_cells() -> None:
    made = chip()
    for tile in made.tiles:
        assert [array["cells"] for block in tile.state(cells=False)["blocks"] for array in block["arrays"]] == [None]


def test_chips_that_cannot_be_put_back_are_made_anew() -> None:
    made: dict[int, Chip] = {}
    disturbed = small(device={"base": "pcm", "read_disturb": 1e-9})
    chip_snapshot(prepared(), variants(disturbed)[0], 0, made=made)
    chip_snapshot(replace(prepared(), chip=Sealed()), variants(small())[0], 0, made=made)
    assert not made


def test_a_sealed_chip_is_estimated_by_reads_that_take_time() -> None:
    """Same cells, same programming, other draws of read noise. On an open chip all reads of a measurement count as one, the longest."""
    sealed = Chip(replace(prepared(), chip=Sealed()), variants(small())[0], 0)
    assert all(array.inside is None for tile in sealed.tiles for array in tile.arrays)
    opened = chip(0)
    before = sealed.age, opened.age
    assert abs(sealed.evaluate()["accuracy"] - opened.evaluate()["accuracy"]) < 0.05
    assert sealed.age - before[0] > opened.age - before[1] > 0.0
    for mine, its in zip(sealed.tiles, opened.tiles, strict=True):
        np.testing.assert_allclose(mine.read_weights(), its.read_weights(exact=True), atol=0.2 * mine.full_weight)


def test_a_plan_is_kept_in_its_process_and_no_chip_changes_it() -> None:
    own = replace(prepared())
    plan = own.plan()
    before = {name: value.clone() for name, value in plan.module.state_dict().items()}
    Chip(own, variants(small())[0], 0).close()
    assert own.plan() is plan
    after = plan.module.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    there = pickle.loads(pickle.dumps(own))
    assert "_plan" not in vars(there), "it is not sent"
    assert there.plan().module.state_dict().keys() == before.keys()
