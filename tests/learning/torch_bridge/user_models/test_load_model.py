"""A user's model file and checkpoint: what is accepted, and one clear line for everything else."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from analog_sim.config import UserError
from learning.torch_bridge.user_models.load_model import load_checkpoint, load_factory

FILE = """
import neighbour
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, neighbour.CLASSES)
    def forward(self, x):
        return self.fc(x)

def build():
    return Net()

ready = nn.Linear(4, 2)
number = 3

def needs_arguments(a):
    return Net()

def fails():
    raise RuntimeError("first line\\nsecond line")

def wrong():
    return 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("CLASSES = 3\n")
    path = tmp_path / "my_net.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(("name", "outputs"), [("build", 3), ("Net", 3), ("ready", 2)])
def test_function_class_or_module(file: Path, name: str, outputs: int) -> None:
    assert load_factory(f"{file}:{name}")(torch.ones(1, 4)).shape == (1, outputs)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("{file}", r"must be FILE.py:NAME"),
        ("{file}:", r"must be FILE.py:NAME"),
        ("{file}:a b", r"must be FILE.py:NAME"),
        ("missing.py:build", "no such file: missing.py"),
        ("{file}:biuld", "defines no 'biuld', did you mean 'build'"),
        ("{file}:number", "is a int, not a function"),
        ("{file}:needs_arguments", r"needs_arguments\(\) failed: TypeError"),
        ("{file}:fails", r"fails\(\) failed: RuntimeError: first line$"),
        ("{file}:wrong", r"must return a torch.nn.Module \(got int\)"),
    ],
)
def test_bad_references(file: Path, reference: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_factory(reference.format(file=file))
    assert "\n" not in str(caught.value)


def test_a_file_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import does_not_exist_at_all\n")
    with pytest.raises(UserError, match=r"cannot be imported: ModuleNotFoundError: .*does_not_exist_at_all"):
        load_factory(f"{path}:build")
    path.write_text("def build(:\n")
    with pytest.raises(UserError, match="cannot be imported: SyntaxError"):
        load_factory(f"{path}:build")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model_state_dict": state},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"_orig_mod.{key}": value for key, value in state.items()}},
    ],
)
def test_checkpoints_that_fit(tmp_path: Path, wrap) -> None:
    source, target = nn.Linear(4, 3), nn.Linear(4, 3)
    torch.save(wrap(source.state_dict()), tmp_path / "w.pt")
    load_checkpoint(target, tmp_path / "w.pt")
    assert torch.equal(source.weight, target.weight)


def test_the_counter_of_batch_normalisation_may_be_missing(tmp_path: Path) -> None:
    module = nn.BatchNorm1d(3)
    state = {key: value for key, value in module.state_dict().items() if key != "num_batches_tracked"}
    torch.save(state, tmp_path / "w.pt")
    load_checkpoint(module, tmp_path / "w.pt")


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil"),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weight": torch.ones(3, 5), "bias": torch.ones(3)}, r"weight has shape \(3, 5\), the model needs \(3, 4\)"),
        ({"weight": torch.ones(3, 4)}, "lacks bias"),
        ({"weight": torch.ones(3, 4), "bias": torch.ones(3), "scale": torch.ones(1)}, "has unknown scale"),
        ({"weight": torch.full((3, 4), float("nan")), "bias": torch.ones(3)}, "weight: 12 of 12 values are NaN"),
        (torch.ones(3), "must hold a state_dict, names with tensors"),
        ({"weight": 1.0}, "must hold a state_dict, names with tensors"),
        ({f"a.{k}": torch.ones(1) for k in range(5)}, "has unknown a.0, a.1, a.2 and 2 more"),
    ],
)
def test_checkpoints_that_do_not_fit(tmp_path: Path, content, message: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(nn.Linear(4, 3), tmp_path / "w.pt")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_never_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Evil()}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="not a file of tensors only"):
        load_checkpoint(nn.Linear(4, 3), tmp_path / "w.pt")
    torch.save(nn.Linear(4, 3), tmp_path / "whole.pt")
    with pytest.raises(UserError, match=r"save it by torch.save\(model.state_dict\(\), path\)"):
        load_checkpoint(nn.Linear(4, 3), tmp_path / "whole.pt")
    assert not (tmp_path / "evil").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"weight": [1, 2]}), b"PK\x03\x04garbage"])
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(UserError, match="checkpoint "):
        load_checkpoint(nn.Linear(4, 3), tmp_path / "w.pt")
    with pytest.raises(UserError, match="no such file"):
        load_checkpoint(nn.Linear(4, 3), tmp_path / "missing.pt")
