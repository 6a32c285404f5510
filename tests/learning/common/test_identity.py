"""A run is bound to contents: what decides its results is digested, kept, and refused by name where it differs."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from estimate_helpers import silent, small

from analog_sim.config import StrictModel, UserError
from learning.common import identity
from learning.common.identity import Identity, digest, files_of, program_digest, program_identity
from learning.experiments.configs.estimate import Experiment
from learning.experiments.estimation.run import estimate
from learning.experiments.runs.run_folder import RunDirectory
from learning.torch_bridge.digital import digital_training

MODEL = "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
TINY: dict[str, Any] = {
    "dataset": {"name": "digits", "train_limit": 60, "test_limit": 20},
    "training": {"epochs": 1},
    "chips": 1,
    "times": ["1 s"],
    "calibration": 10,
}


class Config(StrictModel):
    chips: int = 2


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "identity-cache"))
    monkeypatch.setattr(
        "learning.experiments.estimation.run.write_estimate_report", lambda run, results: run.path / "report.html"
    )


def test_the_digest_tells_contents_apart_and_nothing_else() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    distinct = [
        None, True, 1, 1.0, "1", "", [], {}, [[]], [1, 2], [12], ["1", "2"], ["12"], {"a": 1}, {"a": "1"}, {"b": 1},
        x, x.T, x.reshape(3, 2), x.astype(np.float64), x + 1, [x], x.reshape(-1), np.zeros(0), [None],
    ]  # fmt: skip
    assert len({digest(value) for value in distinct}) == len(distinct)
    assert digest({"a": 1, "b": x}) == digest({"b": np.asfortranarray(x), "a": 1})
    assert digest((1, 2)) == digest([1, 2])
    with pytest.raises(TypeError, match="got a object"):
        digest(object())
    with pytest.raises(TypeError, match="got a ndarray"):
        digest(np.array([{}], dtype=object))


def test_a_run_is_refused_by_the_name_of_what_differs(tmp_path: Path) -> None:
    def start(parts: dict[str, str], resume: bool = True) -> RunDirectory:
        made = RunDirectory.create(tmp_path / "r", Config(), name="x", seed=0, resume=resume, identity=Identity(parts))
        made.log("metrics", {"chip": int})
        return made

    start({"program": "a" * 64, "numpy": "2.0"}, resume=False)
    start({"program": "a" * 64, "numpy": "2.0", "file w": "c" * 64})  # new parts are added ...
    with pytest.raises(
        UserError, match=r"cannot resume, what decides the results .*\n  file w: was cccccccccccc, now d"
    ):
        start({"file w": "d" * 64})  # ... and bind from then on
    with pytest.raises(UserError, match=r"numpy: was 2.0, now 2.1\nput it back .*or choose another --out"):
        start({"program": "a" * 64, "numpy": "2.1"})
    assert start({"program": "a" * 64}).path.name == "r"
    (tmp_path / "r" / "identity.json").unlink()
    with pytest.raises(UserError, match=r"identity.json is missing, so nothing tells which program"):
        start({"program": "a" * 64})


def test_the_program_is_its_sources_and_not_its_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program_digest() == program_digest()
    for name in ("analog_sim/__init__.py", "devices/law.py", "learning/rule.py", "learning/experiments/report/page.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("X = 1\n")
    monkeypatch.setattr(identity.analog_sim, "__file__", str(tmp_path / "analog_sim" / "__init__.py"))
    found = [program_digest.__wrapped__()]
    for name in ("learning/experiments/report/page.py", "devices/law.py", "learning/rule.py"):
        (tmp_path / name).write_text("X = 2\n")
        found.append(program_digest.__wrapped__())
    assert found[0] == found[1]
    assert len(set(found[1:])) == 3


def test_every_file_that_a_configuration_names_is_found(tmp_path: Path) -> None:
    np.savez(tmp_path / "map.npz", fault=np.zeros((2, 1, 1), np.uint8))
    (tmp_path / "m.py").write_text(MODEL)
    experiment = small(
        network=None,
        model={"file": str(tmp_path / "m.py"), "factory": "build"},
        tile={"fault_map": str(tmp_path / "map.npz")},
    )
    assert files_of(experiment) == {
        f"model.file {tmp_path / 'm.py'}": tmp_path / "m.py",
        f"tile.fault_map {tmp_path / 'map.npz'}": tmp_path / "map.npz",
    }


def test_a_folder_that_a_configuration_names_is_its_files(tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    (twin / "maps").mkdir(parents=True)
    (twin / "card.yaml").write_text("g_max: 1\n")
    (twin / "maps" / "faults.csv").write_text("0\n")
    before = identity.file_digest(twin)
    bound = Identity({}).with_files({"chip.folder twin": twin})
    bound.check_files()
    assert identity.file_digest(twin) == before
    (twin / "maps" / "faults.csv").write_text("1\n")
    assert identity.file_digest(twin) != before
    with pytest.raises(UserError, match=r"chip\.folder twin: changed while the run was at work"):
        bound.check_files()


def test_a_file_that_changes_under_a_run_at_work_stops_it(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(b"one")
    bound = program_identity().with_files({f"checkpoint {path}": path})
    bound.check_files()
    os.utime(path, (1, 1))  # touched, but the same
    bound.check_files()
    path.write_bytes(b"two")
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 1))
    with pytest.raises(UserError, match=r"checkpoint .*w.pt: changed while the run was at work"):
        bound.check_files()
    path.unlink()
    with pytest.raises(UserError, match="changed while the run was at work"):
        bound.check_files()


def save(path: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(10, 64, generator=generator), torch.randn(10, generator=generator)
    torch.save({"1.weight": weight, "1.bias": bias}, path)


def own_model(folder: Path) -> dict[str, Any]:
    (folder / "m.py").write_text(MODEL)
    save(folder / "w.pt", 0)
    np.savez(folder / "map.npz", fault=np.zeros((2, 80, 80), np.uint8))
    files = {"file": str(folder / "m.py"), "factory": "build", "checkpoint": str(folder / "w.pt")}
    return TINY | {"network": None, "model": files, "tile": {"fault_map": str(folder / "map.npz")}}


@pytest.mark.jit
@pytest.mark.parametrize("what", ["checkpoint", "model", "fault map", "images", "program", "cached weights"])
def test_a_resume_on_other_contents_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    change = own_model(tmp_path)
    if what == "cached weights":
        change["model"].pop("checkpoint")

    def run(chips: int, resume: bool) -> object:
        return estimate(
            small(**change | {"chips": chips}), out=tmp_path / "run", resume=resume, say=silent, progress=False
        )

    run(1, False)
    before = (tmp_path / "run" / "metrics.csv").read_bytes()
    pattern = what
    if what == "checkpoint":
        save(tmp_path / "w.pt", 1)
        pattern = r"model.checkpoint .*w.pt: was"
    elif what == "model":
        (tmp_path / "m.py").write_text(MODEL + "# edited\n")
        pattern = r"model.file .*m.py: was"
    elif what == "fault map":
        np.savez(tmp_path / "map.npz", fault=np.ones((2, 80, 80), np.uint8))
        pattern = r"tile.fault_map .*map.npz: was"
    elif what == "images":
        load = identity.data_parts
        monkeypatch.setattr(
            "learning.experiments.estimation.prepared.data_parts", lambda data: dict.fromkeys(load(data), "0" * 64)
        )
        pattern = r"test images of 'digits': was"
    elif what == "program":
        monkeypatch.setattr("learning.common.identity.program_digest", lambda: "0" * 64)
        pattern = r"program: was \w{12}, now 0{12}"
    else:  # the cache was lost, and training gave other weights, on another machine say
        monkeypatch.setattr("learning.experiments.estimation.prepared.trained_network", other_weights)
        pattern = "weights of the digital network: was"
    with pytest.raises(UserError, match=pattern):
        run(2, True)
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == before


def other_weights(make: Any, *arguments: Any) -> tuple[torch.nn.Module, Any, bool]:
    module, convergence, cached = digital_training.trained_network(make, *arguments)
    with torch.no_grad():
        next(module.parameters()).add_(1e-3)
    return module, convergence, cached


@pytest.mark.jit
def test_what_was_left_out_before_is_bound_when_it_is_asked_for(tmp_path: Path) -> None:
    change = own_model(tmp_path)
    other = tmp_path / "other.npz"
    np.savez(other, fault=np.zeros((2, 80, 80), np.uint8))
    study = {"sensitivity": {"sweeps": [{"set": "tile.fault_map", "values": [str(other)]}]}}

    def run(changes: dict[str, Any], resume: bool = True) -> object:
        return estimate(small(**changes), out=tmp_path / "run", resume=resume, say=silent, progress=False)

    run(change, resume=False)
    run(change | study)
    np.savez(other, fault=np.ones((2, 80, 80), np.uint8))
    with pytest.raises(UserError, match=r"sensitivity .*fault_map .*other.npz: was"):
        run(change | study)
    run(change)  # does not ask for it


def test_the_model_may_not_change_between_two_chips(tmp_path: Path) -> None:
    from learning.experiments.estimation.prepared import check, prepare_estimate

    experiment: Experiment = small(**own_model(tmp_path))
    prepared = prepare_estimate(experiment, check(experiment), silent)
    prepared.plan()
    (tmp_path / "m.py").write_text(MODEL + "# edited\n")
    with pytest.raises(UserError, match="changed while the run was at work"):
        prepared.plan()


def test_a_cached_network_is_bound_to_the_program_and_is_trained_again_when_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from learning.experiments.estimation.prepared import check, prepare_estimate

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own-cache"))
    experiment = small(**TINY)

    def told() -> bool:
        lines: list[str] = []
        prepare_estimate(experiment, check(experiment), lines.append)
        return "digital network: trained before, from the cache" in lines

    assert [told(), told()] == [False, True]
    (file,) = (tmp_path / "own-cache").rglob("networks/*.npz")
    with np.load(file) as found:
        arrays = {name: found[name] for name in found.files}
    np.savez(
        file, **arrays | {"fc1.bias": arrays["fc1.bias"] + 1}
    )  # a whole archive of the right shapes, of other weights
    assert [told(), told()] == [False, True]
    file.write_bytes(file.read_bytes()[:-100])
    assert [told(), told()] == [False, True]
    monkeypatch.setattr("learning.common.identity.program_digest", lambda: "0" * 64)
    assert [told(), told()] == [False, True]


def test_the_identity_of_a_run_is_on_the_disk(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "r", Config(), name="x", seed=0, identity=program_identity())
    found = json.loads((tmp_path / "r" / "identity.json").read_text())
    assert found["program"] == program_digest()
    assert found["numpy"] == np.__version__
    found["program"] = "0"
    (tmp_path / "r" / "identity.json").write_text(json.dumps(found))
    (tmp_path / "r" / "metrics.csv").write_text("")
    with pytest.raises(UserError, match=r"identity.json: is not as it was written"):
        RunDirectory.create(tmp_path / "r", Config(), name="x", seed=0, resume=True, identity=program_identity())
