"""The training loop and whole runs: resume to the same bits, arms and twins, divergence, the log, what is refused."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_sim.config import ConfigError, UserError, validate
from learning.common.schedule import calibration_due, rate_factor
from learning.experiments.configs.train import TrainExperiment, arms_of, twin_of, with_sweep
from learning.experiments.monte_carlo.score import ACCURACY
from learning.experiments.report.rebuild import rebuild
from learning.experiments.report.training.results import TrainingResults, curve_columns
from learning.experiments.runs import checkpoint
from learning.experiments.runs.result_log import read_rows
from learning.experiments.runs.run_folder import RunDirectory
from learning.experiments.training.comparison import first_reaching
from learning.experiments.training.data import Order, training_data
from learning.experiments.training.run import TWIN, describe, place, plan, train
from learning.experiments.training.trainer import LAYER, Trainer

SMALL: dict[str, Any] = {
    "schema": "train/1",
    "dataset": {"name": "digits", "train_limit": 160, "test_limit": 100},
    "network": {"layers": ["flatten", {"kind": "linear", "units": 12}, "relu", {"kind": "linear", "units": 10}]},
    "rule": {"kind": "activity_node_perturbation", "sigma": 0.01},
    "learning_rate": 0.05,
    "batch": 8,
    "epochs": 2,
    "evaluate_every": 80,
    "probe": 50,
    "parallel": {"jobs": 1},
}
NO_TRANSPOSED = {"transposed_read": False}
LATERAL = {"method": {"kind": "lateral", "rate": 1e-3}, "where": "chip"}
NATURAL = {"method": {"kind": "natural", "rate": 1e-3}, "where": "chip", "samples": 6}


def experiment(**changes: Any) -> TrainExperiment:
    return validate({**SMALL, **changes}, TrainExperiment)


def with_card(card: str, **changes: Any) -> TrainExperiment:
    from devices.card import load_card

    return experiment(**changes).model_copy(update={"device": load_card(card)})


def trainer(setup: TrainExperiment, folder: Path, seed: int = 0) -> Trainer:
    return Trainer(setup, training_data(setup.dataset, setup.validation), seed, folder)


class Killed(Exception):
    """Stands for kill -9 in the middle of a run."""


def run_until(setup: TrainExperiment, folder: Path, batches: int) -> None:
    """Train and die after so many batches."""
    it = trainer(setup, folder)
    step = it.step

    def dying() -> None:
        if it.done == batches:
            raise Killed
        step()

    it.step = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        it.run()


CHIP_CASES: dict[str, tuple[str | None, dict[str, Any]]] = {
    "digital": (None, {}),
    "digital, Adam": (None, {"optimizer": "adam", "learning_rate": 1e-3}),
    "multiplexed": (
        None,
        {
            "rule": {"kind": "multiplexed", "tau_theta": 3, "perturb": "overlay"},
            "periphery": {"weight_modulation": True},
        },
    ),
    "feedback alignment": (None, {"rule": "feedback_alignment"}),
    "ideal write": ("ecram", {"decorrelation": NATURAL}),
    "drift and idle time": ("pcm", {"decorrelation": NATURAL, "idle_per_batch": "10 s", "compensate_every": 7}),
}


PULSED = ("stochastic_pulse", "mixed_precision", "tiki_taka_v2", "write_verify", "sign", "deterministic_pulse")
CHIP_CASES |= {
    name: ("reram_soft_bounds", {"tile": {"writing": name, "adc": {"bits": 8}}, "calibrate_every": 6})
    for name in PULSED
}


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.jit if c in PULSED else ()) for c in CHIP_CASES])
def test_a_killed_run_resumes_to_the_same_bits(case: str, tmp_path: Path) -> None:
    card, changes = CHIP_CASES[case]
    setup = experiment(**changes) if card is None else with_card(card, **changes)
    whole = trainer(setup, tmp_path / "whole")
    rows = whole.run()
    run_until(setup, tmp_path / "cut", 17)
    logged = (tmp_path / "cut" / "metrics.csv").read_text()
    resumed = trainer(setup, tmp_path / "cut")
    assert resumed.done == 10  # the evaluation before
    assert resumed.run() == rows
    for name in ("metrics.csv", "layers.csv"):
        assert (tmp_path / "cut" / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert (tmp_path / "whole" / "metrics.csv").read_text().startswith(logged)
    x = training_data(setup.dataset, 0).x_eval
    np.testing.assert_array_equal(whole.network.output(x), resumed.network.output(x))
    one, other = (checkpoint.load(tmp_path / name / "checkpoint.npz") for name in ("whole", "cut"))
    assert str(one) == str(other)


def test_a_checkpoint_that_is_cut_short_is_named(tmp_path: Path) -> None:
    setup = experiment(epochs=0.5)
    trainer(setup, tmp_path).run()
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"checkpoint.npz: not a readable checkpoint"):
        trainer(setup, tmp_path)


def test_checkpoints_keep_every_kind_of_value(tmp_path: Path) -> None:
    state = {
        "a": np.arange(6, dtype=np.uint16).reshape(2, 3),
        "nested": [{"b": np.float32([1.5]), "none": None}, [], "text", True, 3, 2.5],
        "scalar": np.float64(0.1),
    }
    checkpoint.save(tmp_path / "c.npz", state)
    back = checkpoint.load(tmp_path / "c.npz")
    assert back is not None
    np.testing.assert_array_equal(back["a"], state["a"])
    assert back["a"].dtype == np.uint16
    np.testing.assert_array_equal(back["nested"][0]["b"], [1.5])
    assert back["nested"][1:] == [[], "text", True, 3, 2.5]
    assert back["scalar"] == 0.1
    assert checkpoint.load(tmp_path / "absent.npz") is None
    with pytest.raises(TypeError, match="keys must be text"):
        checkpoint.save(tmp_path / "d.npz", {1: 2})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="cannot keep a set"):
        checkpoint.save(tmp_path / "d.npz", {"a": {1}})
    assert not (tmp_path / "d.npz").exists()


def test_evaluations_leave_no_trace(tmp_path: Path) -> None:
    """Twice as many evaluations: the same weights, chip time and pulses at the end, on a noisy chip."""
    ends = []
    for every in (80, 320):
        setup = with_card("ecram", evaluate_every=every, decorrelation=NATURAL)
        it = trainer(setup, tmp_path / str(every))
        last = it.run()[-1]
        ends.append(
            (last["accuracy"], last["chip_time_s"], last["energy_J"], it.network.output(it.data.x_eval).tobytes())
        )
    assert ends[0] == ends[1]


def test_the_log_says_what_happened(tmp_path: Path) -> None:
    fast = {"method": {"kind": "natural", "rate": 0.02}, "where": "chip"}
    setup = with_card("ecram", decorrelation=fast, network={**SMALL["network"], "bias": "chip"})
    rows = trainer(setup, tmp_path).run()
    assert [row["samples"] for row in rows] == [0, 80, 160, 240, 320]
    assert [row["epoch"] for row in rows] == [0.0, 0.5, 1.0, 1.5, 2.0]
    for column in ("chip_time_s", "energy_J"):
        values = [float(row[column] or 0) for row in rows]
        assert values == sorted(values)
        assert values[-1] > values[0]
    assert all(0 <= float(row["accuracy"] or 0) <= 1 for row in rows)
    layers = read_rows(tmp_path / "layers.csv", LAYER)
    assert {row["layer"] for row in layers} == {"linear1", "linear1_R", "linear2", "linear2_R"}
    first = [row for row in layers if row["layer"] == "linear1"]
    assert all(-1 <= float(row["gradient_cosine"] or 0) <= 1 for row in first)
    assert float(first[-1]["decorrelation_loss"] or 0) < float(first[0]["decorrelation_loss"] or 0)


@pytest.mark.jit
def test_the_second_array_of_tiki_taka_is_in_the_log(tmp_path: Path) -> None:
    written = {"writing": "tiki_taka_v2", "adc": {"bits": 8}, "count_pulses": True}
    setup = with_card("reram_soft_bounds", epochs=6, tile=written)  # a filter takes its time to fill
    rows = trainer(setup, tmp_path).run()
    last = [row for row in read_rows(tmp_path / "layers.csv", LAYER) if row["samples"] == rows[-1]["samples"]]
    assert [row["layer"] for row in last] == ["linear1", "linear1_fast", "linear2", "linear2_fast"]
    assert all(float(row["pulses_max"] or 0) > float(row["pulses_mean"] or 0) > 0 for row in last)
    cells = [2 * 64 * 12, 2 * 64 * 12, 2 * 12 * 10, 2 * 12 * 10]
    counted = sum(float(row["pulses_mean"] or 0) * n for row, n in zip(last, cells, strict=True))
    assert counted == pytest.approx(float(rows[-1]["pulses"] or 0))


def test_backprop_on_ideal_tiles_is_perfectly_aligned_and_learns(tmp_path: Path) -> None:
    setup = experiment(rule="backprop", learning_rate=0.2, epochs=10, evaluate_every=800)
    rows = trainer(setup, tmp_path).run()
    assert float(rows[-1]["accuracy"] or 0) > 0.8
    cosines = [row["gradient_cosine"] for row in read_rows(tmp_path / "layers.csv", LAYER)]
    np.testing.assert_allclose(np.array(cosines, float), 1.0, atol=1e-5)
    assert rows[-1]["pulses"] is None


def test_idle_time_passes_on_the_chip_and_changes_the_result(tmp_path: Path) -> None:
    ends = {}
    for idle in ("0 s", "1 h"):
        it = trainer(with_card("pcm", idle_per_batch=idle, rule="backprop"), tmp_path / idle.replace(" ", ""))
        last = it.run()[-1]
        ends[idle] = (float(last["chip_time_s"] or 0), it.network.output(it.data.x_eval))
    batches = 2 * 160 // 8
    assert ends["1 h"][0] - ends["0 s"][0] == pytest.approx(3600 * batches, rel=1e-6)
    assert (ends["1 h"][1] != ends["0 s"][1]).mean() > 0.9


@pytest.mark.parametrize("writing", ["deterministic_pulse", "mixed_precision", "ideal"])
def test_a_gradient_that_is_not_finite_is_never_written(writing: str, tmp_path: Path) -> None:
    rule = {"kind": "node_perturbation", "sigma": 1e-30}  # the change of the loss by read noise, over its square
    it = trainer(with_card("ecram", rule=rule, tile={"writing": writing}), tmp_path)
    with pytest.raises(UserError, match=r"diverged at sample 0 .*first broken: the gradient of linear1"):
        it.run()
    assert it.diverged
    assert all(np.isfinite(tile.read_weights(exact=True)).all() for _, tile in it.network.tiles())


@pytest.mark.parametrize(
    ("rate", "broken", "at_least"),
    [(1e6, r"\d\S+, first broken: the gradient of linear\d", 1), (1e30, r"(nan|inf), first broken: linear\d", 0)],
)
def test_divergence_stops_keeps_the_checkpoint_and_says_where(
    rate: float, broken: str, at_least: int, tmp_path: Path
) -> None:
    setup = experiment(rule="backprop", schedule="constant", loss="mse", evaluate_every=8)
    it = trainer(setup.model_copy(update={"learning_rate": rate}), tmp_path)  # beyond what a file may ask for
    with pytest.raises(UserError, match=rf"diverged at sample \d+ .*loss is {broken}.*checkpoint of sample \d+"):
        it.run()
    kept = checkpoint.load(tmp_path / "checkpoint.npz")
    assert kept is not None
    assert at_least <= int(kept["done"]) <= it.done
    assert len(read_rows(tmp_path / "metrics.csv", curve_columns(ACCURACY))) == int(kept["done"]) + 1


DIVERGING = {"rule": "backprop", "learning_rate": 1e6, "schedule": "constant"}


class TestDivergence:
    def test_the_other_arms_go_on_and_table_and_report_say_which_did_not(self, tmp_path: Path) -> None:
        setup = experiment(
            arms=[{"name": "bad", "set": DIVERGING}, {"name": "good", "set": {"rule": "backprop"}}],
            loss="mse",
            device="ecram",
            tile={"writing": "ideal"},
            targets=["100 %"],
        )
        lines: list[str] = []
        outcome = train(setup, out=tmp_path / "run", say=lines.append)
        (found,) = outcome.results.diverged
        assert (found.arm, found.seed) == ("bad", 0)
        assert 0 < found.sample < 320
        assert not outcome.all_diverged
        assert any(line.startswith(f"bad, seed 0: training diverged at sample {found.sample} ") for line in lines)
        rows = {row[0]: dict(zip(outcome.table.header, row, strict=True)) for row in outcome.table.rows}
        assert rows["bad"]["accuracy %"] == "diverged"
        assert rows["bad"]["diverged"] == f"at sample {found.sample}"
        assert rows["bad"]["seeds"] == "0 of 1"
        assert rows["good"]["diverged"] == ""
        assert float(rows["good"]["accuracy %"]) > 0
        assert f"training diverged at sample {found.sample}" in outcome.report.read_text()
        assert checkpoint.load(tmp_path / "run" / "arms" / "bad-0" / "checkpoint.npz") is not None
        again = train(setup, out=tmp_path / "run", resume=True, say=lambda line: None)
        assert again.table == outcome.table
        assert TrainingResults.load(RunDirectory.open(tmp_path / "run")).diverged == outcome.results.diverged

    def test_seeds_that_ended_speak_for_an_arm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        step = Trainer.step

        def broken(self: Trainer) -> None:
            if self.seed == 1 and self.done == 15:
                self.network.layers[0].bias = np.full(12, np.nan, np.float32)
            step(self)

        monkeypatch.setattr(Trainer, "step", broken)
        setup = experiment(rule="backprop", seeds=[0, 1, 2], twin=None)
        outcome = train(setup, out=tmp_path / "run", say=lambda line: None)
        row = dict(zip(outcome.table.header, outcome.table.rows[0], strict=True))
        assert (row["seeds"], row["diverged"]) == ("2 of 3", "1 seed, at sample 120")
        ends = [r["accuracy"] for r in outcome.results.curves if r["samples"] == 320]
        assert row["accuracy %"] == f"{100 * np.mean(np.array(ends, float)):.2f}"
        assert not outcome.all_diverged
        table, _ = rebuild(tmp_path / "run")
        assert table.rows[0][1] == "2 of 3"

    def test_all_diverged_even_before_the_first_evaluation(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "learning.losses.cross_entropy.CrossEntropy.per_sample", lambda self, output, target: output[:, 0] * np.nan
        )
        outcome = train(experiment(), out=tmp_path / "run", say=lambda line: None)
        assert outcome.all_diverged
        assert all(row[2] == "diverged" for row in outcome.table.rows)
        assert "as far as its first evaluation" in outcome.report.read_text()


class TestRuns:
    def test_arms_share_weights_order_and_twin(self, tmp_path: Path) -> None:
        setup = experiment(
            arms=[
                {"name": "plain"},
                {"name": "decorrelated", "set": {"decorrelation": {"method": "natural", "where": "digital"}}},
                {"name": "backprop", "set": {"rule": "backprop"}},
            ],
            seeds=[3, 4],
            epochs=1,
            targets=["5 %", "100 %"],
        )
        outcome = train(setup, out=tmp_path / "run", say=lambda line: None)
        results = outcome.results
        assert set(results.twins.values()) == {TWIN}
        start = {row["arm"]: row["accuracy"] for row in results.curves if row["samples"] == 0 and row["seed"] == 3}
        assert start["plain"] == start["backprop"] == start[TWIN]
        header = (tmp_path / "run" / "comparison.csv").read_text().splitlines()[0]
        assert header.endswith("samples to 5 %,samples to 100 %")
        assert "not reached" in outcome.table.text()
        assert outcome.report.exists()
        assert (tmp_path / "run" / "comparison.md").read_text().count("|") > 20
        # A finished run resumes to the same without training.
        again = train(setup, out=tmp_path / "run", resume=True, say=lambda line: None)
        assert again.results.curves == results.curves

    def test_an_interrupted_comparison_goes_on_where_it_was(self, tmp_path: Path) -> None:
        setup = experiment(arms=[{"name": "a"}, {"name": "b", "set": {"rule": "backprop"}}], twin=None)
        whole = train(setup, out=tmp_path / "whole", say=lambda line: None)
        train(setup, out=tmp_path / "cut", say=lambda line: None)
        # As if killed while arm b ran: its end is not in the log of the run, its folder stops at a checkpoint.
        log = (tmp_path / "cut" / "metrics.csv").read_text().splitlines(keepends=True)
        (tmp_path / "cut" / "metrics.csv").write_text("".join(line for line in log if not line.startswith("b,")))
        shutil.rmtree(tmp_path / "cut" / "arms" / "b-0")
        run_until(arms_of(setup)["b"], tmp_path / "cut" / "arms" / "b-0", 33)
        resumed = train(setup, out=tmp_path / "cut", resume=True, say=lambda line: None)
        assert resumed.results.curves == whole.results.curves
        assert resumed.results.layers == whole.results.layers

    def test_workers_and_one_process_agree(self, tmp_path: Path) -> None:
        results = []
        for jobs in (1, 2):
            setup = experiment(seeds=[0, 1], epochs=0.5, twin=None, parallel={"jobs": jobs})
            results.append(train(setup, out=tmp_path / str(jobs), say=lambda line: None).results)
        key = lambda row: (row["seed"], row["samples"])  # noqa: E731
        assert sorted(results[0].curves, key=key) == sorted(results[1].curves, key=key)

    def test_the_twin_is_ideal_backprop_with_the_same_network(self) -> None:
        setup = with_card("ecram", decorrelation=NATURAL, twin={"learning_rate": 0.3})
        twin = twin_of(setup)
        assert twin is not None
        assert (twin.rule.kind, twin.device, twin.decorrelation, twin.learning_rate) == ("backprop", None, None, 0.3)
        assert twin.network == setup.network
        assert twin_of(experiment(twin=None)) is None

    def test_other_networks_have_other_twins(self) -> None:
        wider = {"layers": ["flatten", {"kind": "linear", "units": 10}]}
        todo = plan(experiment(arms=[{"name": "a"}, {"name": "b", "set": {"network": wider}}]))
        assert todo.twins == {"a": TWIN, "b": f"{TWIN} 2"}

    def test_a_dry_run_names_every_arm(self) -> None:
        text = describe(experiment(arms=[{"name": "slow"}, {"name": "fast", "set": {"learning_rate": 0.5}}]))
        assert "slow" in text
        assert "fast: activity_node_perturbation, digital, learning rate 0.5, 40 batches of 8" in text


class TestRefusals:
    def test_an_arm_with_a_misspelt_key(self) -> None:
        with pytest.raises(ConfigError, match=r"arms\[a\]: learnig_rate: unknown key.*learning_rate"):
            arms_of(experiment(arms=[{"name": "a", "set": {"learnig_rate": 0.1}}]))

    def test_arms_that_would_share_a_folder(self) -> None:
        with pytest.raises(UserError, match="'x=-1' and 'x=1' would share one folder"):
            plan(experiment(arms=[{"name": "x=-1"}, {"name": "x=1"}]))
        with pytest.raises(UserError, match="the name 'ideal digital twin' is taken"):
            plan(experiment(arms=[{"name": TWIN}]))
        assert place(Path(), "κ = 1", 0) != place(Path(), "γ = 1", 0)
        long = [place(Path(), "ß" * 300 + end, 0).name for end in "ab"]
        assert long[0] != long[1]
        assert max(len(name.encode()) for name in long) < 255

    def test_an_arm_that_changes_what_all_share(self) -> None:
        with pytest.raises(ConfigError, match=r"arms\[a\]: seeds: is shared by all arms"):
            arms_of(experiment(arms=[{"name": "a", "set": {"seeds": [1]}}]))

    def test_a_chip_that_no_arm_drives(self) -> None:
        with pytest.raises(UserError, match="chip: sealed would drive nothing, because device is null"):
            arms_of(experiment(chip={"kind": "sealed"}))
        mixed = experiment(
            chip={"kind": "sealed"}, arms=[{"name": "digital"}, {"name": "b", "set": {"device": "ecram"}}]
        )
        assert list(arms_of(mixed)) == ["digital", "b"]

    def test_two_arms_of_one_name(self) -> None:
        with pytest.raises(ConfigError, match="two entries of the same name: a"):
            experiment(arms=[{"name": "a"}, {"name": "a"}])

    def test_an_arm_and_its_hardware_that_are_called_as_another_arm_and_its(self) -> None:
        setup = experiment(arms=[{"name": "a"}, {"name": "a, b"}], hardware=[{"name": "c"}, {"name": "b, c"}])
        with pytest.raises(ConfigError, match=r"arms\[a, b, c\]: name: two arms, or an arm and its hardware together"):
            arms_of(setup)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"periphery": {"noise_injection": False}}, "activity_node_perturbation: needs noise injection"),
            ({"rule": "backprop", "periphery": {"derivative": False}}, "rule backprop: needs the slope"),
            ({"rule": {"kind": "weight_perturbation", "perturb": "overlay"}}, "weight_modulation: false"),
            ({"periphery": {"second_pass": False}}, "needs a second pass"),
            (
                {"rule": "backprop", "periphery": NO_TRANSPOSED},
                r"rule backprop: needs transposed reads.*periphery.transposed_read",
            ),
            ({"decorrelation": NATURAL, "periphery": NO_TRANSPOSED}, "decorrelation natural: needs transposed reads"),
            (
                {"rule": "feedback_alignment", "decorrelation": LATERAL, "periphery": NO_TRANSPOSED},
                "rule feedback_alignment: sends errors back through decorrelating matrices on the chip: needs transposed reads",
            ),
            ({"batch": 1000}, "batch: is 1000, but there are only 160"),
            ({"validation": 160}, "validation: holds out 160 of 160"),
        ],
    )
    def test_what_the_hardware_or_the_data_cannot_give(
        self, changes: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        with pytest.raises(UserError, match=message):
            train(experiment(**changes), out=tmp_path / "run", say=lambda line: None)
        assert not (tmp_path / "run" / "metrics.csv").exists()

    @pytest.mark.parametrize(
        "changes",
        [
            {"decorrelation": LATERAL},
            {"rule": "direct_feedback_alignment", "decorrelation": LATERAL},
            {"rule": "feedback_alignment", "decorrelation": {**LATERAL, "layers": [0]}},
            {"rule": "feedback_alignment", "decorrelation": {**NATURAL, "where": "digital"}},
        ],
        ids=str,
    )
    def test_what_needs_no_transposed_read_is_served_without(self, changes: dict[str, Any]) -> None:
        describe(experiment(periphery=NO_TRANSPOSED, **changes))

    @pytest.mark.parametrize("kind", ["weight_perturbation", "multiplexed"])
    def test_a_write_scheme_that_gathers_cannot_perturb(self, kind: str, tmp_path: Path) -> None:
        """The perturbation would never reach the cells, and the loss would not change."""
        for writing in ("mixed_precision", "sign", "tiki_taka_v2"):
            setup = with_card("ecram", rule={"kind": kind, "perturb": "write"}, tile={"writing": writing})
            with pytest.raises(
                UserError, match=f"rule {kind}: perturbs weights by writing them, but tile.writing: {writing}"
            ):
                train(setup, out=tmp_path / "run", say=lambda line: None)

    def test_a_chip_without_transposed_reads(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        from dataclasses import replace

        from analog_sim.tiles.tile import Tile

        info = Tile.capabilities.fget  # type: ignore[attr-defined]
        monkeypatch.setattr(Tile, "capabilities", property(lambda self: replace(info(self), transposed_read=False)))
        with pytest.raises(UserError, match="rule backprop: needs transposed reads"):
            train(with_card("ecram", rule="backprop"), out=tmp_path / "a", say=lambda line: None)
        with pytest.raises(UserError, match="decorrelation natural: needs transposed reads"):
            train(with_card("ecram", decorrelation=NATURAL), out=tmp_path / "b", say=lambda line: None)


def test_hardware_multiplies_the_arms_and_arms_have_the_last_word() -> None:
    setup = experiment(
        arms=[{"name": "a"}, {"name": "b", "set": {"learning_rate": 0.5}}],
        hardware=[
            {"name": "digital"},
            {"name": "ecram", "set": {"device": "ecram", "rate_factor": 0.1, "learning_rate": 0.3}},
        ],
    )
    found = arms_of(setup)
    assert list(found) == ["a, digital", "b, digital", "a, ecram", "b, ecram"]
    assert [arm.learning_rate for arm in found.values()] == [0.05, 0.5, 0.3, 0.5]
    assert found["b, ecram"].device is not None
    assert len(set(plan(setup).twins.values())) == 1


def test_the_rate_factor_scales_the_learning_rate(tmp_path: Path) -> None:
    ends = []
    for name, changes in {"one": {"learning_rate": 0.02}, "two": {"learning_rate": 0.2, "rate_factor": 0.1}}.items():
        it = trainer(experiment(rule="backprop", **changes), tmp_path / name)
        it.run()
        ends.append(it.network.output(it.data.x_eval))
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-3, atol=1e-4)


def test_the_rate_of_decorrelation_falls_over_the_run(tmp_path: Path) -> None:
    """The trainer says how far it is: a linear schedule moves R by about half as much as a constant rate, and least at the end."""
    moved = {}
    for schedule in ("constant", "linear"):
        decorrelation = {"method": {"kind": "natural", "rate": 1e-6}, "where": "digital", "schedule": schedule}
        it = trainer(experiment(decorrelation=decorrelation), tmp_path / schedule)
        r = [it.network.layers[0].decorrelator.tile.read_weights()]
        while it.done < it.total:
            it.step()
            r.append(it.network.layers[0].decorrelator.tile.read_weights())
        moved[schedule] = [float(np.linalg.norm(late - early)) for early, late in itertools.pairwise(r)]
    assert 0.3 < sum(moved["linear"]) / sum(moved["constant"]) < 0.7
    half = it.total // 2
    assert sum(moved["linear"][-half:]) < 0.6 * sum(moved["linear"][:half])


def test_a_sweep_multiplies_the_arms() -> None:
    setup = experiment(arms=[{"name": "a"}, {"name": "b", "set": {"rule": "backprop"}}])
    swept = with_sweep(setup, [{"device": None, "rule.sigma": 0.1}, {"device": "ecram", "rule.sigma": 0.2}])
    assert [arm.name for arm in swept.arms] == [
        "a, digital, sigma=0.1",
        "b, digital, sigma=0.1",
        "a, ecram, sigma=0.2",
        "b, ecram, sigma=0.2",
    ]
    assert with_sweep(setup, [{}]) is setup
    only_a = setup.model_copy(update={"arms": swept.arms[::2]})
    found = arms_of(only_a)
    assert found["a, ecram, sigma=0.2"].device is not None
    assert found["a, ecram, sigma=0.2"].rule.sigma == 0.2  # type: ignore[attr-defined]


def test_swept_values_of_one_kind_are_arms_of_their_own() -> None:
    """They once had one name, and all but the last were dropped without a word."""
    noises: list[dict[str, Any]] = [{"kind": "node_perturbation", "sigma": s} for s in (0.1, 0.2)]
    swept = with_sweep(experiment(), [{"rule": rule, "decorrelation": None} for rule in noises])
    found = arms_of(swept)
    assert list(found) == [
        "activity_node_perturbation, rule=node_perturbation(sigma=0.1), decorrelation=null",
        "activity_node_perturbation, rule=node_perturbation(sigma=0.2), decorrelation=null",
    ]
    nested = with_sweep(
        experiment(), [{"decorrelation": {"method": m}} for m in ("natural", {"kind": "kappa", "kappa": 0.1})]
    )
    assert [arm.name.partition(", ")[2] for arm in nested.arms] == [
        "decorrelation=(method=natural)",
        "decorrelation=(method=kappa(kappa=0.1))",
    ]
    with pytest.raises(UserError, match="sweep: two points are the same: activity_node_perturbation, batch=8"):
        with_sweep(experiment(), [{"batch": 8}, {"batch": 8}])


def test_the_order_is_a_new_permutation_every_epoch() -> None:
    from analog_sim.random.streams import Streams

    order = Order(Streams(0), 10, 3)
    assert order.per_epoch == 3
    first, second = (np.concatenate([order[e * 3 + i] for i in range(3)]) for e in range(2))
    assert len(set(first)) == len(set(second)) == 9
    assert (first != second).any()
    np.testing.assert_array_equal(Order(Streams(0), 10, 3)[4], order[4])
    assert (np.concatenate([Order(Streams(1), 10, 3)[i] for i in range(3)]) != first).any()


def test_schedules_in_closed_form() -> None:
    assert [rate_factor("constant", 0.1, p) for p in (0, 0.5, 1)] == [1, 1, 1]
    assert [rate_factor("linear", 0.2, p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.6, 0.2])
    assert [rate_factor("cosine", 0.2, p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.6, 0.2])
    assert rate_factor("cosine", 0.0, 0.25) == pytest.approx((1 + np.sqrt(0.5)) / 2)


def test_samples_to_a_target_are_interpolated() -> None:
    rows = [
        {"arm": "a", "seed": 0, "samples": s, "accuracy": v} for s, v in ((0, 0.1), (100, 0.5), (200, 0.4), (300, 0.9))
    ]
    assert first_reaching(rows, "a", 0, 0.3) == pytest.approx(50)
    assert first_reaching(rows, "a", 0, 0.5) == 100
    assert first_reaching(rows, "a", 0, 0.7) == pytest.approx(260)
    assert first_reaching(rows, "a", 0, 0.05) == 0
    assert first_reaching(rows, "a", 0, 0.95) is None


def test_validation_images_are_the_last_training_images() -> None:
    setup = experiment(validation=40)
    held, plain = training_data(setup.dataset, 40), training_data(setup.dataset, 0)
    np.testing.assert_array_equal(np.concatenate([held.x, held.x_eval]), plain.x)
    assert len(held.x_eval) == 40


@pytest.mark.parametrize(
    ("adc", "wanted"),
    [
        ({"bits": 9}, True),
        ({"bits": 9, "range": "auto"}, True),
        ({"noise": 0.01}, True),
        ({}, False),
        ({"bits": 9, "range": "dynamic"}, False),
        ({"bits": 9, "range": "1 mA"}, False),
    ],
    ids=str,
)
def test_ranges_that_follow_the_weights_are_calibrated(adc: dict[str, Any], wanted: bool) -> None:
    assert with_card("ecram", tile={"adc": adc}).calibrates is wanted
    assert not experiment(tile={"adc": adc}).calibrates


def test_converters_are_calibrated_early_and_then_every_period() -> None:
    assert [n for n in range(25) if calibration_due(n, 10)] == [1, 2, 4, 8, 10, 20]
    assert [n for n in range(10) if calibration_due(n, 8)] == [1, 2, 4, 8]
    assert [n for n in range(4) if calibration_due(n, 1)] == [1, 2, 3]


def test_ranges_follow_the_first_steps(tmp_path: Path) -> None:
    """Three batches into a period of a thousand, ranges are no longer those of the first weights, unless told never to follow."""
    ranges = []
    for every in (None, 1000):
        setup = with_card("ecram", calibrate_every=every, tile={"adc": {"bits": 8}}, rule="backprop")
        it = trainer(setup, tmp_path / str(every))
        for batches in (0, 3):
            while it.done < batches:
                it.step()
            ranges.append([block.adc.full_range for _, tile in it.network.tiles() for block in tile.blocks])
    for start, kept, same_start, followed in zip(*ranges, strict=True):
        np.testing.assert_array_equal(kept, start)
        np.testing.assert_array_equal(same_start, start)
        assert (followed != start).all()
