"""The sentences of a report's head: numbers as computed by hand, no arm called a chip's that is none, no use called safe unmeasured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_helpers import TIMES, estimate, new_run

from devices.card import load_card
from devices.measurements.proof.proof import Proof
from learning.experiments.report.estimate.conclusion import estimate_sentence, sweep_sentences
from learning.experiments.report.head import cards_of, chip_text, converter_text, linked, network_text, wires_text
from learning.experiments.report.measurement.badge import fit_head, worst
from learning.experiments.report.notes import DOUBTFUL, warnings_and_facts
from learning.experiments.report.page import command_text
from learning.experiments.report.training.conclusion import Ended, training_sentence
from learning.experiments.report.wording import count_text, readable

ROOT = Path(__file__).resolve().parents[4]


def test_an_estimate_concludes_with_its_interval(tmp_path: Path) -> None:
    results = estimate(new_run(tmp_path / "run"))
    accuracy = np.array([[0.95, 0.95], [0.94, 0.94], [0.93, 0.93]])
    # mean 94 %, sd 1 point, half width t(0.975, 2) / sqrt(3) = 2.484; digital 96 %, threshold 94 %
    assert estimate_sentence(results, np.array(TIMES[1:]), accuracy) == (
        "1 day after programming the mean accuracy of 3 chips is 94.00 % (95 % interval 91.52 to 96.48), 2.00 points below the digital "
        "twin (96.00 %); 2 of 3 reach the 94 % that counts as good."
    )


def test_a_sweep_names_the_best_point_and_what_moves_most() -> None:
    chips = np.array([0.90, 0.91, 0.92])
    points = [
        ({"tile.adc.bits": bits, "device": device}, chips + 0.01 * (bits == "8") + 0.05 * (device == "pcm"), 0.97)
        for bits in ("4", "8")
        for device in ("pcm", "ecram")
    ]
    best, moves = sweep_sentences(points)
    assert best.startswith("The best point at the last time is adc.bits = 8, device = pcm: 97.00 %")
    assert "1.00 points" in best
    assert (
        moves == "What moves accuracy most is device: 5.00 points between ecram and pcm, averaged over the other keys."
    )


def test_a_sweep_that_moves_nothing_says_so() -> None:
    chips = np.array([0.90, 0.91, 0.92])
    points = [({"tile.adc.bits": bits}, chips, 0.97) for bits in ("4", "8")]
    assert sweep_sentences(points)[1] == "No swept key moves the mean accuracy."


def test_two_points_that_noise_does_not_tell_apart_are_called_so() -> None:
    a, b = np.array([0.90, 0.93, 0.91]), np.array([0.91, 0.90, 0.92])
    assert "not told apart" in sweep_sentences([({"x": "1"}, a, 0.9), ({"x": "2"}, b, 0.9)])[0]


def arm(name: str, *accuracy: float, pulses: float | None = 4658000.0) -> Ended:
    return Ended(name, dict(enumerate(accuracy)), 3600.0, pulses, 7e-3, 87e-9)


TWINS = {"exact": "twin", "pulsed": "twin"}


def test_a_training_names_the_best_arm_that_is_on_a_chip() -> None:
    tree = {
        "device": {"name": "ecram", "reference": "doi:10.1109/IEDM.2018.8614551"},
        "arms": [{"name": "exact", "set": {"tile.writing": {"kind": "ideal"}}}, {"name": "pulsed", "set": {}}],
    }
    decisions = {"pulsed": {"tile.writing": {"kind": "stochastic_pulse"}}}
    ended = [arm("twin", 0.95, 0.95, pulses=None), arm("exact", 0.94, 0.94), arm("pulsed", 0.90, 0.92)]
    # difference -5 and -3: mean -4, half width t(0.975, 1) * 1.414 / 1.414 = 12.71
    assert training_sentence(tree, decisions, ended, TWINS, 600) == (
        "The best arm on a chip is pulsed: 91.00 % (95 % interval 78.29 to 100.00 over 2 seeds), 4.00 points below its "
        "digital twin (95.00 %; difference -16.71 to +8.71). It took "
        "3\u202f600 training samples, 4\u202f658\u202f000 pulses, 7 ms of chip time and 87 nJ."
    )
    said = training_sentence(tree | {"device": None}, {}, ended, TWINS, 600)
    assert said.startswith("No arm is on a chip; the best is exact"), said


def test_a_use_is_never_better_than_what_was_not_measured() -> None:
    pulse, proof = load_card("ecram"), Proof("pulse", "nothing is held out", ())
    overall, inference, training = fit_head((proof,), pulse, (("a.csv", 3),), "1 to 11 µS").badges
    assert (overall.verdict, training.verdict, inference.verdict) == ("unproven",) * 3
    assert "not on this measurement alone" in inference.text
    assert worst(()) == "unproven"


@pytest.mark.parametrize("phrase", DOUBTFUL)
def test_what_counts_as_a_warning_is_said_by_the_program(phrase: str) -> None:
    """A sentence that is worded anew must not become a fact in silence."""
    sources = [
        path for house in ("learning", "devices") for path in (ROOT / house).rglob("*.py") if path.name != "notes.py"
    ]
    assert any(phrase in path.read_text(encoding="utf-8") for path in sources)


def test_warnings_are_told_from_facts() -> None:
    warning = "card pcm drifts and is not compensated (tile.compensation: none)."
    assert warnings_and_facts(["a fact", warning, "a fact"]) == ((warning,), ("a fact",))


def test_what_was_run_is_read_from_the_configuration() -> None:
    tree = {
        "device": {"name": "pcm", "reference": "Joshi (2020), doi:10.1038/s41467-020-16108-9; more"},
        "network": {"layers": [{"kind": "linear", "units": 64}, {"kind": "relu"}, {"kind": "linear", "units": 10}]},
        "tile": {"dac": {"bits": None}, "adc": {"bits": 9}},
        "hardware": [{"name": "on ecram", "set": {"device": "ecram"}}],
    }
    assert network_text(tree) == "linear 64 → relu → linear 10"
    short = {
        "kind": "mlp",
        "bias": "digital",
        "bias_line": "auto",
        "init": "zeros",
        "init_scale": 1.0,
        "hidden": [128, 64],
    }
    assert network_text({"network": short}) == "mlp: init zeros, hidden 128 × 64"
    assert network_text({"module": "Net 0123abcd", "network": None}) == "Net 0123abcd"
    assert converter_text(tree) == "DAC ideal, ADC 9 bits"
    assert list(cards_of([tree])) == ["pcm", "ecram"]
    assert linked("a, doi:10.1038/s41467-020-16108-9; more") == (
        ("a, ", ""),
        ("doi:10.1038/s41467-020-16108-9", "https://doi.org/10.1038/s41467-020-16108-9"),
        ("; more", ""),
    )


def test_the_wires_are_named_where_there_are_any() -> None:
    assert wires_text({"tile": {"wires": None}}) == ""
    assert wires_text({}) == ""
    wires = {"preset": "22 nm", "word_line": "2.4590909090909094 Ohm", "bit_line": 1.0, "driver": "100 Ohm"}
    told = "2.46 ohm a segment of a word line, 1 ohm of a bit line (22 nm), driver 100 ohm"
    assert wires_text({"tile": {"wires": wires}}) == told
    assert wires_text({"tile": {"wires": wires}}, ["tile.wires"]) == "swept"
    assert wires_text({"tile": {"wires": wires}}, ["tile.wires.driver"]) == "swept"
    assert wires_text({"tile": {"wires": wires}}, ["tile.wiresome"]) == told


def test_units_and_counts_are_written_for_people() -> None:
    assert readable("at 1606 to 1681 uS after 1.02e+05 s") == "at 1606 to 1681 µS after 1.18 days"
    assert readable("up, 1.5 V, 1e-07 s: 200") == "up, 1.5 V, 100 ns: 200"
    assert readable("mean uS; 10 us; bus used") == "mean uS; 10 µs; bus used"
    assert count_text(4658000) == "4\u202f658\u202f000"


def test_a_command_is_shown_as_it_is_typed() -> None:
    assert (
        command_text(["analog-hil train", "my file.yaml", "--set", "a=[1, 2]"])
        == "analog-hil train 'my file.yaml' --set 'a=[1, 2]'"
    )
    assert command_text(["scripts/train.py", "c.yaml"]) == "scripts/train.py c.yaml"
    assert command_text([]) == "''"


@pytest.mark.parametrize(
    ("chip", "said"),
    [
        (None, ""),
        ({"kind": "emulated"}, ""),
        ({"kind": "sealed", "record": True}, "sealed"),
        ({"kind": "scpi", "address": "scpi://lab:5025", "record": False}, "scpi, scpi://lab:5025"),
        ({"kind": "twin", "folder": "runs/chip"}, "twin, runs/chip"),
        ({"kind": "replay", "record": "runs/a"}, "replay, runs/a"),
    ],
)
def test_what_was_driven_is_named(chip: dict[str, object] | None, said: str) -> None:
    assert chip_text({} if chip is None else {"chip": chip}) == said
