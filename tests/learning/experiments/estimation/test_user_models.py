"""A user's model in an estimate: compared with the original on all test images, and trained anew when any of its code changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from estimate_helpers import silent, small

from learning.experiments.estimation.chip import Chip
from learning.experiments.estimation.prepared import Prepared, check, prepare_estimate
from learning.experiments.estimation.studies import variants
from learning.experiments.monte_carlo.metrics import accuracy
from learning.torch_bridge.digital.digital_training import predict

GATED = """
import torch
from torch import nn

class Gated(nn.Module):
    '''A normalisation that only images of one kind pass, which the first eight test images, as one batch, are.'''
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(256, 10)
        self.late = nn.Linear(10, 10)
    def forward(self, x):
        h = self.conv(x)
        if x.mean() > LIMIT:
            return self.out(torch.relu(self.norm(h)).flatten(1))
        return self.late(self.out(torch.relu(h).flatten(1)))

def build():
    made = Gated()
    made.norm.running_mean.normal_()
    made.norm.running_var.uniform_(0.05, 0.2)
    return made
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def prepared(file: Path, say=silent, **change: Any) -> Prepared:
    experiment = small(
        network=None,
        model={"file": str(file), "factory": "build"},
        device="ideal",
        tile={},
        dataset={"name": "digits", "train_limit": 100, "test_limit": 60},
        **{"training": {"epochs": 0}, **change},
    )
    return prepare_estimate(experiment, check(experiment), say)


def test_a_branch_that_the_first_images_do_not_take(tmp_path: Path) -> None:
    from learning.data.datasets import load

    x, y = load("digits").x_test[:60], load("digits").y_test[:60]
    means = [float(batch.mean()) for batch in (x[:8], *np.split(x, 12))]
    limit = (min(means[1:]) + means[0]) / 2  # batches of five: some above, some below
    assert min(means[1:]) < limit < means[0]
    file = tmp_path / "gated.py"
    file.write_text(GATED.replace("LIMIT", repr(limit)))
    found = prepared(file, batch=5)
    assert found.layers == ("conv", "out", "late")
    assert not found.decided.folds
    model = found.source.make().eval()
    model.load_state_dict({name: torch.tensor(value) for name, value in found.weights.items()})
    right = predict(model, x, 5)
    assert found.digital["accuracy"] == accuracy(right, y)
    chip = Chip(found, variants(small(device="ideal", tile={}))[0], 0)
    np.testing.assert_allclose(chip.network.scores(x, 5), right, rtol=1e-3, atol=1e-3)


def test_a_network_whose_helper_was_edited_is_not_the_one_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "hil_act.py").write_text("from torch import nn\nAct = nn.ReLU\n")
    file = tmp_path / "model.py"
    file.write_text(
        "from torch import nn\nfrom hil_act import Act\n"
        "def build(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), Act(), nn.Linear(8, 10))\n"
    )
    lines: list[str] = []

    def cached() -> bool:
        lines.clear()
        prepared(file, say=lines.append, training={"epochs": 1})
        return any("from the cache" in line for line in lines)

    assert [cached(), cached()] == [False, True]
    (tmp_path / "hil_act.py").write_text("from torch import nn\nAct = nn.Tanh\n")
    assert [cached(), cached()] == [False, True]


def test_weights_that_come_from_elsewhere_count(tmp_path: Path) -> None:
    """A file of weights that the factory reads is no code, but the network starts from it."""
    file = tmp_path / "model.py"
    file.write_text(
        "import pathlib, random\nimport numpy as np\nimport torch\nfrom torch import nn\n"
        f"def build():\n    made = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
        f"    nn.init.constant_(made[1].weight, float(pathlib.Path({str(tmp_path / 'w.txt')!r}).read_text()))\n"
        "    with torch.no_grad():\n        made[1].bias += np.random.rand() + random.random()\n    return made\n"
    )
    lines: list[str] = []
    for value, expected in (("0.1", False), ("0.1", True), ("0.2", False)):
        (tmp_path / "w.txt").write_text(value)
        lines.clear()
        prepared(file, say=lines.append, training={"epochs": 1})
        assert any("from the cache" in line for line in lines) == expected


@pytest.mark.parametrize(
    "wrap",
    [
        "made.double()",
        "made.half()",
        "made.bfloat16()",
        "torch.compile(made, backend='eager')",
        "nn.DataParallel(made)",
    ],
)
def test_other_types_and_wrappers_are_trained_and_estimated(wrap: str, tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text(
        "import torch\nfrom torch import nn\n"
        f"def build():\n    made = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n    return {wrap}\n"
    )
    found = prepared(file, training={"epochs": 1})
    assert found.layers == ("1",)
    assert found.weights["1.weight"].dtype == np.float32
    chip = Chip(found, variants(small(device="ideal", tile={}))[0], 0)
    assert chip.evaluate()["accuracy"] == found.digital["accuracy"]
