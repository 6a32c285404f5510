"""The Python door: names that come when asked for, and objects in the place of files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from estimate_helpers import SMALL
from torch import nn

import analog_hil as ah
from analog_sim.config import ConfigError, UserError, validate
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from devices.card import load_card
from learning.data.datasets import Dataset, load
from learning.experiments.configs.estimate import Experiment

DATA = "dataset: digits"
ARRAYS = np.random.default_rng(5)


def small_data() -> Dataset:
    return load("digits", limit=60)


def small_net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def test_importing_the_door_imports_nothing_heavy_and_every_name_comes() -> None:
    program = (
        "import sys, analog_hil as ah\n"
        "heavy = [name for name in ('numpy', 'numba', 'torch', 'pydantic', 'matplotlib') if name in sys.modules]\n"
        "assert not heavy, heavy\n"
        "ah.card, ah.chip, ah.tile, ah.datasets, ah.estimate, ah.fit\n"
        "assert 'torch' not in sys.modules\n"
        "print(sorted(set(dir(ah)) & set(ah.__all__)) == sorted(ah.__all__))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
    assert all(callable(getattr(ah, name)) or name == "datasets" for name in ah.__all__)
    with pytest.raises(AttributeError, match="no attribute 'estimat'; it has card, chip"):
        _ = ah.estimat  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "first", ["import analog_hil as ah; ah.card", "import learning", "from analog_hil import card"]
)
@pytest.mark.parametrize("name", ["devices", "learning", "analog_sim"])
def test_a_folder_of_the_users_that_hides_a_package_is_named(first: str, name: str, tmp_path: Path) -> None:
    if first == "import learning" and name != "devices":
        pytest.skip("then it is the user's own package that is imported")
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("MINE = True\n")
    done = subprocess.run([sys.executable, "-c", first], cwd=tmp_path, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert f"package '{name}' of analog-hil is shadowed by {tmp_path / name}" in last
    assert "ename that folder or file, or run from another folder" in last


def test_a_card_by_name_path_or_object_with_changes(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: pcm\nname: mine\n")
    assert ah.card("pcm") == load_card("pcm")
    assert ah.card(path).name == "mine"
    assert ah.card(load_card("pcm"), g_max="40 uS").g_max == pytest.approx(40e-6)
    with pytest.raises(ConfigError, match=r"^ah.card: g_mxa: unknown key 'g_mxa', did you mean 'g_max'"):
        ah.card("pcm", g_mxa=1)
    with pytest.raises(UserError, match="must be a name, a path or a card"):
        ah.card(3)  # type: ignore[arg-type]


def test_a_tile_of_a_card_is_the_tile_of_its_compiled_cell() -> None:
    w = ARRAYS.normal(size=(5, 7)).astype(np.float32)
    x = ARRAYS.random((3, 7), np.float32)
    made = ah.tile(w, "pcm", seed=4, adc_bits=8, mapping={"max_rows": 4})
    streams = Streams(4).child("chip", 0)
    spec = validate({"adc": {"bits": 8}, "mapping": {"max_rows": 4}}, TileSpec)
    from analog_sim.chip.clock import Clock
    from analog_sim.chip.fabric import EmulatedFabric

    fabric = EmulatedFabric(load_card("pcm").compile(), streams, Clock()).at("tile", "tile0")
    same = Tile(spec, fabric, (5, 7), streams.child("tile", "tile0"))
    same.program(w)
    np.testing.assert_array_equal(made.forward(x), same.forward(x))
    assert ah.tile((5, 7), load_card("pcm")).shape == (5, 7)
    with pytest.raises(UserError, match=r"adc_bit: unknown setting, did you mean 'adc_bits'"):
        ah.tile(w, adc_bit=3)
    with pytest.raises(UserError, match="weights must be a matrix"):
        ah.tile([1.0, 2.0])
    with pytest.raises(TypeError, match="needs a compiled card"):
        Tile(TileSpec(), load_card("pcm"), (2, 2), Streams(0))  # type: ignore[arg-type]


def test_tiles_of_a_chip_share_its_clock_and_age_together() -> None:
    held = ah.chip("pcm", seed=1)
    a, b = held.tile(np.eye(4), name="a"), held.tile(np.eye(3))
    held.wait("1 day")
    assert a.time == b.time == held.time
    assert held.time == pytest.approx(86400.0, abs=1.0)
    assert list(held.tiles) == ["a", "tile1"]
    assert "a 4 x 4, tile1 3 x 3" in repr(held)
    with pytest.raises(UserError, match="has a tile 'a' already"):
        held.tile(np.eye(2), name="a")
    with pytest.raises(UserError, match="time"):
        held.wait("1 uS")


@pytest.mark.jit
def test_a_converted_module_is_the_chip_of_an_estimate(tmp_path: Path) -> None:
    """The same seed and number, card, converters and data: the same accuracy, bit by bit, now and after a day."""
    net, data = small_net(), small_data()
    run = ah.estimate(
        net, data, device="pcm", adc_bits=6, dac_bits=6, chips=2, times=["0 s", "1 day"], seed=5, calibration=60,
        out=tmp_path / "run", progress=False, parallel={"jobs": 1},
    )  # fmt: skip
    shared = {"device": "pcm", "adc_bits": 6, "dac_bits": 6, "sample": data.x_train[:60], "seed": 5}
    rows = run.to_frame().query("study == 'nominal' and chip == 1")
    chip = ah.convert(net, number=1, **shared)  # type: ignore[arg-type]
    found = []
    for wait in ("0 s", "1 day"):
        chip.wait(wait)
        found.append(chip.accuracy(data.x_test, data.y_test))
        chip.errors(data.x_test[:64])  # as an estimate does: the next accuracy follows other draws without it
    assert found == list(rows["accuracy"])
    assert chip.age == pytest.approx(86400.0, abs=1.0)
    assert len(repr(chip).splitlines()) <= 20
    assert "weights 12 x 64" in repr(chip)


@pytest.mark.jit
def test_results_show_themselves_and_are_loaded_again(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    run = ah.estimate(SMALL, out=tmp_path / "run", progress=False, chips=2, tile__adc__bits=7)
    assert torch.get_num_threads() == before
    assert run.results.rows
    again = ah.load_run(tmp_path / "run")
    assert again.table == run.table
    assert len(repr(run).splitlines()) <= 20
    assert repr(run).endswith(f"report: {tmp_path / 'run' / 'report.html'}")
    html = run._repr_html_()
    assert html.count("<tr>") == len(run.table.rows) + 1
    assert run.report.is_file()
    assert set(run.to_frame()["chip"]) == {0, 1}
    assert type(run.plot()).__name__ == "Figure"
    assert run.plot("accuracy_over_time")._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="no figure 'acuracy_over_time', did you mean 'accuracy_over_time'"):
        run.plot("acuracy_over_time")
    assert "bits: 7" in (tmp_path / "run" / "config.yaml").read_text()


def test_mistakes_are_one_line_and_leave_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^ah.estimate: chps: unknown key 'chps', did you mean 'chips'"):
        ah.estimate("digits_pcm", chps=3)
    with pytest.raises(UserError, match="no file and no example of this name; did you mean 'digits_pcm'"):
        ah.estimate("digits_pmc")
    with pytest.raises(UserError, match="torch module"):
        ah.estimate(np.eye(2))
    frame = pd.DataFrame({"a": [1.0], "b": [0]})
    with pytest.raises(UserError, match="name the column of the labels"):
        ah.estimate(small_net(), frame, device="pcm")
    with pytest.raises(UserError, match="was given from Python"):
        ah.estimate(
            {"schema": "estimate/1", "dataset": "digits", "device": "pcm", "module": "Net 1"}, out=tmp_path / "x"
        )
    assert not list(tmp_path.glob("runs/*"))
    assert validate({"dataset": "digits", "device": "pcm", "module": "Net 1"}, Experiment).module == "Net 1"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ah.convert(nn.LSTM(3, 4)), r"the model itself \(LSTM\) is not supported.*give a model around it that has Linear"),
        (lambda: ah.convert(nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 4))), r"layer '1' \(LSTM\).*write digital: \[1\]$"),
        (lambda: ah.convert(np.eye(3)), r"must be a torch module \(got ndarray\)"),
        (lambda: ah.convert(nn.Linear(3, 4), seed=-1), r"^seed: must be a whole number >= 0 \(got -1\)"),
        (lambda: ah.chip("pcm", number=1.5), r"^number: must be a whole number >= 0 \(got 1.5\)"),  # type: ignore[arg-type]
        (lambda: ah.convert(nn.Linear(3, 4), bias="x"), r"bias: must be 'digital' or 'chip' \(got 'x'\)"),  # type: ignore[arg-type]
        (lambda: ah.convert(nn.Linear(3, 4), backward="x"), r"backward: must be 'ideal' or"),  # type: ignore[arg-type]
        (lambda: ah.convert(nn.Linear(3, 4)).errors(np.ones((2, 7))), r"errors: the network fails on inputs of shape \(2, 7\)"),
        (lambda: ah.convert(nn.Linear(3, 4)).accuracy(np.ones((2, 7)), [0, 1]), r"accuracy: the network fails on inputs of"),
        (lambda: ah.network(["flatten"], "abc"), r"shape: must be that of one sample.*\(got 'abc'\)"),
        (lambda: ah.network(["flatten"], 8), r"shape: must be that of one sample.*\(got 8\)"),  # type: ignore[arg-type]
        (lambda: ah.sweep("digits_pcm", {"tile.adc.bits": 6}), r"tile.adc.bits: must be a list of values.*\(got 6\)"),
        (lambda: ah.sweep("digits_pcm", {"tile.adc.bits": "46"}), r"tile.adc.bits: must be a list of values"),
        (lambda: ah.load_run(None), r"load_run: must be a folder \(got NoneType\)"),  # type: ignore[arg-type]
        (lambda: ah.estimate("digits_pcm", out=3), r"out: must be a folder \(got int\)"),  # type: ignore[arg-type]
        (lambda: ah.fit({"g": [1.0, 2.0], "t": [1.0]}), r"needs columns of one length \(got g 2, t 1\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    call: Callable[[], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_run_without_results_of_its_own_names_its_page(tmp_path: Path) -> None:
    from report_helpers import new_run

    run = new_run(tmp_path / "a")
    with pytest.raises(UserError, match="holds no finished run"):
        ah.load_run(run.path)
    (run.path / "report.html").write_text("")
    with pytest.raises(UserError, match=r"results are files: open .*report\.html"):
        ah.load_run(run.path)


def test_arrays_parameters_and_frames_go_onto_tiles_and_through_networks() -> None:
    layer = nn.Linear(3, 4)
    assert ah.tile(layer.weight).shape == (4, 3)
    assert ah.tile(pd.DataFrame(np.eye(2))).shape == (2, 2)
    net = ah.convert(layer, seed=3)
    for x in (np.ones((2, 3)), pd.DataFrame(np.ones((2, 3))), torch.ones(2, 3)):
        assert net(x).shape == (2, 4)


def test_descriptions_are_short() -> None:
    shown = [
        ah.card("pcm"),
        ah.tile((3, 2)),
        small_data(),
        ah.network(["flatten", {"kind": "linear", "units": 10}], (1, 8, 8)),
    ]
    assert [len(repr(each).splitlines()) for each in shown] == [1] * 4
    assert repr(shown[0]).startswith("<device card pcm, 0 to 25 µS; pulse: none, programming: polynomial")
    assert repr(shown[2]) == "<data set digits: 60 training and 60 test samples of 1 x 8 x 8, 10 classes>"
    assert repr(shown[3]) == "<network: linear1 10 x 64 digital>"


def test_data_frames_and_lists_are_data(tmp_path: Path) -> None:
    from learning.experiments.interactive.data import dataset_section

    frame = pd.DataFrame({"a": [0.0, 1.0, 0.5], "kind": ["x", "y", "x"], "b": [1, 2, 3]})
    assert dataset_section(frame, tmp_path, label="kind") == {"file": str(tmp_path / "data.npz")}
    with np.load(tmp_path / "data.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["x_train"], [[0.0, 1.0], [1.0, 2.0], [0.5, 3.0]])
        assert list(found["y_train"]) == ["x", "y", "x"]
    assert dataset_section("mnist", tmp_path) == "mnist"
    assert dataset_section({"name": "mnist", "mean": (0.1,)}, tmp_path) == {"name": "mnist", "mean": [0.1]}
    assert dataset_section((torch.zeros(2, 3), torch.tensor([0, 1])), tmp_path)["file"].endswith("data.npz")
    with pytest.raises(UserError, match="no column 'knd'"):
        dataset_section(frame, tmp_path, label="knd")
    with pytest.raises(UserError, match=r"data: unknown key X; allowed: x_train"):
        dataset_section({"x_train": [[1]], "X": 1}, tmp_path)


def ramps(cells: int = 4) -> dict[str, list[float]]:
    """Potentiation and depression of soft-bounds cells, one row per pulse."""
    rng = np.random.default_rng(0)
    rows: list[tuple[float, float, float]] = []
    for cell in range(cells):
        g = 5e-6
        for up in [1, -1] * 2:
            for _ in range(40):
                step = 1e-6 * (1 - (g - 5e-6) / 45e-6) if up > 0 else -1e-6 * (g - 5e-6) / 45e-6
                g = max(1e-6, g + step * (1 + 0.3 * rng.normal()))
                rows.append((cell, up * 1.5, 1e6 * g))
    return {name: list(column) for name, column in zip(("cell", "V", "G"), zip(*rows, strict=True), strict=True)}


def test_a_frame_of_pulses_is_read_as_the_file_would_be(tmp_path: Path) -> None:
    from devices.measurements.configuration.measurement_config import MeasurementConfig
    from devices.measurements.pipeline.reading import describe
    from learning.experiments.interactive.measurement import frame_section
    from learning.experiments.interactive.settings import nested

    frame = pd.DataFrame(ramps())
    columns = {"v": {"name": "V", "unit": "V"}, "g": {"name": "G", "unit": "uS"}}
    settings = {"v_read": "0.2 V", "name": "mine", "held_out__by": "device"}
    base, left = frame_section(frame, tmp_path, role="pulses", columns=columns, settings=settings)
    config = validate(nested(left, base), MeasurementConfig)
    assert config.name == "mine"
    assert config.held_out.by == "device"
    assert describe(config).startswith(f"pulses: {len(frame)} rows of 4 cell(s)")
    with pytest.raises(UserError, match="no column 'Volt'"):
        ah.fit(frame, columns={"v": "Volt"}, out=tmp_path / "none")
    with pytest.raises(UserError, match="role and columns are for a DataFrame"):
        ah.fit("measurements/pulse_ramps", role="pulses", out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.jit
def test_a_mapping_of_columns_becomes_a_card(tmp_path: Path) -> None:
    """Retention, the quickest fit: cells that drift by a power law."""
    rng = np.random.default_rng(1)
    t = np.tile([1.0, 10.0, 100.0, 1000.0], 24)
    cell = np.repeat(np.arange(24), 4)
    g = np.repeat(rng.uniform(5e-6, 40e-6, 24), 4) * t ** -np.repeat(rng.normal(0.05, 0.01, 24), 4)
    made = ah.fit(
        {"t": t, "cell": cell, "g": g},
        role="retention",
        name="mine",
        ageing="power_law",
        out=tmp_path / "fit",
        progress=False,
    )
    assert made.card.drift_factor(0.5, 1000.0) == pytest.approx(1000.0**-0.05, rel=0.05)
    assert any("retention" in verdict for verdict in made.verdicts)
    assert (tmp_path / "fit" / "measured.csv").read_text().count("\n") == len(t) + 1
    assert made.plot()._repr_png_().startswith(b"\x89PNG")
    again = ah.load_run(tmp_path / "fit")
    assert again.to_frame().shape[1] == 2
    assert len(repr(made).splitlines()) <= 20


@pytest.mark.jit
def test_a_network_learns_and_a_training_and_a_sweep_are_run(tmp_path: Path) -> None:
    layers = ["flatten", {"kind": "linear", "units": 10}]
    net = ah.network(layers, (1, 8, 8), "ecram", seed=2)
    assert net.output(np.ones((3, 1, 8, 8), np.float32)).shape == (3, 10)
    assert ah.network(layers, (1, 8, 8)).layers[0].tile.on_chip is False
    with pytest.raises(UserError, match=r"network.layers\[0\]"):
        ah.network([{"kind": "linear", "units": 3}], (1, 8, 8))
    small = {"name": "digits", "train_limit": 64, "test_limit": 20}
    run = ah.train(
        {"dataset": small, "network": {"layers": layers}, "learning_rate": 0.05, "batch": 16, "device": "ecram", "parallel": {"jobs": 1}},
        out=tmp_path / "train", progress=False, epochs=1,
    )  # fmt: skip
    assert set(run.to_frame()["arm"]) == {"ideal digital twin", "backprop, ecram"}
    assert type(run.plot()).__name__ == "Figure"
    swept = ah.sweep(SMALL, {"tile.adc.bits": [4, 8]}, out=tmp_path / "sweep", progress=False, chips=1)
    assert [point.label for point in swept.comparison.points] == [{"tile.adc.bits": "4"}, {"tile.adc.bits": "8"}]
    assert len(swept.runs) == 2
    assert set(swept.to_frame()["tile.adc.bits"]) == {"4", "8"}
    assert type(swept.plot()).__name__ == "Figure"
