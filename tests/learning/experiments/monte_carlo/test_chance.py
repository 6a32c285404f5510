"""A network that knows nothing is named, one that knows a little is not."""

import numpy as np
import pytest

from learning.experiments.monte_carlo.chance import chance_note
from learning.experiments.monte_carlo.score import ACCURACY, R2

LABELS = np.repeat([0, 1, 2], [700, 200, 100])


@pytest.mark.parametrize(("accuracy", "named"), [(0.1, True), (0.7, True), (0.725, True), (0.735, False), (1.0, False)])
def test_the_most_frequent_class_is_what_chance_reaches(accuracy: float, named: bool) -> None:
    assert bool(chance_note(ACCURACY, accuracy, LABELS, "the network")) is named


def test_few_samples_ask_for_more() -> None:
    assert chance_note(ACCURACY, 0.75, LABELS[::50], "the network")
    assert not chance_note(ACCURACY, 0.75, LABELS, "the network")


@pytest.mark.parametrize(("r2", "named"), [(-3.0, True), (0.0, True), (0.01, False)])
def test_a_constant_number_has_no_r2(r2: float, named: bool) -> None:
    assert bool(chance_note(R2, r2, np.zeros((5, 2), np.float32), "the network")) is named


def test_the_sentence_says_what_chance_is() -> None:
    (told,) = chance_note(ACCURACY, 0.0352, LABELS, "the digital network")
    assert told.startswith("the digital network: accuracy 3.52 % is no better than chance")
    assert "70.00 %" in told
